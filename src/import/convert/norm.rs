//! Normalisations.

use super::context::{Context, Converted, needs, number};
use super::known::Known;
use super::merge;
use super::reduce;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::size::product;

fn epsilon(node: &Node, default: f32) -> Val {
    number(node.float("epsilon", default))
}

/// The value with axis 1, ONNX's channels, as its last one.
fn by_channel(cx: &mut Context, x: Known) -> Known {
    last(cx, x, 1)
}

/// The value with an axis as its last one.
pub(super) fn last(cx: &mut Context, x: Known, axis: usize) -> Known {
    if x.axes.last() == Some(&axis) {
        return x;
    }
    let mut axes: Vec<usize> = x.axes.iter().copied().filter(|&other| other != axis).collect();
    axes.push(axis);
    cx.ordered(x, &axes)
}

/// `BatchNormalization`; ONNX counts what stays of the running statistics, netc what a batch changes.
pub(super) fn batch(cx: &mut Context, node: &Node) -> Converted {
    if node.int("training_mode", 0) != 0 {
        return Err("in training mode".into());
    }
    // Before opset 9 it may have statistics for each value of an image.
    if node.int("spatial", 1) == 0 && cx.input(node, 0)?.shape.len() > 2 {
        return Err("with statistics for each value: only those for each channel are taken".into());
    }
    let layer = cx.parameters()?;
    cx.has_batch()?;
    let x = cx.input(node, 0)?;
    let x = by_channel(cx, x);
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
    let groups = usize::try_from(node.int("num_groups", 1)).map_err(|_| "its groups are invalid")?;
    grouped(cx, node, groups)
}

fn grouped(cx: &mut Context, node: &Node, groups: usize) -> Converted {
    let layer = cx.parameters()?;
    let x = cx.input(node, 0)?;
    if layer.parameters.iter().any(|(_, values)| values.len() != x.size(1)) {
        return Err("it has a scale for each group, not for each channel".into());
    }
    let call = Call::layer("GroupNorm").with("n_groups", Val::Int(groups as i64)).with("epsilon", epsilon(node, 1e-5));
    let call = call.named(Some(&layer.name));
    if x.shape.len() == 4 {
        let x = cx.as_image(x)?;
        return cx.pointwise(node, call, x);
    }
    // All that are not channels are the pixels of one row.
    cx.has_batch()?;
    let x = cx.unflattened(x);
    let x = last(cx, x, 1);
    let channels = x.size(1);
    let row = cx.reshaped(x.item, &[1, product(x.sizes()) / channels.max(1), channels]);
    let item = cx.layers.add(call, &[row]);
    let item = cx.reshaped(item, &x.sizes());
    cx.give(node, Known { item, ..x })
}

/// `LayerNormalization` over the last axis, or over several that become one.
pub(super) fn layer(cx: &mut Context, node: &Node) -> Converted {
    needs("LayerNorm", None)?;
    if node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
        return statistics(cx, node);
    }
    let Some(layer) = cx.layer() else { return statistics(cx, node) };
    let x = cx.input(node, 0)?;
    let first = cx.axis(&x, node.int("axis", -1))?;
    let call = Call::layer("LayerNorm").with("epsilon", epsilon(node, 1e-5)).named(Some(&layer.name));
    let over: Vec<usize> = (first..x.shape.len()).collect();
    let large: Vec<usize> = x.large(&over).collect();
    let x = match large[..] {
        [] => return Err("over a single value".into()),
        [axis] => last(cx, x, axis),
        _ => {
            let x = cx.in_order(x);
            let count = |axes: &[usize]| product(axes.iter().map(|&axis| x.size(axis)));
            let front: Vec<usize> = (1..first).collect();
            let sizes = if front.is_empty() { vec![count(&over)] } else { vec![count(&front), count(&over)] };
            let joined = cx.reshaped(x.item, &sizes);
            let item = cx.layers.add(call, &[joined]);
            let item = cx.reshaped(item, &x.sizes());
            return cx.give(node, Known { item, ..x });
        }
    };
    cx.pointwise(node, call, x)
}

/// What `LayerNormalization` computes, with its means and inverse deviations as outputs too, or with a scale and a shift that
/// are values of the model.
fn statistics(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let first = cx.axis(&x, node.int("axis", -1))?;
    let over: Vec<usize> = (first..x.shape.len()).collect();
    let epsilon = node.float("epsilon", 1e-5);
    let mean = reduce::over(cx, x.clone(), "avg", &over)?;
    let centred = merge::merged(cx, "Subtract", vec![x, mean.clone()])?;
    let (normalised, inverse) = by_deviation(cx, centred, &over, epsilon)?;
    let mut y = normalised;
    for (index, layer) in [(1, "Multiply"), (2, "Add")] {
        if node.input(index).is_some() {
            let values = cx.input(node, index)?;
            y = merge::merged(cx, layer, vec![y, values])?;
        }
    }
    let name = |index: usize| node.outputs.get(index).filter(|name| !name.is_empty()).cloned();
    for (index, known) in [(1, mean), (2, inverse)] {
        if let Some(name) = name(index) {
            cx.define(&name, known);
        }
    }
    cx.give(node, y)
}

/// A value divided by the root of the mean of its squares along some axes, and what it is multiplied by for that.
fn by_deviation(cx: &mut Context, x: Known, over: &[usize], epsilon: f32) -> Result<(Known, Known), String> {
    let square = Known { item: cx.layers.add(Call::layer("Square"), &[x.item]), ..x.clone() };
    let variance = reduce::over(cx, square, "avg", over)?;
    let more = Call::layer("Affine").with("shift", number(epsilon));
    let more = cx.layers.add(more, &[variance.item]);
    let power = Call::layer("Power").with("p", Val::Float(-0.5));
    let inverse = Known { item: cx.layers.add(power, &[more]), ..variance };
    Ok((merge::merged(cx, "Multiply", vec![x, inverse.clone()])?, inverse))
}

/// `RMSNormalization`: without a mean.
pub(super) fn root_mean_square(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let first = cx.axis(&x, node.int("axis", -1))?;
    let over: Vec<usize> = (first..x.shape.len()).collect();
    let (y, _) = by_deviation(cx, x, &over, node.float("epsilon", 1e-5))?;
    let y = match cx.constant(node, 1) {
        Some(_) => return Err("with a constant scale".into()),
        None => {
            let scale = cx.input(node, 1)?;
            merge::merged(cx, "Multiply", vec![y, scale])?
        }
    };
    cx.give(node, y)
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

/// `LpNormalization`: by the Euclidean length, or by the sum of absolute values.
pub(super) fn length(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let axis = cx.axis(&x, node.int("axis", -1))?;
    let epsilon = node.float("epsilon", 1e-12);
    match node.int("p", 2) {
        2 => {
            let x = cx.unflattened(x);
            let x = last(cx, x, axis);
            cx.pointwise(node, Call::layer("Normalize").with("epsilon", number(epsilon)), x)
        }
        1 => {
            let sizes = Known { item: cx.layers.add(Call::layer("Absolute"), &[x.item]), ..x.clone() };
            let sum = reduce::over(cx, sizes, "sum", &[axis])?;
            let y = merge::merged(cx, "Divide", vec![x, sum])?;
            cx.give(node, y)
        }
        p => Err(format!("by the norm of order {p}")),
    }
}
