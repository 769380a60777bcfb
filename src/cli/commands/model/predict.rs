//! `netc predict`

use crate::artifact::Artifact;
use crate::cli::args::build_args::{BuildArgs, check_effect, given};
use crate::cli::args::{number, threads_arg};
use crate::cli::arrays::{check_readable, check_shapes, is_array, read_arrays, too_large, write, zeros};
use crate::cli::model;
use crate::cli::output::messages::{self, error};
use crate::cli::output::output_guard;
use crate::cli::output::prediction_output;
use crate::cli::output::prediction_output::{Format, Predictions};
use crate::cli::output::run_errors::run_failed;
use crate::cli::piped_photo::{self, is_piped};
use crate::cli::result::{CommandResult, Failed};
use crate::data::photos::prefetch::{BatchError, PhotoBatch, PhotoLoader};
use crate::data::samples::photo_paths;
use crate::data::samples::photo_paths::{InputKind, Inputs, Walk};
use crate::diagnostics::{Code, Diagnostic};
use crate::runtime::Session;
use crate::runtime::non_finite::{first_nan, non_finite};
use crate::train::batches::net_inputs::NetInputs;
use ndarray::Axis;
use std::path::PathBuf;
use std::sync::Arc;

/// The maximum of images with non-finite outputs that are reported one by one.
const MAX_REPORTED: usize = 20;

/// Classes that are shown for each photo.
const DEFAULT_TOP: usize = 5;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec, which is compiled first
    model: String,
    /// Photos (- for stdin), folders of photos at any depth, or arrays (.npy, .npz; images along the first dimension, used without preprocessing)
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    build: BuildArgs,
    /// Write the outputs as arrays: .npy, .npz or .h5
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[arg(long, value_name = "COUNT", value_parser = number::batch_size)]
    #[arg(help = format!("Number of classes (or values) to show for each photo [default: {DEFAULT_TOP}]"))]
    top: Option<usize>,
    /// Images in a batch
    #[arg(long, default_value_t = 8, value_parser = number::batch_size)]
    batch: usize,
    #[command(flatten)]
    threads: threads_arg::ThreadPlacement,
}

pub fn run(args: &Args) -> CommandResult {
    if args.output.is_some() && args.format == Format::Text {
        let why = "the outputs are written as arrays, and no classes are shown";
        check_effect(&given([("--top", args.top.is_some())]), why).map_err(messages::fail_with)?;
    }
    if let Some(path) = &args.output {
        output_guard::check_arrays(path, &output_guard::inputs(&args.model, &args.build.weights, &args.inputs))?;
    }
    // What cannot be read is found before a net is compiled for it.
    let found = match args.inputs.iter().filter(|path| is_array(path)).count() {
        0 => Some(find_photos(args)?),
        count if count == args.inputs.len() => {
            args.inputs.iter().try_for_each(|path| check_readable(path))?;
            None
        }
        _ => return Err(error(Code::Inputs, "photos and arrays cannot be mixed")),
    };
    let takes = |inputs: &NetInputs| match &found {
        Some(_) => model::photo_decoding(inputs).map(|_| ()),
        None => args.inputs.iter().try_for_each(|path| check_shapes(path, &inputs.ports)),
    };
    let artifact = Arc::new(model::open_for(&args.model, &args.build, takes)?);
    let mut session = Session::with_pool(artifact.clone(), args.threads.pool());
    let predictions = match found {
        Some(found) => photos(&mut session, &artifact, args, found)?,
        None => from_arrays(&mut session, &artifact, args)?,
    };
    if let Some(path) = &args.output {
        write(path, &artifact, predictions.names.len(), &predictions.outputs)?;
    }
    if args.output.is_none() || args.format != Format::Text {
        prediction_output::print(&artifact.manifest, &predictions, args.format, args.top.unwrap_or(DEFAULT_TOP));
    }
    check_finite(&predictions)
}

/// The photos of the inputs, without that of stdin.
///
/// # Errors
/// An input that does not exist, an array among photos, or none that is a photo.
fn find_photos(args: &Args) -> Result<Inputs, Failed> {
    let paths: Vec<&PathBuf> = args.inputs.iter().filter(|path| !is_piped(path)).collect();
    let found = photo_paths::expand(&paths, Walk::Recursive).map_err(|cause| {
        let missing = args.inputs.iter().find(|path| !path.exists());
        let suggestion = missing.and_then(|path| crate::diagnostics::suggest::did_you_mean_file(path));
        messages::fail_with(Diagnostic::new(Code::Inputs, cause.to_string()).maybe_help(suggestion))
    })?;
    messages::skipping(&found.skipped);
    if let Some(array) = found.inputs.iter().find(|input| input.kind == InputKind::Array) {
        return Err(error(Code::Inputs, format!("{} is an array among photos", array.path.display())));
    }
    if found.inputs.is_empty() && paths.len() == args.inputs.len() {
        return Err(error(Code::Inputs, "there are no photos among the inputs"));
    }
    Ok(found)
}

