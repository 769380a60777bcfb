//! Functions of single values, and softmax.

use super::context::{Attributes, Context, Exported, Value};
use crate::kernels::elementwise::activation::Activation;
use crate::onnx::model::Value as Attribute;
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
