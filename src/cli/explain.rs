//! `netc explain`

use super::{Done, report};
use crate::diagnostics::{Code, Diagnostic};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A code such as E0301; without one, all are listed
    code: Option<String>,
}

pub fn run(args: &Args) -> Done {
    let Some(text) = &args.code else {
        for code in Code::ALL {
            report::print(format!("{code}  {}\n", code.title()));
        }
        return Ok(());
    };
    match text.parse::<Code>() {
        Ok(code) => {
            report::print(format!("{code}: {}\n\n{}\n", code.title(), code.explain()));
            Ok(())
        }
        Err(()) => {
            let known = Code::ALL.iter().map(|code| code.text());
            let near = crate::diagnostics::suggest::did_you_mean(text, known);
            let diagnostic = Diagnostic::new(Code::UnknownName, format!("there is no code `{text}`")).maybe_help(near);
            Err(report::fail_with(diagnostic.help("`netc explain` lists all codes")))
        }
    }
}
