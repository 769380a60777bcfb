//! Softmax over the last axis.

use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math;
use crate::kernels::tensor_view::{View, ViewMut};

/// y = exp(x - max) / sum(exp(x - max)) over the channels of each pixel; x and y are `(n, pixels, channels)`.
/// Without an `x`, `y` holds it and is overwritten.
pub fn softmax(x: Option<View<'_>>, y: ViewMut<'_>, size: Images, threads: &ThreadPool) {
    pointwise(threads, x, y, size, &|_, values| softmax_rows(values, size.channels));
}

/// Partial results of a row's sum and maximum, so that they are computed lane by lane.
const LANES: usize = 16;

/// The largest value; minus infinity for none.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = if block[i] > lanes[i] { block[i] } else { lanes[i] };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

/// The sum of a row.
#[inline(always)]
fn lane_sum(row: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] += block[i];
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// The sum of a * b over two rows of the same length.
#[inline(always)]
pub(crate) fn lane_dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

multiversion! {
    fn softmax_rows(values: &mut [f32], channels: usize) {
        for row in values.chunks_exact_mut(channels) {
            let most = largest(row);
            row.iter_mut().for_each(|v| *v = scalar_math::exp(*v - most));
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
    fn over_channels() {
        let mut random = Random(5);
        for (i, channels) in [1, 2, 7, 10, 16, 17, 1000].into_iter().enumerate() {
            let (n, pixels, gap) = (1 + i % 3, [1, 5, 9][i % 3], i % 2 * 4);
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let x = Tensor::of(&x, |n, p, c| x.at(n, p, c) * 20.0);
            let expected = |n, p, c| {
                let most = (0..channels).map(|c| x.at(n, p, c)).fold(f64::MIN, f64::max);
                let sum: f64 = (0..channels).map(|c| (x.at(n, p, c) - most).exp()).sum();
                (x.at(n, p, c) - most).exp() / sum
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
        let share = 1.0 / (1.0 + (-2f32).exp());
        assert!((row[0] - share).abs() < 1e-6 && row[1] == 0.0 && row[3] == 0.0);
        assert!((row[0] + row[2] - 1.0).abs() < 1e-6);
    }
}
