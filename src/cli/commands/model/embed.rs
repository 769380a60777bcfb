//! `netc embed`

use crate::artifact::Artifact;
use crate::cli::args::build_args::{BuildArgs, check_effect, given};
use crate::cli::args::{number, threads_arg};
use crate::cli::arrays::zeros;
use crate::cli::model;
use crate::cli::output::messages::{self, error};
use crate::cli::output::run_errors::run_failed;
use crate::cli::output::{output_guard, progress};
use crate::cli::piped_photo::{self, is_piped};
use crate::cli::result::{CommandResult, Failed};
use crate::data::arrays::array_file::{self, Format};
use crate::data::samples::csv_list::is_list;
use crate::data::samples::photo_paths::{Input, InputKind, Walk, expand};
use crate::data::{Dataset, DatasetError, Decoding, Policy, Samples, Targets};
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::Port;
use crate::runtime::Session;
use crate::runtime::non_finite::{first_nan, non_finite};
use crate::train::batches::batch_source::BatchSourceError;
use crate::train::batches::net_inputs::NetInputs;
use crate::train::batches::unreadable_photos::SamplesError;
use crate::train::run::frozen_features::{FrozenFront, features};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the features' array.
const DEFAULT_NAME: &str = "embedded";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec, which is compiled first, such as 'vgg16[..dropout-2]'
    model: String,
    /// Photos (- for stdin), and folders of photos at any depth; a folder alone may have a subfolder of photos for each class, and a
    /// list (.csv) alone has photos with their classes or numbers
    #[arg(required = true)]
    photos: Vec<PathBuf>,
    #[command(flatten)]
    build: BuildArgs,
    /// The file to write: .h5 or .npz (both with the classes as targets), or .npy; default: the spec's name with
    /// .features.h5. A .photos.csv beside it names the photo and class of each row
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(long, value_name = "NAME", value_parser = array_name)]
    #[arg(help = format!("The name of the features' array [default: {DEFAULT_NAME}]"))]
    name: Option<String>,
    /// Skip photos that cannot be read
    #[arg(long)]
    skip: bool,
    /// Images in a batch
    #[arg(long, default_value_t = 8, value_parser = number::batch_size)]
    batch: usize,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

/// Parses the name of the features' array.
fn array_name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the name is empty".into()),
        "targets" => Err("`targets` is the name of the classes' array".into()),
        _ if text.split('/').any(|part| ["", ".", ".."].contains(&part)) => {
            Err("the name must not be a path with empty parts, `.` or `..`".into())
        }
        name => Ok(name.into()),
    }
}

