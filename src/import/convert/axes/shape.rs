//! Reshapes, transposes and slices. What moves no value in netc only changes how ONNX's axes are counted.

use crate::import::convert::context::{Context, Converted, needs};
use crate::import::convert::known::Known;
use crate::import::convert::norm;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::arithmetic::clamped;
use crate::onnx::constants::{reshaped, squeezed, unsqueezed};
use crate::onnx::model::FLOATS;
use crate::size::product;

pub(in crate::import::convert) fn flatten(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let own = &x.shape[cx.front..];
    let axis = clamped(node.int("axis", 1), own.len());
    let (outer, inner) = own.split_at(axis);
    let shape = vec![product(outer.iter().copied()), product(inner.iter().copied())];
    to_shape(cx, node, x, shape)
}

pub(in crate::import::convert) fn reshape(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let target = cx.integers(node, 1, "shape").ok_or("its shape is not a constant")?;
    // Files of Caffe and Paddle have a first size of 1, or of any batch.
    let own = &x.shape[cx.front..];
    let shape = reshaped(own, &target, node.int("allowzero", 0) != 0)
        .ok_or_else(|| format!("to {target:?}, which {own:?} does not have values for"))?;
    to_shape(cx, node, x, shape)
}

pub(in crate::import::convert) fn squeeze(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let axes = cx.integers(node, 1, "axes");
    let shape = squeezed(&x.shape[cx.front..], axes.as_deref()).ok_or("its axes are not of size 1")?;
    to_shape(cx, node, x, shape)
}

pub(in crate::import::convert) fn unsqueeze(cx: &mut Context, node: &Node) -> Converted {
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

pub(in crate::import::convert) fn in_shape(cx: &mut Context, x: Known, shape: Vec<usize>) -> Result<Known, String> {
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
    // The weights of dense layers are looked up as PyTorch would have them: with the channels first.
    if x.axes != [2, 1] && !one_pixel && cx.front == 0 && !cx.explicit {
        return Err("it flattens axes in an order of its own".into());
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
pub(in crate::import::convert) fn transpose(cx: &mut Context, node: &Node) -> Converted {
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

/// A range along an axis.
pub(in crate::import::convert) fn part(
    cx: &mut Context,
    x: Known,
    axis: usize,
    from: usize,
    to: usize,
) -> Result<Known, String> {
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
            needs("Crop", None)?;
            let mut sides = [0; 4];
            [sides[2 * place], sides[2 * place + 1]] = [from as i64, (x.size(axis) - to) as i64];
            Call::layer("Crop").with("size", Val::List(sides.to_vec()))
        }
        _ => {
            x = norm::last(cx, x, axis);
            Call::layer("Slice").with("from", Val::Int(from as i64)).with("to", Val::Int(to as i64))
        }
    };
    let item = cx.layers.add(call, &[x.item]);
    let mut shape = x.shape.clone();
    shape[axis] = to - from;
    Ok(Known { item, shape, ..x })
}

/// `CastLike` of floating-point numbers, which all are here.
pub(in crate::import::convert) fn cast_like(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let is_float = node.input(1).is_some_and(|name| match cx.constants.get(name) {
        Some(constant) => constant.is_float(),
        None => cx.value(name).is_some(),
    });
    if is_float { cx.give(node, x) } else { Err("to a type that is not floating-point".into()) }
}

/// `Cast` to floating point.
pub(in crate::import::convert) fn cast(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    match node.int("to", 1) {
        to if FLOATS.contains(&to) => cx.give(node, x),
        // Of indices, which layers take as numbers.
        6 | 7 if cx.is_index(node.output()) => cx.give(node, x),
        _ => Err("to a type that is not floating-point".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_grouped_where_their_products_agree() {
        let found = groups(&[1, 6, 4, 4], &[1, 2, 3, 4, 4]).expect("groups");
        assert_eq!(found, [(vec![1], vec![1, 2]), (vec![2], vec![3]), (vec![3], vec![4])]);
        let found = groups(&[1, 2, 3, 1, 4], &[1, 6, 4]).expect("groups");
        assert_eq!(found, [(vec![1, 2, 3], vec![1]), (vec![4], vec![2])]);
        assert!(groups(&[1, 2, 3], &[1, 5]).is_none());
    }
}
