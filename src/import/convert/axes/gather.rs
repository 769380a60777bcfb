//! Values taken by their indices, and repeated: `Gather`, `Expand`, `Tile`, and ranges with steps.

use crate::import::convert::axes::shape;
use crate::import::convert::context::{Context, Converted};
use crate::import::convert::known::Known;
use crate::import::convert::merge;
use crate::import::convert::reduce;
use crate::import::tree::{Call, Val, pair};
use crate::onnx::Node;
use crate::size::product;

/// The most parts that values are taken in.
pub(in crate::import::convert) const MAX_PARTS: usize = 64;

/// `Gather` of the rows of a table, or of values at places that are known.
pub(in crate::import::convert) fn gather(cx: &mut Context, node: &Node) -> Converted {
    if cx.layer().is_some() {
        return embedding(cx, node);
    }
    let x = cx.input(node, 0)?;
    let axis = cx.axis(&x, node.int("axis", 0))?;
    let unknown = "by indices that are not constants";
    let places = node.input(1).and_then(|name| cx.constants.integers(name)).ok_or(unknown)?;
    let of = cx.constant(node, 1).map(|indices| indices.shape.clone()).unwrap_or_default();
    let size = x.size(axis) as i64;
    let place = |place: i64| if place < 0 { place + size } else { place };
    let indices = places
        .into_iter()
        .map(|at| usize::try_from(place(at)).ok().filter(|_| place(at) < size).ok_or("beyond its input"))
        .collect::<Result<Vec<usize>, _>>()?;
    let x = taken(cx, x, axis, &indices)?;
    let known = match of.len() {
        0 => reduce::without(cx, x, &[axis]),
        1 => x,
        _ => {
            let shape = [&x.shape[..axis], &of, &x.shape[axis + 1..]].concat();
            shape::in_shape(cx, x, shape)?
        }
    };
    cx.give(node, known)
}

/// The values at some places along an axis.
pub(in crate::import::convert) fn taken(
    cx: &mut Context,
    x: Known,
    axis: usize,
    indices: &[usize],
) -> Result<Known, String> {
    if indices.iter().copied().eq(0..x.size(axis)) {
        return Ok(x);
    }
    // Ranges, and one place several times.
    let mut parts: Vec<(usize, usize, usize)> = Vec::new();
    for &at in indices {
        match parts.last_mut() {
            Some((_, to, 1)) if at == *to => *to += 1,
            Some((from, to, times)) if *to == *from + 1 && at == *from => *times += 1,
            _ => parts.push((at, at + 1, 1)),
        }
    }
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(format!("of {} parts of its input: at most {MAX_PARTS} are taken", parts.len()));
    }
    let mut values = Vec::new();
    for (from, to, times) in parts {
        let part = shape::part(cx, x.clone(), axis, from, to)?;
        values.push(repeated(cx, part, axis, times)?);
    }
    merge::joined(cx, values, axis)
}

/// All values along an axis several times, one after another.
pub(in crate::import::convert) fn repeated(
    cx: &mut Context,
    x: Known,
    axis: usize,
    times: usize,
) -> Result<Known, String> {
    if times == 1 {
        return Ok(x);
    }
    if axis == 0 || times == 0 {
        return Err("it repeats the images of a batch, or nothing".into());
    }
    let mut x = cx.unflattened(x);
    let mut shape = x.shape.clone();
    shape[axis] = shape[axis].checked_mul(times).filter(|&size| size < 1 << 30).ok_or("it is too large")?;
    if !x.axes.contains(&axis) {
        let axes = [&[axis], &x.axes[..]].concat();
        let sizes: Vec<usize> = axes.iter().map(|&axis| x.size(axis)).collect();
        x = Known { item: cx.reshaped(x.item, &sizes), axes, ..x };
    }
    let place = x.axes.iter().position(|&known| known == axis).ok_or("along a missing axis")?;
    // Pixels are repeated where they are.
    let item = if x.size(axis) == 1 && x.axes.len() == 3 && place < 2 {
        let mut scale = [1, 1];
        scale[place] = times;
        cx.layers.add(Call::layer("Upscale").with("scale", pair(scale)), &[x.item])
    } else {
        let sizes = x.sizes();
        let (front, rest) = (product(sizes[..place].iter().copied()), product(sizes[place..].iter().copied()));
        let rows = cx.reshaped(x.item, &[front, 1, rest]);
        let rows = cx.layers.add(Call::layer("Upscale").with("scale", Val::List(vec![1, times as i64])), &[rows]);
        let known = Known { shape: shape.clone(), ..x.clone() };
        cx.reshaped(rows, &known.sizes())
    };
    Ok(Known { item, shape, ..x })
}

/// `Expand`: axes of size 1 are repeated.
pub(in crate::import::convert) fn expand(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let target = cx.integers(node, 1, "shape").ok_or("its shape is not a constant")?;
    let own = x.shape.len() - cx.front;
    if target.len() > own && cx.front == 0 {
        return Err("it repeats the images of a batch".into());
    }
    let mut x = cx.with_rank(x, target.len().max(own) + cx.front);
    let offset = x.shape.len() - target.len();
    for (at, &wanted) in target.iter().enumerate() {
        let (axis, size) = (at + offset, x.size(at + offset));
        match usize::try_from(wanted) {
            Ok(wanted) if wanted == 1 || wanted == size => {}
            Ok(wanted) if size == 1 => x = repeated(cx, x, axis, wanted)?,
            _ => return Err(format!("to {target:?}, from {:?}", x.shape)),
        }
    }
    cx.give(node, x)
}

/// `Tile`
pub(in crate::import::convert) fn tile(cx: &mut Context, node: &Node) -> Converted {
    let mut x = cx.input(node, 0)?;
    let times = cx.integers(node, 1, "repeats").ok_or("its repeats are not constants")?;
    if times.len() + cx.front != x.shape.len() {
        return Err(format!("by {times:?}"));
    }
    for (at, &times) in times.iter().enumerate() {
        let times = usize::try_from(times).map_err(|_| "by a negative number")?;
        x = repeated(cx, x, at + cx.front, times)?;
    }
    cx.give(node, x)
}

/// `Gather` of the rows of a table.
fn embedding(cx: &mut Context, node: &Node) -> Converted {
    let layer = cx.parameters()?;
    let indices = cx.input(node, 1)?;
    let table = layer.parameter("weight").ok_or("it has no table")?;
    let &[rows, features] = &table.shape[..] else { return Err("its table is not a matrix".into()) };
    let call = Call::layer("Embedding")
        .with("input_size", Val::Int(rows as i64))
        .with("output_size", Val::Int(features as i64))
        .named(Some(&layer.name));
    let item = cx.layers.add(call, &[indices.item]);
    let rank = indices.shape.len();
    let shape = [&indices.shape[..], &[features]].concat();
    let axes = [&indices.axes[..], &[rank]].concat();
    cx.give(node, Known { item, shape, axes, images: Vec::new() })
}
