//! Whether a dataset matches a net: its arrays the inputs, its classes the labels.

use crate::data::{Dataset, Samples};
use crate::diagnostics::counted;

/// The index among the labels of each class.
///
/// # Errors
/// The first class that is not among the labels.
pub fn label_indices<'a>(classes: &'a [String], labels: &[String]) -> Result<Vec<usize>, &'a str> {
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
    Some(InputMismatch { message: format!("samples have the shape {:?}", arrays[input].sizes()), input: Some(input) })
}

/// What is wrong with data of another number of arrays than a net has inputs.
pub fn other_count(inputs: usize, arrays: usize) -> String {
    format!("the net has {}, and the data {}", counted(inputs, "input"), counted(arrays, "array"))
}
