//! Whether a dataset matches a net: its arrays the inputs, its classes the labels.

use crate::data::{Dataset, Samples};
use crate::diagnostics::{Code, Diagnostic, Result, counted};
use crate::train::batches::net_inputs::NetInputs;

/// The index among the labels of each class.
///
/// # Errors
/// The first class that is not among the labels.
pub fn label_indices<'a>(classes: &'a [String], labels: &[String]) -> std::result::Result<Vec<usize>, &'a str> {
    let index = |name: &'a String| labels.iter().position(|label| label == name).ok_or(name.as_str());
    classes.iter().map(index).collect()
}

/// Arrays that do not match the inputs of a net.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputMismatch {
    pub message: String,
    /// The index of the input, if one input is concerned.
    pub input: Option<usize>,
}

/// The first mismatch between a dataset's arrays and the sizes of a net's inputs; none for photos.
pub fn input_mismatch(data: &Dataset, inputs: &[Vec<usize>]) -> Option<InputMismatch> {
    let Samples::Arrays(arrays) = &data.samples else { return None };
    if arrays.len() != inputs.len() {
        return Some(InputMismatch { message: other_count(inputs.len(), arrays.len()), input: None });
    }
    let input = arrays.iter().zip(inputs).position(|(array, sizes)| array.sizes() != sizes)?;
    Some(InputMismatch { message: other_sizes(arrays[input].sizes()), input: Some(input) })
}

/// What is wrong with data of another number of arrays than a net has inputs.
pub fn other_count(inputs: usize, arrays: usize) -> String {
    format!("the net has {}, and the data {}", counted(inputs, "input"), counted(arrays, "array"))
}

/// What is wrong with an array whose samples have other sizes than an input of a net.
pub fn other_sizes(found: &[usize]) -> String {
    format!("samples have the shape {found:?}")
}

/// Checks that the samples of a dataset match a net's inputs: that photos can be decoded, and that arrays have their shapes.
///
/// # Errors
/// As [`NetInputs::photo_decoding`], or arrays of other shapes or of another number.
pub fn check_samples(inputs: &NetInputs, data: &Dataset) -> Result<()> {
    if let Samples::Photos(_) = data.samples {
        return inputs.photo_decoding().map(|_| ());
    }
    let sizes: Vec<Vec<usize>> = inputs.ports.iter().map(|port| port.sizes.clone()).collect();
    let Some(mismatch) = input_mismatch(data, &sizes) else { return Ok(()) };
    let diagnostic = Diagnostic::new(Code::Dataset, mismatch.message);
    Err(match mismatch.input.map(|input| &inputs.ports[input]) {
        Some(port) => diagnostic.note(format!("`{}` takes {:?}", port.name, port.sizes)),
        None => {
            let names: Vec<&str> = inputs.ports.iter().map(|port| port.name.as_str()).collect();
            diagnostic.help(format!("give an array (`--x`) for each input, in this order: {}", names.join(", ")))
        }
    }
    .into())
}
