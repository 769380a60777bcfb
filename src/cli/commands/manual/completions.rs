//! `netc completions`

use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use crate::elaborate::project::shipped;
use clap::Command;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The arguments that take the name of a shipped net; bash offers the names for the arguments after them too.
const SPECS: [&str; 4] = ["spec", "specs", "model", "a"];

pub fn run(args: &Args, program: Command) -> CommandResult {
    // Bash falls back to files if no name matches; other shells would offer the names alone.
    let mut program = match args.shell {
        Shell::Bash => with_shipped_names(program),
        _ => program,
    };
    // Written to memory first, because the generator panics if its output cannot be written, such as to a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "netc", &mut script);
    messages::print(String::from_utf8_lossy(&script));
    Ok(())
}

/// The program with the shipped nets as values of its spec arguments, for completions only.
fn with_shipped_names(program: Command) -> Command {
    let names = || PossibleValuesParser::new(shipped::SPECS.iter().map(|spec| spec.name));
    program.mut_subcommands(|command| {
        // `inspect` takes files only.
        let takes_specs = command.get_name() != "inspect";
        command.mut_args(|argument| match takes_specs && SPECS.contains(&argument.get_id().as_str()) {
            true => argument.value_parser(names()),
            false => argument,
        })
    })
}
