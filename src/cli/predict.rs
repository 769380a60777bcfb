//! `netc predict`

use super::args::{number, threads_arg};
use super::build::{self, BuildArgs};
use super::output::prediction_output;
use super::output::prediction_output::{Format, Predictions};
use super::output::{messages, output_guard};
use super::{Done, Failed};
use crate::artifact::Artifact;
use crate::data::Decoding;
use crate::data::arrays::array_file;
use crate::data::photos::photo;
use crate::data::samples::photo_paths;
use crate::data::samples::photo_paths::{FolderError, InputKind, Walk};
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::plan::{Plan, Port};
use crate::runtime::non_finite::{Origin, first_nan};
use crate::runtime::{RunError, Session, zeros};
use ndarray::{ArrayD, Axis, IxDyn};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images without numbers that are told one by one.
const MAX_TOLD: usize = 20;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec that is compiled first
    model: String,
    /// Photos, folders of photos, or arrays (.npy, .npz; first dimension the images, taken as they are)
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    choices: BuildArgs,
    /// Write the outputs as arrays: .npy, .npz or .h5
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// How many classes (of plain numbers: values) are shown for each photo
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Images at a time
    #[arg(long, default_value_t = 8, value_parser = number::batch)]
    batch: usize,
    #[command(flatten)]
    threads: threads_arg::ThreadPlacement,
}

pub fn run(args: &Args) -> Done {
    if let Some(path) = &args.output {
        output_guard::check(
            path,
            output_guard::Kind::Arrays,
            &output_guard::inputs(&args.model, &args.choices.weights, &args.inputs),
        )?;
    }
    let artifact = Arc::new(build::open(&args.model, &args.choices)?);
    let mut session = Session::with_pool(artifact.clone(), args.threads.pool());
    let arrays = args.inputs.iter().filter(|path| is_array(path)).count();
    let predictions = match arrays {
        0 => photos(&mut session, &artifact, args)?,
        count if count == args.inputs.len() => from_arrays(&mut session, &artifact, args)?,
        _ => return Err(wrong(Code::Inputs, "photos and arrays cannot be given together")),
    };
    if let Some(path) = &args.output {
        write(path, &artifact, predictions.names.len(), &predictions.outputs)?;
    }
    if args.output.is_none() || args.format != Format::Text {
        prediction_output::print(&artifact.manifest, &predictions, args.format, args.top);
    }
    all_numbers(&predictions)
}

/// Reports what is wrong with what the user gave.
pub fn wrong(code: Code, message: impl Into<String>) -> Failed {
    messages::fail_with(Diagnostic::new(code, message))
}

pub fn run_failed(error: &RunError) -> Failed {
    let code = match error {
        RunError::Artifact(_) => Code::ArtifactDamaged,
        RunError::Memory { .. } => Code::Memory,
        RunError::Step { .. } | RunError::Length { .. } | RunError::Count { .. } => Code::Array,
    };
    wrong(code, error.to_string())
}

/// Whether a file is one of arrays, by its ending.
pub fn is_array(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    matches!(ending.as_deref(), Some("npy" | "npz" | "h5" | "hdf5"))
}

/// How photos become the input of a net.
pub fn decoding(artifact: &Artifact) -> Result<Decoding, Failed> {
    let plan = &artifact.manifest.plan;
    let ([port], [preprocessing]) = (&plan.inputs[..], &artifact.manifest.preprocessing[..]) else {
        let message =
            format!("`{}` has {} inputs: give it arrays in an .npz by their names", plan.name, plan.inputs.len());
        return Err(wrong(Code::Inputs, message));
    };
    match (preprocessing, &port.sizes[..]) {
        (Some(preprocessing), &[height, width, channels]) => {
            let size = (height, width, channels);
            Ok(Decoding { preprocessing: preprocessing.clone(), size, augmentation: None })
        }
        (_, sizes) => {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            let sizes = sizes.join("x");
            let message = format!("`{}` does not say how a photo becomes its input {sizes}", plan.name);
            Err(messages::fail_with(
                Diagnostic::new(Code::Preprocessing, message).help(format!(
                    "write `Input({sizes}, image=Caffe)` in the spec; arrays (.npy) are taken as they are"
                )),
            ))
        }
    }
}

