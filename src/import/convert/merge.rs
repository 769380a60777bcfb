//! Layers that join values.

use super::context::{Context, Converted, Share, needs, number};
use super::known::Known;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::parameters::SHIFT_EPSILON;
use crate::size::product;

/// Sums, products and the like, of values of the model or with a number.
pub(super) fn elementwise(cx: &mut Context, node: &Node, layer: &str) -> Converted {
    if layer == "Multiply"
        && let Some(share) = share(cx, node)
    {
        cx.shares.insert(node.output().to_string(), vec![share]);
    }
    if layer == "Add"
        && let Some(shares) = shares(cx, node)
    {
        if let Some(known) = gated_average(cx, &shares) {
            return cx.give(node, known);
        }
        cx.shares.insert(node.output().to_string(), shares);
    }
    let known = of_values(cx, node, layer);
    // Branches times their shares are known as such until their sum is known, too.
    if cx.shares.contains_key(node.output()) { Ok(()) } else { known }
}

fn of_values(cx: &mut Context, node: &Node, layer: &str) -> Converted {
    let mut inputs = Vec::new();
    let mut constant = None;
    for (index, name) in node.inputs.iter().enumerate() {
        match cx.value(name) {
            Some(known) => inputs.push(known.clone()),
            None if cx.masks.contains_key(name) => return Err(format!("its input {name} contains booleans")),
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
    let known = merged(cx, layer, inputs)?;
    cx.give(node, known)
}

/// Values that are joined one by one.
pub(super) fn merged(cx: &mut Context, layer: &str, inputs: Vec<Known>) -> Result<Known, String> {
    let rank = inputs.iter().map(|known| known.shape.len()).max().unwrap_or(0);
    let mut inputs: Vec<Known> = inputs.into_iter().map(|known| cx.with_rank(known, rank)).collect();
    if inputs.iter().any(|known| known.images != inputs[0].images) {
        inputs = inputs.into_iter().map(|known| cx.unflattened(known)).collect();
    }
    // Others may be broadcast over the largest.
    let largest = |known: &&Known| (product(known.sizes()), known.axes.len());
    let whole = inputs.iter().rev().max_by_key(largest).cloned().ok_or("it has no inputs")?;
    let alike = |known: &Known| known.shape == whole.shape;
    if inputs.iter().all(alike) {
        let items: Vec<usize> = inputs.into_iter().map(|known| cx.ordered_like(known, &whole).item).collect();
        return Ok(Known {
            item: square(cx, layer, &items).unwrap_or_else(|| cx.layers.add(Call::layer(layer), &items)),
            ..whole
        });
    }
    match <[Known; 2]>::try_from(inputs) {
        Ok([a, b]) => broadcast(cx, layer, a, b),
        Err(inputs) if matches!(layer, "Add" | "Multiply" | "Maximum" | "Minimum") => {
            let mut inputs = inputs.into_iter();
            let first = inputs.next().ok_or("it has no inputs")?;
            inputs.try_fold(first, |known, next| merged(cx, layer, vec![known, next]))
        }
        Err(inputs) => Err(format!("of {}", shapes(&inputs))),
    }
}

/// x * factor.
pub(super) fn factor(scale: f64) -> Call {
    Call::layer("Affine").with("scale", number(scale as f32)).with("shift", number(0.0))
}

fn shapes(inputs: &[Known]) -> String {
    inputs.iter().map(|known| format!("{:?}", known.shape)).collect::<Vec<_>>().join(" and ")
}

/// A value times itself.
fn square(cx: &mut Context, layer: &str, items: &[usize]) -> Option<usize> {
    match (layer, items) {
        ("Multiply", &[a, b]) if a == b => Some(cx.layers.add(Call::layer("Square"), &[a])),
        _ => None,
    }
}

/// Two values of which one has fewer: netc counts one value for each channel for all pixels, so that the axes that both have are
/// made channels.
fn broadcast(cx: &mut Context, layer: &str, a: Known, b: Known) -> Result<Known, String> {
    // Each of a batch has its own: the batch is not spread.
    let spread = |axis: usize, known: &Known| known.size(axis) == 1 && axis > 0;
    let fits = |known: &Known, of: &Known| {
        (0..of.shape.len()).all(|axis| known.size(axis) == of.size(axis) || spread(axis, known))
    };
    let (first, whole, narrow) = match (fits(&b, &a), fits(&a, &b)) {
        (true, _) => (true, a, b),
        (_, true) => (false, b, a),
        _ => return Err(format!("of {}", shapes(&[a, b]))),
    };
    let (whole, narrow) = (cx.unflattened(whole), cx.unflattened(narrow));
    let both: Vec<usize> = whole.axes.iter().copied().filter(|&axis| narrow.size(axis) != 1).collect();
    let plain = whole.axes.len() == 3 && narrow.axes.len() == 1 && narrow.axes.last() == whole.axes.last();
    let image = whole.axes.len() == 3 && narrow.axes == whole.axes && narrow.sizes()[..2] == [1, 1];
    let merge = |cx: &mut Context, whole: usize, narrow: usize| {
        let items = if first { [whole, narrow] } else { [narrow, whole] };
        cx.layers.add(Call::layer(layer), &items)
    };
    if (plain || image) && narrow.size(whole.axes[2]) == whole.size(whole.axes[2]) {
        return Ok(Known { item: merge(cx, whole.item, narrow.item), ..whole });
    }
    let others: Vec<usize> = whole.axes.iter().copied().filter(|axis| !both.contains(axis)).collect();
    let axes = [&others[..], &both[..]].concat();
    let whole = cx.ordered(whole, &axes);
    let count = |axes: &[usize]| product(axes.iter().map(|&axis| whole.size(axis)));
    let (pixels, channels) = (count(&others), count(&both));
    let narrow = if both.is_empty() { narrow } else { cx.ordered(narrow, &both) };
    let features = if narrow.axes.len() == 1 { narrow.item } else { cx.reshaped(narrow.item, &[channels]) };
    let is_image = others.len() == 2 && both.len() == 1;
    let pixelwise = if is_image { whole.item } else { cx.reshaped(whole.item, &[1, pixels, channels]) };
    let mut item = merge(cx, pixelwise, features);
    if !is_image {
        item = cx.reshaped(item, &whole.sizes());
    }
    Ok(Known { item, ..whole })
}

/// The most branches of a gate.
const MAX_SHARES: usize = 1000;

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

/// The branches and shares of a sum; a zero may be added to them.
fn shares(cx: &Context, node: &Node) -> Option<Vec<Share>> {
    let mut all = Vec::new();
    for name in &node.inputs {
        match cx.shares.get(name) {
            Some(shares) => all.extend(shares.iter().cloned()),
            None if cx.constants.scalar(name) == Some(0.0) => {}
            None => return None,
        }
    }
    // A value may be added to itself again and again.
    (1..=MAX_SHARES).contains(&all.len()).then_some(all)
}

/// The sum of branches, each times its share of one gate.
fn gated_average(cx: &mut Context, shares: &[Share]) -> Option<Known> {
    let mut shares = shares.to_vec();
    shares.sort_by_key(|share| share.index);
    let first = shares.first()?.clone();
    let gates = cx.known.values().find(|known| known.item == first.gate && known.axes.len() == 1)?.sizes();
    let alike = |(at, share): (usize, &Share)| {
        let same = share.branch.axes == first.branch.axes && share.branch.shape == first.branch.shape;
        share.gate == first.gate && share.index == at as i64 && same && share.branch.images.is_empty()
    };
    if gates != [shares.len()] || !shares.iter().enumerate().all(alike) {
        return None;
    }
    let inputs: Vec<usize> = std::iter::once(first.gate).chain(shares.iter().map(|share| share.branch.item)).collect();
    let item = cx.layers.add(Call::layer("GatedAverage"), &inputs);
    Some(Known { item, ..first.branch })
}

impl Context<'_> {
    /// The same value with axes of size 1 in front of its own.
    pub(super) fn with_rank(&self, known: Known, rank: usize) -> Known {
        let more = rank - known.shape.len();
        let front = self.front.min(known.shape.len());
        if more == 0 {
            return known;
        }
        let (batch, own) = known.shape.split_at(front);
        let shape = [batch, &vec![1; more], own].concat();
        // The batch stays in front only where its size says so; other shapes do not fit and are refused.
        Known { axes: known.axes.iter().map(|axis| axis + more).collect(), shape, ..known }
    }

    /// The value with its axes as another of the same shape has them.
    fn ordered_like(&mut self, known: Known, other: &Known) -> Known {
        match known.axes == other.axes {
            true => known,
            false => self.ordered(known, &other.axes),
        }
    }
}

/// A sum or product with a number.
fn with_constant(cx: &mut Context, node: &Node, layer: &str, inputs: Vec<Known>, index: usize) -> Converted {
    let [x] = &inputs[..] else { return Err("of several values and a constant".into()) };
    let name = &node.inputs[index];
    if let Some(parameters) = cx.layer() {
        return match (parameters.parameter("weight").is_some(), layer, index) {
            (true, ..) => positions(cx, node, x.clone(), index),
            (_, "Divide", 0) => {
                let power = Call::layer("Power").with("p", number(-1.0));
                let x = Known { item: cx.layers.add(power, &[x.item]), ..x.clone() };
                value_by_value(cx, node, x, index, Call::layer("Scale"))
            }
            (_, "Multiply" | "Divide", _) => value_by_value(cx, node, x.clone(), index, Call::layer("Scale")),
            _ => {
                let epsilon = Val::Float(SHIFT_EPSILON);
                value_by_value(cx, node, x.clone(), index, Call::layer("BatchNorm").with("epsilon", epsilon))
            }
        };
    }
    let Some(value) = cx.constants.scalar(name) else {
        let shape = cx.constants.get(name).map(|constant| constant.shape.clone()).unwrap_or_default();
        return Err(format!("with a constant of the shape {shape:?}"));
    };
    let bounds = match layer {
        "Maximum" => Some((value, f64::from(f32::MAX))),
        "Minimum" => Some((f64::from(f32::MIN), value)),
        _ => None,
    };
    if let Some((least, most)) = bounds {
        let call = match (least, most >= f64::from(f32::MAX)) {
            (0.0, true) => Call::layer("Relu"),
            _ => Call::layer("Clip").with("min", number(least as f32)).with("max", number(most as f32)),
        };
        return cx.pointwise(node, call, x.clone());
    }
    if (layer, index) == ("Divide", 0) {
        let item = cx.layers.add(Call::layer("Power").with("p", number(-1.0)), &[x.item]);
        let item = if value == 1.0 { item } else { cx.layers.add(factor(value), &[item]) };
        return cx.give(node, Known { item, ..x.clone() });
    }
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
    needs("Affine", None).map_err(|needs| format!("with a number: {needs}"))?;
    let call = Call::layer("Affine").with("scale", number(scale as f32)).with("shift", number(shift as f32));
    cx.pointwise(node, call, x.clone())
}

/// Values that are added to each step of a sequence.
fn positions(cx: &mut Context, node: &Node, x: Known, index: usize) -> Converted {
    let layer = cx.parameters()?;
    cx.has_batch()?;
    let shape = cx.constant(node, index).map(|constant| constant.shape.clone()).unwrap_or_default();
    // In the order of the file, where that of the weights is not inferred.
    let x = if x.shape == shape && x.axes == [2, 1] && cx.explicit { cx.ordered(x, &[1, 2]) } else { x };
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
    if x.axes != [1, 2] || x.size(2) != token || cx.axis(&x, node.int("axis", 1))? != 1 {
        return Err("with a constant that is not a step of a sequence".into());
    }
    let item = cx.layers.add(Call::layer("ClassToken").named(Some(&layer.name)), &[x.item]);
    let shape = vec![1, x.size(1) + 1, token];
    cx.give(node, Known { item, shape, ..x })
}

/// A layer with parameters for each value along the axes that a constant has; shapes are compared from their last axes on.
fn value_by_value(cx: &mut Context, node: &Node, x: Known, index: usize, call: Call) -> Converted {
    let layer = cx.parameters()?;
    let shape = cx.constant(node, index).map(|constant| constant.shape.clone()).unwrap_or_default();
    let first = shape.iter().position(|&size| size != 1).unwrap_or(shape.len());
    let known = along(cx, x, &shape[first..], call.named(Some(&layer.name)))?;
    cx.give(node, known)
}

/// A layer that acts on the channels of its input, on the axes of a value along which a constant of a shape differs, which become
/// one.
pub(super) fn along(cx: &mut Context, x: Known, shape: &[usize], call: Call) -> Result<Known, String> {
    let x = cx.unflattened(x);
    let differ = || format!("with a constant of the shape {shape:?}, which its input {:?} does not have", x.shape);
    let offset = x.shape.len().checked_sub(shape.len()).ok_or_else(differ)?;
    let both: Vec<usize> = (offset..x.shape.len()).filter(|&axis| shape[axis - offset] != 1).collect();
    if both.iter().any(|&axis| axis == 0 || x.size(axis) != shape[axis - offset]) {
        return Err(differ());
    }
    // What a file has for the values of an image would be looked up as PyTorch has them, whose channels come first.
    if both.len() > 1 && x.axes.len() > 2 && x.axes.is_sorted() && !cx.explicit {
        return Err("with a constant for the pixels of an image whose channels are last".into());
    }
    let others: Vec<usize> = x.axes.iter().copied().filter(|axis| !both.contains(axis)).collect();
    let x = cx.ordered(x, &[&others[..], &both[..]].concat());
    if both.len() == 1 && x.axes.len() <= 3 {
        return Ok(Known { item: cx.layers.add(call, &[x.item]), ..x });
    }
    let count = |axes: &[usize]| product(axes.iter().map(|&axis| x.size(axis)));
    let (pixels, channels) = (count(&others), count(&both));
    let joined = match pixels {
        1 => cx.reshaped(x.item, &[channels]),
        _ => cx.reshaped(x.item, &[pixels, channels]),
    };
    let item = cx.layers.add(call, &[joined]);
    let item = cx.reshaped(item, &x.sizes());
    Ok(Known { item, ..x })
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
    let first = inputs.first().ok_or("it has no inputs")?;
    let axis = cx.axis(first, node.int("axis", 1))?;
    let known = joined(cx, inputs, axis)?;
    cx.give(node, known)
}

/// Values one after another along an axis.
pub(super) fn joined(cx: &mut Context, mut inputs: Vec<Known>, axis: usize) -> Result<Known, String> {
    let first = inputs.first().cloned().ok_or("it has no inputs")?;
    if let [one] = &inputs[..] {
        return Ok(one.clone());
    }
    let alike = |other: usize, known: &Known| other == axis || known.size(other) == first.size(other);
    let mut total = 0;
    for known in &inputs {
        let rank = known.shape.len();
        if rank != first.shape.len() || !(0..rank).all(|other| alike(other, known)) {
            return Err(format!("of {:?} and {:?}", first.shape, known.shape));
        }
        total += known.size(axis);
    }
    // All as the first has its axes, or as the model where that one lacks the axis.
    let features = inputs.iter().all(|known| known.axes == [axis]);
    if !features {
        inputs = inputs.into_iter().map(|known| cx.unflattened(known)).collect();
    }
    let of = inputs.iter().find(|known| known.axes.contains(&axis) && known.axes.len() > 1);
    let axes: Vec<usize> = match of {
        _ if features => vec![axis],
        Some(known) if (1..first.shape.len()).all(|axis| first.size(axis) == 1 || known.axes.contains(&axis)) => {
            known.axes.clone()
        }
        _ => (1..first.shape.len()).collect(),
    };
    let place = axes.iter().position(|&known| known == axis).ok_or("along the batch")?;
    let call = match place + 1 == axes.len() {
        true => Call::layer("Concatenate"),
        false => Call::layer("Concatenate").with("axis", Val::Int(place as i64 + 1)),
    };
    let mut images: Vec<[usize; 3]> = Vec::new();
    if inputs.iter().any(|known| !known.images.is_empty()) {
        for known in &inputs {
            match known.images[..] {
                [] => images.push([1, 1, known.size(axis)]),
                _ => images.extend(&known.images),
            }
        }
    }
    let mut items = Vec::new();
    for known in inputs {
        items.push(if known.axes == axes { known.item } else { cx.ordered(known, &axes).item });
    }
    let item = cx.layers.add(call, &items);
    let mut shape = first.shape;
    shape[axis] = total;
    Ok(Known { item, shape, axes, images })
}
