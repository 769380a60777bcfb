//! `netc eval`

use crate::artifact::Manifest;
use crate::cli::args::build_args::{BuildArgs, check_effect, given};
use crate::cli::args::{number, threads_arg};
use crate::cli::arrays::is_array;
use crate::cli::model;
use crate::cli::output::confusion_text::confusion;
use crate::cli::output::messages::{self, error};
use crate::cli::output::metrics_table::table;
use crate::cli::output::{output_guard, progress};
use crate::cli::result::{CommandResult, Failed, Format};
use crate::data::arrays::array_file;
use crate::data::samples::csv_list::is_list;
use crate::data::{ArraySource, Dataset, DatasetError, Policy, Samples};
use crate::diagnostics::suggest::{did_you_mean, did_you_mean_file};
use crate::diagnostics::{Code, Diagnostic};
use crate::runtime::non_finite::non_finite;
use crate::source::Sources;
use crate::train::batches::net_inputs::NetInputs;
use crate::train::evaluation::dataset_match::check_samples;
use crate::train::evaluation::evaluate::{EvaluateOptions, EvaluationError, evaluate};
use crate::train::evaluation::metric_accumulator::MetricsReport;
use crate::train::run::record::RunRecord;
use crate::view::{self, layer_table};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec, which is compiled first
    model: String,
    /// A folder with a subfolder of photos for each class, a list of photos (.csv), or a file of arrays (.npz, .h5)
    #[arg(required_unless_present = "x")]
    data: Option<PathBuf>,
    /// The inputs: an array in the file, or without a file the path of an array (.npy); once for each input of the net
    #[arg(long, value_name = "ARRAY", requires = "y")]
    x: Vec<String>,
    /// The targets, likewise: class indices, one-hot rows or numbers, as for `arrays(…)` in a recipe; once for each output, in their
    /// order or as OUTPUT=ARRAY. Of a list: the columns of each output, OUTPUT=COLUMN,COLUMN
    #[arg(long, value_name = "[OUTPUT=]ARRAY")]
    y: Vec<String>,
    /// The value of pixels without a class, such as 255
    #[arg(long, value_name = "VALUE", requires = "y")]
    ignore: Option<i32>,
    #[command(flatten)]
    build: BuildArgs,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write an HTML page with the confusion matrix and the worst misclassified photos
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Skip photos that cannot be read
    #[arg(long)]
    skip: bool,
    /// Samples in a batch
    #[arg(long, default_value_t = 8, value_parser = number::batch_size)]
    batch: usize,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

impl Args {
    /// The targets: the output that each is of, where it is named, and the array or the columns.
    fn targets(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.y.iter().map(|given| match given.split_once('=') {
            Some((output, name)) if !output.is_empty() && !name.is_empty() && !Path::new(given).exists() => {
                (Some(output), name)
            }
            _ => (None, given.as_str()),
        })
    }

    /// Whether the data is a list of photos.
    fn is_list(&self) -> bool {
        self.data.as_deref().is_some_and(is_list)
    }

    /// The arrays of the inputs and the targets; none for photos.
    fn arrays(&self) -> Option<(Vec<ArraySource>, Vec<ArraySource>)> {
        let source = |name: &str| match &self.data {
            Some(file) => ArraySource { path: file.clone(), name: Some(name.to_string()) },
            None => ArraySource { path: name.into(), name: None },
        };
        let targets: Vec<ArraySource> = self.targets().map(|(_, name)| source(name)).collect();
        let has_arrays = !targets.is_empty() && !self.is_list();
        has_arrays.then(|| (self.x.iter().map(|name| source(name)).collect(), targets))
    }

    /// The files and folders that are read.
    fn input_paths(&self) -> Vec<PathBuf> {
        let arrays = self.arrays().into_iter().flat_map(|(inputs, targets)| inputs.into_iter().chain(targets));
        self.data.iter().cloned().chain(arrays.map(|source| source.path)).collect()
    }

