//! Reshapes, transposes and slices. What moves no value in netc only changes how ONNX's axes are counted.

use super::{Context, Converted, Known, gather};
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::arithmetic::clamped;
use crate::onnx::constants::{reshaped, squeezed, unsqueezed};
use crate::onnx::model::FLOATS;
use crate::size::product;

pub(super) fn flatten(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let own = &x.shape[cx.front..];
    let axis = clamped(node.int("axis", 1), own.len());
    let (outer, inner) = own.split_at(axis);
    let shape = vec![product(outer.iter().copied()), product(inner.iter().copied())];
    to_shape(cx, node, x, shape)
}

pub(super) fn reshape(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let target = cx.integers(node, 1, "shape").ok_or("its shape is not a constant")?;
    // Files of Caffe and Paddle have a first size of 1, or of any batch.
    let own = &x.shape[cx.front..];
    let shape = reshaped(own, &target, node.int("allowzero", 0) != 0)
        .ok_or_else(|| format!("to {target:?}, which {own:?} does not have values for"))?;
    to_shape(cx, node, x, shape)
}

pub(super) fn squeeze(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let axes = cx.integers(node, 1, "axes");
    let shape = squeezed(&x.shape[cx.front..], axes.as_deref()).ok_or("its axes are not of size 1")?;
    to_shape(cx, node, x, shape)
}

pub(super) fn unsqueeze(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let axes = cx.integers(node, 1, "axes").ok_or("its axes are not constants")?;
    let shape = unsqueezed(&x.shape[cx.front..], &axes).ok_or("its axes are out of range")?;
    to_shape(cx, node, x, shape)
}

/// Gives the same values in another shape, in ONNX's order.
fn to_shape(cx: &mut Context, node: &Node, x: Known, shape: Vec<usize>) -> Converted {
    let shape = [&x.shape[..cx.front], &shape[..]].concat();
    if shape.first() != x.shape.first() {
        return Err("it moves values between the images of a batch".into());
    }
    let known = in_shape(cx, x, shape)?;
    cx.give(node, known)
}

pub(super) fn in_shape(cx: &mut Context, x: Known, shape: Vec<usize>) -> Result<Known, String> {
    if shape == x.shape {
        return Ok(x);
    }
    let large = |shape: &[usize]| -> Vec<usize> { (1..shape.len()).filter(|&axis| shape[axis] != 1).collect() };
    let (old, new) = (large(&x.shape), large(&shape));
    let sizes = |axes: &[usize], shape: &[usize]| -> Vec<usize> { axes.iter().map(|&axis| shape[axis]).collect() };
    if sizes(&old, &x.shape) == sizes(&new, &shape) {
        // Axes of size 1 come or go.
        let moved = |axis: &usize| old.iter().position(|known| known == axis).map(|place| new[place]);
        let kept: Vec<usize> = x.axes.iter().filter_map(moved).collect();
        if kept.len() == x.axes.len() {
            return Ok(Known { axes: kept, shape, ..x });
        }
        let axes = if kept.is_empty() { vec![1] } else { kept };
        let call = match axes.len() {
            1 if x.axes.len() == 1 => return Ok(Known { axes, shape, ..x }),
            1 => Call::layer("Flatten"),
            _ => Call::layer("Reshape").with("shape", Val::Sizes(sizes(&axes, &shape))),
        };
        let item = cx.layers.add(call, &[x.item]);
        return Ok(Known { item, axes, shape, ..x });
    }
    if new.len() <= 1 && x.axes.len() > 1 {
        return flattened(cx, x, shape, new.first().copied());
    }
    regrouped(cx, x, shape)
}

/// All values of an image or a sequence as features.
fn flattened(cx: &mut Context, x: Known, shape: Vec<usize>, axis: Option<usize>) -> Result<Known, String> {
    let one_pixel = x.sizes().iter().filter(|&&size| size != 1).count() <= 1;
    let axes = vec![axis.unwrap_or(1)];
    if x.is_image() && !one_pixel && !cx.explicit {
        let images = vec![[x.size(2), x.size(3), x.size(1)]];
        let item = cx.layers.add(Call::layer("Flatten"), &[x.item]);
        return Ok(Known { item, axes, shape, images });
    }
    // The weights of dense layers are looked up as PyTorch would have them.
    if x.axes.len() > 2 && x.axes.is_sorted() && !one_pixel && cx.front == 0 && !cx.explicit {
        return Err("it flattens an image whose channels are last".into());
    }
    let mut order = x.axes.clone();
    order.sort_unstable();
    let x = if one_pixel { x } else { cx.ordered(x, &order) };
    let item = cx.layers.add(Call::layer("Flatten"), &[x.item]);
    Ok(Known { item, axes, shape, images: Vec::new() })
}

