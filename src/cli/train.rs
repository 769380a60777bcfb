//! `netc train`

use super::args::threads_arg;
use super::build::{compiled, report_binding};
use super::output::metrics_table::{pictures, table};
use super::output::progress::Progress;
use super::output::{messages, output_guard};
use super::{Done, Failed};
use crate::compile::BuildOptions;
use crate::diagnostics::counted;
use crate::elaborate::Spec;
use crate::file::PendingFile;
use crate::source::plain;
use crate::train::evaluation::metric_accumulator::Outcome;
use crate::train::run::Trained;
use crate::train::run::error::{Interruption, TrainError};
use crate::train::run::prepare::{Prepare, RunOptions, prepare_run};
use crate::train::run::{record, save};
use crate::view;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The layout of the trained weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    Neupy,
    Keras,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File with a recipe: `train NAME { … }`
    spec: String,
    /// The net that is meant
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// A file of weights in place of the spec's
    #[arg(long, value_name = "NET=FILE", value_parser = super::build::net_and_file)]
    weights: Vec<(String, PathBuf)>,
    /// Go on from the last checkpoint
    #[arg(long)]
    resume: bool,
    /// The layout of the trained weights
    #[arg(long, value_enum, default_value = "neupy")]
    layout: Layout,
    #[command(flatten)]
    cache: super::cache::Place,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

pub fn run(args: &Args) -> Done {
    let spec = messages::load(&args.spec)?;
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
    let ready = prepare_run(&spec, &options).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&ready.told, &spec.sources);
    tell(&ready);
    let name = ready.net.name.clone();
    writable(&ready.net.name, &folder)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    listen(&interrupted);
    let mut progress = Progress::new();
    let cached = options.cache.is_some();
    let trained = ready.train(&interrupted, &mut progress);
    progress.finish();
    let trained = trained.map_err(|train_error| match train_error {
        TrainError::Errors(errors) => messages::fail(&errors, &spec.sources),
        TrainError::Interrupted(at) => stopped(at, cached),
    })?;
    pages(&trained)?;
    if interrupted.load(Ordering::Relaxed) {
        return Err(stopped(Interruption::End, cached));
    }
    if let (Some(best), false) = (trained.record.best, trained.record.keep == "last") {
        let epochs = trained.record.epochs.len();
        messages::line("Keeping", format!("epoch {best} of {epochs}, {}", trained.record.keep));
    }
    let artifact = build(&spec, args, &trained, &folder.join(format!("{name}.netb")))?;
    let seconds = began.elapsed().as_secs_f64();
    let run = trained.folder.display();
    messages::line("Writing", format!("{}, {}, {run}/report.html", trained.weights.display(), artifact.display()));
    let stopped = trained.record.stopped.clone().unwrap_or_default();
    messages::line("Finished", format!("{stopped}  in {seconds:.1} s"));
    if let Some(outcome) = &trained.outcome {
        messages::print(table(outcome, measured_on(&trained)));
    }
    Ok(())
}

/// Lets a first Ctrl-C set the flag, and a second one end the process at once. Where that cannot be had, the first one
/// ends it; what stands on the disk is whole at any time.
fn listen(interrupted: &Arc<AtomicBool>) {
    let second = flag::register_conditional_shutdown(SIGINT, i32::from(super::INTERRUPTED), Arc::clone(interrupted));
    if second.is_ok() {
        let _ = flag::register(SIGINT, Arc::clone(interrupted));
    }
}

/// Tells what is kept of a run that was interrupted, and how it goes on.
fn stopped(at: Interruption, cached: bool) -> Failed {
    let text: String = match at {
        Interruption::Front if cached => {
            "while the front was computed; what it gave is in the cache, and the same command goes on from there".into()
        }
        Interruption::Front => "while the front was computed; nothing is kept without a cache".into(),
        Interruption::Epoch { epoch, epochs, samples, total } => format!(
            "in epoch {epoch} of {epochs}, behind {samples} of {total} samples; the checkpoint holds them: `--resume` goes on from there"
        ),
        Interruption::End => {
            "behind the last epoch; the checkpoint holds the trained net: `--resume` writes what is missing".into()
        }
    };
    messages::line("Interrupted", text);
    Failed::Interrupted
}

