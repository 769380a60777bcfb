//! Elementwise combination of several tensors: sums, products, averages, maxima, broadcasts and gated averages.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use crate::kernels::parallel::image_batches::{Band, Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// The binary operator of an elementwise combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Merge {
    Add,
    Multiply,
    /// The sum, divided by the number of inputs at the end.
    Average,
    Maximum,
    Minimum,
    /// The first minus the others.
    Subtract,
    /// The second minus the first, of two inputs: for [`broadcast`] where the broadcast operand comes first.
    SubtractFrom,
    /// The first divided by the others.
    Divide,
    /// The second divided by the first, as [`Merge::SubtractFrom`].
    DivideInto,
}

impl Merge {
    /// The operators that specs can name; [`Merge::SubtractFrom`] and [`Merge::DivideInto`] are only made by
    /// lowering.
    pub const ALL: [Merge; 7] =
        [Merge::Add, Merge::Multiply, Merge::Average, Merge::Maximum, Merge::Minimum, Merge::Subtract, Merge::Divide];

    /// The operator with its two operands in the other order.
    pub fn reversed(self) -> Merge {
        match self {
            Merge::Subtract => Merge::SubtractFrom,
            Merge::SubtractFrom => Merge::Subtract,
            Merge::Divide => Merge::DivideInto,
            Merge::DivideInto => Merge::Divide,
            symmetric => symmetric,
        }
    }

    /// One step of the left fold in f64, the reference that kernels are compared with: an average is divided at the end.
    pub fn exact(self, a: f64, b: f64) -> f64 {
        match self {
            Merge::Add | Merge::Average => a + b,
            Merge::Multiply => a * b,
            Merge::Maximum => a.max(b),
            Merge::Minimum => a.min(b),
            Merge::Subtract => a - b,
            Merge::SubtractFrom => b - a,
            Merge::Divide => a / b,
            Merge::DivideInto => b / a,
        }
    }
}

