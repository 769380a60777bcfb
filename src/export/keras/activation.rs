//! Functions, and dense layers with one behind.

use super::context::{Context, Converted, lacks};
use super::model::{Argument, NEURAL, NUMPY, Tensor};
use crate::graph::{Node, NodeId};
use crate::kernels::elementwise::activation::Activation;
use crate::ops::activation::prelu::PRelu;
use crate::ops::dense::{Dense, Function};
use serde_json::{Value, json};

/// The name of a function in `keras.activations` of Keras 3.
fn name_of(function: Function) -> Option<&'static str> {
    let Function::Elementwise(activation) = function else {
        return (function == Function::Softmax).then_some("softmax");
    };
    let sixth = |alpha: f32| (alpha - 1.0 / 6.0).abs() < 1e-6;
    match activation {
        Activation::Linear => Some("linear"),
        Activation::Relu { alpha: 0.0 } => Some("relu"),
        Activation::Relu6 => Some("relu6"),
        Activation::Sigmoid => Some("sigmoid"),
        Activation::HardSigmoid { alpha, beta: 0.5 } if sixth(alpha) => Some("hard_sigmoid"),
        Activation::Tanh => Some("tanh"),
        Activation::Elu => Some("elu"),
        Activation::Softplus => Some("softplus"),
        Activation::Swish => Some("silu"),
        Activation::HardSwish => Some("hard_silu"),
        Activation::Gelu => Some("gelu"),
        Activation::Exp => Some("exponential"),
        _ => None,
    }
}

/// A dense layer and its function, or the function alone.
pub(super) fn dense(cx: &mut Context, id: NodeId, layer: &Dense, x: Tensor) -> Converted {
    let node = cx.graph.node(id);
    let Some(units) = layer.units else { return function(cx, node, layer.function, x) };
    let name = name_of(layer.function);
    let config = json!({ "units": units, "activation": name.unwrap_or("linear"), "use_bias": layer.bias.is_some() });
    let tensor = cx.with_variables(node, "Dense", config, x, node.output.clone(), "")?;
    match name {
        Some(_) => Ok(tensor),
        None => function(cx, node, layer.function, tensor),
    }
}

fn function(cx: &mut Context, node: &Node, function: Function, x: Tensor) -> Converted {
    let output = node.output.clone();
    if function == Function::Elementwise(Activation::Linear) {
        return Ok(x);
    }
    if let Some(name) = name_of(function) {
        return Ok(cx.layer(node, "Activation", json!({ "activation": name }), &[x], output));
    }
    let activation = match function {
        Function::Elementwise(activation) => activation,
        Function::Softmax => return Err(lacks(node)),
        Function::SoftmaxAlong(axis) => {
            let place = axis.place(output.sizes.len()).ok_or_else(|| lacks(node))?;
            return Ok(cx.layer(node, "Softmax", json!({ "axis": place + 1 }), &[x], output));
        }
    };
    let one = vec![Argument::One(x)];
    let numpy = |class, config, more: Vec<Value>| {
        let arguments = one.iter().cloned().chain(more.into_iter().map(Argument::Constant)).collect();
        (NUMPY, class, config, arguments)
    };
    let (module, class, config, arguments) = match activation {
        // A negative slope is refused by Keras.
        Activation::Relu { alpha: -1.0 } => numpy("Absolute", json!({}), Vec::new()),
        Activation::Relu { alpha } => {
            return Ok(cx.layer(node, "LeakyReLU", json!({ "negative_slope": short(alpha) }), &[x], output));
        }
        Activation::Affine { scale, shift } => {
            let config = json!({ "scale": short(scale), "offset": short(shift) });
            return Ok(cx.layer(node, "Rescaling", config, &[x], output));
        }
        Activation::HardSigmoid { alpha, beta } => {
            let config = json!({ "scale": short(alpha), "offset": short(beta) });
            let line = cx.layer(node, "Rescaling", config, &[x], output.clone());
            return Ok(cx.layer(node, "ReLU", json!({ "max_value": 1.0 }), &[line], output));
        }
        Activation::Clip { min: 0.0, max } => {
            return Ok(cx.layer(node, "ReLU", json!({ "max_value": short(max) }), &[x], output));
        }
        Activation::GeluTanh => (NEURAL, "Gelu", json!({ "approximate": true }), one),
        Activation::Clip { min, max } => numpy("Clip", json!({ "x_min": short(min), "x_max": short(max) }), Vec::new()),
        Activation::Log => numpy("Log", json!({}), Vec::new()),
        Activation::Sqrt => numpy("Sqrt", json!({}), Vec::new()),
        Activation::Square => numpy("Square", json!({}), Vec::new()),
        Activation::Power { exponent } => numpy("Power", json!({}), vec![json!(short(exponent))]),
        _ => return Err(lacks(node)),
    };
    Ok(cx.operation(node, module, class, config, arguments, output))
}

/// The shortest decimal that gives the same `f32`.
fn short(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// `PReLU`: slopes are shared along the axes that they do not differ along.
pub(super) fn prelu(cx: &mut Context, id: NodeId, layer: &PRelu, x: Tensor) -> Converted {
    let node = cx.graph.node(id);
    let rank = node.output.sizes.len();
    let own = layer.resolve(rank).map_err(|_| lacks(node))?;
    // Keras counts with the batch.
    let shared: Vec<usize> = (0..rank).filter(|axis| !own.contains(axis)).map(|axis| axis + 1).collect();
    let config = if shared.is_empty() { json!({}) } else { json!({ "shared_axes": shared }) };
    cx.with_variables(node, "PReLU", config, x, node.output.clone(), "")
}
