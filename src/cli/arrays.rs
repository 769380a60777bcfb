//! Arrays as inputs and outputs of nets.

use super::output::messages::{self, error};
use super::result::{CommandResult, Failed};
use crate::artifact::Artifact;
use crate::data::arrays::array_file::{self, Format};
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{Plan, Port};
use crate::runtime::{self, batch_arrays};
use ndarray::{ArrayD, IxDyn};
use std::path::Path;

/// Whether a file has the ending of array files.
pub fn is_array(path: &Path) -> bool {
    array_file::format_of_ending(path).is_ok()
}

/// Checks that a file has arrays, before a net is compiled for it.
///
/// # Errors
/// A file that has none; the error has been reported.
pub fn check_readable(path: &Path) -> CommandResult {
    array_file::list(path).map(|_| ()).map_err(|cause| {
        let suggestion = did_you_mean_file(path).filter(|_| !path.exists());
        messages::fail_with(Diagnostic::new(Code::Array, cause.to_string()).maybe_help(suggestion))
    })
}

/// Checks the arrays of a net's inputs without reading their values; as [`read_arrays`].
///
/// # Errors
/// As [`read_arrays`]; the error has been reported.
pub fn check_shapes(path: &Path, ports: &[Port]) -> CommandResult {
    let arrays = array_file::list(path).map_err(|cause| error(Code::Array, cause.to_string()))?;
    let found: Option<Vec<&[usize]>> = match (ports, &arrays[..]) {
        ([_], [only]) => Some(vec![&only.shape]),
        (several, arrays) => {
            let of = |port: &Port| arrays.iter().find(|array| array.name == port.name);
            several.iter().map(|port| Some(&of(port)?.shape[..])).collect()
        }
    };
    match found {
        Some(shapes) => {
            batch_arrays::images(&path.display().to_string(), &shapes, ports).map(|_| ()).map_err(messages::fail_with)
        }
        // Reading them says what is missing.
        None => read_arrays(path, ports).map(|_| ()),
    }
}

/// Reads the arrays of a net's inputs from a file: its only array, or those with the names of the inputs, with equal numbers of
/// images.
///
/// # Errors
/// A missing array, a wrong shape, or different numbers of images; the error has been reported.
pub fn read_arrays(path: &Path, ports: &[Port]) -> Result<Vec<ArrayD<f32>>, Failed> {
    let read = |name: Option<&str>| {
        let array = array_file::read(path, name).map_err(|cause| error(Code::Array, cause.to_string()))?;
        Ok(array.as_standard_layout().into_owned())
    };
    let is_only = || array_file::list(path).map_or(true, |arrays| arrays.len() < 2);
    let arrays: Vec<ArrayD<f32>> = match ports {
        [_] if is_only() => vec![read(None)?],
        several if array_file::format_of_ending(path).is_ok_and(|format| format == Format::Npy) => {
            let names: Vec<&str> = several.iter().map(|port| port.name.as_str()).collect();
            let message = format!("{} has one array, but the net has {} inputs", path.display(), names.len());
            let help = format!("give it an .npz or .h5 with arrays named {}", names.join(", "));
            return Err(messages::fail_with(Diagnostic::new(Code::Array, message).help(help)));
        }
        several => several.iter().map(|port| read(Some(&port.name))).collect::<Result<_, Failed>>()?,
    };
    let shapes: Vec<&[usize]> = arrays.iter().map(|array| array.shape()).collect();
    batch_arrays::images(&path.display().to_string(), &shapes, ports).map_err(messages::fail_with)?;
    Ok(arrays)
}

/// The first `count` images of the arrays; none if there are fewer.
pub fn first_images(arrays: &[ArrayD<f32>], plan: &Plan, count: usize) -> Option<Vec<Vec<f32>>> {
    let first = |(array, port): (&ArrayD<f32>, &Port)| Some(array.as_slice()?.get(..port.len() * count)?.to_vec());
    arrays.iter().zip(&plan.inputs).map(first).collect()
}

/// Zeros for a batch of `images`, each of `floats` values.
pub fn zeros(floats: usize, images: usize) -> Result<Vec<f32>, Failed> {
    floats.checked_mul(images).and_then(runtime::zeros).ok_or_else(|| too_large(images, floats))
}

pub fn too_large(images: usize, floats: usize) -> Failed {
    error(Code::Memory, format!("a batch of {images} with {floats} values each does not fit in memory"))
}

/// Writes all outputs as arrays, named by their layers.
///
/// # Errors
/// The file cannot be written; the error has been reported.
pub fn write(path: &Path, artifact: &Artifact, images: usize, outputs: &[Vec<f32>]) -> CommandResult {
    let plan = &artifact.manifest.plan;
    let mut arrays = Vec::new();
    for (port, values) in plan.outputs.iter().zip(outputs) {
        let shape: Vec<usize> = std::iter::once(images).chain(port.sizes.iter().copied()).collect();
        let array = ArrayD::from_shape_vec(IxDyn(&shape), values.clone());
        arrays.push(array.map_err(|cause| error(Code::Output, cause.to_string()))?);
    }
    let named: Vec<(&str, ndarray::ArrayViewD<f32>)> =
        plan.outputs.iter().map(|port| port.name.as_str()).zip(arrays.iter().map(|array| array.view())).collect();
    array_file::write(path, &named).map_err(|cause| error(Code::Output, cause.to_string()))
}