pub fn run(args: &Args) -> CommandResult {
    let path = args.output.clone().unwrap_or_else(|| model::output_path(&args.model, "features.h5"));
    if is_npy(&path) {
        let name = given([("--name", args.name.is_some())]);
        check_effect(&name, "a .npy file has one array, without a name").map_err(messages::fail_with)?;
    }
    let inputs = output_guard::inputs(&args.model, &args.build.weights, &args.photos);
    output_guard::check_arrays(&path, &inputs)?;
    let policy = if args.skip { Policy::Skip } else { Policy::Refuse };
    // Photos that cannot be found are reported before a net is compiled for them.
    let refused = |cause: DatasetError| error(Code::Dataset, cause.to_string());
    let (mut photos, has_targets) = match &args.photos[..] {
        [folder] if has_subfolders(folder) => (Dataset::images(folder, policy).map_err(refused)?, true),
        [list] if is_list(list) => (Dataset::csv(list, policy).map_err(refused)?, true),
        paths => {
            let files: Vec<&PathBuf> = paths.iter().filter(|path| !is_piped(path)).collect();
            (photos(&files)?, false)
        }
    };
    let artifact =
        Arc::new(model::open_for(&args.model, &args.build, |inputs| model::photo_decoding(inputs).map(|_| ()))?);
    let decoding = model::photo_decoding(&NetInputs::of_artifact(&artifact.manifest))?;
    let outputs = artifact.manifest.plan.outputs.len();
    if is_npy(&path) && outputs > 1 {
        let message = format!("{} holds only one array, but the net has {outputs} outputs", path.display());
        return Err(messages::fail_with(Diagnostic::new(Code::Output, message).help("write a .h5 or .npz file")));
    }
    let threads = args.threads.count();
    let piped = match args.photos.iter().any(|path| is_piped(path)) {
        true => Some(piped_features(&artifact, &decoding, threads)?),
        false => None,
    };
    let mut bar = progress::Bar::new("Embedding");
    let front =
        FrozenFront { artifact: &artifact, decoding: Some(&decoding), batch: args.batch, threads, interrupted: None };
    let features = features(front, &mut photos, policy, None, &mut |done, total| bar.at(done, total));
    bar.finish();
    let (rows, _) = features.map_err(|cause| match cause {
        SamplesError::Dataset(error) => messages::fail_with(
            Diagnostic::new(Code::Photo, error.to_string()).help("`--skip` skips photos that cannot be read"),
        ),
        SamplesError::BatchSource(BatchSourceError::NonFinite { sample, origin }) => {
            let photo = match &photos.samples {
                Samples::Photos(photos) => photos[sample].display().to_string(),
                Samples::Arrays(_) => format!("sample {sample}"),
            };
            messages::fail_with(non_finite(&photo, origin.as_ref()))
        }
        SamplesError::BatchSource(BatchSourceError::Run(cause)) => run_failed(&cause),
        SamplesError::BatchSource(cause) => error(Code::Array, cause.to_string()),
    })?;
    messages::skipping(&photos.skipped);
    let values = rows.into_iter().map(|rows| rows.into_values().map_err(|cause| error(Code::Array, cause.to_string())));
    let mut values = values.collect::<Result<Vec<_>, _>>()?;
    if let (Some(piped), Samples::Photos(names)) = (piped, &mut photos.samples) {
        values.iter_mut().zip(piped).for_each(|(rows, first)| _ = rows.splice(..0, first));
        names.insert(0, piped_photo::NAME.into());
    }
    write(args, &path, &artifact, values, &photos, has_targets)
}

/// The features of the photo from stdin, of each output.
fn piped_features(artifact: &Arc<Artifact>, decoding: &Decoding, threads: usize) -> Result<Vec<Vec<f32>>, Failed> {
    let x = piped_photo::read(decoding)?;
    let mut session = Session::new(Arc::clone(artifact), threads);
    let ports = &artifact.manifest.plan.outputs;
    let mut features = ports.iter().map(|port| zeros(port.len(), 1)).collect::<Result<Vec<_>, _>>()?;
    let mut views: Vec<&mut [f32]> = features.iter_mut().map(Vec::as_mut_slice).collect();
    session.run(1, &[&x], &mut views).map_err(|cause| run_failed(&cause))?;
    if features.iter().any(|row| first_nan(row, row.len()).is_some()) {
        let origin = session.origin(&[&x], 1, 0).map_err(|cause| run_failed(&cause))?;
        return Err(messages::fail_with(non_finite(piped_photo::NAME, origin.as_ref())));
    }
    Ok(features)
}

fn has_subfolders(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|list| list.flatten().any(|entry| entry.path().is_dir()))
}

/// Photos without classes. Their targets are not written.
fn photos(paths: &[&PathBuf]) -> Result<Dataset, Failed> {
    let found = expand(paths, Walk::Recursive).map_err(|cause| {
        let missing = paths.iter().find(|path| !path.exists());
        let suggestion = missing.and_then(|path| did_you_mean_file(path));
        messages::fail_with(Diagnostic::new(Code::Inputs, cause.to_string()).maybe_help(suggestion))
    })?;
    // In a folder there may be other files; one that is named is meant.
    if let Some(named) = found.skipped.iter().find(|skipped| paths.contains(&&skipped.path)) {
        return Err(error(Code::Inputs, format!("{}: {}", named.path.display(), named.reason)));
    }
    let (photos, arrays): (Vec<Input>, Vec<Input>) =
        found.inputs.into_iter().partition(|input| input.kind == InputKind::Photo);
    if let Some(array) = arrays.iter().find(|array| photos.is_empty() || paths.contains(&&array.path)) {
        let message = format!("{}: an array, not a photo", array.path.display());
        let help = "`netc predict NET ARRAY -o FILE` writes a net's outputs for arrays";
        return Err(messages::fail_with(Diagnostic::new(Code::Inputs, message).help(help)));
    }
    Ok(Dataset {
        targets: Targets::column(vec![0.0; photos.len()]),
        samples: Samples::Photos(photos.into_iter().map(|input| input.path).collect()),
        classes: None,
        further: Vec::new(),
        skipped: found.skipped,
    })
}

