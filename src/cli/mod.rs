//! The command line: each command parses arguments, calls the library and prints. Results go to stdout, everything else to stderr.

mod args;
mod arrays;
mod commands;
mod model;
#[allow(unsafe_code)] // The global allocator and a signal handler.
pub mod out_of_memory;
mod output;
mod result;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use output::messages;
use result::{EXIT_ERROR, EXIT_INTERRUPTED, Failed};
use std::process::ExitCode;

#[derive(Parser, Debug)]
#[command(
    name = "netc",
    version,
    about = "A compiler for neural networks written as text",
    after_help = "A spec is a file (bird.net), the name of a shipped net (vgg16), an expression in quotes ('vgg16[-3..]'), or - for stdin.\n`netc help NAME` describes a layer or a command.",
    disable_help_subcommand = true
)]
struct Program {
    #[command(flatten)]
    style: output::style::Style,
    #[command(subcommand)]
    command: commands::Command,
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    out_of_memory::install();
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => {
            if let Some(name) = unknown_command(&error) {
                messages::fail_with(commands::unknown(&name, &Program::command()));
                return ExitCode::from(2);
            }
            if error.use_stderr() {
                // A closed stderr is no reason to fail otherwise.
                let _ = error.print();
                return ExitCode::from(2);
            }
            // `--help` and `--version` are results.
            messages::print(error.render());
            return ExitCode::SUCCESS;
        }
    };
    output::style::set(program.style);
    let result = program.command.run(Program::command());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Error) => ExitCode::from(EXIT_ERROR),
        Err(Failed::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
    }
}

/// The name of a command that does not exist.
fn unknown_command(error: &clap::Error) -> Option<String> {
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) => Some(name.clone()),
        _ => None,
    }
}
