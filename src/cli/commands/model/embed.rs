//! `netc embed`

use crate::artifact::Artifact;
use crate::cli::args::build_args::BuildArgs;
use crate::cli::args::{number, threads_arg};
use crate::cli::model;
use crate::cli::output::messages::{self, error};
use crate::cli::output::run_errors::run_failed;
use crate::cli::output::{output_guard, progress};
use crate::cli::result::{CommandResult, Failed};
use crate::data::arrays::array_file;
use crate::data::samples::photo_paths::{InputKind, Walk, expand};
use crate::data::{Dataset, Policy, Samples, Targets};
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic};
use crate::runtime::non_finite::non_finite;
use crate::source::{Sources, plain};
use crate::train::batches::batch_source::BatchSourceError;
use crate::train::batches::photo_input::photo_decoding;
use crate::train::batches::unreadable_photos::SamplesError;
use crate::train::run::frozen_features::{FrozenFront, features};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec, which is compiled first, such as 'vgg16[..dropout-2]'
    model: String,
    /// A folder of photos, or with a subfolder of photos for each class
    photos: PathBuf,
    #[command(flatten)]
    build: BuildArgs,
    /// The file to write: .h5 or .npz (both with the classes as targets), or .npy; default: the spec's name with .h5. A .photos.csv
    /// beside it names the photo and class of each row
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The name of the features' array
    #[arg(long, default_value = "embedded", value_name = "NAME", value_parser = array_name)]
    name: String,
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
    let path = args.output.clone().unwrap_or_else(|| model::artifact_path(&args.model).with_extension("h5"));
    let inputs = output_guard::inputs(&args.model, &args.build.weights, std::slice::from_ref(&args.photos));
    output_guard::check(&path, output_guard::FileKind::Arrays, &inputs)?;
    let policy = if args.skip { Policy::Skip } else { Policy::Refuse };
    // Photos that cannot be found are reported before a net is compiled for them.
    let mut photos = photos(&args.photos, policy)?;
    let artifact = Arc::new(model::open(&args.model, &args.build)?);
    let threads = args.threads.count();
    let decoding = photo_decoding(&artifact.manifest).map_err(|errors| messages::fail(&errors, &Sources::default()))?;
    let mut bar = progress::Bar::new("Embedding");
    let front =
        FrozenFront { artifact: &artifact, decoding: Some(&decoding), batch: args.batch, threads, interrupted: None };
    let features = features(front, &mut photos, policy, None, &mut |done, total| bar.at(done, total));
    bar.finish();
    let (mut rows, _) = features.map_err(|cause| match cause {
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
    for skipped in &photos.skipped {
        messages::line("Skipping", format!("{}: {}", skipped.path.display(), skipped.reason));
    }
    let values = rows.swap_remove(0).into_values().map_err(|cause| error(Code::Array, cause.to_string()))?;
    write(args, &path, &artifact, values, &photos)
}

/// The photos of a folder, with their classes if it has subfolders.
fn photos(folder: &Path, policy: Policy) -> Result<Dataset, Failed> {
    let has_subfolders =
        std::fs::read_dir(folder).map(|list| list.flatten().any(|entry| entry.path().is_dir())).map_err(|cause| {
            let message = format!("{}: {}", folder.display(), plain(&cause));
            messages::fail_with(Diagnostic::new(Code::Inputs, message).maybe_help(did_you_mean_file(folder)))
        })?;
    if has_subfolders {
        return Dataset::images(folder, policy).map_err(|cause| error(Code::Dataset, cause.to_string()));
    }
    let found = expand(&[folder], Walk::OneLevel).map_err(|cause| error(Code::Inputs, cause.to_string()))?;
    let photos = found.inputs.into_iter().filter(|input| input.kind == InputKind::Photo);
    let photos: Vec<PathBuf> = photos.map(|input| input.path).collect();
    // Without classes, the targets are not written.
    let targets = Targets::column(vec![0.0; photos.len()]);
    Ok(Dataset {
        samples: Samples::Photos(photos),
        targets,
        classes: None,
        further: Vec::new(),
        skipped: found.skipped,
    })
}

fn write(args: &Args, path: &Path, artifact: &Artifact, features: Vec<f32>, photos: &Dataset) -> CommandResult {
    let port = &artifact.manifest.plan.outputs[0];
    let shape: Vec<usize> = std::iter::once(photos.len()).chain(port.sizes.iter().copied()).collect();
    let text = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let array =
        ArrayD::from_shape_vec(IxDyn(&shape), features).map_err(|cause| error(Code::Output, cause.to_string()))?;
    let mut arrays: Vec<(&str, ArrayViewD<f32>)> = vec![(args.name.as_str(), array.view())];
    let targets = match &photos.targets {
        Targets::Classes(classes) => Some(ndarray::Array1::from_iter(classes.iter().map(|&class| class as f32))),
        Targets::Values(_) => None,
    };
    let targets = targets.map(ndarray::Array1::into_dyn);
    let has_one_array = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
    if let (Some(targets), false) = (&targets, has_one_array) {
        arrays.push(("targets", targets.view()));
    }
    array_file::write(path, &arrays).map_err(|cause| error(Code::Output, cause.to_string()))?;
    let list = list_path(path);
    output_guard::write_file(&list, list_of(photos)?.as_bytes())?;
    messages::line("Finished", format!("{}  {} ({text}), photos in {}", path.display(), args.name, list.display()));
    Ok(())
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