/// Axes that are split or joined: those of a group must stand together in netc, in ONNX's order.
fn regrouped(cx: &mut Context, x: Known, shape: Vec<usize>) -> Result<Known, String> {
    let x = cx.unflattened(x);
    let groups = groups(&x.shape, &shape).ok_or_else(|| format!("from {:?} to {shape:?}", x.shape))?;
    // The weights of dense layers after it would be looked up as PyTorch has them, whose channels come first.
    let joins_channels = |(old, _): &(Vec<usize>, Vec<usize>)| old.len() > 1 && old.contains(&(x.shape.len() - 1));
    if cx.front == 0 && !cx.explicit && x.axes.len() > 2 && x.axes.is_sorted() && groups.iter().any(joins_channels) {
        return Err("it reshapes an image whose channels are last".into());
    }
    // The first axis of each group in netc's order decides where the group stands.
    let group_of = |axis: usize| groups.iter().position(|(old, _)| old.contains(&axis));
    let mut order: Vec<usize> = Vec::new();
    for axis in x.large(&x.axes) {
        let group = group_of(axis).ok_or("its axes are mixed")?;
        if !order.contains(&group) {
            order.push(group);
        }
    }
    // Groups of axes of size 1 have no place.
    let wanted: Vec<usize> = order.iter().flat_map(|&group| groups[group].0.clone()).collect();
    let wanted: Vec<usize> = wanted.into_iter().filter(|axis| x.axes.contains(axis)).collect();
    let stands: Vec<usize> = x.axes.iter().copied().filter(|axis| wanted.contains(axis)).collect();
    let x = if wanted == stands { x } else { cx.ordered(x, &wanted) };
    let axes: Vec<usize> = order.iter().flat_map(|&group| groups[group].1.clone()).collect();
    let sizes: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let item = cx.reshaped(x.item, &sizes);
    Ok(Known { item, axes, shape, images: Vec::new() })
}

type Groups = Vec<(Vec<usize>, Vec<usize>)>;

/// Axes of both shapes whose products agree, without the batch.
fn groups(old: &[usize], new: &[usize]) -> Option<Groups> {
    let mut groups = Vec::new();
    let (mut i, mut j) = (1, 1);
    while i < old.len() || j < new.len() {
        let (from, to) = (i, j);
        let (mut a, mut b) = (1, 1);
        loop {
            let more_old = a < b || (a == b && i == from && i < old.len());
            let (list, at, total) = if more_old { (old, &mut i, &mut a) } else { (new, &mut j, &mut b) };
            *total = product([*total, *list.get(*at)?]);
            *at += 1;
            if a == b && i > from && j > to {
                break;
            }
        }
        // Axes of size 1 belong to the group before them.
        while old.get(i) == Some(&1) {
            i += 1;
        }
        while new.get(j) == Some(&1) {
            j += 1;
        }
        groups.push(((from..i).collect(), (to..j).collect()));
    }
    Some(groups)
}

/// `Transpose` counts axes anew; a layer moves values only where another one needs it.
pub(super) fn transpose(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let (rank, front) = (x.shape.len(), cx.front);
    let own: Vec<usize> = match node.ints("perm") {
        Some(list) => list.iter().map(|&axis| usize::try_from(axis).map_or(rank, |axis| axis + front)).collect(),
        None => (front..rank).rev().collect(),
    };
    let order: Vec<usize> = (0..front).chain(own).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..rank) || order.first() != Some(&0) {
        return Err("it moves values between the images of a batch".into());
    }
    let known = x.permuted(&order);
    cx.give(node, known)
}

/// `Slice`: a range of channels; a border of an image is cut off by `Crop`.
pub(super) fn slice(cx: &mut Context, node: &Node) -> Converted {
    let mut x = cx.input(node, 0)?;
    let starts = cx.integers(node, 1, "starts").ok_or("its starts are not constants")?;
    let ends = cx.integers(node, 2, "ends").ok_or("its ends are not constants")?;
    let axes = cx.integers(node, 3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = cx.integers(node, 4, "steps").unwrap_or_default();
    let is_given = |index: usize| node.input(index).is_none_or(|name| cx.constants.get(name).is_some());
    if !is_given(3) || !is_given(4) {
        return Err("its axes or steps are not constants".into());
    }
    let step = |at: usize| steps.get(at).copied().unwrap_or(1);
    if ends.len() != starts.len() || axes.len() != starts.len() || (0..axes.len()).any(|at| step(at) == 0) {
        return Err(format!("from {starts:?} to {ends:?} with the steps {steps:?}"));
    }
    for (at, &axis) in axes.iter().enumerate() {
        let rank = (x.shape.len() - cx.front) as i64;
        let number = if axis < 0 { axis + rank } else { axis };
        let number = usize::try_from(number).ok().filter(|_| number < rank).ok_or("along a missing axis")? + cx.front;
        let size = x.size(number);
        if step(at) != 1 {
            let indices = with_steps(starts[at], ends[at], step(at), size);
            x = gather::taken(cx, x, number, &indices)?;
            continue;
        }
        let (from, to) = (clamped(starts[at], size), clamped(ends[at], size));
        if (from, to) != (0, size) {
            x = part(cx, x, number, from, to)?;
        }
    }
    cx.give(node, x)
}

/// The indices of a range with steps, as ONNX counts them: from the end where negative, and no further than the values go.
fn with_steps(start: i64, end: i64, step: i64, size: usize) -> Vec<usize> {
    let size = size as i64;
    let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
    // Below the first value, where steps go backwards.
    let end = if step < 0 && end < -size { -1 } else { place(end).clamp(least, most) };
    let start = place(start).clamp(0, if step > 0 { size } else { size - 1 });
    let mut indices = Vec::new();
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        indices.push(at as usize);
        at = at.saturating_add(step);
    }
    indices
}

