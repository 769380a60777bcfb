//! `netc explain`

use super::Done;
use super::output::messages;
use crate::diagnostics::{Code, Diagnostic};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A code such as E0301; without one, all are listed
    #[arg(conflicts_with = "all")]
    code: Option<String>,
    /// Print all of them with their explanations, as a page in Markdown
    #[arg(long)]
    all: bool,
}

pub fn run(args: &Args) -> Done {
    if args.all {
        messages::print(Code::page());
        return Ok(());
    }
    let Some(text) = &args.code else {
        for code in Code::ALL {
            messages::print(format!("{code}  {}\n", code.title()));
        }
        return Ok(());
    };
    match text.parse::<Code>() {
        Ok(code) => {
            messages::print(code.lesson());
            Ok(())
        }
        Err(()) => {
            let known = Code::ALL.iter().map(|code| code.text());
            let near = crate::diagnostics::suggest::did_you_mean(text, known);
            let diagnostic = Diagnostic::new(Code::UnknownName, format!("there is no code `{text}`")).maybe_help(near);
            Err(messages::fail_with(diagnostic.help("`netc explain` lists all codes")))
        }
    }
}
