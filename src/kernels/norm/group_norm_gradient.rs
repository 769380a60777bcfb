//! Gradients of group normalisation.

use super::group_norm::{GroupNorm, statistics};
use crate::kernels::elementwise::column_reduce::{Columns, products, sums};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// Floats of the sums that the gradients share.
pub fn group_norm_sums_len(size: Images) -> usize {
    4 * size.n * size.channels
}

/// First step: for each image and channel the mean and the inverse deviation of its group, sum of dy * xhat and sum of
/// dy, `(n, 4, channels)`, where xhat = (x - mean) * inv_std. x and dy are `(n, pixels, channels)`.
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
    // The statistics come densely packed and move to their places from the last image to the first.
    statistics(x, size, norm, &mut out[..2 * n * channels], threads);
    for image in (0..n).rev() {
        out.copy_within(image * 2 * channels..(image + 1) * 2 * channels, image * 4 * channels);
    }
    share(threads, out, Partition::chunks(4 * n * channels, 4 * channels), Scratch::none(), &|piece, row, _| {
        let (statistics, results) = row.split_at_mut(2 * channels);
        let (mean, inv_std) = statistics.split_at(channels);
        let (with_x, plain) = results.split_at_mut(channels);
        let dy = Columns { x: &dy.data[piece.inner * dy.image..], ld: dy.ld, rows: pixels, first: 0 };
        let x = Columns { x: &x.data[piece.inner * x.image..], ld: x.ld, rows: pixels, first: 0 };
        products(dy, x, mean, with_x);
        with_x.iter_mut().zip(inv_std).for_each(|(v, s)| *v *= s);
        sums(dy, plain);
    });
}

/// Gradients of gamma and then beta, `(2, channels)`, from [`group_norm_sums`].
pub fn group_norm_parameter_gradients(group_sums: &[f32], size: Images, gradients: &mut [f32], threads: &ThreadPool) {
    let Images { n, channels, .. } = size;
    share(threads, gradients, Partition::chunks(2 * channels, 64), Scratch::none(), &|piece, out, _| {
        let first = 2 * channels + piece.inner * 64;
        sums(Columns { x: group_sums, ld: 4 * channels, rows: n, first }, out);
    });
}

/// What the gradient by the input is computed from.
#[derive(Clone, Copy, Debug)]
pub struct GroupNormGradient<'a> {
    pub groups: usize,
    /// `(channels)`
    pub gamma: &'a [f32],
    /// From [`group_norm_sums`].
    pub sums: &'a [f32],
}

/// dx of [`group_norm`](super::group_norm::group_norm), before its activation: with means over
/// the group, dx = inv_std * (gamma dy - mean(gamma dy) - xhat * mean(gamma dy xhat)). All `(n, pixels, channels)`.
pub fn group_norm_gradient(
    x: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    from: &GroupNormGradient<'_>,
    threads: &ThreadPool,
) {
    let GroupNormGradient { groups, gamma, sums } = *from;
    let channels = size.channels;
    let each = channels / groups;
    let share = 1.0 / (each * size.pixels) as f32;
    pointwise(threads, Some(dy), dx, size, &|band, values| {
        let state = &sums[band.image * 4 * channels..][..4 * channels];
        let from = band.of(&x, channels);
        for first in (0..channels).step_by(each) {
            let of = |part: usize| &state[part * channels + first..][..each];
            let gamma = &gamma[first..][..each];
            let mean_of = |part: usize| gamma.iter().zip(of(part)).map(|(g, s)| g * s).sum::<f32>() * share;
            let (with_x, plain) = (mean_of(2), mean_of(3));
            let numbers = [of(0)[0], of(1)[0], with_x, plain];
            for (values, x) in values.chunks_exact_mut(channels).zip(from.chunks(x.ld)) {
                group_row(&mut values[first..][..each], &x[first..][..each], gamma, numbers);
            }
        }
    });
}

multiversion! {
    /// One pixel's dx of one group; `values` holds dy. The numbers are the group's mean, inverse deviation,
    /// mean(gamma dy xhat) and mean(gamma dy).
    fn group_row(values: &mut [f32], x: &[f32], gamma: &[f32], numbers: [f32; 4]) {
        let [mean, inv_std, with_x, plain] = numbers;
        for ((v, x), g) in values.iter_mut().zip(x).zip(gamma) {
            *v = inv_std * (g * *v - plain - (x - mean) * inv_std * with_x);
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
        let each = channels / groups;
        let mut y = vec![0.0; x.len()];
        for (image, group) in (0..n).flat_map(|n| (0..groups).map(move |g| (n, g))) {
            let inside = |i: &usize| i / channels / pixels == image && i % channels / each == group;
            let places: Vec<usize> = (0..x.len()).filter(inside).collect();
            let mean = places.iter().map(|i| x[*i]).sum::<f64>() / places.len() as f64;
            let variance = places.iter().map(|i| (x[*i] - mean).powi(2)).sum::<f64>() / places.len() as f64;
            for i in places {
                let normal = (x[i] - mean) / (variance + f64::from(EPSILON)).sqrt();
                y[i] = normal * gamma[i % channels] + beta[i % channels];
            }
        }
        y
    }

    #[test]
    fn of_all_inputs() {
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
