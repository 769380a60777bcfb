//! Group normalisation: per image, over groups of channels.

use serde::{Deserialize, Serialize};

use super::scale_shift::scale_rows;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::column_reduce::{Columns, squares, sums};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::size::product;

/// Hyperparameters of a group normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupNorm {
    /// Number of groups; a divisor of the number of channels.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

/// The affine transformation `(channels)` and the activation after a normalisation.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub activation: Activation,
}

/// Floats of scratch that [`group_norm`] needs: `(n, 2, channels)`.
pub fn group_norm_scratch_len(size: Images) -> usize {
    product([2, size.n, size.channels])
}

/// y = activation(gamma * (x - mean) / sqrt(variance + epsilon) + beta), mean and biased variance over all pixels and
/// the channels of a group (Wu and He, 2018); gamma and beta are `(channels)`, x and y `(n, pixels, channels)`.
///
/// # Panics
/// If the groups do not divide the channels, or `scratch` has fewer than [`group_norm_scratch_len`] floats.
pub fn group_norm(
    x: View<'_>,
    y: ViewMut<'_>,
    size: Images,
    norm: &GroupNorm,
    affine: &Affine<'_>,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let Affine { gamma, beta, activation } = *affine;
    let channels = size.channels;
    let scratch = &mut scratch[..group_norm_scratch_len(size)];
    statistics(x, size, norm, scratch, threads);
    // Fold the statistics into a scale and a shift per channel.
    for row in scratch.chunks_exact_mut(2 * channels) {
        let (shift, scale) = row.split_at_mut(channels);
        for c in 0..channels {
            scale[c] *= gamma[c];
            shift[c] = beta[c] - shift[c] * scale[c];
        }
    }
    let scratch = &*scratch;
    pointwise(threads, Some(x), y, size, &|band, values| {
        let (shift, scale) = scratch[band.image * 2 * channels..][..2 * channels].split_at(channels);
        scale_rows(values, scale, shift);
        activation.apply(values);
    });
}

/// Channels of one task.
const BLOCK_CHANNELS: usize = 64;

/// Computes per image the mean and then 1 / sqrt(variance + epsilon) of each channel's group: `(n, 2, channels)`.
pub(crate) fn statistics(x: View<'_>, size: Images, norm: &GroupNorm, out: &mut [f32], threads: &ThreadPool) {
    let Images { n, pixels, channels } = size;
    assert!(norm.groups > 0 && channels % norm.groups == 0, "{} groups of {channels} channels", norm.groups);
    let group_channels = channels / norm.groups;
    let partition = Partition { outer: n, outer_stride: 2 * channels, ..Partition::chunks(channels, BLOCK_CHANNELS) };
    let columns = |image: usize, block: usize| {
        let x = &x.data[image * x.image..][..size.span(x.ld)];
        (x, block * BLOCK_CHANNELS)
    };
    // Averages the channel sums of each group and broadcasts the result over its channels.
    let average_groups = |row: &mut [f32], finish: &dyn Fn(f32) -> f32| {
        for group in row.chunks_exact_mut(group_channels) {
            let total: f64 = group.iter().map(|v| f64::from(*v)).sum();
            group.fill(finish((total / (group_channels * pixels) as f64) as f32));
        }
    };
    share(threads, out, partition, Scratch::none(), &|chunk, sum, _| {
        let (data, first) = columns(chunk.outer, chunk.inner);
        sums(Columns { x: data, ld: x.ld, rows: pixels, first }, sum);
    });
    out.chunks_exact_mut(2 * channels).for_each(|row| average_groups(&mut row[..channels], &|mean| mean));
    // The second pass reads the means of a row and writes its second half, so a task owns the entire row of an image.
    let images = Partition::chunks(out.len(), 2 * channels);
    share(threads, out, images, Scratch::none(), &|chunk, row, _| {
        let (data, _) = columns(chunk.inner, 0);
        let (mean, inv_std) = row.split_at_mut(channels);
        squares(Columns { x: data, ld: x.ld, rows: pixels, first: 0 }, mean, inv_std);
        average_groups(inv_std, &|variance| 1.0 / (variance + norm.epsilon).sqrt());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor};

    /// Mean and biased variance of every group of every image.
    fn moments(x: &Tensor, groups: usize) -> Vec<(f64, f64)> {
        let Images { n, pixels, channels } = x.size;
        let group_channels = channels / groups;
        let of = |n: usize, group: usize| {
            let elements =
                || (0..pixels).flat_map(move |p| (0..group_channels).map(move |i| (p, group * group_channels + i)));
            let count = (pixels * group_channels) as f64;
            let mean = elements().map(|(p, c)| x.at(n, p, c)).sum::<f64>() / count;
            (mean, elements().map(|(p, c)| (x.at(n, p, c) - mean).powi(2)).sum::<f64>() / count)
        };
        (0..n * groups).map(|i| of(i / groups, i % groups)).collect()
    }

    #[test]
    fn normalises_each_group_of_each_image() {
        let mut random = Random(19);
        for (n, pixels, channels, groups, gap) in
            [(1, 5, 4, 1, 0), (3, 9, 6, 3, 2), (2, 49, 32, 8, 0), (2, 7, 5, 5, 1), (1, 300, 130, 2, 0)]
        {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let x = Tensor::of(&x, |n, p, c| x.at(n, p, c) + 3.0);
            let (gamma, beta) = (random.floats(channels), random.floats(channels));
            let affine = Affine { gamma: &gamma, beta: &beta, activation: Activation::Linear };
            let norm = GroupNorm { groups, epsilon: 1e-3 };
            let y = Tensor::new(n, pixels, channels, 1).filled(|y, threads| {
                let mut scratch = Floats::filled(0.0, group_norm_scratch_len(x.size));
                group_norm(x.view(), y, x.size, &norm, &affine, &mut scratch, threads);
            });
            let moments = moments(&x, groups);
            y.check(1e-5, |n, p, c| {
                let (mean, variance) = moments[n * groups + c / (channels / groups)];
                let xhat = (x.at(n, p, c) - mean) / (variance + f64::from(1e-3f32)).sqrt();
                f64::from(gamma[c]) * xhat + f64::from(beta[c])
            });
        }
    }
}