/// Writes the features of each output, of several ones as `NAME/OUTPUT`, and the list of the photos.
fn write(
    args: &Args,
    path: &Path,
    artifact: &Artifact,
    features: Vec<Vec<f32>>,
    photos: &Dataset,
    has_targets: bool,
) -> CommandResult {
    let Samples::Photos(names) = &photos.samples else { return Ok(()) };
    let ports = &artifact.manifest.plan.outputs;
    let of_port = |(port, values): (&Port, Vec<f32>)| {
        let shape: Vec<usize> = std::iter::once(names.len()).chain(port.sizes.iter().copied()).collect();
        let name = args.name.as_deref().unwrap_or(DEFAULT_NAME);
        let name = if ports.len() == 1 { name.to_string() } else { format!("{name}/{}", port.name) };
        let array = ArrayD::from_shape_vec(IxDyn(&shape), values);
        array.map(|array| (name, array)).map_err(|cause| error(Code::Output, cause.to_string()))
    };
    let embedded = ports.iter().zip(features).map(of_port).collect::<Result<Vec<_>, _>>()?;
    let text = |(name, array): &(String, ArrayD<f32>)| {
        format!("{name} ({})", array.shape().iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
    };
    let text = embedded.iter().map(text).collect::<Vec<_>>().join(", ");
    let mut arrays: Vec<(&str, ArrayViewD<f32>)> =
        embedded.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    let targets = match &photos.targets {
        _ if !has_targets => None,
        Targets::Classes(classes) => {
            Some(ndarray::Array1::from_iter(classes.iter().map(|&class| class as f32)).into_dyn())
        }
        Targets::Values(table) => {
            let shape: Vec<usize> = std::iter::once(table.len()).chain(table.sizes().iter().copied()).collect();
            let values = table.clone().into_values().map_err(|cause| error(Code::Array, cause.to_string()))?;
            Some(
                ArrayD::from_shape_vec(IxDyn(&shape), values)
                    .map_err(|cause| error(Code::Output, cause.to_string()))?,
            )
        }
    };
    if let (Some(targets), false) = (&targets, is_npy(path)) {
        arrays.push(("targets", targets.view()));
    }
    array_file::write(path, &arrays).map_err(|cause| error(Code::Output, cause.to_string()))?;
    let list = list_path(path);
    output_guard::write_file(&list, list_of(photos)?.as_bytes())?;
    messages::line("Finished", format!("{}  {text}, photos in {}", path.display(), list.display()));
    Ok(())
}

/// Whether a file has room for one array.
fn is_npy(path: &Path) -> bool {
    array_file::format_of_ending(path).is_ok_and(|format| format == Format::Npy)
}

/// The file of the photos' names: `f.h5` has `f.photos.csv`.
fn list_path(features: &Path) -> PathBuf {
    features.with_extension("photos.csv")
}

/// The photo of each row of the features, with its class if it has one, as CSV.
fn list_of(photos: &Dataset) -> Result<String, Failed> {
    let failed = |cause: &dyn std::fmt::Display| error(Code::Output, cause.to_string());
    let classes = match (&photos.targets, &photos.classes) {
        (Targets::Classes(classes), Some(names)) => Some((classes, names)),
        _ => None,
    };
    let mut table = csv::Writer::from_writer(Vec::new());
    let header: &[&str] = if classes.is_some() { &["photo", "class"] } else { &["photo"] };
    table.write_record(header).map_err(|cause| failed(&cause))?;
    let Samples::Photos(paths) = &photos.samples else { return Ok(String::new()) };
    for (row, path) in paths.iter().enumerate() {
        let class = classes.and_then(|(classes, names)| names.get(*classes.get(row)?));
        let fields = [Some(path.display().to_string()), class.cloned()];
        table.write_record(fields.into_iter().flatten()).map_err(|cause| failed(&cause))?;
    }
    let bytes = table.into_inner().map_err(|cause| failed(&cause))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
