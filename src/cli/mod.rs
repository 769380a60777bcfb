//! The commands, one file each: parse arguments, call the library, print. Results go to stdout, everything else to stderr.

mod args;
mod bench;
mod benchmark;
mod build;
mod cache;
mod check;
mod completions;
mod diff;
mod embed;
mod eval;
mod explain;
mod fmt;
mod help;
mod inspect;
mod lsp;
mod new;
mod output;
mod predict;
mod show;
mod test;
mod train;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The user's input or files are wrong.
const WRONG: u8 = 1;
/// Ended by Ctrl-C: 128 and the number of the signal, as shells have it.
const INTERRUPTED: u8 = 130;

#[derive(Parser, Debug)]
#[command(
    name = "netc",
    version,
    about = "A compiler for neural networks that are written as text",
    after_help = "A spec is a file (bird.net), the name of a net that ships (vgg16), an expression in quotes ('vgg16[-3..]'), or - for stdin.\n`netc help NAME` describes a layer or a command.",
    disable_help_subcommand = true
)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Prove a spec: names, shapes, labels, recipe; opens no weights
    Check(check::Args),
    /// Show a net's layers, or draw it
    Show(show::Args),
    /// Compile a net and its weights into one artifact
    Build(build::Args),
    /// Classify photos, or run a net on arrays
    Predict(predict::Args),
    /// Train a net by its recipe; what is frozen in front is computed once per image
    Train(train::Args),
    /// Write the features of photos at a net's end to a file
    Embed(embed::Args),
    /// Measure a net on a folder of photos: accuracy, confusion, each class
    Eval(eval::Args),
    /// List or delete the kept features of frozen fronts
    Cache(cache::Args),
    /// Compare the compiled net with its f64 reference, layer by layer
    Verify(verify::Args),
    /// Measure a compiled net on this machine
    Bench(bench::Args),
    /// Say what an artifact or a weights file holds
    Inspect(inspect::Args),
    /// Bring specs into the one style
    Fmt(fmt::Args),
    /// Serve an editor over stdin and stdout
    Lsp(lsp::Args),
    /// Teach a diagnostic's code, such as E0301
    Explain(explain::Args),
    /// Describe a layer, a shipped net or a command
    Help(help::Args),
    /// Check what specs promise, and compare their stages with snapshots
    Test(test::Args),
    /// Make the folder of a new project
    New(new::Args),
    /// Say what differs between two nets, layer by layer
    Diff(diff::Args),
    /// Print the completions of a shell
    Completions(completions::Args),
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => {
            if error.use_stderr() {
                // Who cannot be told is not.
                let _ = error.print();
                return ExitCode::from(2);
            }
            // `--help` and `--version` are results.
            output::messages::print(error.render());
            return ExitCode::SUCCESS;
        }
    };
    let done = match program.command {
        Command::Check(args) => check::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Cache(args) => cache::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Lsp(args) => lsp::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Help(args) => help::run(&args),
        Command::Test(args) => test::run(&args),
        Command::New(args) => new::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Misclassification) => ExitCode::from(WRONG),
        Err(Failed::Interrupted) => ExitCode::from(INTERRUPTED),
    }
}

/// Why a command did not come to its end; it was told already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    Misclassification,
    Interrupted,
}

/// What a command gives.
type Done = Result<(), Failed>;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}