/// Predicts photos, batch by batch; the next ones are decoded meanwhile.
fn photos(session: &mut Session, artifact: &Artifact, args: &Args, found: Inputs) -> Result<Predictions, Failed> {
    let plan = &artifact.manifest.plan;
    let decoding = model::photo_decoding(&NetInputs::of_artifact(&artifact.manifest))?;
    let port = &plan.inputs[0];
    let mut predictions = Predictions::new(plan.outputs.len());
    let mut failed = false;
    if args.inputs.iter().any(|path| is_piped(path)) {
        let x = piped_photo::read(&decoding)?;
        predictions.names.push(piped_photo::NAME.into());
        append(session, 1, &[&x], &mut predictions)?;
    }
    // Batches that do not fit in memory are refused before threads allocate them.
    zeros(port.len(), args.batch.min(found.inputs.len()))?;
    let photos: Arc<[PathBuf]> = found.inputs.into_iter().map(|input| input.path).collect();
    let order = (0..photos.len()).collect();
    for decoded in PhotoLoader::new(Arc::clone(&photos), order, decoding, args.batch, args.threads.count()) {
        let (PhotoBatch { range, mut values }, errors) = match decoded {
            Ok(batch) => (batch, Vec::new()),
            Err(BatchError { batch, errors }) => (batch, errors),
        };
        let mut errors = errors.into_iter().peekable();
        let mut read = 0;
        for (at, position) in range.enumerate() {
            if let Some((_, cause)) = errors.next_if(|(unusable, _)| *unusable == position) {
                failed = true;
                error(Code::Photo, cause.to_string());
                continue;
            }
            predictions.names.push(photos[position].display().to_string());
            // Over those that cannot be read.
            if read < at {
                values.copy_within(at * port.len()..(at + 1) * port.len(), read * port.len());
            }
            read += 1;
        }
        append(session, read, &[&values[..read * port.len()]], &mut predictions)?;
    }
    if failed && predictions.names.is_empty() {
        return Err(Failed::Error);
    }
    if failed {
        // The predictions of the readable photos are still useful; the exit code says that not all could be read.
        prediction_output::print(&artifact.manifest, &predictions, args.format, args.top.unwrap_or(DEFAULT_TOP));
        check_finite(&predictions)?;
        return Err(Failed::Error);
    }
    Ok(predictions)
}

/// Runs a batch and appends its outputs.
fn append(session: &mut Session, batch: usize, inputs: &[&[f32]], predictions: &mut Predictions) -> CommandResult {
    let lengths: Vec<usize> = session.artifact().manifest.plan.outputs.iter().map(|port| port.len()).collect();
    let done = predictions.images;
    let mut views: Vec<&mut [f32]> = Vec::with_capacity(lengths.len());
    for (output, &len) in predictions.outputs.iter_mut().zip(&lengths) {
        let before = output.len();
        let more = len
            .checked_mul(batch)
            .filter(|&more| output.try_reserve(more).is_ok())
            .ok_or_else(|| too_large(batch, len))?;
        output.resize(before + more, 0.0);
        views.push(&mut output[before..]);
    }
    session.run(batch, inputs, &mut views).map_err(|cause| run_failed(&cause))?;
    predictions.images += batch;
    for image in 0..batch {
        let rows = predictions.outputs.iter().zip(&lengths);
        let mut rows = rows.map(|(values, len)| &values[(done + image) * len..][..*len]);
        if rows.any(|row| first_nan(row, row.len()).is_some()) {
            // Finding the origin takes another run: only for those that are reported.
            let origin = match predictions.non_finite.len() < MAX_REPORTED {
                true => session.origin(inputs, batch, image).map_err(|cause| run_failed(&cause))?,
                false => None,
            };
            predictions.non_finite.insert(done + image, origin);
        }
    }
    Ok(())
}

/// Reports the images with non-finite outputs; fails if there are any.
fn check_finite(predictions: &Predictions) -> CommandResult {
    for (&image, origin) in predictions.non_finite.iter().take(MAX_REPORTED) {
        messages::fail_with(non_finite(&predictions.names[image], origin.as_ref()));
    }
    let more = predictions.non_finite.len().saturating_sub(MAX_REPORTED);
    if more > 0 {
        error(Code::NoNumber, format!("nor for {more} more"));
    }
    if predictions.non_finite.is_empty() { Ok(()) } else { Err(Failed::Error) }
}

/// Predicts the images of arrays, batch by batch.
fn from_arrays(session: &mut Session, artifact: &Artifact, args: &Args) -> Result<Predictions, Failed> {
    let plan = &artifact.manifest.plan;
    let mut predictions = Predictions::new(plan.outputs.len());
    for path in &args.inputs {
        let arrays = read_arrays(path, &plan.inputs)?;
        let images = arrays.first().map_or(0, |array| array.len_of(Axis(0)));
        let slices: Vec<&[f32]> = arrays.iter().filter_map(|array| array.as_slice()).collect();
        let mut begin = 0;
        while begin < images {
            let end = (begin + args.batch).min(images);
            let inputs: Vec<&[f32]> = slices
                .iter()
                .zip(&plan.inputs)
                .map(|(slice, port)| &slice[begin * port.len()..end * port.len()])
                .collect();
            append(session, end - begin, &inputs, &mut predictions)?;
            begin = end;
        }
        predictions.names.extend((0..images).map(|index| format!("{}[{index}]", path.display())));
    }
    Ok(predictions)
}
