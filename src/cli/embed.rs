//! `netc embed`

use super::args::{number, threads_arg};
use super::build::{self, BuildArgs};
use super::output::{messages, output_guard, progress};
use super::predict::{decoding, no_number, wrong};
use super::{Done, Failed};
use crate::artifact::Artifact;
use crate::data::arrays::array_file;
use crate::data::samples::photo_paths::{InputKind, Walk, expand};
use crate::data::{Dataset, Policy, Samples, Targets};
use crate::diagnostics::{Code, Diagnostic};
use crate::train::run::batch_source::BatchSourceError;
use crate::train::run::frozen_features::{FeaturesError, Front, features};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec that is compiled first, such as 'vgg16[..dropout-2]'
    model: String,
    /// A folder of photos, or of one folder per class
    photos: PathBuf,
    #[command(flatten)]
    choices: BuildArgs,
    /// Where the features go: .h5 (with the classes as targets), .npz or .npy; default: the spec's name with .h5
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The name of the array of features
    #[arg(long, default_value = "embedded", value_name = "NAME", value_parser = array_name)]
    name: String,
    /// Leave out photos that cannot be read
    #[arg(long)]
    skip: bool,
    /// Images at a time
    #[arg(long, default_value_t = 8, value_parser = number::batch)]
    batch: usize,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

/// A name that an array of features can have beside `targets`.
fn array_name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the array needs a name".into()),
        "targets" => Err("the classes have this name".into()),
        _ if text.split('/').any(|part| ["", ".", ".."].contains(&part)) => Err("an array's name is no path".into()),
        name => Ok(name.into()),
    }
}

pub fn run(args: &Args) -> Done {
    let path = args.output.clone().unwrap_or_else(|| build::artifact_path(&args.model).with_extension("h5"));
    let inputs = output_guard::inputs(&args.model, &args.choices.weights, std::slice::from_ref(&args.photos));
    output_guard::check(&path, output_guard::Kind::Arrays, &inputs)?;
    let artifact = Arc::new(build::open(&args.model, &args.choices)?);
    let threads = args.threads.count();
    let decoding = decoding(&artifact)?;
    let policy = if args.skip { Policy::Skip } else { Policy::Refuse };
    let mut photos = photos(&args.photos, policy)?;
    let mut bar = progress::Bar::new("Embedding");
    let mut told = |done, total| bar.at(done, total);
    let front = Front { artifact: &artifact, decoding: Some(&decoding), batch: args.batch, threads, interrupted: None };
    let found = features(front, &mut photos, policy, None, &mut told);
    bar.finish();
    let (mut rows, _) = found.map_err(|error| match error {
        FeaturesError::Data(error) => messages::fail_with(
            Diagnostic::new(Code::Photo, error.to_string()).help("`--skip` leaves out what cannot be read"),
        ),
        FeaturesError::BatchSource(BatchSourceError::NoNumber(sample)) => {
            let photo = match &photos.samples {
                Samples::Photos(photos) => photos[sample].display().to_string(),
                Samples::Arrays(_) => format!("sample {sample}"),
            };
            messages::fail_with(no_number(&photo, None))
        }
        FeaturesError::BatchSource(error) => wrong(Code::Array, error.to_string()),
    })?;
    for skipped in &photos.skipped {
        messages::line("Skipping", format!("{}: {}", skipped.path.display(), skipped.reason));
    }
    let values = rows.swap_remove(0).into_values().map_err(|error| wrong(Code::Array, error.to_string()))?;
    write(args, &path, &artifact, values, &photos)
}

/// The photos of a folder, with their classes where it has a folder for each.
fn photos(folder: &Path, policy: Policy) -> Result<Dataset, Failed> {
    let has_folders = std::fs::read_dir(folder)
        .map(|list| list.flatten().any(|entry| entry.path().is_dir()))
        .map_err(|error| wrong(Code::Inputs, format!("{}: {}", folder.display(), crate::source::plain(&error))))?;
    if has_folders {
        return Dataset::images(folder, policy).map_err(|error| wrong(Code::Dataset, error.to_string()));
    }
    let found = expand(&[folder], Walk::OneLevel).map_err(|error| wrong(Code::Inputs, error.to_string()))?;
    let photos = found.inputs.into_iter().filter(|input| input.kind == InputKind::Photo);
    let photos: Vec<PathBuf> = photos.map(|input| input.path).collect();
    // Nothing is to be learnt of them.
    let targets = Targets::column(vec![0.0; photos.len()]);
    Ok(Dataset { samples: Samples::Photos(photos), targets, classes: None, skipped: found.skipped })
}

fn write(args: &Args, path: &Path, artifact: &Artifact, features: Vec<f32>, photos: &Dataset) -> Done {
    let port = &artifact.manifest.plan.outputs[0];
    let shape: Vec<usize> = std::iter::once(photos.len()).chain(port.sizes.iter().copied()).collect();
    let text = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let array =
        ArrayD::from_shape_vec(IxDyn(&shape), features).map_err(|error| wrong(Code::Output, error.to_string()))?;
    let mut arrays: Vec<(&str, ArrayViewD<f32>)> = vec![(args.name.as_str(), array.view())];
    let targets = match &photos.targets {
        Targets::Classes(classes) => Some(ndarray::Array1::from_iter(classes.iter().map(|&class| class as f32))),
        Targets::Values(_) => None,
    };
    let targets = targets.map(ndarray::Array1::into_dyn);
    let single = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
    if let (Some(targets), false) = (&targets, single) {
        arrays.push(("targets", targets.view()));
    }
    array_file::write(path, &arrays).map_err(|error| wrong(Code::Output, error.to_string()))?;
    messages::line("Finished", format!("{}  {} ({text})", path.display(), args.name));
    Ok(())
}
