//! The command line: each command parses arguments, calls the library and prints. Results go to stdout, everything else to stderr.

mod args;
mod arrays;
mod commands;
mod completion;
mod model;
#[allow(unsafe_code)] // The global allocator and a signal handler.
pub mod out_of_memory;
mod output;
mod piped_photo;
mod result;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use output::messages;
use result::{EXIT_ERROR, EXIT_INTERRUPTED, EXIT_SUCCESS, EXIT_USAGE, Failed};
use std::ffi::OsString;
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
    ExitCode::from(run(std::env::args_os()))
}

/// Runs the program with the given arguments, the first of which is its name; returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    out_of_memory::install();
    let args: Vec<OsString> = args.into_iter().collect();
    if completion::answer(&args, Program::command) {
        return EXIT_SUCCESS;
    }
    let program = match Program::try_parse_from(&args) {
        Ok(program) => program,
        Err(error) => {
            output::style::set_color(&args);
            if let Some(name) = unknown_command(&error) {
                messages::fail_with(commands::unknown(&name, &Program::command()));
                return EXIT_USAGE;
            }
            if error.use_stderr() {
                messages::usage(&error.render());
                return EXIT_USAGE;
            }
            // `--help` and `--version` are results.
            messages::print(error.render());
            return EXIT_SUCCESS;
        }
    };
    output::style::set(program.style);
    let result = program.command.run(Program::command());
    match result {
        Ok(()) => EXIT_SUCCESS,
        Err(Failed::Error) => EXIT_ERROR,
        Err(Failed::Interrupted) => EXIT_INTERRUPTED,
    }
}

/// The name of a command that does not exist.
fn unknown_command(error: &clap::Error) -> Option<String> {
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) => Some(name.clone()),
        _ => None,
    }
}
