//! Activations and what acts value by value.

use super::context::{Context, Converted, needs, number};
use super::known::Known;
use super::merge::{self, factor};
use super::norm;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::patterns::bounds;
use crate::size::product;

/// A layer without arguments.
pub(super) fn plain(cx: &mut Context, node: &Node, layer: &str) -> Converted {
    needs(layer, None)?;
    let x = cx.input(node, 0)?;
    cx.pointwise(node, Call::layer(layer), x)
}

/// `Swish` (opset 24): x * sigmoid(alpha x).
pub(super) fn swish(cx: &mut Context, node: &Node) -> Converted {
    let alpha = node.float("alpha", 1.0);
    if alpha == 1.0 {
        return plain(cx, node, "Swish");
    }
    let x = cx.input(node, 0)?;
    let gate = cx.layers.add(factor(f64::from(alpha)), &[x.item]);
    let gate = cx.layers.add(Call::layer("Sigmoid"), &[gate]);
    let item = cx.layers.add(Call::layer("Multiply"), &[x.item, gate]);
    cx.give(node, Known { item, ..x })
}

pub(super) fn affine(cx: &mut Context, node: &Node, scale: f64) -> Converted {
    let x = cx.input(node, 0)?;
    cx.pointwise(node, factor(scale), x)
}

pub(super) fn reciprocal(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    cx.pointwise(node, Call::layer("Power").with("p", number(-1.0)), x)
}

/// `Elu`: alpha times the layer's below zero, which is a sum of it and a rectifier.
pub(super) fn elu(cx: &mut Context, node: &Node) -> Converted {
    scaled_elu(cx, node, node.float("alpha", 1.0), 1.0)
}

pub(super) fn selu(cx: &mut Context, node: &Node) -> Converted {
    // The defaults of ONNX (Klambauer et al., 2017).
    scaled_elu(cx, node, node.float("alpha", 1.673_263_2), node.float("gamma", 1.050_701))
}

/// gamma * (x above zero, alpha (e^x - 1) below).
fn scaled_elu(cx: &mut Context, node: &Node, alpha: f32, gamma: f32) -> Converted {
    let x = cx.input(node, 0)?;
    if (alpha, gamma) == (1.0, 1.0) {
        return cx.pointwise(node, Call::layer("Elu"), x);
    }
    let times = |cx: &mut Context, layer: &str, by: f32| {
        let item = cx.layers.add(Call::layer(layer), &[x.item]);
        if by == 1.0 { item } else { cx.layers.add(factor(f64::from(by)), &[item]) }
    };
    let below = times(cx, "Elu", alpha * gamma);
    let above = times(cx, "Relu", gamma - alpha * gamma);
    let item = cx.layers.add(Call::layer("Add"), &[below, above]);
    cx.give(node, Known { item, ..x })
}

/// `Celu`: alpha * Elu(x / alpha).
pub(super) fn celu(cx: &mut Context, node: &Node) -> Converted {
    let mut x = cx.input(node, 0)?;
    let alpha = f64::from(node.float("alpha", 1.0));
    if alpha == 0.0 {
        return Err("its alpha is 0".into());
    }
    for call in [factor(1.0 / alpha), Call::layer("Elu"), factor(alpha)] {
        if alpha != 1.0 || call.is(&["Elu"]) {
            x.item = cx.layers.add(call, &[x.item]);
        }
    }
    cx.give(node, x)
}

/// x / (1 + |x|)
pub(super) fn softsign(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let size = cx.layers.add(Call::layer("Absolute"), &[x.item]);
    let size = cx.layers.add(Call::layer("Affine").with("shift", number(1.0)), &[size]);
    let item = cx.layers.add(Call::layer("Divide"), &[x.item, size]);
    cx.give(node, Known { item, ..x })
}

/// x tanh(softplus(x))
pub(super) fn mish(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let gate = cx.layers.add(Call::layer("Softplus"), &[x.item]);
    let gate = cx.layers.add(Call::layer("Tanh"), &[gate]);
    let item = cx.layers.add(Call::layer("Multiply"), &[x.item, gate]);
    cx.give(node, Known { item, ..x })
}

pub(super) fn gelu(cx: &mut Context, node: &Node) -> Converted {
    if node.text("approximate") != Some("tanh") {
        return plain(cx, node, "Gelu");
    }
    needs("Gelu", Some("tanh"))?;
    let x = cx.input(node, 0)?;
    cx.pointwise(node, Call::layer("Gelu").with("tanh", Val::Bool(true)), x)
}

pub(super) fn leaky_relu(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let call = match node.float("alpha", 0.01) {
        0.01 => Call::layer("LeakyRelu"),
        alpha => Call::layer("Relu").with("alpha", number(alpha)),
    };
    cx.pointwise(node, call, x)
}

/// `HardSigmoid`: 0.2 x + 0.5 by default; PyTorch's and Keras 3's is x / 6 + 0.5.
pub(super) fn hard_sigmoid(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
    let near = |a: f32, b: f32| (a - b).abs() < 1e-5;
    let mut call = Call::layer("HardSigmoid");
    if !near(alpha, 0.2) || !near(beta, 0.5) {
        needs("HardSigmoid", Some("alpha"))?;
        call = call.with("alpha", number(alpha)).with("beta", number(beta));
    }
    cx.pointwise(node, call, x)
}

