//! Activations and what acts value by value.

use super::{Context, Converted, needs, number};
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::patterns::bounds;

/// A layer without arguments.
pub(super) fn plain(cx: &mut Context, node: &Node, layer: &str) -> Converted {
    needs(layer, None)?;
    let x = cx.input(node, 0)?;
    cx.pointwise(node, Call::layer(layer), x)
}

/// `Swish` (opset 24): x * sigmoid(alpha x).
pub(super) fn swish(cx: &mut Context, node: &Node) -> Converted {
    match node.float("alpha", 1.0) {
        1.0 => plain(cx, node, "Swish"),
        alpha => Err(format!("its alpha is {alpha}")),
    }
}

pub(super) fn elu(cx: &mut Context, node: &Node) -> Converted {
    match node.float("alpha", 1.0) {
        1.0 => plain(cx, node, "Elu"),
        alpha => Err(format!("its alpha is {alpha}")),
    }
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
    let slopes = layer.parameter("alpha").map_or(0, |alpha| alpha.len());
    let channels = x.axes.last().map_or(0, |&axis| x.size(axis));
    if slopes != 1 && (slopes != channels || x.axes.last() != Some(&1)) {
        return Err(format!("it has {slopes} slopes for {channels} channels"));
    }
    cx.pointwise(node, Call::layer("PRelu").named(Some(&layer.name)), x)
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
    } else if below || above {
        return Err(format!("it clips to {low} to {high}"));
    } else {
        needs("Clip", None)?;
        Call::layer("Clip").with("min", number(low as f32)).with("max", number(high as f32))
    };
    cx.pointwise(node, call, x)
}

/// `Pow` with a constant exponent.
pub(super) fn power(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let exponent = node.input(1).and_then(|name| cx.constants.scalar(name)).ok_or("its exponent is no number")?;
    let call = match exponent {
        2.0 => Call::layer("Square"),
        0.5 => Call::layer("Sqrt"),
        other => Call::layer("Power").with("p", number(other as f32)),
    };
    cx.pointwise(node, call, x)
}

/// `Softmax` over netc's last axis.
pub(super) fn softmax(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let axis = x.axis(node.int("axis", if cx.opset < 13 { 1 } else { -1 }))?;
    let last = x.axes.last().copied().unwrap_or(0);
    // Before opset 13 it is over this axis and all that follow.
    let single = |axes: std::ops::Range<usize>| axes.into_iter().all(|axis| axis == last || x.size(axis) == 1);
    let fits = match cx.opset < 13 {
        true => axis <= last && single(axis..x.shape.len()),
        false => axis == last || (x.axes.len() == 1 && x.size(axis) == x.size(last) && x.size(axis) == 1),
    };
    if !fits || x.permuted {
        let names: &[&str] = match x.axes.len() {
            3 => &["height", "width"],
            2 => &["time"],
            _ => &[],
        };
        let place = x.axes.iter().position(|&known| known == axis && cx.opset >= 13);
        let name = place.and_then(|place| names.get(place)).ok_or_else(|| format!("over axis {axis}"))?;
        return cx.pointwise(node, Call::layer("Softmax").with("axis", Val::Word((*name).into())), x);
    }
    cx.pointwise(node, Call::layer("Softmax"), x)
}

/// `Dropout`: nothing when it predicts, and kept for training.
pub(super) fn dropout(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let ratio = match node.input(1).and_then(|name| cx.constants.scalar(name)) {
        Some(ratio) => ratio as f32,
        None => node.float("ratio", 0.5),
    };
    match ratio > 0.0 && ratio < 1.0 {
        true => cx.pointwise(node, Call::layer("Dropout").with("proba", number(ratio)), x),
        false => cx.give(node, x),
    }
}
