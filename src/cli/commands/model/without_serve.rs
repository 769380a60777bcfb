//! `netc serve` in a build without the feature `serve`.

use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use crate::diagnostics::{Code, Diagnostic};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub fn run(_: &Args) -> CommandResult {
    let diagnostic = Diagnostic::new(Code::Serve, "this netc was built without `serve`");
    Err(messages::fail_with(diagnostic.help("build it with the feature: `cargo build --release --features serve`")))
}
