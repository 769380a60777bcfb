//! Normalisations.

use super::{Context, Converted, Known, needs, number};
use crate::import::tree::{Call, Val};
use crate::onnx::Node;

fn epsilon(node: &Node, default: f32) -> Val {
    number(node.float("epsilon", default))
}

/// Whether axis 1, ONNX's channels, is netc's last.
fn by_channel(x: &Known) -> Result<(), String> {
    match x.axes.last() {
        Some(1) => Ok(()),
        _ => Err("its input has the channels on another axis".into()),
    }
}

/// `BatchNormalization`; ONNX counts what stays of the running statistics, netc what a batch changes.
pub(super) fn batch(cx: &mut Context, node: &Node) -> Converted {
    if node.int("training_mode", 0) != 0 {
        return Err("in training mode".into());
    }
    let layer = cx.parameters()?;
    let x = cx.input(node, 0)?;
    by_channel(&x)?;
    let momentum = f64::from(node.float("momentum", 0.9));
    let alpha = ((1.0 - momentum) * 1e6).round() / 1e6;
    let call = Call::layer("BatchNorm")
        .with("alpha", Val::Float(alpha.clamp(0.0, 1.0)))
        .with("epsilon", epsilon(node, 1e-5))
        .named(Some(&layer.name));
    cx.pointwise(node, call, x)
}

/// `InstanceNormalization`: a group for each channel.
pub(super) fn instance(cx: &mut Context, node: &Node) -> Converted {
    let channels = cx.input(node, 0)?.size(1);
    grouped(cx, node, channels)
}

pub(super) fn group(cx: &mut Context, node: &Node) -> Converted {
    let groups = usize::try_from(node.int("num_groups", 1)).map_err(|_| "its groups are wrong")?;
    grouped(cx, node, groups)
}

fn grouped(cx: &mut Context, node: &Node, groups: usize) -> Converted {
    let layer = cx.parameters()?;
    let x = cx.image(node, 0)?;
    if layer.parameters.iter().any(|(_, values)| values.len() != x.size(1)) {
        return Err("it has a scale for each group, not for each channel".into());
    }
    let call = Call::layer("GroupNorm").with("n_groups", Val::Int(groups as i64)).with("epsilon", epsilon(node, 1e-5));
    cx.pointwise(node, call.named(Some(&layer.name)), x)
}

/// `LayerNormalization` over the last axis.
pub(super) fn layer(cx: &mut Context, node: &Node) -> Converted {
    needs("LayerNorm", None)?;
    let layer = cx.parameters()?;
    let x = cx.input(node, 0)?;
    let last = x.shape.len() - 1;
    if x.axis(node.int("axis", -1))? != last || x.axes.last() != Some(&last) || x.permuted {
        return Err("over other axes than the last".into());
    }
    cx.pointwise(node, Call::layer("LayerNorm").with("epsilon", epsilon(node, 1e-5)).named(Some(&layer.name)), x)
}

/// `LRN`: ONNX divides alpha by the size of the window.
pub(super) fn local_response(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.image(node, 0)?;
    let size = node.int("size", 1);
    if size < 1 || size % 2 == 0 {
        return Err(format!("over {size} channels: only odd numbers are taken"));
    }
    let call = Call::layer("LRN")
        .with("alpha", number(node.float("alpha", 1e-4) / size as f32))
        .with("beta", number(node.float("beta", 0.75)))
        .with("k", number(node.float("bias", 1.0)))
        .with("depth_radius", Val::Int(size / 2));
    cx.pointwise(node, call, x)
}

/// `LpNormalization` to length 1 over netc's last axis.
pub(super) fn length(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let axis = x.axis(node.int("axis", -1))?;
    if node.int("p", 2) != 2 || x.axes.last() != Some(&axis) || x.permuted {
        return Err("it is no Euclidean length over the channels".into());
    }
    let epsilon = number(node.float("epsilon", 1e-12));
    cx.pointwise(node, Call::layer("Normalize").with("epsilon", epsilon), x)
}
