//! The commands, one file each, in folders by what they work on.

mod exchange;
mod manual;
mod model;
mod spec;
mod training;

use super::result::CommandResult;
use crate::diagnostics::{Code, Diagnostic, foreign_names, suggest};
use crate::source::in_shell;
use clap::Subcommand;
use exchange::{export, import};
use manual::{completions, explain, help, man};
use model::{bench, build, embed, inspect, predict, serve, verify};
use spec::{check, diff, fmt, lsp, new, show, test};
use training::{cache, eval, train};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Check a spec: names, shapes, labels, recipe; opens no weights
    ///
    /// All nets in files or folders, fragments included. `--format json` includes the fixes, `--format github` annotates pull
    /// requests.
    Check(check::Args),
    /// Show a net's layers, or draw it
    ///
    /// `--depth 1` folds scopes. `-o net.svg` or `-o net.png` draws the net; `-o net.html` too, with pan, zoom, search and the settings of
    /// each layer; `-o net.dot` is for Graphviz. `--format json` is for programs.
    Show(show::Args),
    /// Compile a net and its weights into one artifact
    ///
    /// `netc build bird.net` writes `bird.netb`. `--emit` prints a stage as text instead, `--why conv1_2` the candidate
    /// algorithms of a step with their estimated costs. `--tune` chooses by measuring on this machine, `--max-memory 512M`
    /// limits the memory of the plan, `--precision bf16` halves the weights, `--precision int8` quarters them.
    Build(build::Args),
    /// Classify photos, or run a net on arrays
    ///
    /// Photos are named one by one, by folders at any depth, or come from stdin. A single sigmoid output gives both
    /// classes; outputs without probabilities are printed as numbers. With arrays: `netc predict m.netb x.npy -o
    /// y.npy`.
    Predict(predict::Args),
    /// Answer requests for predictions over HTTP
    ///
    /// Photos and the Open Inference Protocol, in dynamic batches, with a page to drop photos on. `--edit bird.net` opens a
    /// spec in the browser, with its drawing.
    Serve(serve::Args),
    /// Train a net by its recipe; the features of a frozen front are computed once per image
    ///
    /// Writes `bird.h5` (the weights), `bird.netb` (the artifact) and `bird.run/` (record, checkpoint, curves, report) next
    /// to the spec. The first Ctrl-C ends a run after the current batch, and `--resume` continues it.
    Train(train::Args),
    /// Write a net's outputs for photos (features) to a file
    ///
    /// At any cut: `netc embed 'bird.net[..species]' photos/ -o f.h5`. `f.photos.csv` names the photo and the class of each
    /// row.
    Embed(embed::Args),
    /// Evaluate a net on labelled data: accuracy, confusion matrix, metrics of each class
    ///
    /// The metrics that training reports; for numbers their errors. The data is a folder with a subfolder for each class, a
    /// list (`list.csv`), or arrays: `netc eval m.netb f.h5 --x x --y y`, or `--x x.npy --y y.npy`.
    Eval(eval::Args),
    /// List or delete the cached features of frozen fronts
    Cache(cache::Args),
    /// Write a net for other programs: an ONNX model, a Keras model, or parameters for PyTorch (safetensors)
    ///
    /// `-o bird.onnx` writes an ONNX model, `-o bird.keras` a model that `keras.models.load_model` opens, `-o
    /// bird.safetensors` parameters that PyTorch's `load_state_dict` takes.
    Export(export::Args),
    /// Compare the compiled net with its f64 reference, layer by layer
    ///
    /// `--training` also compares an update by the recipe: losses, gradients and the optimizer.
    Verify(verify::Args),
    /// Measure the speed of a compiled net on this machine
    ///
    /// Latency and throughput by batch size, and the time of each step relative to the machine's peaks.
    Bench(bench::Args),
    /// Show the contents of an artifact, or of a file of weights or arrays
    ///
    /// What is in an artifact, and what it was made from; or the tensors of a file of weights or arrays, with their shapes.
    Inspect(inspect::Args),
    /// Write the spec of an ONNX or Keras model, bound to its weights
    ///
    /// Repeated structure becomes nets and `repeat`. Code in a Keras model is never run.
    Import(import::Args),
    /// Format specs in the standard style
    ///
    /// Files, folders of them, or stdin. `--check --diff` shows what would change, and fails if anything would.
    Fmt(fmt::Args),
    /// Run the language server over stdin and stdout
    ///
    /// Diagnostics and fixes, completion, shapes, definitions and references. The folder `editors` of the project has an
    /// extension for VS Code and a TextMate grammar.
    Lsp(lsp::Args),
    /// Explain a diagnostic's code, such as E0301
    Explain(explain::Args),
    /// Describe a layer, a key of recipes, a shipped net or a command
    ///
    /// For a name of Keras or PyTorch, such as Conv2D or weight_decay, it prints what to write instead.
    Help(help::Args),
    /// Check the expectations of specs, and compare their stages with snapshots
    ///
    /// An item `expect` states the shapes of a net, a number of its layers or parameters, or the class of a photo. `--accept`
    /// writes the snapshots, next to the specs.
    Test(test::Args),
    /// Create the folder of a new project
    ///
    /// The spec has a pretrained front, and a recipe for photos with one folder per class.
    New(new::Args),
    /// Compare two nets, layer by layer
    Diff(diff::Args),
    /// Print a shell's completion script
    ///
    /// The script completes codes, layers, shipped nets and the names inside a cut, too.
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
    let suggestion = || match foreign_names::command(name) {
        Some(ours) => Some(suggest::question(ours)),
        None => suggest::did_you_mean(name, known),
    };
    let file = name.ends_with(".net").then(|| format!("put a command before it: `netc check {}`", in_shell(name)));
    Diagnostic::new(Code::UnknownName, format!("there is no command `{name}`"))
        .maybe_help(file.or_else(suggestion))
        .help("`netc help` lists the commands")
}
