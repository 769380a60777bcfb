//! `netc eval`

use super::args::{number, threads_arg};
use super::build::{self, BuildArgs};
use super::output::metrics_table::{pictures, table};
use super::output::{messages, output_guard, progress};
use super::predict::{decoding, is_array, no_number, wrong};
use super::{Done, Failed, Format};
use crate::artifact::Artifact;
use crate::data::arrays::array_file;
use crate::data::{ArraySource, Dataset, DatasetError, Policy, Samples, Targets};
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::kernels::tensor_view::View;
use crate::kernels::training::loss as kernel;
use crate::ops::output_kind::OutputKind;
use crate::runtime::Session;
use crate::runtime::non_finite::Origin;
use crate::source::Sources;
use crate::train::autodiff::loss_compatibility::fitting_loss;
use crate::train::autodiff::rows;
use crate::train::evaluation::class_weights::weigh;
use crate::train::evaluation::metric_accumulator::Outcome;
use crate::train::evaluation::misclassified::worst;
use crate::train::evaluation::task::{LearningTask, TargetKind};
use crate::train::run::batch_source::{BatchSource, BatchSourceError, Broken, Pass, run as run_batch};
use crate::train::run::frozen_features::sift;
use crate::train::run::record::{DataCounts, Machine, RunRecord};
use crate::train::run::samples::{misfit, places};
use crate::view;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec that is compiled first
    model: String,
    /// A folder with one folder of photos for each class, a list of photos (.csv), or a file of arrays (.npz, .h5)
    #[arg(required_unless_present = "x")]
    data: Option<PathBuf>,
    /// The inputs: an array in the file, or without one a file itself (.npy); once for each input of the net
    #[arg(long, value_name = "ARRAY", requires = "y")]
    x: Vec<String>,
    /// The targets, likewise: classes, one-hot rows or numbers, as `arrays(…)` in a recipe takes them
    #[arg(long, value_name = "ARRAY", requires = "x")]
    y: Option<String>,
    /// The value of pixels that are of no class, such as 255
    #[arg(long, value_name = "VALUE", requires = "y")]
    ignore: Option<i32>,
    #[command(flatten)]
    choices: BuildArgs,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write a page with the confusion matrix and the worst mistakes as pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Leave out photos that cannot be read
    #[arg(long)]
    skip: bool,
    /// Samples at a time
    #[arg(long, default_value_t = 8, value_parser = number::batch)]
    batch: usize,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

impl Args {
    /// Arrays for the inputs and the targets.
    fn arrays(&self) -> Option<(Vec<ArraySource>, ArraySource)> {
        let source = |name: &String| match &self.data {
            Some(file) => ArraySource { path: file.clone(), name: Some(name.clone()) },
            None => ArraySource { path: name.into(), name: None },
        };
        Some((self.x.iter().map(source).collect(), source(self.y.as_ref()?)))
    }

    /// The files and folders that are read.
    fn reads(&self) -> Vec<PathBuf> {
        let arrays = self.arrays().into_iter().flat_map(|(inputs, targets)| inputs.into_iter().chain([targets]));
        self.data.iter().cloned().chain(arrays.map(|source| source.path)).collect()
    }

    /// A sample, as a user finds it.
    fn sample(&self, data: &Dataset, sample: usize) -> String {
        let inputs = self.arrays().map(|(inputs, _)| inputs).unwrap_or_default();
        match (&data.samples, inputs.first()) {
            (Samples::Photos(photos), _) => photos[sample].display().to_string(),
            (_, Some(ArraySource { path, name: Some(name) })) => {
                format!("row {sample} of `{name}` in {}", path.display())
            }
            (_, Some(ArraySource { path, name: None })) => format!("row {sample} of {}", path.display()),
            _ => format!("sample {sample}"),
        }
    }

    /// What the measures are of, for a heading.
    fn on(&self) -> String {
        self.data.as_ref().map_or_else(|| self.x.join(", "), |data| data.display().to_string())
    }
}

/// Why an evaluation did not come to its end.
enum Ended {
    BatchSource(BatchSourceError),
    NoNumber { sample: usize, origin: Option<Origin> },
}

impl From<BatchSourceError> for Ended {
    fn from(error: BatchSourceError) -> Self {
        Ended::BatchSource(error)
    }
}