/// Whether what training will write can be written, before hours are spent on it: a file is begun at each place.
fn writable(net: &str, folder: &Path) -> Done {
    output_guard::check(&folder.join(format!("{net}.netb")), output_guard::Kind::Artifact, &[])?;
    let run = folder.join(format!("{net}.run"));
    let inside = if run.is_dir() { Some(run.join(record::FILE)) } else { None };
    for path in std::iter::once(folder.join(format!("{net}.h5"))).chain(inside) {
        PendingFile::for_target(&path).map_err(|error| unwritable(&path, &plain(&error)))?;
    }
    match run.is_dir() || !run.exists() {
        true => Ok(()),
        false => Err(unwritable(&run, "it is a file, not a folder")),
    }
}

fn unwritable(path: &Path, why: &str) -> Failed {
    messages::fail_with(output_guard::unwritable(path, why).help("nothing was trained yet"))
}

fn measured_on(trained: &Trained) -> &'static str {
    if trained.record.data.validation > 0 { "validation" } else { "training" }
}

fn tell(ready: &Prepare) {
    messages::line("Checking", format!("{}  {}", ready.net.name, ready.net.summary()));
    report_binding(&ready.bindings.report);
    let data = &ready.data;
    let mut text = counted(data.train.len(), "sample");
    if let Some(validation) = &data.validation {
        text += &format!(", {} for validation", validation.len());
    }
    if let Some(labels) = &data.labels {
        text += &format!(", {} {}", labels.len(), if labels.len() == 1 { "class" } else { "classes" });
    }
    messages::line("Reading", text);
    let skipped = data.train.skipped.iter().chain(data.validation.iter().flat_map(|data| &data.skipped));
    for skipped in skipped {
        messages::line("Skipping", format!("{}: {}", skipped.path.display(), skipped.reason));
    }
    let trainable = ready.net.parameters.iter().filter(|parameter| parameter.trainable && !parameter.frozen);
    let values: usize = trainable.map(|parameter| parameter.len()).sum();
    let front = match ready.front_layers() {
        Some(1) => "; 1 layer in front is frozen".to_string(),
        Some(layers) => format!("; {layers} layers in front are frozen"),
        None => String::new(),
    };
    let values = crate::weights::bind::report::millions(values);
    messages::line("Training", format!("{values} parameters by {}{front}", ready.loss.name()));
}

/// Curves and the report of a run.
fn pages(trained: &Trained) -> Done {
    let curves = view::curves(&trained.record);
    let mistakes = pictures(&trained.mistakes, trained.labels.as_deref().unwrap_or(&[]));
    let evaluation = match &trained.outcome {
        Some(Outcome::Classes(report)) => Some(report),
        _ => None,
    };
    let page = view::report(view::Occasion::Training, &trained.record, evaluation, &mistakes);
    super::show::write_whole(&trained.folder.join("curves.svg"), curves.as_bytes())?;
    super::show::write_whole(&trained.folder.join("report.html"), page.as_bytes())
}

/// The artifact of the trained net.
fn build(spec: &Spec, args: &Args, trained: &Trained, path: &Path) -> Result<PathBuf, Failed> {
    let mut weights: std::collections::BTreeMap<String, PathBuf> = args.weights.iter().cloned().collect();
    weights.insert(trained.record.net.clone(), trained.weights.clone());
    let options = BuildOptions { net: args.net.clone(), weights, ..BuildOptions::default() };
    let (mut build, _) = compiled(spec, &options).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    build.labels = build.labels.or_else(|| trained.labels.clone());
    build.write(path).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    Ok(path.to_path_buf())
}
