//! The sizes of sequences, for layers that take nothing else.

pub mod embedding;
pub mod recurrent;
pub mod tokens;

use crate::diagnostics::Code;
use crate::graph::ShapeError;
use crate::size::product;
use crate::tensor::{Size, TensorType};

/// Steps and features of a sequence. `what` is the tensor of the layer: `its input`.
///
/// # Errors
/// If the tensor is not a sequence.
pub fn sequence_sizes(layer: &str, tensor: &TensorType, what: &str) -> Result<(Size, Size), ShapeError> {
    if let [steps, features] = tensor.sizes[..] {
        return Ok((steps, features));
    }
    let message = format!("`{layer}` needs a sequence, but {what} is {tensor}");
    let error = ShapeError::new(Code::WrongRank, message, "expects (?, time, features)");
    Err(match tensor.sizes[..] {
        [Size::Known(height), Size::Known(width), Size::Known(channels)] => error.help(format!(
            "the pixels of an image become steps by `Reshape`: `>> Reshape({}x{channels}) >> {layer}`",
            product([height, width])
        )),
        [_, _, _] => error.help("the pixels of an image become steps by `Reshape`"),
        _ => error.help("indices become features by `Embedding`, and `Reshape` makes a sequence of features"),
    })
}
