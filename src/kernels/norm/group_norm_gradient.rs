//! Gradients of group normalisation.

use super::group_norm::{GroupNorm, statistics};
use crate::kernels::elementwise::column_reduce::{Columns, products, sums};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// Channels of one task.
const BLOCK_CHANNELS: usize = 64;

/// Floats of the sums that the gradients share: `(n, 4, channels)`.
pub fn group_norm_sums_len(size: Images) -> usize {
    4 * size.n * size.channels
}

/// Sums for the gradients, `(n, 4, channels)`: per image and channel the mean and the inverse standard deviation of its
/// group, the sum of dy * xhat and the sum of dy, where xhat = (x - mean) * inv_std. x and dy are `(n, pixels, channels)`.
pub fn group_norm_sums(
    x: View<'_>,
    dy: View<'_>,
    size: Images,
    norm: &GroupNorm,
    out: &mut [f32],
    threads: &ThreadPool,
) {
    let Images { n, pixels, channels } = size;
    let out = &mut out[..group_norm_sums_len(size)];
    // The statistics are contiguous; spread them to the row stride of the sums, from the last image to the first.
    statistics(x, size, norm, &mut out[..2 * n * channels], threads);
    for image in (0..n).rev() {
        out.copy_within(image * 2 * channels..(image + 1) * 2 * channels, image * 4 * channels);
    }
    share(threads, out, Partition::chunks(4 * n * channels, 4 * channels), Scratch::none(), &|chunk, row, _| {
        let (statistics, results) = row.split_at_mut(2 * channels);
        let (mean, inv_std) = statistics.split_at(channels);
        let (dy_xhat, dy_sum) = results.split_at_mut(channels);
        let dy = Columns { x: &dy.data[chunk.inner * dy.image..], ld: dy.ld, rows: pixels, first: 0 };
        let x = Columns { x: &x.data[chunk.inner * x.image..], ld: x.ld, rows: pixels, first: 0 };
        products(dy, x, mean, dy_xhat);
        dy_xhat.iter_mut().zip(inv_std).for_each(|(v, s)| *v *= s);
        sums(dy, dy_sum);
    });
}

/// The gradients of gamma and then beta, `(2, channels)`, from [`group_norm_sums`].
pub fn group_norm_parameter_gradients(group_sums: &[f32], size: Images, gradients: &mut [f32], threads: &ThreadPool) {
    let Images { n, channels, .. } = size;
    share(threads, gradients, Partition::chunks(2 * channels, BLOCK_CHANNELS), Scratch::none(), &|chunk, out, _| {
        let first = 2 * channels + chunk.inner * BLOCK_CHANNELS;
        sums(Columns { x: group_sums, ld: 4 * channels, rows: n, first }, out);
    });
}

/// The layer and the sums that the input gradient is computed from.
#[derive(Clone, Copy, Debug)]
pub struct GroupNormGradient<'a> {
    pub groups: usize,
    /// `(channels)`
    pub gamma: &'a [f32],
    /// From [`group_norm_sums`].
    pub sums: &'a [f32],
}

/// The gradient of [`group_norm`](super::group_norm::group_norm) by its input, `dy` being the gradient before the
/// activation: with means over the group, dx = inv_std * (gamma dy - mean(gamma dy) - xhat * mean(gamma dy xhat)). All
/// `(n, pixels, channels)`.
pub fn group_norm_gradient(
    x: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    layer: &GroupNormGradient<'_>,
    threads: &ThreadPool,
) {
    let GroupNormGradient { groups, gamma, sums } = *layer;
    let channels = size.channels;
    let group_channels = channels / groups;
    let inv_count = 1.0 / (group_channels * size.pixels) as f32;
    pointwise(threads, Some(dy), dx, size, &|band, values| {
        let state = &sums[band.image * 4 * channels..][..4 * channels];
        let from = band.of(&x, channels);
        for first in (0..channels).step_by(group_channels) {
            let row = |index: usize| &state[index * channels + first..][..group_channels];
            let gamma = &gamma[first..][..group_channels];
            let mean_of = |index: usize| gamma.iter().zip(row(index)).map(|(g, s)| g * s).sum::<f32>() * inv_count;
            let (mean_dy_xhat, mean_dy) = (mean_of(2), mean_of(3));
            let statistics = [row(0)[0], row(1)[0], mean_dy_xhat, mean_dy];
            for (values, x) in values.chunks_exact_mut(channels).zip(from.chunks(x.ld)) {
                pixel_gradient(
                    &mut values[first..][..group_channels],
                    &x[first..][..group_channels],
                    gamma,
                    statistics,
                );
            }
        }
    });
}

