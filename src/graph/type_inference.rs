//! The only caller of a layer's type rule. It checks the number of inputs before, and the sizes of the result after, so
//! that sums and products of a few sizes cannot overflow.

use super::{Arity, Operation, ParameterSpec, ShapeError};
use crate::size::product;
use crate::tensor::{MAX_AXES, MAX_TENSOR_VALUES, Size, TensorType};

/// The output type and the parameters of a layer for some inputs.
///
/// # Errors
/// If the inputs do not fit the layer, or a tensor is too large.
pub fn infer(
    operation: &dyn Operation,
    inputs: &[&TensorType],
) -> Result<(TensorType, Vec<ParameterSpec>), ShapeError> {
    let name = operation.definition().name;
    match (inputs.len(), operation.arity()) {
        (0, Arity::One | Arity::Many) => return Err(ShapeError::needs_input(name)),
        (0 | 1, _) | (_, Arity::Many) => {}
        (count, Arity::Source | Arity::One) => return Err(ShapeError::needs_merge(name, count)),
    }
    let output = operation.infer(inputs)?;
    if output.sizes.len() > MAX_AXES {
        return Err(ShapeError::too_many_axes(output.sizes.len()));
    }
    // An open size is at least 1.
    if product(output.sizes.iter().filter_map(|size| Size::known(*size))) > MAX_TENSOR_VALUES {
        return Err(ShapeError::too_large(&output));
    }
    let parameters = operation.parameters(inputs)?;
    match parameters.iter().find(|spec| product(spec.shape.iter().copied()) > MAX_TENSOR_VALUES) {
        Some(spec) => Err(ShapeError::parameter_too_large(spec.role, &spec.shape)),
        None => Ok((output, parameters)),
    }
}
