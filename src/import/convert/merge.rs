//! Layers that join values.

use super::{Context, Converted, Known, needs, number};
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::size::product;

/// Sums, products and the like, of values of the model or with a number.
pub(super) fn elementwise(cx: &mut Context, node: &Node, layer: &str) -> Converted {
    if layer == "Multiply"
        && let Some(share) = share(cx, node)
    {
        cx.shares.insert(node.output().to_string(), share);
        return Ok(());
    }
    if layer == "Add"
        && let Some(known) = gated_average(cx, node)
    {
        return cx.give(node, known);
    }
    let mut inputs = Vec::new();
    let mut constant = None;
    for (index, name) in node.inputs.iter().enumerate() {
        match cx.value(name) {
            Some(known) => inputs.push(known.clone()),
            None if constant.is_none() => constant = Some(index),
            None => return Err("with several constants".into()),
        }
    }
    if let Some(index) = constant {
        return with_constant(cx, node, layer, inputs, index);
    }
    needs(layer, None)?;
    if let [one] = &inputs[..] {
        return cx.give(node, one.clone());
    }
    let rank = inputs.iter().map(|known| known.shape.len()).max().unwrap_or(0);
    let inputs: Vec<Known> = inputs.into_iter().map(|known| with_rank(known, rank)).collect();
    // Others may be broadcast over the largest.
    let largest = |known: &&Known| (known.axes.len(), product(known.sizes()));
    let whole = inputs.iter().rev().max_by_key(largest).cloned().ok_or("it has no inputs")?;
    let mut shape = whole.shape.clone();
    for known in &inputs {
        let same = known.axes == whole.axes && known.shape == whole.shape;
        // A value for each channel counts for every pixel.
        let sizes = known.sizes();
        let (channels, pixels) = sizes.split_last().ok_or("of a single value")?;
        let narrow = known.axes.len() == 1 || known.axes == whole.axes && pixels.iter().all(|&size| size == 1);
        let spread = inputs.len() == 2 && whole.axes.len() == 3 && narrow && known.axes.last() == whole.axes.last();
        let fits = same || spread && whole.sizes().last() == Some(channels);
        if !fits || known.permuted != whole.permuted {
            return Err(format!("of {:?} and {:?}, or in different orders of axes", known.shape, whole.shape));
        }
        shape = shape.iter().zip(&known.shape).map(|(&a, &b)| a.max(b)).collect();
    }
    let items: Vec<usize> = inputs.iter().map(|known| known.item).collect();
    let item = cx.layers.add(Call::layer(layer), &items);
    cx.give(node, Known { item, shape, ..whole })
}

/// A branch times its share of a gate.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// The layer that gives the gate, and which of its values it is.
    gate: usize,
    index: i64,
    branch: Known,
}

/// A product with a single feature of another value.
fn share(cx: &Context, node: &Node) -> Option<Share> {
    let [a, b] = &node.inputs[..] else { return None };
    let (a, b) = (cx.value(a)?, cx.value(b)?);
    [(a, b), (b, a)].into_iter().find_map(|(gate, branch)| {
        let slice = &cx.layers.items[gate.item];
        let bound = |name: &str| match slice.call.argument(name) {
            Some(Val::Int(value)) => Some(*value),
            _ => None,
        };
        let is_one = slice.call.is(&["Slice"]) && gate.axes.len() == 1 && product(gate.sizes()) == 1;
        let index = bound("from").filter(|&from| bound("to") == Some(from + 1))?;
        let gate = slice.inputs.first().copied().filter(|_| is_one && product(branch.sizes()) > 1)?;
        Some(Share { gate, index, branch: branch.clone() })
    })
}

/// The sum of branches, each times its share of one gate.
fn gated_average(cx: &mut Context, node: &Node) -> Option<Known> {
    let shares = node.inputs.iter().map(|name| cx.shares.get(name).cloned()).collect::<Option<Vec<Share>>>()?;
    let first = shares.first()?.clone();
    let gates = cx.known.values().find(|known| known.item == first.gate && known.axes.len() == 1)?.sizes();
    let alike = |(at, share): (usize, &Share)| {
        let same = share.branch.axes == first.branch.axes && share.branch.shape == first.branch.shape;
        share.gate == first.gate && share.index == at as i64 && same && !share.branch.permuted
    };
    if gates != [shares.len()] || !shares.iter().enumerate().all(alike) {
        return None;
    }
    let inputs: Vec<usize> = std::iter::once(first.gate).chain(shares.iter().map(|share| share.branch.item)).collect();
    let item = cx.layers.add(Call::layer("GatedAverage"), &inputs);
    Some(Known { item, ..first.branch })
}

/// The same value with axes of size 1 in front of its own.
fn with_rank(known: Known, rank: usize) -> Known {
    let more = rank - known.shape.len();
    if more == 0 || known.shape.is_empty() {
        return known;
    }
    let mut shape = vec![1; more];
    shape.extend(&known.shape);
    // The batch stays in front only where its size says so; other shapes do not fit and are refused.
    Known { axes: known.axes.iter().map(|axis| axis + more).collect(), shape, ..known }
}

