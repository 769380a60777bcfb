//! Sequences and images while their axes are split, moved and taken apart. What exporters write around an attention or a recurrent
//! layer moves no value that a layer would have to move: it only says which axis is which.

use crate::import::convert::axes::gather;
use crate::import::convert::{Context, Known};
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::arithmetic::clamped;
use crate::onnx::constants::{reshaped, squeezed, unsqueezed};
use crate::size::product;

/// What an axis of a view counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import::convert) enum Of {
    Steps,
    Features,
}

/// An axis with more than one value: every `stride`-th step or feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import::convert) struct Part {
    pub of: Of,
    pub size: usize,
    pub stride: usize,
}

/// What the values of a view are.
#[derive(Clone, Debug)]
pub(in crate::import::convert) enum Source {
    /// The output of a layer, (steps, features).
    Layer(usize),
    /// The heads of an attention beside each other, before their projection.
    Heads(Box<Heads>),
}

/// The heads of an attention beside each other.
#[derive(Clone, Debug)]
pub(in crate::import::convert) struct Heads {
    pub(in crate::import::convert) queries: View,
    pub(in crate::import::convert) keys: View,
    pub(in crate::import::convert) values: View,
    pub(in crate::import::convert) heads: usize,
    pub(in crate::import::convert) causal: bool,
    pub(in crate::import::convert) mask: Option<usize>,
}

/// A sequence with its axes in the model.
#[derive(Clone, Debug)]
pub(in crate::import::convert) struct View {
    pub source: Source,
    pub steps: usize,
    pub features: usize,
    /// The sizes in the model; the batch is 1.
    pub shape: Vec<usize>,
    /// What each axis counts; none for those of size 1.
    pub axes: Vec<Option<Part>>,
    /// The first feature, and the step, where one was taken.
    pub first: usize,
    pub step: Option<usize>,
    /// A factor of all values.
    pub scale: f64,
    /// Whether the layer gives features, no sequence of one step.
    pub flat: bool,
    /// Whether the model has the last step first.
    pub backwards: bool,
}

impl View {
    /// A sequence (1, steps, features).
    pub fn sequence(source: Source, steps: usize, features: usize) -> View {
        let part = |of, size| (size != 1).then_some(Part { of, size, stride: 1 });
        View {
            source,
            steps,
            features,
            shape: vec![1, steps, features],
            axes: vec![None, part(Of::Steps, steps), part(Of::Features, features)],
            first: 0,
            step: None,
            scale: 1.0,
            flat: false,
            backwards: false,
        }
    }

    /// The final states of both directions of a recurrent layer: (2, 1, units).
    pub fn of_directions(item: usize, units: usize) -> View {
        let part = |size: usize, stride: usize| (size != 1).then_some(Part { of: Of::Features, size, stride });
        let all = View::sequence(Source::Layer(item), 1, 2 * units);
        View { shape: vec![2, 1, units], axes: vec![part(2, units), None, part(units, 1)], flat: true, ..all }
    }

    /// The view of a value that is a sequence of a layer.
    fn of(known: &Known) -> Option<View> {
        let &[1, a, b] = &known.shape[..] else { return None };
        let source = Source::Layer(known.item);
        match known.axes[..] {
            _ if !known.images.is_empty() => None,
            [1, 2] => Some(View::sequence(source, a, b)),
            // The channels are first in the model.
            [2, 1] => View::sequence(source, b, a).transposed(&[0, 2, 1]),
            _ => None,
        }
    }

    /// With the last step first.
    fn reversed(&self, axis: usize) -> Option<View> {
        let all = Part { of: Of::Steps, size: self.steps, stride: 1 };
        (self.step.is_none() && self.axes.get(axis) == Some(&Some(all)))
            .then(|| View { backwards: !self.backwards, ..self.clone() })
    }

    /// The axes with more than one value.
    pub fn parts(&self) -> Vec<Part> {
        self.axes.iter().copied().flatten().collect()
    }

    /// Whether it has all features, in their order, along its last axis.
    pub fn ends_with_features(&self) -> bool {
        let all = Part { of: Of::Features, size: self.features, stride: 1 };
        let last = self.axes.last().copied().flatten();
        let alone = self.parts().iter().filter(|part| part.of == Of::Features).count() <= 1;
        self.first == 0 && self.scale == 1.0 && !self.backwards && alone && (last == Some(all) || self.features == 1)
    }

