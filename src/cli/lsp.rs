//! `netc lsp`

use super::Done;
use super::output::messages;
use crate::diagnostics::{Code, Diagnostic};
use crate::lsp;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Over stdin and stdout, as it is without it; editors pass it
    #[arg(long)]
    stdio: bool,
}

pub fn run(_: &Args) -> Done {
    lsp::serve().map_err(|error| {
        messages::fail_with(Diagnostic::new(Code::Unreadable, format!("the editor's connection broke: {error}")))
    })
}