/// A sum or product with a number.
fn with_constant(cx: &mut Context, node: &Node, layer: &str, inputs: Vec<Known>, index: usize) -> Converted {
    let [x] = &inputs[..] else { return Err("of several values and a constant".into()) };
    let name = &node.inputs[index];
    if layer == "Add" && cx.layer().is_some() {
        return positions(cx, node, x.clone(), index);
    }
    if layer == "Multiply" && cx.layer().is_some() {
        return scale(cx, node, x.clone(), index);
    }
    let Some(value) = cx.constants.scalar(name) else {
        let shape = cx.constants.get(name).map(|constant| constant.shape.clone()).unwrap_or_default();
        return Err(format!("with a constant of the shape {shape:?}"));
    };
    let (scale, shift) = match (layer, index) {
        ("Add", _) => (1.0, value),
        ("Subtract", 0) => (-1.0, value),
        ("Subtract", _) => (1.0, -value),
        ("Multiply", _) => (value, 0.0),
        ("Divide", 1) if value != 0.0 => (1.0 / value, 0.0),
        _ => return Err("with a constant".into()),
    };
    if (scale, shift) == (1.0, 0.0) {
        return cx.give(node, x.clone());
    }
    if x.permuted {
        return Err("of a flattened image".into());
    }
    needs("Affine", None).map_err(|needs| format!("with a number: {needs}"))?;
    let call = Call::layer("Affine").with("scale", number(scale as f32)).with("shift", number(shift as f32));
    cx.pointwise(node, call, x.clone())
}

/// Values that are added to each step of a sequence.
fn positions(cx: &mut Context, node: &Node, x: Known, index: usize) -> Converted {
    let layer = cx.parameters()?;
    let shape = cx.constant(node, index).map(|constant| constant.shape.clone()).unwrap_or_default();
    if shape != x.shape || x.axes != [1, 2] {
        return Err(format!("with a constant of the shape {shape:?}"));
    }
    cx.pointwise(node, Call::layer("PositionEmbedding").named(Some(&layer.name)), x)
}

/// A step in front of a sequence.
fn class_token(cx: &mut Context, node: &Node) -> Converted {
    let layer = cx.parameters()?;
    let x = cx.input(node, 1)?;
    let token = layer.parameter("weight").map_or(0, |token| token.len());
    if x.axes != [1, 2] || x.size(2) != token || x.axis(node.int("axis", 1))? != 1 {
        return Err("with a constant that is no step of a sequence".into());
    }
    let item = cx.layers.add(Call::layer("ClassToken").named(Some(&layer.name)), &[x.item]);
    let shape = vec![1, x.size(1) + 1, token];
    cx.give(node, Known { item, shape, ..x })
}

/// A factor for each channel.
fn scale(cx: &mut Context, node: &Node, x: Known, index: usize) -> Converted {
    let layer = cx.parameters()?;
    let shape = cx.constant(node, index).map(|constant| constant.shape.clone()).unwrap_or_default();
    needs("Scale", None).map_err(|needs| format!("with a constant for each channel: {needs}"))?;
    // Shapes are compared from their last axes on.
    let axis =
        shape.iter().position(|&size| size != 1).map_or(0, |place| (place + x.shape.len()).saturating_sub(shape.len()));
    if shape.len() > x.shape.len()
        || x.axes.last() != Some(&axis)
        || x.size(axis) != layer.parameters[0].1.len()
        || x.permuted
    {
        return Err(format!(
            "with a constant of the shape {shape:?}, which is no value for each channel of {:?}",
            x.shape
        ));
    }
    cx.pointwise(node, Call::layer("Scale").named(Some(&layer.name)), x)
}

/// `Concat`
pub(super) fn concatenate(cx: &mut Context, node: &Node) -> Converted {
    if cx.layer().is_some() {
        return class_token(cx, node);
    }
    let mut inputs = Vec::new();
    for index in 0..node.inputs.len() {
        inputs.push(cx.input(node, index)?);
    }
    let first = inputs.first().cloned().ok_or("it has no inputs")?;
    let axis = first.axis(node.int("axis", 1))?;
    let place = first.axes.iter().position(|&known| known == axis).ok_or("along an axis of size 1")?;
    let mut total = 0;
    for known in &inputs {
        let alike = |other: usize| other == axis || known.size(other) == first.size(other);
        if known.axes != first.axes || known.shape.len() != first.shape.len() || !(0..known.shape.len()).all(alike) {
            return Err(format!("of {:?} and {:?}, or in different orders of axes", first.shape, known.shape));
        }
        total += known.size(axis);
    }
    if let [one] = &inputs[..] {
        return cx.give(node, one.clone());
    }
    let call = match place + 1 == first.axes.len() {
        true => Call::layer("Concatenate"),
        false => Call::layer("Concatenate").with("axis", Val::Int(place as i64 + 1)),
    };
    let items: Vec<usize> = inputs.iter().map(|known| known.item).collect();
    let permuted = inputs.iter().any(|known| known.permuted);
    let item = cx.layers.add(call, &items);
    let mut shape = first.shape.clone();
    shape[axis] = total;
    cx.give(node, Known { item, shape, permuted, ..first })
}
