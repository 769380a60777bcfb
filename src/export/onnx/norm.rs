//! Normalisations.

use super::context::{Arrangement, Context, Exported, Value};
use crate::graph::Node;
use crate::onnx::model::Value as Attribute;
use crate::ops::norm::batch_norm::BatchNorm;
use crate::ops::norm::layer_norm::LayerNorm;
use crate::ops::norm::{GroupNorm, LocalResponseNorm, Normalize};

fn float(value: f64) -> Attribute {
    Attribute::Float(value as f32)
}

/// `BatchNormalization`; ONNX counts what stays of the running statistics, netc what a batch changes. netc stores the inverse
/// standard deviation, ONNX the variance.
pub(super) fn batch(cx: &mut Context<'_>, node: &Node, layer: &BatchNorm) -> Exported {
    let x = match cx.input(node, 0)? {
        x if x.sizes.len() == 1 => x,
        _ => cx.input_channels_first(node, 0)?,
    };
    let [mean, inv_std, gamma, beta] = node.parameters[..] else { return Err("it has no statistics".into()) };
    let shape = [cx.len(mean)];
    let epsilon = layer.epsilon;
    let variance = move |inv_std: f32| 1.0 / f64::from(inv_std).powi(2) - epsilon;
    // A deviation below that of epsilon alone is in the scale.
    let excess = move |inv_std: f32| match variance(inv_std) >= 0.0 {
        true => 1.0,
        false => f64::from(inv_std) * epsilon.sqrt(),
    };
    let scale = cx.computed(&[gamma, inv_std], "weight", &shape, move |values| {
        let [gamma, inv_std] = values else { return Vec::new() };
        gamma.iter().zip(inv_std).map(|(&gamma, &inv_std)| (f64::from(gamma) * excess(inv_std)) as f32).collect()
    });
    let beta = cx.parameter(beta, "bias", Arrangement::plain(&shape));
    let mean = cx.parameter(mean, "running_mean", Arrangement::plain(&shape));
    let variance = cx.computed(&[inv_std], "running_var", &shape, move |values| {
        let inv_std = values.first().map_or(&[][..], Vec::as_slice);
        inv_std.iter().map(|&inv_std| variance(inv_std).max(0.0) as f32).collect()
    });
    let attributes = vec![("epsilon", float(epsilon)), ("momentum", float(1.0 - layer.alpha))];
    let name = cx.emit("BatchNormalization", &[&x.name, &scale, &beta, &mean, &variance], attributes);
    Ok(Value { name, ..x })
}

/// `LayerNormalization` over the last axis.
pub(super) fn layer(cx: &mut Context<'_>, node: &Node, layer: &LayerNorm) -> Exported {
    let x = cx.input_in_order(node, 0)?;
    let [gamma, beta] = node.parameters[..] else { return Err("it has no scale".into()) };
    let plain = Arrangement::plain(&[cx.len(gamma)]);
    let (gamma, beta) = (cx.parameter(gamma, "weight", plain.clone()), cx.parameter(beta, "bias", plain));
    let attributes = vec![("axis", Attribute::Int(-1)), ("epsilon", float(layer.epsilon))];
    let name = cx.emit("LayerNormalization", &[&x.name, &gamma, &beta], attributes);
    Ok(Value { name, ..x })
}

/// Groups of channels, as PyTorch writes them: each group as a channel of `InstanceNormalization`, then scale and shift. (The
/// operator `GroupNormalization` has a scale for each channel only from opset 21 on.)
pub(super) fn group(cx: &mut Context<'_>, node: &Node, layer: &GroupNorm) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    let [gamma, beta] = node.parameters[..] else { return Err("it has no scale".into()) };
    let channels = cx.len(gamma);
    let epsilon = vec![("epsilon", float(layer.epsilon))];
    if layer.groups == channels {
        let plain = Arrangement::plain(&[channels]);
        let (gamma, beta) = (cx.parameter(gamma, "weight", plain.clone()), cx.parameter(beta, "bias", plain));
        let name = cx.emit("InstanceNormalization", &[&x.name, &gamma, &beta], epsilon);
        return Ok(Value { name, ..x });
    }
    let each = x.sizes.iter().product::<usize>() / layer.groups;
    let groups = cx.reshape(&x.name, &[layer.groups, each]);
    let ones = cx.constant(&[layer.groups], vec![1.0; layer.groups]);
    let zeros = cx.constant(&[layer.groups], vec![0.0; layer.groups]);
    let normalised = cx.emit("InstanceNormalization", &[&groups, &ones, &zeros], epsilon);
    let y = cx.reshape(&normalised, &x.ordered());
    let shape = cx.per_channel(&x);
    let plain = Arrangement::plain(&[channels]).shaped(&shape);
    let (gamma, beta) = (cx.parameter(gamma, "weight", plain.clone()), cx.parameter(beta, "bias", plain));
    let scaled = cx.emit("Mul", &[&y, &gamma], Vec::new());
    let name = cx.emit("Add", &[&scaled, &beta], Vec::new());
    Ok(Value { name, ..x })
}

/// `LRN`, which divides alpha by the size of its window.
pub(super) fn local_response(cx: &mut Context<'_>, node: &Node, layer: &LocalResponseNorm) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    let size = layer.radius.saturating_mul(2).saturating_add(1);
    if layer.alpha <= 0.0 || layer.beta <= 0.0 {
        return Err("ONNX Runtime refuses an LRN whose alpha or beta is not positive".into());
    }
    let attributes = vec![
        ("alpha", float(layer.alpha * size as f64)),
        ("beta", float(layer.beta)),
        ("bias", float(layer.k)),
        ("size", Attribute::Int(size as i64)),
    ];
    let name = cx.emit("LRN", &[&x.name], attributes);
    Ok(Value { name, ..x })
}

/// Division by the length. `LpNormalization` has no smallest divisor: zeros would be divided by zero.
pub(super) fn normalize(cx: &mut Context<'_>, node: &Node, layer: &Normalize) -> Exported {
    let x = cx.input(node, 0)?;
    let (axes, epsilon) = (cx.list(&[x.channel_axis()]), cx.scalar(layer.epsilon as f32));
    let length = cx.emit("ReduceL2", &[&x.name, &axes], vec![("keepdims", Attribute::Int(1))]);
    let divisor = cx.emit("Clip", &[&length, &epsilon], Vec::new());
    let name = cx.emit("Div", &[&x.name, &divisor], Vec::new());
    Ok(Value { name, ..x })
}

/// A factor for each channel.
pub(super) fn scale(cx: &mut Context<'_>, node: &Node) -> Exported {
    let x = cx.input(node, 0)?;
    if x.flattened.is_some() {
        return Err("its factors are for a flattened image".into());
    }
    let gamma = *node.parameters.first().ok_or("it has no factors")?;
    let arrangement = Arrangement::plain(&[cx.len(gamma)]).shaped(&cx.per_channel(&x));
    let gamma = cx.parameter(gamma, "gamma", arrangement);
    let name = cx.emit("Mul", &[&x.name, &gamma], Vec::new());
    Ok(Value { name, ..x })
}
