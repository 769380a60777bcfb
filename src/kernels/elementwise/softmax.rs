//! Softmax over the last axis.

use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math;
use crate::kernels::tensor_view::{View, ViewMut};

/// y = exp(x - max) / sum(exp(x - max)) over the channels of each pixel; x and y are `(n, pixels, channels)`.
/// Without an `x` it works in place on `y`.
pub fn softmax(x: Option<View<'_>>, y: ViewMut<'_>, size: Images, threads: &ThreadPool) {
    pointwise(threads, x, y, size, &|_, values| softmax_rows(values, size.channels));
}

/// Accumulators of a row reduction, so that it vectorises.
const LANES: usize = 16;

/// The maximum of a row; minus infinity for an empty one.
#[inline(always)]
pub(crate) fn lane_max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, tail) = row.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = if block[i] > lanes[i] { block[i] } else { lanes[i] };
        }
    }
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

/// The sum of a row.
#[inline(always)]
pub(crate) fn lane_sum(row: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks, tail) = row.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] += block[i];
        }
    }
    lanes.iter().sum::<f32>() + tail.iter().sum::<f32>()
}

/// The dot product of two rows of the same length.
#[inline(always)]
pub(crate) fn lane_dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a_blocks, a_tail), (b_blocks, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    let tail: f32 = a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + tail
}

multiversion! {
    fn softmax_rows(values: &mut [f32], channels: usize) {
        for row in values.chunks_exact_mut(channels) {
            let max = lane_max(row);
            row.iter_mut().for_each(|v| *v -= max);
        }
        // Of all rows at once, as short ones do not fill vectors.
        values.iter_mut().for_each(|v| *v = scalar_math::exp(*v));
        for row in values.chunks_exact_mut(channels) {
            let factor = 1.0 / lane_sum(row);
            row.iter_mut().for_each(|v| *v *= factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn softmax_over_channels() {
        let mut random = Random(5);
        for (i, channels) in [1, 2, 7, 10, 16, 17, 1000].into_iter().enumerate() {
            let (n, pixels, gap) = (1 + i % 3, [1, 5, 9][i % 3], i % 2 * 4);
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let x = Tensor::of(&x, |n, p, c| x.at(n, p, c) * 20.0);
            let expected = |n, p, c| {
                let max = (0..channels).map(|c| x.at(n, p, c)).fold(f64::MIN, f64::max);
                let sum: f64 = (0..channels).map(|c| (x.at(n, p, c) - max).exp()).sum();
                (x.at(n, p, c) - max).exp() / sum
            };
            let y = Tensor::new(n, pixels, channels, 2);
            y.filled(|y, threads| softmax(Some(x.view()), y, x.size, threads)).check(3e-7, expected);
            x.filled(|y, threads| softmax(None, y, x.size, threads)).check(3e-7, expected);
        }
    }

    #[test]
    fn large_inputs_do_not_overflow() {
        let mut row = [1000.0, 0.0, 998.0, f32::NEG_INFINITY];
        let size = Images { n: 1, pixels: 1, channels: 4 };
        softmax(None, ViewMut { data: &mut row, ld: 4, image: 4 }, size, &ThreadPool::new(1));
        let probability = 1.0 / (1.0 + (-2f32).exp());
        assert!((row[0] - probability).abs() < 1e-6 && row[1] == 0.0 && row[3] == 0.0);
        assert!((row[0] + row[2] - 1.0).abs() < 1e-6);
    }
}
