//! Gradients of elementwise combinations, broadcasts and gated averages.

use super::combine::{Merge, add_scaled, fold, scale, with_rows};
use super::softmax::lane_dot;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// The gradient of [`elementwise`](super::combine::elementwise) by input `index`, `dy` being the gradient before the
/// activation: dy for a sum, dy times the other inputs for a product, dy / inputs for an average, -dy for a subtrahend, dy
/// / divisors for a dividend, -dy * quotient / divisor for a divisor;
/// for a maximum or minimum dy goes to the first input that attains it. All `(n, pixels, channels)`. The values of the
/// inputs are read only for a product, quotient, maximum or minimum.
pub fn elementwise_gradient(
    inputs: &[View<'_>],
    index: usize,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    merge: Merge,
    threads: &ThreadPool,
) {
    let channels = size.channels;
    pointwise(threads, Some(dy), dx, size, &|band, values| match merge {
        Merge::Add => {}
        Merge::Subtract | Merge::SubtractFrom => {
            if (index > 0) == (merge == Merge::Subtract) {
                scale(values, -1.0);
            }
        }
        Merge::Average => scale(values, 1.0 / inputs.len() as f32),
        Merge::Divide | Merge::DivideInto => {
            let dividend = if merge == Merge::Divide { 0 } else { inputs.len() - 1 };
            let mut fold_with = |merge, other| {
                with_rows(&inputs[other], band, values, channels, |values, x| fold(merge, values, x));
            };
            (0..inputs.len()).filter(|&other| other != dividend).for_each(|other| fold_with(Merge::Divide, other));
            if index != dividend {
                fold_with(Merge::Multiply, dividend);
                fold_with(Merge::Divide, index);
                scale(values, -1.0);
            }
        }
        Merge::Multiply => {
            for (i, other) in inputs.iter().enumerate() {
                if i != index {
                    with_rows(other, band, values, channels, |values, x| fold(Merge::Multiply, values, x));
                }
            }
        }
        Merge::Maximum | Merge::Minimum => {
            let (input, input_ld) = (band.of(&inputs[index], channels), inputs[index].ld);
            for (i, other) in inputs.iter().enumerate() {
                if i == index {
                    continue;
                }
                let rows = input.chunks(input_ld).zip(band.of(other, channels).chunks(other.ld));
                for (values, (input, other)) in values.chunks_exact_mut(channels).zip(rows) {
                    match merge {
                        Merge::Minimum => zero_where_less(values, other, input, i < index),
                        _ => zero_where_less(values, input, other, i < index),
                    }
                }
            }
        }
    });
}

multiversion! {
    /// Zeroes values where a < b, or a <= b if `or_equal`.
    fn zero_where_less(values: &mut [f32], a: &[f32], b: &[f32], or_equal: bool) {
        for ((v, a), b) in values.iter_mut().zip(a).zip(b) {
            let is_less = if or_equal { b >= a } else { b > a };
            *v = if is_less { 0.0 } else { *v };
        }
    }
}

/// The gradient of [`broadcast`](super::combine::broadcast) by `x`, `dy` being the gradient before the activation.
/// `other` is `(n, channels)` with row stride `other.image`; the others are `(n, pixels, channels)`. `x` is read only for
/// a divisor, maximum or minimum, whose ties count as attained by `x`.
pub fn broadcast_gradient(
    x: View<'_>,
    other: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    merge: Merge,
    threads: &ThreadPool,
) {
    let channels = size.channels;
    pointwise(threads, Some(dy), dx, size, &|band, values| {
        let row = &other.data[band.image * other.image..][..channels];
        match merge {
            Merge::Add | Merge::Subtract => {}
            Merge::SubtractFrom => scale(values, -1.0),
            Merge::Average => scale(values, 0.5),
            Merge::Multiply | Merge::Divide => {
                values.chunks_exact_mut(channels).for_each(|values| fold(merge, values, row));
            }
            Merge::DivideInto => {
                with_rows(&x, band, values, channels, divide_by_square);
                values.chunks_exact_mut(channels).for_each(|values| fold(Merge::Multiply, values, row));
                scale(values, -1.0);
            }
            Merge::Maximum | Merge::Minimum => {
                let from = band.of(&x, channels).chunks(x.ld);
                values.chunks_exact_mut(channels).zip(from).for_each(|(values, x)| match merge {
                    Merge::Minimum => zero_where_less(values, row, x, false),
                    _ => zero_where_less(values, x, row, false),
                });
            }
        }
    });
}

/// Channels of one task.
const BLOCK_CHANNELS: usize = 128;

/// The gradient of [`broadcast`](super::combine::broadcast) by `other`, `dy` being the gradient before the activation: a
/// sum over pixels, `(n, channels)` with row stride `d_other.image`.
pub fn broadcast_other_gradient(
    x: View<'_>,
    other: View<'_>,
    dy: View<'_>,
    d_other: ViewMut<'_>,
    size: Images,
    merge: Merge,
    threads: &ThreadPool,
) {
    let Images { n, pixels, channels } = size;
    if n == 0 || channels == 0 {
        return;
    }
    let partition = Partition { outer: n, outer_stride: d_other.image, ..Partition::chunks(channels, BLOCK_CHANNELS) };
    share(threads, d_other.data, partition, Scratch::none(), &|chunk, out, _| {
        let first = chunk.inner * BLOCK_CHANNELS;
        let other = &other.data[chunk.outer * other.image + first..][..out.len()];
        out.fill(0.0);
        for pixel in 0..pixels {
            let x = &x.data[chunk.outer * x.image + pixel * x.ld + first..][..out.len()];
            let dy = &dy.data[chunk.outer * dy.image + pixel * dy.ld + first..][..out.len()];
            match merge {
                Merge::Add | Merge::Average | Merge::Subtract | Merge::SubtractFrom => fold(Merge::Add, out, dy),
                Merge::Multiply | Merge::Divide => add_products(out, x, dy),
                Merge::DivideInto => add_quotients(out, dy, x),
                Merge::Maximum => add_where_larger(out, other, x, dy),
                Merge::Minimum => add_where_larger(out, x, other, dy),
            }
        }
        match merge {
            Merge::Average => scale(out, 0.5),
            Merge::Subtract => scale(out, -1.0),
            Merge::Divide => {
                divide_by_square(out, other);
                scale(out, -1.0);
            }
            _ => {}
        }
    });
}

multiversion! {
    /// values = values / x^2
    fn divide_by_square(values: &mut [f32], x: &[f32]) {
        values.iter_mut().zip(x).for_each(|(v, x)| *v /= x * x);
    }
}

multiversion! {
    /// out += a / b
    fn add_quotients(out: &mut [f32], a: &[f32], b: &[f32]) {
        out.iter_mut().zip(a.iter().zip(b)).for_each(|(v, (a, b))| *v += a / b);
    }
}

multiversion! {
    /// out += a * b
    fn add_products(out: &mut [f32], a: &[f32], b: &[f32]) {
        out.iter_mut().zip(a.iter().zip(b)).for_each(|(v, (a, b))| *v += a * b);
    }
}

multiversion! {
    /// out += dy where a > b
    fn add_where_larger(out: &mut [f32], a: &[f32], b: &[f32], dy: &[f32]) {
        for ((v, dy), (a, b)) in out.iter_mut().zip(dy).zip(a.iter().zip(b)) {
            *v += if a > b { *dy } else { 0.0 };
        }
    }
}

/// The gradient of [`gated_average`](super::combine::gated_average) by input `index`: gate[n, index] * dy, `gate` being
/// `(n, inputs)` with row stride `gate.image`; dy and dx are `(n, pixels, channels)`.
pub fn gated_average_gradient(
    gate: View<'_>,
    index: usize,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    threads: &ThreadPool,
) {
    pointwise(threads, None, dx, size, &|band, values| {
        let weight = gate.data[band.image * gate.image + index];
        values.fill(0.0);
        with_rows(&dy, band, values, size.channels, |values, dy| add_scaled(values, dy, weight));
    });
}

/// The gradient of [`gated_average`](super::combine::gated_average) by its gate: for each input k the sum over pixels and
/// channels of dy * input k, `(n, inputs)` with row stride `d_gate.image`.
pub fn gated_average_gate_gradient(
    inputs: &[View<'_>],
    dy: View<'_>,
    d_gate: ViewMut<'_>,
    size: Images,
    threads: &ThreadPool,
) {
    let Images { n, pixels, channels } = size;
    let count = inputs.len();
    if n == 0 || count == 0 {
        return;
    }
    let partition = Partition { outer: n, outer_stride: d_gate.image, ..Partition::chunks(count, 1) };
    share(threads, d_gate.data, partition, Scratch::none(), &|chunk, out, _| {
        let (image, x) = (chunk.outer, inputs[chunk.inner]);
        out.fill(0.0);
        for pixel in 0..pixels {
            let x = &x.data[image * x.image + pixel * x.ld..][..channels];
            let dy = &dy.data[image * dy.image + pixel * dy.ld..][..channels];
            add_dot(out, x, dy);
        }
    });
}

multiversion! {
    /// out[0] += sum of a * b
    fn add_dot(out: &mut [f32], a: &[f32], b: &[f32]) {
        out[0] += lane_dot(a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor, dense, differences};

    /// A quotient of small divisors is too steep for differences.
    fn away_from_zero(x: &Tensor, merge: Merge) -> Tensor {
        let shift = if matches!(merge, Merge::Divide | Merge::DivideInto) { 1.5 } else { 0.0 };
        Tensor::of(x, |n, p, c| x.at(n, p, c) + shift)
    }

    #[test]
    fn elementwise_gradients_match_finite_differences() {
        let mut random = Random(51);
        for (i, merge) in Merge::ALL.into_iter().enumerate() {
            for (count, channels, pixels) in [(1, 3, 2), (2, 17, 2), (3, 5, 3)] {
                let n = 1 + i % 3;
                let inputs: Vec<Tensor> =
                    (0..count).map(|gap| Tensor::random(&mut random, n, pixels, channels, gap)).collect();
                let inputs: Vec<Tensor> = inputs.iter().map(|input| away_from_zero(input, merge)).collect();
                let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
                let all: Vec<Vec<f64>> = inputs.iter().map(dense).collect();
                let dy = Tensor::random(&mut random, n, pixels, channels, 1);
                for index in 0..count {
                    let forward = |x: &[f64]| -> Vec<f64> {
                        let value = |i: usize| {
                            let values = (0..count).map(|k| if k == index { x[i] } else { all[k][i] });
                            match merge {
                                Merge::Average => values.sum::<f64>() / count as f64,
                                _ => values.reduce(|a, b| merge.exact(a, b)).expect("there is an input"),
                            }
                        };
                        (0..x.len()).map(value).collect()
                    };
                    let expected = differences(&all[index], &dense(&dy), forward);
                    let dx = Tensor::new(n, pixels, channels, 2);
                    let size = dx.size;
                    dx.filled(|dx, t| elementwise_gradient(&views, index, dy.view(), dx, size, merge, t))
                        .check_dense(1e-6, &expected);
                }
            }
        }
    }

    #[test]
    fn ties_of_a_maximum_or_minimum_go_to_the_first_input() {
        let x = [1.0, 2.0, 2.0];
        let other = [1.0, 2.0, 3.0];
        let view = |data| View { data, ld: 3, image: 3 };
        let size = Images { n: 1, pixels: 1, channels: 3 };
        let run = |index, merge| {
            let mut dx = [9.0; 3];
            let out = ViewMut { data: &mut dx, ld: 3, image: 3 };
            let inputs = [view(&x), view(&other)];
            elementwise_gradient(&inputs, index, view(&[5.0; 3]), out, size, merge, &ThreadPool::new(1));
            dx
        };
        assert_eq!((run(0, Merge::Maximum), run(1, Merge::Maximum)), ([5.0, 5.0, 0.0], [0.0, 0.0, 5.0]));
        assert_eq!((run(0, Merge::Minimum), run(1, Merge::Minimum)), ([5.0, 5.0, 5.0], [0.0, 0.0, 0.0]));
    }

    #[test]
    fn broadcast_gradients_match_finite_differences() {
        let mut random = Random(52);
        for (i, merge) in Merge::ALL.into_iter().chain([Merge::SubtractFrom, Merge::DivideInto]).enumerate() {
            for (n, pixels, channels) in [(1, 1, 1), (2, 4, 7), (3, 2, 20)] {
                let x = Tensor::random(&mut random, n, pixels, channels, i % 2);
                let other = Tensor::random(&mut random, n, 1, channels, i);
                let (x, other) = (away_from_zero(&x, merge), away_from_zero(&other, merge));
                let dy = Tensor::random(&mut random, n, pixels, channels, 1);
                let forward = |x: &[f64], other: &[f64]| -> Vec<f64> {
                    let of = |i: usize| other[i / channels / pixels * channels + i % channels];
                    let count = if merge == Merge::Average { 2.0 } else { 1.0 };
                    (0..x.len()).map(|i| merge.exact(x[i], of(i)) / count).collect()
                };
                let (from, others) = (dense(&x), dense(&other));
                let (a, b, d) = (x.view(), other.view(), dy.view());
                let dx = Tensor::new(n, pixels, channels, 2);
                let dx = dx.filled(|dx, t| broadcast_gradient(a, b, d, dx, x.size, merge, t));
                dx.check_dense(1e-6, &differences(&from, &dense(&dy), |x| forward(x, &others)));
                let d_other = Tensor::new(n, 1, channels, 3);
                let d_other = d_other.filled(|out, t| broadcast_other_gradient(a, b, d, out, x.size, merge, t));
                d_other.check_dense(1e-6, &differences(&others, &dense(&dy), |other| forward(&from, other)));
            }
        }
    }

    #[test]
    fn gated_average_gradients_match_finite_differences() {
        let mut random = Random(53);
        for (n, pixels, channels, count) in [(3, 1, 5, 3), (2, 3, 17, 2), (1, 2, 8, 1)] {
            let inputs: Vec<Tensor> =
                (0..count).map(|gap| Tensor::random(&mut random, n, pixels, channels, gap)).collect();
            let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
            let all: Vec<Vec<f64>> = inputs.iter().map(dense).collect();
            let gate = Tensor::random(&mut random, n, 1, count, 2);
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            let size = dy.size;
            let forward = |gate: &[f64]| -> Vec<f64> {
                let value = |i: usize| (0..count).map(|k| gate[i / channels / pixels * count + k] * all[k][i]).sum();
                (0..n * pixels * channels).map(value).collect()
            };
            let d_gate = Tensor::new(n, 1, count, 1);
            let d_gate = d_gate.filled(|out, t| gated_average_gate_gradient(&views, dy.view(), out, size, t));
            d_gate.check_dense(2e-6, &differences(&dense(&gate), &dense(&dy), forward));
            for k in 0..count {
                let dx = Tensor::new(n, pixels, channels, 2);
                let dx = dx.filled(|dx, t| gated_average_gradient(gate.view(), k, dy.view(), dx, size, t));
                dx.check(1e-6, |n, p, c| gate.at(n, 0, k) * dy.at(n, p, c));
            }
        }
    }
}
