//! What nodes make of the views of values. What exporters write around an attention or a recurrent layer moves no value that a
//! layer would have to move: it only says which axis is which.

use super::view::{Of, Part, Source, View};
use crate::import::convert::axes::gather;
use crate::import::convert::context::Context;
use crate::import::convert::known::Known;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::arithmetic::clamped;
use crate::onnx::constants::{reshaped, squeezed, unsqueezed};
use crate::size::product;

/// The view that a value has, or that it can be seen as.
pub(in crate::import::convert) fn of(cx: &Context, name: &str) -> Option<View> {
    cx.views.get(name).cloned().or_else(|| View::of(cx.value(name)?))
}

/// What a node that moves values makes of a view: one for each output; none if it does something else.
pub(in crate::import::convert) fn moved(cx: &Context, node: &Node) -> Option<Vec<View>> {
    let input = node.input(0)?;
    let x = of(cx, input)?;
    let rank = x.shape.len();
    let one = |view: Option<View>| view.map(|view| vec![view]);
    match node.op.as_str() {
        "Identity" | "Dropout" => Some(vec![x]),
        "Transpose" => {
            let order: Vec<usize> = match node.ints("perm") {
                Some(list) => list.iter().map(|&axis| usize::try_from(axis).ok()).collect::<Option<_>>()?,
                None => (0..rank).rev().collect(),
            };
            one(x.transposed(&order))
        }
        "Reshape" => {
            let target = cx.integers(node, 1, "shape")?;
            let shape = reshaped(&x.shape, &target, node.int("allowzero", 0) != 0)?;
            one(x.reshaped(shape))
        }
        "Flatten" => {
            let (outer, inner) = x.shape.split_at(clamped(node.int("axis", 1), rank));
            let shape = vec![product(outer.iter().copied()), product(inner.iter().copied())];
            one(x.reshaped(shape))
        }
        "Squeeze" => one(x.reshaped(squeezed(&x.shape, cx.integers(node, 1, "axes").as_deref())?)),
        "Unsqueeze" => one(x.reshaped(unsqueezed(&x.shape, &cx.integers(node, 1, "axes")?)?)),
        "Gather" => {
            let axis = clamped(node.int("axis", 0), rank);
            let index = cx.constants.scalar(node.input(1)?)?;
            let is_scalar = cx.constants.get(node.input(1)?)?.shape.is_empty();
            let at = clamped(index as i64, *x.shape.get(axis)?);
            let view = x.range(axis, at, at + 1)?;
            Some(vec![if is_scalar { view.without(axis) } else { view }])
        }
        "Slice" => {
            let (starts, ends) = (cx.integers(node, 1, "starts")?, cx.integers(node, 2, "ends")?);
            let axes = cx.integers(node, 3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
            let steps = cx.integers(node, 4, "steps").unwrap_or_default();
            if let (&[start], &[end], &[axis], &[-1]) = (&starts[..], &ends[..], &axes[..], &steps[..]) {
                let axis = clamped(axis, rank);
                let size = *x.shape.get(axis)? as i64;
                // From the last one to the first.
                let is_all = (start == -1 || start >= size - 1) && end < -size;
                return one(x.reversed(axis).filter(|_| is_all));
            }
            if steps.iter().any(|&step| step != 1) || ends.len() != starts.len() || axes.len() != starts.len() {
                return None;
            }
            let mut view = x;
            for (at, &axis) in axes.iter().enumerate() {
                let axis = clamped(axis, rank);
                let size = *view.shape.get(axis)?;
                view = view.range(axis, clamped(starts[at], size), clamped(ends[at], size))?;
            }
            Some(vec![view])
        }
        "Split" => {
            let axis = clamped(node.int("axis", 0), rank);
            let (size, count) = (*x.shape.get(axis)?, node.outputs.len());
            let sizes: Vec<usize> = match cx.integers(node, 1, "split") {
                Some(list) => list.into_iter().map(|size| usize::try_from(size).ok()).collect::<Option<_>>()?,
                None => vec![size / count.max(1); count],
            };
            let mut from = 0;
            let mut views = Vec::new();
            for size in sizes {
                views.push(x.range(axis, from, from + size)?);
                from += size;
            }
            (views.len() == count && from == size).then_some(views)
        }
        _ => None,
    }
}

/// The layers that give a view, where it is a sequence or features again: none where nothing needs to be added.
pub(in crate::import::convert) fn resolved(cx: &mut Context, view: &View) -> Option<Known> {
    let Source::Layer(item) = view.source else { return None };
    if view.backwards {
        return forwards(cx, view);
    }
    if let Some(known) = channels_first(view, item) {
        return Some(known);
    }
    let features = *view.shape.last()?;
    let known = |item: usize, axes: Vec<usize>| Known { item, shape: view.shape.clone(), axes, images: Vec::new() };
    let whole = (view.first, features) == (0, view.features);
    // Some of the features stand together, or all of them.
    let part = Part { of: Of::Features, size: features, stride: 1 };
    let last = view.axes.last().copied().flatten();
    let alone = view.parts().iter().filter(|part| part.of == Of::Features).count() <= 1;
    if view.scale != 1.0 || !alone || !(last == Some(part) || features == 1 && (view.features == 1 || last.is_none())) {
        return None;
    }
    let ranged = |cx: &mut Context, item: usize| match whole {
        true => item,
        false => {
            let (from, to) = (view.first as i64, (view.first + features) as i64);
            cx.layers.add(Call::layer("Slice").with("from", Val::Int(from)).with("to", Val::Int(to)), &[item])
        }
    };
    match (&view.shape[..], view.step) {
        (&[1, steps, _], None) if steps == view.steps && !view.flat => Some(known(ranged(cx, item), vec![1, 2])),
        // One step as features.
        (&[1, _], Some(step)) => {
            let item = one_step(cx, item, step, view.steps, view.features);
            Some(known(ranged(cx, item), vec![1]))
        }
        (&[1, _], None) if view.steps == 1 => {
            let item = if view.flat { item } else { cx.layers.add(Call::layer("Flatten"), &[item]) };
            Some(known(ranged(cx, item), vec![1]))
        }
        _ => None,
    }
}

/// A whole sequence of the model, whose channels are before its steps.
fn channels_first(view: &View, item: usize) -> Option<Known> {
    let part = |of, size| Some(Part { of, size, stride: 1 });
    let axes = [None, part(Of::Features, view.features), part(Of::Steps, view.steps)];
    let is_whole = view.first == 0 && view.scale == 1.0 && view.step.is_none() && !view.flat && view.axes == axes;
    (is_whole && view.steps > 1 && view.features > 1).then(|| Known {
        item,
        shape: view.shape.clone(),
        axes: vec![2, 1],
        images: Vec::new(),
    })
}

/// A sequence that is there with its last step first: the steps are taken one by one.
fn forwards(cx: &mut Context, view: &View) -> Option<Known> {
    let known = resolved(cx, &View { backwards: false, ..view.clone() })?;
    if view.steps > gather::MAX_PARTS {
        return None;
    }
    let all = Some(Part { of: Of::Steps, size: view.steps, stride: 1 });
    let axis = view.axes.iter().position(|part| *part == all)?;
    let places: Vec<usize> = (0..view.steps).rev().collect();
    gather::taken(cx, known, axis, &places).ok()
}

/// A step of a sequence as features: the last state of a recurrent layer that it returns alone, else a range of all values.
pub(in crate::import::convert) fn one_step(
    cx: &mut Context,
    item: usize,
    step: usize,
    steps: usize,
    features: usize,
) -> usize {
    let layer = cx.layers.items[item].clone();
    let is_backwards = layer.call.argument("backwards") == Some(&Val::Bool(true));
    let last = if is_backwards { 0 } else { steps.saturating_sub(1) };
    if layer.call.is(&["LSTM", "GRU"]) && step == last && !cx.whole.contains(&item) {
        return cx.layers.add(layer.call.with("only_return_final", Val::Bool(true)), &layer.inputs);
    }
    let all = cx.layers.add(Call::layer("Flatten"), &[item]);
    let (from, to) = (step.saturating_mul(features), (step + 1).saturating_mul(features));
    let range = Call::layer("Slice").with("from", Val::Int(from as i64)).with("to", Val::Int(to as i64));
    cx.layers.add(range, &[all])
}