/// Runs photos through a net, a batch at a time.
fn photos(session: &mut Session, artifact: &Artifact, args: &Args) -> Result<Predictions, Failed> {
    let plan = &artifact.manifest.plan;
    let found = photo_paths::expand(&args.inputs, Walk::OneLevel).map_err(|error| {
        let missing = args.inputs.iter().find(|path| !path.exists());
        let near = missing.and_then(|path| crate::diagnostics::suggest::did_you_mean_file(path));
        let inside = match &error {
            FolderError::Empty { path, .. } => folders_inside(path),
            _ => None,
        };
        messages::fail_with(Diagnostic::new(Code::Inputs, error.to_string()).maybe_help(near).maybe_help(inside))
    })?;
    let Decoding { preprocessing, size, .. } = decoding(artifact)?;
    let port = &plan.inputs[0];
    for skipped in &found.skipped {
        messages::line("Skipping", format!("{}: {}", skipped.path.display(), skipped.reason));
    }
    if let Some(array) = found.inputs.iter().find(|input| input.kind == InputKind::Array) {
        return Err(wrong(Code::Inputs, format!("{} is an array among photos", array.path.display())));
    }
    let mut predictions = Predictions::new(plan.outputs.len());
    let mut failed = false;
    for group in found.inputs.chunks(args.batch) {
        let mut x = room(port.len(), group.len())?;
        let mut read = 0;
        for input in group {
            let room = &mut x[read * port.len()..(read + 1) * port.len()];
            match photo::read(&input.path, &preprocessing, size, room) {
                Ok(()) => {
                    predictions.names.push(input.path.display().to_string());
                    read += 1;
                }
                Err(error) => {
                    failed = true;
                    wrong(Code::Photo, error.to_string());
                }
            }
        }
        append(session, read, &[&x[..read * port.len()]], &mut predictions)?;
    }
    if failed && predictions.names.is_empty() {
        return Err(Failed::Misclassification);
    }
    if predictions.names.is_empty() {
        return Err(wrong(Code::Inputs, "there are no photos among the inputs"));
    }
    if failed {
        // What could be read is still of use; the exit code says that not all could.
        prediction_output::print(&artifact.manifest, &predictions, args.format, args.top);
        all_numbers(&predictions)?;
        return Err(Failed::Misclassification);
    }
    Ok(predictions)
}

/// What to do with a folder that holds nothing but folders.
fn folders_inside(path: &Path) -> Option<String> {
    let folder = std::fs::read_dir(path).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_dir())?;
    Some(format!("folders inside a folder are not searched: name them, such as {}", folder.display()))
}

/// Runs a batch and appends what comes out.
fn append(session: &mut Session, batch: usize, inputs: &[&[f32]], predictions: &mut Predictions) -> Done {
    let lengths: Vec<usize> = session.artifact().manifest.plan.outputs.iter().map(|port| port.len()).collect();
    let done = predictions.images;
    let mut room: Vec<&mut [f32]> = Vec::with_capacity(lengths.len());
    for (output, &len) in predictions.outputs.iter_mut().zip(&lengths) {
        let before = output.len();
        let more = len
            .checked_mul(batch)
            .filter(|&more| output.try_reserve(more).is_ok())
            .ok_or_else(|| too_large(batch, len))?;
        output.resize(before + more, 0.0);
        room.push(&mut output[before..]);
    }
    session.run(batch, inputs, &mut room).map_err(|error| run_failed(&error))?;
    predictions.images += batch;
    for image in 0..batch {
        let rows = predictions.outputs.iter().zip(&lengths);
        let mut rows = rows.map(|(values, len)| &values[(done + image) * len..][..*len]);
        if rows.any(|row| first_nan(row, row.len()).is_some()) {
            // Where numbers end costs another run: enough is told of the first ones.
            let origin = match predictions.without_number.len() < MAX_TOLD {
                true => session.origin(inputs, batch, image).map_err(|error| run_failed(&error))?,
                false => None,
            };
            predictions.without_number.insert(done + image, origin);
        }
    }
    Ok(())
}

/// Reports that a net gives no number for something.
pub fn no_number(of: &str, origin: Option<&Origin>) -> Diagnostic {
    let told = Diagnostic::new(Code::NoNumber, format!("{of}: the net gives no number"));
    origin.into_iter().fold(told, |told, origin| told.note(origin.to_string()))
}

/// Fails where the net gave no number for some images.
fn all_numbers(predictions: &Predictions) -> Done {
    for (&image, origin) in predictions.without_number.iter().take(MAX_TOLD) {
        messages::fail_with(no_number(&predictions.names[image], origin.as_ref()));
    }
    let more = predictions.without_number.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        wrong(Code::NoNumber, format!("nor for {more} more"));
    }
    if predictions.without_number.is_empty() { Ok(()) } else { Err(Failed::Misclassification) }
}