multiversion! {
    /// dx of one pixel and group, in place on its dy. `statistics`: the group's mean, inverse standard deviation,
    /// mean(gamma dy xhat) and mean(gamma dy).
    fn pixel_gradient(values: &mut [f32], x: &[f32], gamma: &[f32], statistics: [f32; 4]) {
        let [mean, inv_std, mean_dy_xhat, mean_dy] = statistics;
        for ((v, x), g) in values.iter_mut().zip(x).zip(gamma) {
            *v = inv_std * (g * *v - mean_dy - (x - mean) * inv_std * mean_dy_xhat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor, check_slice, dense, differences};

    const EPSILON: f32 = 1e-2;

    fn forward(x: &[f64], size: Images, groups: usize, gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        let Images { n, pixels, channels } = size;
        let group_channels = channels / groups;
        let mut y = vec![0.0; x.len()];
        for (image, group) in (0..n).flat_map(|n| (0..groups).map(move |g| (n, g))) {
            let in_group = |i: &usize| i / channels / pixels == image && i % channels / group_channels == group;
            let elements: Vec<usize> = (0..x.len()).filter(in_group).collect();
            let mean = elements.iter().map(|i| x[*i]).sum::<f64>() / elements.len() as f64;
            let variance = elements.iter().map(|i| (x[*i] - mean).powi(2)).sum::<f64>() / elements.len() as f64;
            for i in elements {
                let xhat = (x[i] - mean) / (variance + f64::from(EPSILON)).sqrt();
                y[i] = xhat * gamma[i % channels] + beta[i % channels];
            }
        }
        y
    }

    #[test]
    fn gradients_match_finite_differences() {
        let mut random = Random(73);
        for (n, pixels, channels, groups) in [(1, 3, 2, 1), (3, 4, 6, 3), (2, 2, 5, 5), (2, 2, 18, 2)] {
            let x = Tensor::random(&mut random, n, pixels, channels, n % 2 * 3);
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            let (gamma, beta) = (random.floats(channels), random.floats(channels));
            let double = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
            let (wide_x, wide_dy, wide_gamma, wide_beta) = (dense(&x), dense(&dy), double(&gamma), double(&beta));
            let norm = GroupNorm { groups, epsilon: EPSILON };
            let state = Tensor::new(1, 1, group_norm_sums_len(x.size), 0)
                .filled(|out, t| group_norm_sums(x.view(), dy.view(), x.size, &norm, out.data, t))
                .data;
            let gradients = Tensor::new(1, 1, 2 * channels, 0)
                .filled(|out, t| group_norm_parameter_gradients(&state, x.size, out.data, t));
            let of = |x: &[f64], gamma: &[f64], beta: &[f64]| forward(x, dy.size, groups, gamma, beta);
            let dgamma = differences(&wide_gamma, &wide_dy, |gamma| of(&wide_x, gamma, &wide_beta));
            let dbeta = differences(&wide_beta, &wide_dy, |beta| of(&wide_x, &wide_gamma, beta));
            check_slice(&gradients.data, 1e-5, |i| if i < channels { dgamma[i] } else { dbeta[i - channels] });
            let dx = Tensor::new(n, pixels, channels, 2);
            let layer = GroupNormGradient { groups, gamma: &gamma, sums: &state };
            let dx = dx.filled(|dx, t| group_norm_gradient(x.view(), dy.view(), dx, x.size, &layer, t));
            dx.check_dense(1e-5, &differences(&wide_x, &wide_dy, |x| of(x, &wide_gamma, &wide_beta)));
        }
    }
}