pub fn run(args: &Args) -> Done {
    if let Some(page) = &args.html {
        output_guard::check(
            page,
            output_guard::Kind::Page,
            &output_guard::inputs(&args.model, &args.choices.weights, &args.reads()),
        )?;
    }
    let artifact = Arc::new(build::open(&args.model, &args.choices)?);
    let threads = args.threads.count();
    let manifest = &artifact.manifest;
    let (mut data, policy) = (read(args)?, policy(args));
    let (port, ending) = (&manifest.plan.outputs[0], manifest.ending(0));
    let by = manifest.loss.unwrap_or_else(|| fitting_loss(ending));
    let named = data.classes.is_some() || manifest.labels.is_some();
    let unread = |error: &dyn std::fmt::Display| wrong(Code::Dataset, error.to_string());
    let task = LearningTask::of(&port.sizes, ending, by, named, &data.targets).map_err(|error| unread(&error))?;
    if port.sizes.len() > 1 {
        data.targets.check(&port.sizes).map_err(|error| unread(&error))?;
    }
    let labels = labels(&artifact, &mut data)?;
    data.targets = task.fit(data.targets, None).map_err(|errors| messages::fail(&errors, &Sources::default()))?;
    let mut feed = match &data.samples {
        Samples::Photos(_) => {
            let decoding = decoding(&artifact)?;
            sift(&mut data, policy, &decoding, threads, None).map_err(|error| unread(&error))?;
            let Samples::Photos(photos) = &data.samples else { return Ok(()) };
            BatchSource::Photos { photos: photos.clone().into(), decoding, front: None }
        }
        Samples::Arrays(arrays) => {
            fits(&artifact, &data)?;
            BatchSource::Rows(arrays.clone())
        }
    };
    // Of plain numbers that tell classes apart nothing else says what they were trained by.
    let told = manifest.loss.or((ending != OutputKind::Numbers || task.says == TargetKind::Numbers).then_some(by));
    let mut accumulator = task.accumulator(labels.as_deref());
    let mut session = Session::new(Arc::clone(&artifact), threads);
    let order: Vec<usize> = (0..data.len()).collect();
    let mut bar = progress::Bar::new("Evaluating");
    let (outputs, width, ignores) = (port.len(), task.coding.width.max(1), data.targets.ignores());
    // Mistakes are shown as pictures; of arrays there are none.
    let shown = match (&data.samples, data.targets.classes()) {
        (Samples::Photos(photos), Some(classes)) if task.is_labelled() => Some((photos, classes)),
        _ => None,
    };
    let (mut losses, mut counted, mut all) = (0.0, 0.0, Vec::new());
    let pool = Arc::clone(session.pool());
    let pass = Pass { order: &order, batch: args.batch, epoch: 0, pool: &pool, interrupted: None };
    let result = feed.each::<Ended>(pass, |places, inputs| {
        let images = places.len();
        let predictions = run_batch(&mut session, images, inputs).map_err(BatchSourceError::Run)?.swap_remove(0);
        let mut targets = vec![0.0; predictions.len()];
        for (to, sample) in targets.chunks_exact_mut(outputs.max(1)).zip(places.clone()) {
            data.targets.row(sample, task.coding, to).map_err(BatchSourceError::Rows)?;
        }
        if accumulator.add(&predictions, &targets).is_err() {
            let odd = predictions.iter().position(|value| !value.is_finite()).unwrap_or(0) / outputs.max(1);
            let origin = session.origin(inputs, images, odd).map_err(BatchSourceError::Run)?;
            return Err(Ended::NoNumber { sample: places.start + odd, origin });
        }
        if let Some(loss) = told {
            let view = |data| View { data, ld: width, image: outputs };
            let (y, t) = (view(&predictions), view(&targets));
            let sizes = rows(loss, ignores, &port.sizes);
            let mut share = images as f64;
            let weights = ignores.then(|| {
                let mut weights = vec![0.0; targets.len() / width];
                share *= weigh(&targets, width, None, &mut weights) as f64 / weights.len().max(1) as f64;
                weights
            });
            losses += kernel::loss_of_images(loss, y, t, weights.as_deref(), images, sizes) * share;
            counted += share;
        }
        if shown.is_some() {
            all.extend_from_slice(&predictions);
        }
        bar.at(places.end, order.len());
        Ok(())
    });
    bar.finish();
    result.map_err(|error| match error {
        Ended::NoNumber { sample, origin } => {
            messages::fail_with(no_number(&args.sample(&data, sample), origin.as_ref()))
        }
        Ended::BatchSource(BatchSourceError::Photos(broken)) => {
            let lines: Vec<String> = broken.iter().map(Broken::to_string).collect();
            messages::fail_with(Diagnostic::new(Code::Photo, lines.join("\n")))
        }
        Ended::BatchSource(error) => wrong(Code::Array, error.to_string()),
    })?;
    let loss = told.map(|_| losses / counted.max(f64::MIN_POSITIVE));
    let Some(outcome) = accumulator.outcome(loss) else { return Ok(()) };
    if let Some(path) = &args.html {
        let labels = labels.unwrap_or_default();
        let worst = shown.map_or_else(Vec::new, |(photos, classes)| worst(&all, outputs, ending, &classes, photos));
        let classes = if task.is_labelled() { task.names() as u64 } else { 0 };
        let record = RunRecord {
            net: manifest.net.clone(),
            summary: manifest.summary.clone(),
            netc: env!("CARGO_PKG_VERSION").to_string(),
            data: DataCounts { validation: data.len() as u64, classes, ..DataCounts::default() },
            machine: Machine::this(threads),
            outcome: accumulator.measures(loss),
            ..RunRecord::default()
        };
        let measures = match &outcome {
            Outcome::Classes(measures) => Some(measures),
            Outcome::Numbers(_) => None,
        };
        let page =
            view::report(view::Occasion::Evaluation { on: &args.on() }, &record, measures, &pictures(&worst, &labels));
        super::show::write_whole(path, page.as_bytes())?;
    }
    match (args.format, &outcome) {
        (Format::Json, Outcome::Classes(measures)) => messages::print(format!("{:#}\n", serde_json::json!(measures))),
        (Format::Json, Outcome::Numbers(measures)) => messages::print(format!("{:#}\n", serde_json::json!(measures))),
        (Format::Text, outcome) => messages::print(table(outcome, &args.on())),
    }
    Ok(())
}