/// The arrays of a file for the inputs of a net, one for its one input or several by their names, all of as many images.
pub fn read_arrays(path: &Path, plan: &Plan) -> Result<Vec<ArrayD<f32>>, Failed> {
    let read = |name: Option<&str>| {
        let array = array_file::read(path, name).map_err(|error| wrong(Code::Array, error.to_string()))?;
        Ok(array.as_standard_layout().into_owned())
    };
    let arrays: Vec<ArrayD<f32>> = match &plan.inputs[..] {
        [_] => vec![read(None)?],
        several if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) => {
            let names: Vec<&str> = several.iter().map(|port| port.name.as_str()).collect();
            let message = format!("{} holds one array, and `{}` has {} inputs", path.display(), plan.name, names.len());
            let help = format!("give it an .npz or .h5 with arrays named {}", names.join(", "));
            return Err(messages::fail_with(Diagnostic::new(Code::Array, message).help(help)));
        }
        several => several.iter().map(|port| read(Some(&port.name))).collect::<Result<_, Failed>>()?,
    };
    for (array, port) in arrays.iter().zip(&plan.inputs) {
        if array.shape().get(1..) != Some(&port.sizes[..]) {
            let sizes: Vec<String> = port.sizes.iter().map(usize::to_string).collect();
            return Err(wrong(
                Code::Array,
                format!(
                    "{} has the shape {:?}, and `{}` takes (n, {})",
                    path.display(),
                    array.shape(),
                    port.name,
                    sizes.join(", ")
                ),
            ));
        }
    }
    let rows = |array: &ArrayD<f32>| array.shape().first().copied().unwrap_or(0);
    if let Some(other) = arrays.iter().position(|array| rows(array) != rows(&arrays[0])) {
        let told = |index: usize| format!("`{}` has {}", plan.inputs[index].name, counted(rows(&arrays[index]), "row"));
        let message = format!("{}: {}, and {}", path.display(), told(0), told(other));
        return Err(messages::fail_with(Diagnostic::new(Code::Array, message).help("row i of each is image i")));
    }
    Ok(arrays)
}

/// The first images of such arrays; none where they have fewer.
pub fn first_images(arrays: &[ArrayD<f32>], plan: &Plan, count: usize) -> Option<Vec<Vec<f32>>> {
    let first = |(array, port): (&ArrayD<f32>, &Port)| Some(array.as_slice()?.get(..port.len() * count)?.to_vec());
    arrays.iter().zip(&plan.inputs).map(first).collect()
}

/// Zeros for so many images of so many floats.
pub fn room(floats: usize, images: usize) -> Result<Vec<f32>, Failed> {
    floats.checked_mul(images).and_then(zeros).ok_or_else(|| too_large(images, floats))
}

fn too_large(images: usize, floats: usize) -> Failed {
    wrong(Code::Memory, format!("a batch of {images} with {floats} values each is more than the memory can hold"))
}

/// Runs arrays through a net: one for its one input, or several by the names of its inputs.
fn from_arrays(session: &mut Session, artifact: &Artifact, args: &Args) -> Result<Predictions, Failed> {
    let plan = &artifact.manifest.plan;
    let mut predictions = Predictions::new(plan.outputs.len());
    for path in &args.inputs {
        let arrays = read_arrays(path, plan)?;
        let images = arrays.first().map_or(0, |array| array.len_of(Axis(0)));
        let slices: Vec<&[f32]> = arrays.iter().filter_map(|array| array.as_slice()).collect();
        let mut begin = 0;
        while begin < images {
            let end = (begin + args.batch).min(images);
            let part: Vec<&[f32]> = slices
                .iter()
                .zip(&plan.inputs)
                .map(|(slice, port)| &slice[begin * port.len()..end * port.len()])
                .collect();
            append(session, end - begin, &part, &mut predictions)?;
            begin = end;
        }
        predictions.names.extend((0..images).map(|index| format!("{}[{index}]", path.display())));
    }
    Ok(predictions)
}

/// Writes all outputs, under the names of the layers that gave them.
pub fn write(path: &Path, artifact: &Artifact, images: usize, outputs: &[Vec<f32>]) -> Done {
    let plan = &artifact.manifest.plan;
    let mut arrays = Vec::new();
    for (port, values) in plan.outputs.iter().zip(outputs) {
        let shape: Vec<usize> = std::iter::once(images).chain(port.sizes.iter().copied()).collect();
        let array = ArrayD::from_shape_vec(IxDyn(&shape), values.clone());
        arrays.push(array.map_err(|error| wrong(Code::Output, error.to_string()))?);
    }
    let named: Vec<(&str, ndarray::ArrayViewD<f32>)> =
        plan.outputs.iter().map(|port| port.name.as_str()).zip(arrays.iter().map(|array| array.view())).collect();
    array_file::write(path, &named).map_err(|error| wrong(Code::Output, error.to_string()))
}
