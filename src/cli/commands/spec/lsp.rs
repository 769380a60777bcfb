//! `netc lsp`

use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use crate::diagnostics::{Code, Diagnostic};
use crate::lsp;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Use stdin and stdout, which is the default; editors pass it
    #[arg(long)]
    stdio: bool,
}

pub fn run(_: &Args) -> CommandResult {
    lsp::serve().map_err(|error| {
        messages::fail_with(Diagnostic::new(Code::Unreadable, format!("the connection to the editor failed: {error}")))
    })
}