/// y = activation(left fold of the inputs: (a . b) . c ...), all `(n, pixels, channels)`.
/// Without inputs, y is activation(0).
pub fn elementwise(
    inputs: &[View<'_>],
    y: ViewMut<'_>,
    size: Images,
    merge: Merge,
    activation: Activation,
    threads: &ThreadPool,
) {
    let first = inputs.first().copied();
    pointwise(threads, first, y, size, &|band, values| match inputs.get(1..) {
        Some(others) => finish_fold(others, band, values, size.channels, merge, activation),
        None => values.fill(activation.of(0.0)),
    });
}

/// y = activation((y . a) . b ...) for `others` a, b ..., all `(n, pixels, channels)`: [`elementwise`] in place on its
/// first input.
pub fn elementwise_in_place(
    others: &[View<'_>],
    y: ViewMut<'_>,
    size: Images,
    merge: Merge,
    activation: Activation,
    threads: &ThreadPool,
) {
    pointwise(threads, None, y, size, &|band, values| {
        finish_fold(others, band, values, size.channels, merge, activation);
    });
}

fn finish_fold(
    others: &[View<'_>],
    band: Band,
    values: &mut [f32],
    channels: usize,
    merge: Merge,
    activation: Activation,
) {
    for other in others {
        with_rows(other, band, values, channels, |values, x| fold(merge, values, x));
    }
    if merge == Merge::Average {
        scale(values, 1.0 / (others.len() + 1) as f32);
    }
    activation.apply(values);
}

/// Calls `body(values, x)` with slices of the same length: once where the view is contiguous, else pixel by pixel.
pub(crate) fn with_rows(
    x: &View<'_>,
    band: Band,
    values: &mut [f32],
    channels: usize,
    body: impl Fn(&mut [f32], &[f32]),
) {
    let from = band.of(x, channels);
    if x.ld == channels || band.pixels == 1 {
        body(values, from);
    } else {
        for (values, x) in values.chunks_exact_mut(channels).zip(from.chunks(x.ld)) {
            body(values, &x[..channels]);
        }
    }
}

multiversion! {
    /// values = values . x
    pub(crate) fn fold(merge: Merge, values: &mut [f32], x: &[f32]) {
        let pairs = values.iter_mut().zip(x);
        match merge {
            Merge::Add | Merge::Average => pairs.for_each(|(v, x)| *v += x),
            Merge::Multiply => pairs.for_each(|(v, x)| *v *= x),
            Merge::Maximum => pairs.for_each(|(v, x)| *v = if *x > *v { *x } else { *v }),
            Merge::Minimum => pairs.for_each(|(v, x)| *v = if *x < *v { *x } else { *v }),
            Merge::Subtract => pairs.for_each(|(v, x)| *v -= x),
            Merge::SubtractFrom => pairs.for_each(|(v, x)| *v = x - *v),
            Merge::Divide => pairs.for_each(|(v, x)| *v /= x),
            Merge::DivideInto => pairs.for_each(|(v, x)| *v = x / *v),
        }
    }
}

multiversion! {
    /// values = values * factor
    pub(crate) fn scale(values: &mut [f32], factor: f32) {
        values.iter_mut().for_each(|v| *v *= factor);
    }
}

multiversion! {
    /// values = values + x * factor
    pub(crate) fn add_scaled(values: &mut [f32], x: &[f32], factor: f32) {
        values.iter_mut().zip(x).for_each(|(v, x)| *v += x * factor);
    }
}

/// y = activation(x . other) where `other` is `(n, channels)` with row stride `other.image`, broadcast over the pixels;
/// x and y are `(n, pixels, channels)`. With [`Merge::Multiply`] it is the gate of squeeze-and-excitation. Without an `x`
/// it works in place on `y`.
pub fn broadcast(
    x: Option<View<'_>>,
    other: View<'_>,
    y: ViewMut<'_>,
    size: Images,
    merge: Merge,
    activation: Activation,
    threads: &ThreadPool,
) {
    pointwise(threads, x, y, size, &|band, values| {
        let row = &other.data[band.image * other.image..][..size.channels];
        values.chunks_exact_mut(size.channels).for_each(|values| fold(merge, values, row));
        if merge == Merge::Average {
            scale(values, 0.5);
        }
        activation.apply(values);
    });
}

/// y = sum over k of `gate[n, k] * inputs[k]`: NeuPy's GatedAverage. `gate` is `(n, inputs)` with row stride
/// `gate.image`; inputs and y are `(n, pixels, channels)`.
pub fn gated_average(gate: View<'_>, inputs: &[View<'_>], y: ViewMut<'_>, size: Images, threads: &ThreadPool) {
    pointwise(threads, None, y, size, &|band, values| {
        let weights = &gate.data[band.image * gate.image..][..inputs.len()];
        values.fill(0.0);
        for (x, weight) in inputs.iter().zip(weights) {
            with_rows(x, band, values, size.channels, |values, x| add_scaled(values, x, *weight));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    const RELU: Activation = Activation::Relu { alpha: 0.0 };

    #[test]
    fn elementwise_folds_the_inputs() {
        let mut random = Random(7);
        for (i, merge) in Merge::ALL.into_iter().enumerate() {
            for (count, channels, pixels) in [(1, 3, 5), (2, 17, 4), (3, 8, 7), (2, 1, 1), (2, 64, 300)] {
                let n = 1 + i % 3;
                let inputs: Vec<Tensor> =
                    (0..count).map(|gap| Tensor::random(&mut random, n, pixels, channels, gap)).collect();
                let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
                let expected = |n, p, c| {
                    let values = inputs.iter().map(|x| x.at(n, p, c));
                    let folded = values.reduce(|a, b| merge.exact(a, b)).expect("there is an input");
                    (if merge == Merge::Average { folded / count as f64 } else { folded }).max(0.0)
                };
                let size = inputs[0].size;
                let y = Tensor::new(n, pixels, channels, i % 2);
                y.filled(|y, t| elementwise(&views, y, size, merge, RELU, t)).check(1e-6, expected);
                let in_place =
                    |y: ViewMut<'_>, t: &ThreadPool| elementwise_in_place(&views[1..], y, size, merge, RELU, t);
                inputs[0].filled(in_place).check(1e-6, expected);
            }
        }
    }

    #[test]
    fn broadcast_over_pixels() {
        let mut random = Random(8);
        for (i, merge) in Merge::ALL.into_iter().chain([Merge::SubtractFrom, Merge::DivideInto]).enumerate() {
            let (n, channels) = (1 + i % 3, [5, 16, 33, 1][i % 4]);
            let x = Tensor::random(&mut random, n, 9, channels, i % 2);
            let gate = Tensor::random(&mut random, n, 1, channels, i);
            let expected = |n, p, c| {
                let value = merge.exact(x.at(n, p, c), gate.at(n, 0, c));
                (if merge == Merge::Average { value / 2.0 } else { value }).max(0.0)
            };
            let y = Tensor::new(n, 9, channels, 3);
            y.filled(|y, t| broadcast(Some(x.view()), gate.view(), y, x.size, merge, RELU, t)).check(1e-6, expected);
            x.filled(|y, t| broadcast(None, gate.view(), y, x.size, merge, RELU, t)).check(1e-6, expected);
        }
    }

    #[test]
    fn gated_average_weights_the_inputs() {
        let mut random = Random(9);
        for (n, pixels, channels, count) in [(3, 1, 5, 3), (2, 7, 17, 2), (1, 4, 8, 1)] {
            let inputs: Vec<Tensor> =
                (0..count).map(|gap| Tensor::random(&mut random, n, pixels, channels, gap)).collect();
            let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
            let gate = Tensor::random(&mut random, n, 1, count, 2);
            let y = Tensor::new(n, pixels, channels, 1);
            let y = y.filled(|y, t| gated_average(gate.view(), &views, y, inputs[0].size, t));
            y.check(1e-6, |n, p, c| inputs.iter().enumerate().map(|(k, x)| gate.at(n, 0, k) * x.at(n, p, c)).sum());
        }
    }
}
