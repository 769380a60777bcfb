//! The commands, one file each.

mod bench;
mod build;
mod cache;
mod check;
mod completions;
mod diff;
mod embed;
mod eval;
mod explain;
mod export;
mod fmt;
mod help;
mod import;
mod inspect;
mod lsp;
mod man;
mod new;
mod predict;
#[cfg(feature = "serve")]
mod serve;
mod show;
mod test;
mod train;
mod verify;
#[cfg(not(feature = "serve"))]
mod without_serve;

use super::result::CommandResult;
use crate::diagnostics::{Code, Diagnostic, suggest};
use clap::Subcommand;
#[cfg(not(feature = "serve"))]
use without_serve as serve;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Check a spec: names, shapes, labels, recipe; opens no weights
    Check(check::Args),
    /// Show a net's layers, or draw it
    Show(show::Args),
    /// Compile a net and its weights into one artifact
    Build(build::Args),
    /// Classify photos, or run a net on arrays
    Predict(predict::Args),
    /// Answer requests for predictions over HTTP
    Serve(serve::Args),
    /// Train a net by its recipe; the features of a frozen front are computed once per image
    Train(train::Args),
    /// Write a net's outputs for photos (features) to a file
    Embed(embed::Args),
    /// Evaluate a net on labelled data: accuracy, confusion matrix, metrics of each class
    Eval(eval::Args),
    /// List or delete the cached features of frozen fronts
    Cache(cache::Args),
    /// Write a net for other programs: an ONNX model, a Keras model, or parameters for PyTorch (safetensors)
    Export(export::Args),
    /// Compare the compiled net with its f64 reference, layer by layer
    Verify(verify::Args),
    /// Measure the speed of a compiled net on this machine
    Bench(bench::Args),
    /// Show the contents of an artifact, or of a file of weights or arrays
    Inspect(inspect::Args),
    /// Write the spec of an ONNX or Keras model, bound to its weights
    Import(import::Args),
    /// Format specs in the standard style
    Fmt(fmt::Args),
    /// Run the language server over stdin and stdout
    Lsp(lsp::Args),
    /// Explain a diagnostic's code, such as E0301
    Explain(explain::Args),
    /// Describe a layer, an entry of recipes, a shipped net or a command
    Help(help::Args),
    /// Check the expectations of specs, and compare their stages with snapshots
    Test(test::Args),
    /// Create the folder of a new project
    New(new::Args),
    /// Compare two nets, layer by layer
    Diff(diff::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Write the manual pages of all commands
    Man(man::Args),
}

impl Command {
    /// Runs it. `program` is the whole command line, for help and completions.
    pub fn run(&self, program: clap::Command) -> CommandResult {
        match self {
            Command::Check(args) => check::run(args),
            Command::Show(args) => show::run(args),
            Command::Build(args) => build::run(args),
            Command::Predict(args) => predict::run(args),
            Command::Serve(args) => serve::run(args),
            Command::Train(args) => train::run(args),
            Command::Embed(args) => embed::run(args),
            Command::Eval(args) => eval::run(args),
            Command::Cache(args) => cache::run(args),
            Command::Export(args) => export::run(args),
            Command::Verify(args) => verify::run(args),
            Command::Bench(args) => bench::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Import(args) => import::run(args),
            Command::Fmt(args) => fmt::run(args),
            Command::Lsp(args) => lsp::run(args),
            Command::Explain(args) => explain::run(args),
            Command::Help(args) => help::run(args, program),
            Command::Test(args) => test::run(args),
            Command::New(args) => new::run(args),
            Command::Diff(args) => diff::run(args),
            Command::Completions(args) => completions::run(args),
            Command::Man(args) => man::run(args, program),
        }
    }
}

/// The error of a command that does not exist.
pub fn unknown(name: &str, program: &clap::Command) -> Diagnostic {
    let known = program.get_subcommands().map(clap::Command::get_name);
    let file = name.ends_with(".net").then(|| format!("say what to do with it: `netc check {name}`"));
    Diagnostic::new(Code::UnknownName, format!("there is no command `{name}`"))
        .maybe_help(file.or_else(|| suggest::did_you_mean(name, known)))
        .help("`netc help` lists the commands")
}
