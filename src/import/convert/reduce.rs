//! Means, sums and maxima along axes.

use super::context::{Context, Converted, needs};
use super::known::Known;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::size::product;

/// `ReduceMean` and the like: functions of each value, a reduction, and functions of what it gives.
pub(super) fn reduce(cx: &mut Context, node: &Node, before: &[Call], function: &str, after: &[Call]) -> Converted {
    let x = cx.input(node, 0)?;
    let Some(gone) = axes(cx, node, &x)? else {
        let x = functions(cx, x, before, after);
        return cx.give(node, x);
    };
    let x = through(cx, x, before, function, after, &gone)?;
    let x = if node.int("keepdims", 1) != 0 { x } else { without(cx, x, &gone) };
    cx.give(node, x)
}

/// A reduction between functions.
pub(super) fn through(
    cx: &mut Context,
    x: Known,
    before: &[Call],
    function: &str,
    after: &[Call],
    gone: &[usize],
) -> Result<Known, String> {
    let x = functions(cx, x, before, &[]);
    let x = over(cx, x, function, gone)?;
    Ok(functions(cx, x, after, &[]))
}

/// `ReduceLogSumExp`: the maximum is taken out before, so that nothing overflows.
pub(super) fn log_sum_exp(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let gone = axes(cx, node, &x)?.ok_or("over no axes")?;
    let largest = over(cx, x.clone(), "max", &gone)?;
    let less = super::merge::merged(cx, "Subtract", vec![x, largest.clone()])?;
    let powers = functions(cx, less, &[Call::layer("Exp")], &[]);
    let sum = over(cx, powers, "sum", &gone)?;
    let sum = functions(cx, sum, &[Call::layer("Log")], &[]);
    let x = super::merge::merged(cx, "Add", vec![sum, largest])?;
    let x = if node.int("keepdims", 1) != 0 { x } else { without(cx, x, &gone) };
    cx.give(node, x)
}

/// The axes over which a node goes, in ascending order; none if it leaves all as they are.
fn axes(cx: &Context, node: &Node, x: &Known) -> Result<Option<Vec<usize>>, String> {
    if node.input(1).is_some_and(|name| cx.constants.get(name).is_none()) {
        return Err("its axes are not constants".into());
    }
    let axes = cx.integers(node, 1, "axes").unwrap_or_default();
    let mut gone = match axes.is_empty() {
        true if node.int("noop_with_empty_axes", 0) != 0 => return Ok(None),
        true if cx.front == 0 => return Err("over all axes, the batch too".into()),
        true => (1..x.shape.len()).collect(),
        false => axes.into_iter().map(|axis| cx.axis(x, axis)).collect::<Result<Vec<usize>, _>>()?,
    };
    gone.sort_unstable();
    gone.dedup();
    Ok(Some(gone))
}

fn functions(cx: &mut Context, mut x: Known, first: &[Call], second: &[Call]) -> Known {
    for call in first.iter().chain(second) {
        x.item = cx.layers.add(call.clone(), &[x.item]);
    }
    x
}

/// Without axes of size 1.
pub(super) fn without(cx: &mut Context, x: Known, gone: &[usize]) -> Known {
    let mut axes: Vec<usize> = x.axes.iter().copied().filter(|axis| !gone.contains(axis)).collect();
    let mut item = x.item;
    if axes.len() != x.axes.len() && x.axes.len() > 1 {
        let sizes: Vec<usize> = axes.iter().map(|&axis| x.size(axis)).collect();
        item = cx.reshaped(item, if sizes.is_empty() { &[1] } else { &sizes });
    }
    axes.iter_mut().for_each(|axis| *axis -= gone.iter().filter(|&gone| gone < axis).count());
    if axes.is_empty() {
        axes.push(1);
    }
    let kept = x.shape.iter().enumerate().filter(|(axis, _)| !gone.contains(axis));
    Known { item, axes, shape: kept.map(|(_, &size)| size).collect(), images: Vec::new() }
}

/// One value in the place of those along some axes, which have the size 1 then.
pub(super) fn over(cx: &mut Context, x: Known, function: &str, gone: &[usize]) -> Result<Known, String> {
    let x = cx.unflattened(x);
    let mut shape = x.shape.clone();
    gone.iter().for_each(|&axis| shape[axis] = 1);
    let reduced: Vec<usize> = x.large(&x.axes).filter(|axis| gone.contains(axis)).collect();
    if reduced.is_empty() {
        return Ok(Known { shape, ..x });
    }
    let left: Vec<usize> = x.axes.iter().copied().filter(|axis| !gone.contains(axis)).collect();
    // All pixels of an image.
    if left.len() == 1 && x.axes.last() == left.first() && x.axes.len() == 3 {
        let call = Call::layer("GlobalPool").with("function", Val::Word(function.into()));
        let item = cx.layers.add(call, &[x.item]);
        return Ok(Known { item, shape, axes: left, images: Vec::new() });
    }
    let layer = match function {
        "avg" => "Mean",
        "max" => "Max",
        _ => "Sum",
    };
    needs(layer, None)?;
    let names: &[&str] = match x.axes.len() {
        3 => &["height", "width", "channels"],
        2 => &["time", "channels"],
        1 => &["channels"],
        _ => &[],
    };
    let along = |name: &str| Call::layer(layer).with("axis", Val::Word(name.into()));
    let place = x.axes.iter().position(|axis| reduced == [*axis]);
    if let Some((place, &name)) = place.and_then(|place| Some((place, names.get(place)?))) {
        let item = cx.layers.add(along(name), &[x.item]);
        let mut axes = x.axes;
        if name != "channels" {
            axes.remove(place);
        }
        return Ok(Known { item, shape, axes, images: Vec::new() });
    }
    // Others are put last and joined.
    let kept: Vec<usize> = left.into_iter().filter(|&axis| x.size(axis) != 1).collect();
    let x = cx.ordered(x, &[&kept[..], &reduced[..]].concat());
    let count = |axes: &[usize]| product(axes.iter().map(|&axis| x.size(axis)));
    let (rows, columns) = (count(&kept), count(&reduced));
    let item = match kept[..] {
        [] => cx.reshaped(x.item, &[columns]),
        _ => cx.reshaped(x.item, &[rows, columns]),
    };
    let mut item = cx.layers.add(along("channels"), &[item]);
    if !kept.is_empty() {
        let sizes: Vec<usize> = kept.iter().map(|&axis| x.size(axis)).collect();
        item = cx.reshaped(item, &sizes);
    }
    let axes = if kept.is_empty() { vec![reduced[0]] } else { kept };
    Ok(Known { item, shape, axes, images: Vec::new() })
}
