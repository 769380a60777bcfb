//! Parts of values along their axes.

use crate::import::convert::axes::gather;
use crate::import::convert::axes::shape::part;
use crate::import::convert::context::{Context, Converted};
use crate::onnx::Node;
use crate::onnx::arithmetic::clamped;

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
}
