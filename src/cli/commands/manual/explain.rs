//! `netc explain`

use crate::cli::output::messages;
use crate::cli::output::paragraphs::wrapped;
use crate::cli::result::CommandResult;
use crate::diagnostics::{Code, Diagnostic};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A code such as E0301; without it, all codes are listed
    #[arg(conflicts_with = "all")]
    code: Option<String>,
    /// Print the explanations of all codes as a Markdown page
    #[arg(long)]
    all: bool,
}

pub fn run(args: &Args) -> CommandResult {
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
            messages::print(wrapped(&code.lesson()));
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