    /// With its axes in another order.
    pub fn transposed(&self, order: &[usize]) -> Option<View> {
        let shape = order.iter().map(|&axis| self.shape.get(axis).copied()).collect::<Option<_>>()?;
        let axes = order.iter().map(|&axis| self.axes.get(axis).copied()).collect::<Option<_>>()?;
        (order.len() == self.shape.len()).then(|| View { shape, axes, ..self.clone() })
    }

    /// The same values in another shape: axes are split, and joined where they lie beside each other.
    pub fn reshaped(&self, shape: Vec<usize>) -> Option<View> {
        if product(shape.iter().copied()) != product(self.shape.iter().copied()) {
            return None;
        }
        let mut left: Vec<Part> = self.parts();
        left.reverse();
        let mut axes = Vec::with_capacity(shape.len());
        for &size in &shape {
            if size == 1 {
                axes.push(None);
                continue;
            }
            let mut part = left.pop()?;
            // Joined with those behind it until it is large enough.
            while part.size < size {
                let next = left.pop()?;
                if next.of != part.of || part.stride != next.stride * next.size {
                    return None;
                }
                part = Part { size: part.size * next.size, ..next };
            }
            if part.size % size != 0 {
                return None;
            }
            let rest = part.size / size;
            if rest > 1 {
                left.push(Part { size: rest, ..part });
            }
            axes.push(Some(Part { size, stride: part.stride * rest, ..part }));
        }
        left.is_empty().then(|| View { shape, axes, ..self.clone() })
    }

    /// Whether it is (time, batch, features) with the features of a layer as its steps, and the steps as its features.
    pub fn is_crosswise(&self) -> bool {
        let part = |of, size| Some(Part { of, size, stride: 1 });
        let axes = [part(Of::Features, self.features), None, part(Of::Steps, self.steps)];
        let is_whole = self.first == 0 && self.scale == 1.0 && self.step.is_none() && !self.flat && !self.backwards;
        is_whole && self.axes == axes
    }

    /// A range of an axis.
    pub fn range(&self, axis: usize, from: usize, to: usize) -> Option<View> {
        let mut view = self.clone();
        let size = *self.shape.get(axis)?;
        if from >= to || to > size {
            return None;
        }
        view.shape[axis] = to - from;
        match self.axes[axis] {
            None => {}
            Some(_) if (from, to) == (0, size) => {}
            Some(Part { of: Of::Features, stride, .. }) => view.first += from * stride,
            Some(Part { of: Of::Steps, stride, .. }) if to - from == 1 && !self.backwards => {
                view.step = Some(from * stride);
            }
            Some(Part { of: Of::Steps, size, stride: 1 }) if to - from == 1 && size == self.steps => {
                (view.step, view.backwards) = (Some(size - 1 - from), false);
            }
            Some(_) => return None,
        }
        let part = view.axes[axis].map(|part| Part { size: to - from, ..part });
        view.axes[axis] = part.filter(|part| part.size != 1);
        Some(view)
    }

    /// Without an axis of size 1.
    pub fn without(mut self, axis: usize) -> View {
        self.shape.remove(axis);
        self.axes.remove(axis);
        self
    }
}

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
pub(in crate::import::convert) fn settled(cx: &mut Context, view: &View) -> Option<Known> {
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
    let known = settled(cx, &View { backwards: false, ..view.clone() })?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// timm's attention: (1, 5, 3 * 2 * 4) as queries, keys and values of two heads.
    #[test]
    fn axes_are_split_moved_and_joined() {
        let x = View::sequence(Source::Layer(0), 5, 24);
        let split = x.reshaped(vec![1, 5, 3, 2, 4]).and_then(|x| x.transposed(&[2, 0, 3, 1, 4])).expect("a view");
        assert_eq!(split.shape, [3, 1, 2, 5, 4]);
        let keys = split.range(0, 1, 2).expect("keys").without(0);
        assert_eq!((keys.first, &keys.shape[..]), (8, &[1, 2, 5, 4][..]));
        let back = keys.transposed(&[0, 2, 1, 3]).and_then(|x| x.reshaped(vec![1, 5, 8])).expect("a view");
        assert_eq!(back.parts()[1], Part { of: Of::Features, size: 8, stride: 1 });
        // Steps and features are not one axis.
        assert!(x.reshaped(vec![1, 120]).is_none());
        assert!(x.reshaped(vec![1, 7, 24]).is_none());
    }
}