/// A range along an axis.
pub(super) fn part(cx: &mut Context, x: Known, axis: usize, from: usize, to: usize) -> Result<Known, String> {
    if from >= to || axis == 0 {
        return Err(format!("along axis {axis}, from {from} to {to}"));
    }
    if (from, to) == (0, x.size(axis)) {
        return Ok(x);
    }
    let mut x = cx.unflattened(x);
    let place = x.axes.iter().position(|&known| known == axis).ok_or("along an axis of size 1")?;
    let call = match place + 1 == x.axes.len() {
        false if x.axes.len() == 3 => {
            super::needs("Crop", None)?;
            let mut sides = [0; 4];
            [sides[2 * place], sides[2 * place + 1]] = [from as i64, (x.size(axis) - to) as i64];
            Call::layer("Crop").with("size", Val::List(sides.to_vec()))
        }
        _ => {
            x = super::norm::last(cx, x, axis);
            Call::layer("Slice").with("from", Val::Int(from as i64)).with("to", Val::Int(to as i64))
        }
    };
    let item = cx.layers.add(call, &[x.item]);
    let mut shape = x.shape.clone();
    shape[axis] = to - from;
    Ok(Known { item, shape, ..x })
}

/// `Split`: a slice for each part.
pub(super) fn split(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let axis = cx.axis(&x, node.int("axis", 0))?;
    let count = node.outputs.len().max(1);
    let sizes = match cx.integers(node, 1, "split") {
        Some(list) => list.into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect(),
        None => {
            let each = x.size(axis).div_ceil(count);
            (0..count).map(|at| each.min(x.size(axis).saturating_sub(at * each))).collect::<Vec<_>>()
        }
    };
    if sizes.len() != count || sizes.iter().sum::<usize>() != x.size(axis) {
        return Err(format!("into parts of {sizes:?}"));
    }
    let mut from = 0;
    for (output, size) in node.outputs.iter().zip(sizes) {
        let known = part(cx, x.clone(), axis, from, from + size)?;
        cx.define(output, known);
        from += size;
    }
    Ok(())
}

/// `CastLike` of floating-point numbers, which all are here.
pub(super) fn cast_like(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let is_float = node.input(1).is_some_and(|name| match cx.constants.get(name) {
        Some(constant) => constant.is_float(),
        None => cx.value(name).is_some(),
    });
    if is_float { cx.give(node, x) } else { Err("to a type that is no floating-point number".into()) }
}

/// `Cast` to floating point.
pub(super) fn cast(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    match node.int("to", 1) {
        to if FLOATS.contains(&to) => cx.give(node, x),
        // Of indices, which layers take as numbers.
        6 | 7 if cx.is_index(node.output()) => cx.give(node, x),
        _ => Err("to a type that is no floating-point number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_count_from_the_end_and_stop_at_the_last_value() {
        assert_eq!(with_steps(0, 5, 2, 5), [0, 2, 4]);
        assert_eq!(with_steps(-1, i64::MIN, -2, 5), [4, 2, 0]);
        assert_eq!(with_steps(20, 0, -3, 10), [9, 6, 3]);
        assert_eq!(with_steps(1, i64::MAX, 3, 6), [1, 4]);
        assert!(with_steps(3, 3, 1, 5).is_empty());
    }

    #[test]
    fn axes_are_grouped_where_their_products_agree() {
        let found = groups(&[1, 6, 4, 4], &[1, 2, 3, 4, 4]).expect("groups");
        assert_eq!(found, [(vec![1], vec![1, 2]), (vec![2], vec![3]), (vec![3], vec![4])]);
        let found = groups(&[1, 2, 3, 1, 4], &[1, 6, 4]).expect("groups");
        assert_eq!(found, [(vec![1, 2, 3], vec![1]), (vec![4], vec![2])]);
        assert!(groups(&[1, 2, 3], &[1, 5]).is_none());
    }
}
