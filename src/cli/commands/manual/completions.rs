//! `netc completions`

use crate::cli::completion;
use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use clap::ValueEnum;
use clap_complete::Shell;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> CommandResult {
    let name = args.shell.to_possible_value().map(|value| value.get_name().to_string());
    messages::print(name.and_then(|name| completion::script(&name)).unwrap_or_default());
    Ok(())
}
