//! Parts of values along their axes.

use crate::import::convert::axes::gather;
use crate::import::convert::axes::shape::part;
use crate::import::convert::axes::strided;
use crate::import::convert::context::{Context, Converted};
use crate::import::convert::known::Strided;
use crate::onnx::Node;
use crate::onnx::arithmetic::{clamped, range};

/// `Slice`: a range of channels; a border of an image is cut off by `Crop`.
pub(in crate::import::convert) fn slice(cx: &mut Context, node: &Node) -> Converted {
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
    let mut strided = match node.input(0).and_then(|name| cx.strided.get(name)) {
        Some(strided) => Some(strided.clone()),
        None if x.axes.len() == 3 && cx.front == 0 => Some(Strided::all(x.clone())),
        None => None,
    };
    for (at, &axis) in axes.iter().enumerate() {
        let rank = (x.shape.len() - cx.front) as i64;
        let number = if axis < 0 { axis + rank } else { axis };
        let number = usize::try_from(number).ok().filter(|_| number < rank).ok_or("along a missing axis")? + cx.front;
        let size = x.size(number);
        if step(at) != 1 {
            let places = range(starts[at], ends[at], step(at), size);
            let by = usize::try_from(step(at)).ok();
            let first = by.zip(places.first().copied()).filter(|_| cx.front == 0);
            let pooled = match first {
                Some((by, first)) => strided::taken(cx, &x, number, first, by, places.len())?,
                None => None,
            };
            let all = |(by, _): &(usize, usize)| places.len() * by == size;
            strided = strided.zip(first.filter(all)).and_then(|(one, (by, first))| one.along(number, first, by));
            x = match pooled {
                Some(pooled) => pooled,
                None => gather::taken(cx, x, number, &places)?,
            };
            continue;
        }
        let (from, to) = (clamped(starts[at], size), clamped(ends[at], size));
        if (from, to) != (0, size) {
            x = part(cx, x, number, from, to)?;
            strided = None;
        }
    }
    if let Some(strided) = strided {
        cx.strided.insert(node.output().to_string(), strided);
    }
    cx.give(node, x)
}

/// `Split`: a slice for each part.
pub(in crate::import::convert) fn split(cx: &mut Context, node: &Node) -> Converted {
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