/// `PRelu` with a slope for each channel or one for all.
pub(super) fn prelu(cx: &mut Context, node: &Node) -> Converted {
    let layer = cx.parameters()?;
    let x = cx.input(node, 0)?;
    let shape = cx.constant(node, 1).map(|slopes| slopes.shape.clone()).unwrap_or_default();
    let slopes = product(shape.iter().copied());
    if slopes == 1 {
        return cx.pointwise(node, Call::layer("PRelu").named(Some(&layer.name)), x);
    }
    // Before opset 7 they are those of the channels; since, shapes are compared from their last axes on.
    let shape = match shape[..] {
        [channels] if cx.opset < 7 => [&[channels][..], &vec![1; x.shape.len().saturating_sub(2)]].concat(),
        _ => shape,
    };
    let known = merge::along(cx, x, &shape, Call::layer("PRelu").named(Some(&layer.name)))?;
    cx.give(node, known)
}

/// `Clip`: a rectifier, one that is capped, or bounds of its own.
pub(super) fn clip(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let [low, high] = bounds(node, &cx.constants).ok_or("its bounds are not constants")?;
    // The largest numbers are no bounds.
    let (below, above) = (low <= f64::from(f32::MIN), high >= f64::from(f32::MAX));
    let call = if low == 0.0 && high == 6.0 {
        Call::layer("Relu6")
    } else if low == 0.0 && above {
        Call::layer("Relu")
    } else if below && above {
        return cx.give(node, x);
    } else {
        needs("Clip", None)?;
        let bound = |bound: f64| number(bound.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32);
        // Where they cross, ONNX gives the larger one its way: the smaller of the two is the result everywhere.
        Call::layer("Clip").with("min", bound(low.min(high))).with("max", bound(high))
    };
    cx.pointwise(node, call, x)
}

/// `Pow` with a constant exponent.
pub(super) fn power(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let exponent = node.input(1).and_then(|name| cx.constants.scalar(name)).ok_or("its exponent is not a number")?;
    let call = match exponent {
        2.0 => Call::layer("Square"),
        0.5 => Call::layer("Sqrt"),
        other => Call::layer("Power").with("p", number(other as f32)),
    };
    cx.pointwise(node, call, x)
}

/// `Softmax` along an axis, or before opset 13 along it and all that follow.
pub(super) fn softmax(cx: &mut Context, node: &Node) -> Converted {
    let known = probabilities(cx, node)?;
    cx.give(node, known)
}

/// `LogSoftmax`
pub(super) fn log_softmax(cx: &mut Context, node: &Node) -> Converted {
    let known = probabilities(cx, node)?;
    cx.pointwise(node, Call::layer("Log"), known)
}

fn probabilities(cx: &mut Context, node: &Node) -> Result<Known, String> {
    let x = cx.input(node, 0)?;
    let axis = cx.axis(&x, node.int("axis", if cx.opset < 13 { 1 } else { -1 }))?;
    let along: Vec<usize> = (axis..if cx.opset < 13 { x.shape.len() } else { axis + 1 }).collect();
    let large: Vec<usize> = x.large(&along).collect();
    let softmax = |cx: &mut Context, x: Known, axis: Option<&str>| {
        let call =
            axis.map_or(Call::layer("Softmax"), |axis| Call::layer("Softmax").with("axis", Val::Word(axis.into())));
        Known { item: cx.layers.add(call, &[x.item]), ..x }
    };
    match large[..] {
        // A single value has all of it.
        [] if x.axes.len() == 1 && x.size(x.axes[0]) == 1 => Ok(softmax(cx, x, None)),
        [] => {
            let x = cx.in_order(x);
            let x = norm::last(cx, x, axis);
            Ok(softmax(cx, x, None))
        }
        [axis] => {
            let x = cx.unflattened(x);
            let names: &[&str] = match x.axes.len() {
                3 => &["height", "width"],
                2 => &["time"],
                _ => &[],
            };
            let place = x.axes.iter().position(|&known| known == axis).unwrap_or(x.axes.len());
            match names.get(place) {
                Some(name) => Ok(softmax(cx, x, Some(name))),
                None => {
                    let x = norm::last(cx, x, axis);
                    Ok(softmax(cx, x, None))
                }
            }
        }
        _ => {
            let front: Vec<usize> = x.axes.iter().copied().filter(|axis| !large.contains(axis)).collect();
            let x = cx.ordered(x, &[front.clone(), large.clone()].concat());
            let count = |axes: &[usize]| product(axes.iter().map(|&axis| x.size(axis)));
            let sizes = if front.is_empty() { vec![count(&large)] } else { vec![count(&front), count(&large)] };
            let joined = cx.reshaped(x.item, &sizes);
            let item = cx.layers.add(Call::layer("Softmax"), &[joined]);
            let item = cx.reshaped(item, &x.sizes());
            Ok(Known { item, ..x })
        }
    }
}

/// `Dropout`: nothing when it predicts, and kept for training.
pub(super) fn dropout(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let ratio = match node.input(1).and_then(|name| cx.constants.scalar(name)) {
        Some(ratio) => ratio as f32,
        None => node.float("ratio", 0.5),
    };
    if ratio != 0.0 && node.input(2).is_some_and(|name| cx.constants.scalar(name) != Some(0.0)) {
        return Err("in training mode".into());
    }
    match ratio > 0.0 && ratio < 1.0 {
        true => cx.pointwise(node, Call::layer("Dropout").with("proba", number(ratio)), x),
        false => cx.give(node, x),
    }
}