fn policy(args: &Args) -> Policy {
    if args.skip { Policy::Skip } else { Policy::Refuse }
}

/// Reads the data that the arguments name.
fn read(args: &Args) -> Result<Dataset, Failed> {
    let refused = |error: DatasetError| {
        let missing = args.reads().into_iter().find(|path| !path.exists());
        let near = missing.and_then(|path| did_you_mean_file(&path));
        messages::fail_with(Diagnostic::new(Code::Dataset, error.to_string()).maybe_help(near))
    };
    let ignore = args.ignore.map(|value| value as f32);
    let arrays = |inputs: &[ArraySource], targets: &ArraySource| Dataset::arrays(inputs, targets)?.ignoring(ignore);
    let Some(path) = &args.data else {
        let Some((inputs, targets)) = args.arrays() else { return Err(wrong(Code::Inputs, "there is no data")) };
        return arrays(&inputs, &targets).map_err(refused);
    };
    match args.arrays() {
        Some(_) if path.is_dir() => {
            let message = format!("`--x` and `--y` name arrays, and {} is a folder", path.display());
            let help =
                "a folder of photos is given alone; arrays in files of their own are given by `--x` and `--y` alone";
            Err(messages::fail_with(Diagnostic::new(Code::Inputs, message).help(help)))
        }
        Some((inputs, targets)) => arrays(&inputs, &targets).map_err(refused),
        None if is_array(path) => Err(messages::fail_with(unnamed(path))),
        None if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) => {
            Dataset::csv(path, policy(args)).map_err(refused)
        }
        None => Dataset::images(path, policy(args)).map_err(refused),
    }
}

/// Of a file of arrays nothing says which are the inputs and which the targets.
fn unnamed(path: &Path) -> Diagnostic {
    let message = format!("{} holds arrays, and nothing says which are inputs and targets", path.display());
    let diagnostic = Diagnostic::new(Code::Inputs, message);
    let names: Vec<String> = array_file::list(path).unwrap_or_default().into_iter().map(|array| array.name).collect();
    match names.iter().any(|name| !name.is_empty()) {
        true => diagnostic.note(format!("it holds {}", names.join(", "))).help("name them: `--x NAME --y NAME`"),
        false => diagnostic.help(format!("name both files: `--x {} --y targets.npy`", path.display())),
    }
}

/// The names of a net's classes, after the classes of the data were put in their order: by name, or as they are where the
/// net has no labels.
fn labels(artifact: &Artifact, data: &mut Dataset) -> Result<Option<Vec<String>>, Failed> {
    let manifest = &artifact.manifest;
    let Some(found) = data.classes.clone() else { return Ok(manifest.labels.clone()) };
    let outputs = manifest.plan.outputs[0].sizes.last().copied().unwrap_or(1).max(2);
    let Some(labels) = manifest.labels.clone() else {
        if found.len() != outputs {
            return Err(messages::fail_with(
                Diagnostic::new(
                    Code::Dataset,
                    format!("the data has {} classes, and the net has {outputs} outputs and no labels", found.len()),
                )
                .help("give the net `labels` in its spec"),
            ));
        }
        return Ok(Some(found));
    };
    let places = places(&found, &labels).map_err(|name| {
        messages::fail_with(
            Diagnostic::new(Code::Dataset, format!("the data's class `{name}` is no class of the net"))
                .maybe_help(suggest::did_you_mean(name, labels.iter().map(String::as_str)))
                .help(
                    "classes (of a folder: its folders) have the names of the net's labels: `netc inspect` shows them",
                ),
        )
    })?;
    if let Targets::Classes(classes) = &mut data.targets {
        classes.iter_mut().for_each(|class| *class = places[*class]);
    }
    Ok(Some(labels))
}

/// Whether arrays are what the net takes.
fn fits(artifact: &Artifact, data: &Dataset) -> Done {
    let plan = &artifact.manifest.plan;
    let sizes: Vec<Vec<usize>> = plan.inputs.iter().map(|port| port.sizes.clone()).collect();
    let Some((message, input)) = misfit(data, &sizes) else { return Ok(()) };
    let port = input.map(|input| &plan.inputs[input]);
    let diagnostic = Diagnostic::new(Code::Dataset, message);
    Err(messages::fail_with(match port {
        Some(port) => diagnostic.note(format!("`{}` takes {:?}", port.name, port.sizes)),
        None => {
            let names: Vec<&str> = plan.inputs.iter().map(|port| port.name.as_str()).collect();
            diagnostic.help(format!("give `--x` once for each input, in this order: {}", names.join(", ")))
        }
    }))
}
