//! The one door to a layer's type rule: whatever stands before a layer, it is asked only about inputs that are there, of
//! sizes that sums and products of a few bear, and what it answers has sizes of that kind too.

use super::{Operation, ParameterSpec, ShapeError};
use crate::size::product;
use crate::tensor::{MAX_AXES, MAX_TENSOR_VALUES, Size, TensorType};

/// The type of what a layer gives for some inputs, and what it learns.
///
/// # Errors
/// Where the inputs do not fit the layer, or a tensor is too large.
pub fn infer(
    operation: &dyn Operation,
    inputs: &[&TensorType],
) -> Result<(TensorType, Vec<ParameterSpec>), ShapeError> {
    let name = operation.definition().name;
    match inputs.len() {
        0 if !operation.begins() => return Err(ShapeError::needs_input(name)),
        0 | 1 => {}
        count if !operation.merges() => return Err(ShapeError::needs_merge(name, count)),
        _ => {}
    }
    let output = operation.infer(inputs)?;
    if output.sizes.len() > MAX_AXES {
        return Err(ShapeError::too_many_axes(output.sizes.len()));
    }
    // What is left open is one at least.
    if product(output.sizes.iter().filter_map(|size| Size::known(*size))) > MAX_TENSOR_VALUES {
        return Err(ShapeError::too_large(&output));
    }
    let parameters = operation.parameters(inputs)?;
    match parameters.iter().find(|spec| product(spec.shape.iter().copied()) > MAX_TENSOR_VALUES) {
        Some(spec) => Err(ShapeError::parameter_too_large(spec.role, &spec.shape)),
        None => Ok((output, parameters)),
    }
}