    /// How messages name a sample: a photo by its path, a row by its array.
    fn sample_name(&self, data: &Dataset, sample: usize) -> String {
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

    /// The name of the data, for headings.
    fn data_name(&self) -> String {
        self.data.as_ref().map_or_else(|| self.x.join(", "), |data| data.display().to_string())
    }

    fn policy(&self) -> Policy {
        if self.skip { Policy::Skip } else { Policy::Refuse }
    }
}

pub fn run(args: &Args) -> CommandResult {
    if let Some(page) = &args.html {
        let inputs = args.input_paths();
        let inputs = output_guard::inputs(&args.model, &args.build.weights, &inputs);
        output_guard::check(page, output_guard::FileKind::Page, &inputs)?;
    }
    let (is_of_photos, is_of_arrays) = (("--skip", args.skip), ("--ignore", args.ignore.is_some()));
    let checked = match args.arrays() {
        Some(_) => check_effect(&given([is_of_photos]), "it is about photos that cannot be read"),
        None => check_effect(&given([is_of_arrays]), "it is about arrays of classes of pixels"),
    };
    checked.map_err(messages::fail_with)?;
    // Data that cannot be read are reported before a net is compiled for them.
    let mut data = read(args)?;
    let takes = |inputs: &NetInputs| {
        check_samples(inputs, &data).map_err(|errors| messages::fail(&errors, &Sources::default()))
    };
    let artifact = Arc::new(model::open_for(&args.model, &args.build, takes)?);
    data = in_order(args, data, &artifact.manifest)?;
    let options = EvaluateOptions { batch: args.batch, threads: args.threads.count(), policy: args.policy() };
    let mut bar = progress::Bar::new("Evaluating");
    let result = evaluate(&artifact, &mut data, &options, &mut |done, total| bar.at(done, total));
    bar.finish();
    let evaluation = result.map_err(|failure| match failure {
        EvaluationError::Errors(errors) => messages::fail(&errors, &Sources::default()),
        EvaluationError::NonFinite { sample, origin } => {
            messages::fail_with(non_finite(&args.sample_name(&data, sample), origin.as_ref()))
        }
    })?;
    let reports: Vec<(&str, MetricsReport)> =
        evaluation.outputs.iter().filter_map(|output| Some((output.name.as_str(), output.report()?))).collect();
    if let (Some(path), Some((_, report))) = (&args.html, reports.first()) {
        let record = RunRecord::of_evaluation(&artifact.manifest, &evaluation, options.threads);
        let classes = match report {
            MetricsReport::Classes(report) => Some(report),
            MetricsReport::Numbers(_) => None,
        };
        let labels = evaluation.outputs.first().and_then(|output| output.labels.as_deref()).unwrap_or_default();
        let photos = view::html::misclassified_photos(&evaluation.misclassified, labels);
        let page = view::report(view::ReportKind::Evaluation { data: &args.data_name() }, &record, classes, &photos);
        output_guard::write_file(path, page.as_bytes())?;
    }
    let several = evaluation.outputs.len() > 1;
    let json = |report: &MetricsReport| match report {
        MetricsReport::Classes(report) => serde_json::json!(report),
        MetricsReport::Numbers(report) => serde_json::json!(report),
    };
    match args.format {
        // With several outputs, the metrics of each by its name.
        Format::Json if several => {
            let all: serde_json::Map<String, serde_json::Value> =
                reports.iter().map(|(name, report)| (name.to_string(), json(report))).collect();
            messages::print(format!("{:#}\n", serde_json::Value::Object(all)));
        }
        Format::Json => reports.iter().for_each(|(_, report)| messages::print(format!("{:#}\n", json(report)))),
        Format::Text => {
            for (name, report) in &reports {
                let data = args.data_name();
                messages::print(table(report, &if several { format!("{name}, {data}") } else { data }));
                if let MetricsReport::Classes(report) = report {
                    messages::print(confusion(report, layer_table::terminal_width()));
                }
            }
        }
    }
    Ok(())
}

/// The data with its targets in the order of the net's outputs, where `--y` names those.
///
/// # Errors
/// A name that is no output's, and an output before others that has no targets; the error has been reported.
fn in_order(args: &Args, data: Dataset, manifest: &Manifest) -> Result<Dataset, Failed> {
    let names: Vec<&str> = args.targets().filter_map(|(output, _)| output).collect();
    if names.is_empty() {
        return Ok(data);
    }
    let outputs: Vec<&str> = manifest.plan.outputs.iter().map(|port| port.name.as_str()).collect();
    let refused = |message: String| {
        Diagnostic::new(Code::Inputs, message).note(format!("its outputs are {}", outputs.join(", ")))
    };
    if let Some(unknown) = names.iter().find(|name| !outputs.contains(name)) {
        let error = refused(format!("`{}` has no output `{unknown}`", manifest.net));
        return Err(messages::fail_with(error.maybe_help(did_you_mean(unknown, outputs.iter().copied()))));
    }
    let place = |output: &&str| names.iter().position(|name| name == output);
    let order: Option<Vec<usize>> = outputs.iter().take(names.len()).map(place).collect();
    match order {
        Some(order) => Ok(data.with_targets_in_order(&order)),
        None => {
            let error = refused("an output has no targets but a later one has, or one has them twice".into());
            Err(messages::fail_with(error.help("give each output its own: `--y OUTPUT=…`")))
        }
    }
}

/// Reads the data that the arguments name.
fn read(args: &Args) -> Result<Dataset, Failed> {
    let named = args.targets().filter(|(output, _)| output.is_some()).count();
    if named != 0 && named != args.y.len() {
        let message = "some `--y` options name their output, and others do not";
        return Err(messages::fail_with(Diagnostic::new(Code::Inputs, message).help("name each: `--y OUTPUT=…`")));
    }
    if args.is_list() {
        return read_list(args);
    }
    if !args.y.is_empty() && args.x.is_empty() {
        let help = "name the inputs, too: `--x ARRAY`";
        return Err(messages::fail_with(
            Diagnostic::new(Code::Inputs, "`--y` names targets without inputs").help(help),
        ));
    }
    let refused = |error: DatasetError| {
        let missing = args.input_paths().into_iter().find(|path| !path.exists());
        let suggestion = missing.and_then(|path| did_you_mean_file(&path));
        messages::fail_with(Diagnostic::new(Code::Dataset, error.to_string()).maybe_help(suggestion))
    };
    let ignore = args.ignore.map(|value| value as f32);
    let arrays = |inputs: &[ArraySource], targets: &[ArraySource]| match targets {
        [] => Err(DatasetError::Nothing),
        [first, further @ ..] => Dataset::arrays(inputs, first)?.ignoring(ignore)?.with_further(further),
    };
    let Some(path) = &args.data else {
        let Some((inputs, targets)) = args.arrays() else { return Err(error(Code::Inputs, "there is no data")) };
        return arrays(&inputs, &targets).map_err(refused);
    };
    match args.arrays() {
        Some(_) if path.is_dir() => {
            let message = format!("`--x` and `--y` name arrays, but {} is a folder", path.display());
            let help = "give a folder of photos without `--x` and `--y`, or array files by `--x` and `--y` alone";
            Err(messages::fail_with(Diagnostic::new(Code::Inputs, message).help(help)))
        }
        Some((inputs, targets)) => arrays(&inputs, &targets).map_err(refused),
        None if is_array(path) => Err(messages::fail_with(names_missing(path))),
        None => Dataset::images(path, args.policy()).map_err(refused),
    }
}

/// Reads a list of photos; `--y` names the columns of each output.
fn read_list(args: &Args) -> Result<Dataset, Failed> {
    let path = args.data.as_deref().unwrap_or(Path::new(""));
    if !args.x.is_empty() {
        let message = format!("`--x` names arrays, but {} is a list of photos", path.display());
        return Err(messages::fail_with(Diagnostic::new(Code::Inputs, message).help("leave `--x` out")));
    }
    let columns: Vec<Vec<String>> =
        args.targets().map(|(_, columns)| columns.split(',').map(str::to_string).collect()).collect();
    let data = match &columns[..] {
        [] => Dataset::csv(path, args.policy()),
        columns => Dataset::csv_of_outputs(path, args.policy(), columns),
    };
    data.map_err(|cause| {
        let suggestion = Some(path).filter(|path| !path.exists()).and_then(did_you_mean_file);
        messages::fail_with(Diagnostic::new(Code::Dataset, cause.to_string()).maybe_help(suggestion))
    })
}

/// The error of a file of arrays without the names of inputs and targets.
fn names_missing(path: &Path) -> Diagnostic {
    let message = format!("{} has arrays, but the names of inputs and targets are missing", path.display());
    let diagnostic = Diagnostic::new(Code::Inputs, message);
    let names: Vec<String> = array_file::list(path).unwrap_or_default().into_iter().map(|array| array.name).collect();
    match names.iter().any(|name| !name.is_empty()) {
        true => diagnostic
            .note(format!("its arrays are {}", names.join(", ")))
            .help("name the inputs and the targets: `--x NAME --y NAME`"),
        false => diagnostic.help(format!("name both files: `--x {} --y targets.npy`", path.display())),
    }
}
