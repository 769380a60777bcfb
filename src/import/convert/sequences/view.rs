//! Sequences and images while their axes are split, moved and taken apart, and the parts of an attention: values of a model that no
//! layer gives.

use crate::import::convert::known::Known;
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
    pub fn of(known: &Known) -> Option<View> {
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
    pub fn reversed(&self, axis: usize) -> Option<View> {
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

/// The scores of the keys for each query, or their softmax.
#[derive(Clone, Debug)]
pub(in crate::import::convert) struct Scores {
    pub queries: View,
    pub keys: View,
    pub heads: usize,
    pub scale: f64,
    pub causal: bool,
    /// The layer whose values are not 0 where keys are seen.
    pub mask: Option<usize>,
    pub normalised: bool,
    /// The value of which these say whether they are no numbers.
    pub undefined_of: Option<String>,
}

/// What is not 0 where keys are seen, while its axes are moved.
#[derive(Clone, Debug)]
pub(in crate::import::convert) struct Mask {
    pub item: usize,
    /// Its sizes in the model; the batch is 1.
    pub shape: Vec<usize>,
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
