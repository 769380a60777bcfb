//! `netc train`

use crate::cli::args::threads_arg;
use crate::cli::model::report_binding;
use crate::cli::output::messages;
use crate::cli::output::metrics_table::table;
use crate::cli::output::progress::Progress;
use crate::cli::result::{CommandResult, Failed};
use crate::compile::BuildOptions;
use crate::diagnostics::counted;
use crate::train::recipe::values::losses::OutputLoss;
use crate::train::run::error::{Interruption, TrainError};
use crate::train::run::prepare::{PreparedRun, RunOptions, prepare_run};
use crate::train::run::save;
use crate::view;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The layout of the weights file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    Neupy,
    Keras,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A spec file with a recipe: `train NAME { … }`
    spec: String,
    /// The net of the spec
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// A weights file to use instead of the spec's
    #[arg(long, value_name = "NET=FILE", value_parser = crate::cli::args::build_args::net_and_file)]
    weights: Vec<(String, PathBuf)>,
    /// Set an entry of the recipe, or an argument of its value: `epochs=3`, `optimizer.step=0.01`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Continue from the last checkpoint
    #[arg(long)]
    resume: bool,
    /// The layout of the weights file
    #[arg(long, value_enum, default_value = "neupy")]
    layout: Layout,
    #[command(flatten)]
    cache: super::cache::CacheFolder,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

pub fn run(args: &Args) -> CommandResult {
    let mut spec = messages::load(&args.spec)?;
    for setting in &args.settings {
        spec.set(setting).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    }
    let folder = spec.sources.resolve(spec.root(), "");
    let options = RunOptions {
        net: args.net.clone(),
        weights: args.weights.iter().cloned().collect(),
        threads: args.threads.count(),
        resume: args.resume,
        cache: args.cache.folder(),
        folder: folder.clone(),
        layout: match args.layout {
            Layout::Neupy => save::Layout::NeuPy,
            Layout::Keras => save::Layout::Keras,
        },
    };
    let began = Instant::now();
    let prepared = prepare_run(&spec, &options).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&prepared.warnings, &spec.sources);
    report_preparation(&prepared);
    prepared.check_writable().map_err(messages::fail_with)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    handle_interrupts(&interrupted);
    let mut progress = Progress::new();
    let has_cache = options.cache.is_some();
    let trained = prepared.train(&interrupted, &mut progress);
    progress.finish();
    let trained = trained.map_err(|error| match error {
        TrainError::Errors(errors) => messages::fail(&errors, &spec.sources),
        TrainError::Interrupted(at) => report_interruption(at, has_cache),
    })?;
    view::html::write_run_report(&trained).map_err(messages::fail_with)?;
    if interrupted.load(Ordering::Relaxed) {
        return Err(report_interruption(Interruption::End, has_cache));
    }
    if let (Some(best), false) = (trained.record.best, trained.record.keep == "last") {
        let epochs = trained.record.epochs.len();
        messages::line("Keeping", format!("epoch {best} of {epochs}, {}", trained.record.keep));
    }
    let build = BuildOptions { weights: options.weights, ..BuildOptions::default() };
    trained.write_artifact(&spec, build).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    let seconds = began.elapsed().as_secs_f64();
    let run = trained.folder.display();
    messages::line(
        "Writing",
        format!("{}, {}, {run}/report.html", trained.weights.display(), trained.artifact.display()),
    );
    let stopped = trained.record.stopped.clone().unwrap_or_default();
    messages::line("Finished", format!("in {seconds:.1} s: {stopped}"));
    let data = if trained.record.data.validation > 0 { "validation" } else { "training" };
    for (output, report) in &trained.reports {
        let name = if trained.reports.len() > 1 { format!("{output}, {data}") } else { data.to_string() };
        messages::print(table(report, &name));
    }
    Ok(())
}

/// Makes the first Ctrl-C set the flag, and the second one end the process. If that fails, the first one ends it, which is
/// safe too: files are replaced atomically.
fn handle_interrupts(interrupted: &Arc<AtomicBool>) {
    let second = flag::register_conditional_shutdown(
        SIGINT,
        i32::from(crate::cli::result::EXIT_INTERRUPTED),
        Arc::clone(interrupted),
    );
    if second.is_ok() {
        let _ = flag::register(SIGINT, Arc::clone(interrupted));
    }
}

/// Reports what is kept of an interrupted run, and how to continue.
fn report_interruption(at: Interruption, has_cache: bool) -> Failed {
    let text: String = match at {
        Interruption::Front if has_cache => {
            "while features were computed; those so far are cached, and the same command continues from there".into()
        }
        Interruption::Front => "while features were computed; without a cache nothing is kept".into(),
        Interruption::Epoch { epoch, epochs, samples, total } => format!(
            "in epoch {epoch} of {epochs}, after {samples} of {total} samples; a checkpoint was written: `--resume` continues from there"
        ),
        Interruption::End => {
            "after the last epoch; a checkpoint was written: `--resume` writes the missing files".into()
        }
    };
    messages::line("Interrupted", text);
    Failed::Interrupted
}

/// Reports the net, the data and the trained parameters.
fn report_preparation(run: &PreparedRun) {
    messages::line("Checking", format!("{}  {}", run.net.name, run.net.summary()));
    report_binding(&run.bindings.report);
    let data = &run.data;
    let mut text = counted(data.train.len(), "sample");
    if let Some(validation) = &data.validation {
        text += &format!(", {} for validation", validation.len());
    }
    if let Some(labels) = data.labels() {
        text += &format!(", {} {}", labels.len(), if labels.len() == 1 { "class" } else { "classes" });
    }
    messages::line("Reading", text);
    messages::skipping(data.train.skipped.iter().chain(data.validation.iter().flat_map(|data| &data.skipped)));
    let trainable = run.net.parameters.iter().filter(|parameter| parameter.trainable && !parameter.frozen);
    let values: usize = trainable.map(|parameter| parameter.len()).sum();
    let front = match run.front_layers() {
        Some(layers) => format!("; frozen front of {}", counted(layers, "layer")),
        None => String::new(),
    };
    let values = counted(values, "parameter");
    let losses: Vec<String> = run.losses.iter().map(OutputLoss::to_string).collect();
    messages::line("Training", format!("{values}, loss {}{front}", losses.join(" + ")));
}
