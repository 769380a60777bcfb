//! Parameters in the form of Keras' layers: their names and shapes there, and their values.

use crate::graph::{Graph, Initializer, Node, Parameter};
use crate::ops::activation::prelu::PRelu;
use crate::weights::bind::convert::{HIDDEN_BIASES, SEPARABLE, gates_to_keras};
use crate::weights::store::Role;

/// A variable of a Keras layer: its shape, and its values row-major.
pub(crate) type Variable = (Vec<usize>, Vec<f32>);

/// The variables of a layer in Keras' order, from the values of its parameters in theirs.
///
/// # Errors
/// A parameter that Keras' layer does not have.
pub(crate) fn variables(net: &Graph, node: &Node, values: Vec<Vec<f32>>) -> Result<Vec<Variable>, String> {
    let mut tensors: Vec<(&Parameter, Vec<f32>)> = Vec::new();
    for (id, values) in node.parameters.iter().zip(values) {
        let parameter = &net.parameters[id.0];
        if has_none(net, parameter) {
            return Err(format!("Keras has no parameter for the {} of `{}`", parameter.role, node.name));
        }
        tensors.push((parameter, values_of(node, parameter, values)));
    }
    if let Some(at) = tensors.iter().position(|(parameter, _)| parameter.role == HIDDEN_BIASES) {
        let (_, row) = tensors.remove(at);
        if let Some((_, biases)) = tensors.iter_mut().find(|(parameter, _)| parameter.role == "biases") {
            join_biases(biases, row);
        }
    }
    tensors.retain(|(parameter, _)| !parameter.is_fixed() && !is_initial_state(parameter.role));
    if node.operation.kind() != SEPARABLE {
        tensors.sort_by_key(|(parameter, _)| Role::from_neupy(shape(net, node, parameter).0));
    }
    Ok(tensors.into_iter().map(|(parameter, values)| (shape(net, node, parameter).1, values)).collect())
}

/// The name (NeuPy's, but for the variance) and shape that Keras gives a parameter.
pub(crate) fn shape(net: &Graph, node: &Node, parameter: &Parameter) -> (&'static str, Vec<usize>) {
    let inputs = node.inputs.first().and_then(|&input| net.node(input).output.channels().known());
    match (node.operation.kind(), parameter.role, &parameter.shape[..]) {
        // Keras stores a variance, with one axis where NeuPy has (1, …, 1, c).
        (_, "running_inv_std", _) => ("running_variance", vec![parameter.len()]),
        (_, role @ ("running_mean" | "gamma" | "beta"), _) => (role, vec![parameter.len()]),
        // Keras' GRU has two rows of biases.
        ("GRU", role @ "biases", _) => (role, vec![2, parameter.len()]),
        // Keras has an axis for the filters of each channel.
        (
            "DepthwiseConvolution" | "SeparableConvolution",
            role @ ("weight" | "depthwise_weight"),
            &[ref window @ .., 1, filters],
        ) => {
            let channels = inputs.unwrap_or(filters).max(1);
            (role, [window, &[channels, filters / channels]].concat())
        }
        // Slopes have all axes of the input, of size 1 where they are shared.
        (_, role @ "alpha", _) => {
            let mut shape = vec![1; node.output.sizes.len()];
            for (axis, &side) in slope_axes(node).into_iter().zip(&parameter.shape) {
                shape[axis] = side;
            }
            (role, shape)
        }
        (_, role, shape) => (role, shape.to_vec()),
    }
}

/// The axes along which the slopes of a PReLU differ, without the batch axis.
fn slope_axes(node: &Node) -> Vec<usize> {
    let Some(layer) = node.operation.as_any().downcast_ref::<PRelu>() else { return Vec::new() };
    // The shapes of a net have been checked.
    layer.resolve(node.output.sizes.len()).unwrap_or_default()
}

/// The values of a parameter in the form of Keras' layer of the same name.
pub(crate) fn values_of(node: &Node, parameter: &Parameter, mut values: Vec<f32>) -> Vec<f32> {
    let width = parameter.shape.last().copied().unwrap_or(1);
    match (node.operation.kind(), parameter.role, node.operation.epsilon()) {
        (_, "running_inv_std", Some(epsilon)) => {
            let variance = |inverse: f32| (1.0 / (f64::from(inverse) * f64::from(inverse)) - epsilon) as f32;
            values.iter_mut().for_each(|value| *value = variance(*value));
            values
        }
        ("GRU", "input_weights" | "hidden_weights" | HIDDEN_BIASES, _) => gates_to_keras(&values, width),
        ("GRU", "biases", _) => {
            // One row for the input, one for the hidden state.
            let mut both = gates_to_keras(&values, width);
            both.resize(2 * width, 0.0);
            both
        }
        _ => values,
    }
}

/// Puts a GRU's biases of the state into the second row of its biases.
pub(crate) fn join_biases(biases: &mut Vec<f32>, of_state: Vec<f32>) {
    biases.truncate(of_state.len());
    biases.extend(of_state);
}

/// Whether it is a state that recurrent layers begin with, which is zero in Keras.
pub(crate) fn is_initial_state(role: &str) -> bool {
    matches!(role, "cell_init" | "hidden_init")
}

/// Whether Keras has no parameter for this one: its recurrent layers start from zero and have no peepholes, its PReLU is a
/// separate layer, and its attention has several tensors in place of one.
pub(crate) fn has_none(net: &Graph, parameter: &Parameter) -> bool {
    let begins = is_initial_state(parameter.role);
    let slopes = || {
        let node = net.nodes.iter().find(|node| node.name == parameter.layer)?;
        let layer = node.operation.as_any().downcast_ref::<PRelu>()?;
        Some(layer.dense.is_some() || !slope_axes(node).is_sorted())
    };
    begins && (parameter.trainable || parameter.initializer != Initializer::Constant(0.0))
        || parameter.role.starts_with("weight_cell_to_")
        || parameter.role.ends_with("_proj_weight")
        || parameter.role == "alpha" && slopes().unwrap_or(false)
}
