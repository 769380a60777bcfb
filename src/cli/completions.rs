//! `netc completions`

use super::output::messages;
use super::{Done, Program};
use crate::elaborate::project::shipped;
use clap::builder::PossibleValuesParser;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell whose completions are printed
    #[arg(value_enum)]
    shell: Shell,
}

/// The arguments that take the name of a net that ships; bash offers it for those behind them too.
const SPECS: [&str; 3] = ["spec", "model", "a"];

pub fn run(args: &Args) -> Done {
    // Bash goes on to files where no word fits; the other shells would offer these words alone.
    let mut program = match args.shell {
        Shell::Bash => with_shipped_names(Program::command()),
        _ => Program::command(),
    };
    // Written to memory first: the generator panics where its output cannot be written, such as into a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "netc", &mut script);
    messages::print(String::from_utf8_lossy(&script));
    Ok(())
}

/// The program for its completions alone: its specs are the nets that ship.
fn with_shipped_names(program: Command) -> Command {
    let names = || PossibleValuesParser::new(shipped::SPECS.iter().map(|spec| spec.name));
    program.mut_subcommands(|command| {
        // It looks into files only.
        let takes_specs = command.get_name() != "inspect";
        command.mut_args(|argument| match takes_specs && SPECS.contains(&argument.get_id().as_str()) {
            true => argument.value_parser(names()),
            false => argument,
        })
    })
}
