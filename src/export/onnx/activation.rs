//! Functions of single values, and softmax.

use super::context::{Attributes, Context, Exported, Value};
use super::dense;
use crate::graph::Node;
use crate::kernels::elementwise::activation::Activation;
use crate::onnx::model::Value as Attribute;
use crate::ops::activation::prelu::PRelu;
use crate::ops::dense::Function;

/// Applies a function to a value.
pub(super) fn apply(cx: &mut Context<'_>, x: Value, function: Function) -> Exported {
    let name = match function {
        Function::Elementwise(function) => elementwise(cx, &x.name, function),
        Function::Softmax => softmax(cx, &x, x.channel_axis()),
        Function::SoftmaxAlong(axis) => {
            let place = axis.place(x.sizes.len()).ok_or("its input does not have its axis")?;
            softmax(cx, &x, x.axis(place))
        }
    };
    Ok(Value { name, ..x })
}

fn softmax(cx: &mut Context<'_>, x: &Value, axis: i64) -> String {
    // The last axis is the default.
    let attributes = if axis == x.order.len() as i64 { Vec::new() } else { vec![("axis", Attribute::Int(axis))] };
    cx.emit("Softmax", &[&x.name], attributes)
}

/// Applies a function to each number of a value.
pub(super) fn elementwise(cx: &mut Context<'_>, x: &str, function: Activation) -> String {
    let float = |name, value| (name, Attribute::Float(value));
    let (op, attributes): (&str, Attributes) = match function {
        Activation::Linear => return x.to_string(),
        Activation::Relu { alpha: 0.0 } => ("Relu", Vec::new()),
        Activation::Relu { alpha: -1.0 } => ("Abs", Vec::new()),
        Activation::Relu { alpha } => ("LeakyRelu", vec![float("alpha", alpha)]),
        Activation::HardSigmoid { alpha, beta } => ("HardSigmoid", vec![float("alpha", alpha), float("beta", beta)]),
        Activation::Gelu => ("Gelu", Vec::new()),
        Activation::GeluTanh => ("Gelu", vec![("approximate", Attribute::Text("tanh".into()))]),
        Activation::Sigmoid => ("Sigmoid", Vec::new()),
        Activation::Tanh => ("Tanh", Vec::new()),
        Activation::Elu => ("Elu", Vec::new()),
        Activation::Softplus => ("Softplus", Vec::new()),
        Activation::HardSwish => ("HardSwish", Vec::new()),
        Activation::Exp => ("Exp", Vec::new()),
        Activation::Log => ("Log", Vec::new()),
        Activation::Sqrt => ("Sqrt", Vec::new()),
        Activation::Relu6 => return clip(cx, x, 0.0, 6.0),
        Activation::Clip { min, max } => return clip(cx, x, min, max),
        Activation::Swish => {
            let gate = cx.emit("Sigmoid", &[x], Vec::new());
            return cx.emit("Mul", &[x, &gate], Vec::new());
        }
        Activation::Square => return power(cx, x, 2.0),
        Activation::Power { exponent } => return power(cx, x, exponent),
        Activation::Affine { scale, shift } => {
            let mut y = x.to_string();
            for (op, number, neutral) in [("Mul", scale, 1.0), ("Add", shift, 0.0)] {
                if number != neutral {
                    let number = cx.scalar(number);
                    y = cx.emit(op, &[&y, &number], Vec::new());
                }
            }
            return y;
        }
    };
    cx.emit(op, &[x], attributes)
}

fn clip(cx: &mut Context<'_>, x: &str, min: f32, max: f32) -> String {
    let (min, max) = (cx.scalar(min), cx.scalar(max));
    cx.emit("Clip", &[x, &min, &max], Vec::new())
}

fn power(cx: &mut Context<'_>, x: &str, exponent: f32) -> String {
    let exponent = cx.scalar(exponent);
    cx.emit("Pow", &[x, &exponent], Vec::new())
}

/// `PRelu`: its slopes stand along the axes of the model.
pub(super) fn prelu(cx: &mut Context<'_>, node: &Node, layer: &PRelu) -> Exported {
    let x = match &layer.dense {
        Some(dense) => dense::product(cx, node, dense)?,
        None => cx.input(node, 0)?,
    };
    let places = layer.resolve(x.sizes.len()).map_err(|axis| format!("it has no axis {axis}"))?;
    if x.flattened.is_some() {
        return Err("its slopes are for a flattened image".into());
    }
    let slopes = node.parameters.last().copied().ok_or("it has no slopes")?;
    // The slopes have the axes of the spec, in its order; the model has them in its own, and sizes of 1 between.
    let view: Vec<usize> = places.iter().map(|&place| x.sizes[place]).collect();
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&at| x.axis(places[at]));
    let first = order.first().map_or(1, |&at| x.axis(places[at]) as usize);
    let shape: Vec<usize> = (first - 1..x.order.len())
        .map(|at| if places.contains(&x.order[at]) { x.sizes[x.order[at]] } else { 1 })
        .collect();
    let arrangement = super::context::Arrangement::permuted(&view, &order).shaped(&shape);
    let part = if layer.dense.is_some() { "alpha" } else { "weight" };
    let slopes = cx.parameter(slopes, part, arrangement);
    let name = cx.emit("PRelu", &[&x.name, &slopes], Vec::new());
    Ok(Value { name, ..x })
}
