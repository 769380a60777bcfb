//! Batch normalisation in training mode: batch statistics, running statistics and gradients.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::column_reduce::{Columns, moments, products, products_and_sums, sums};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};
use std::ops::Range;

/// Floats of a block, which stays in the L2 cache while it is read twice.
const BLOCK_FLOATS: usize = 1 << 15;
/// Pixels of a block: enough that its sums are few beside it, and not so many that they lose precision.
const BLOCK_ROWS: (usize, usize) = (64, 1024);
/// Channels of a block, which are read as a stream.
const BLOCK_CHANNELS: usize = 512;
/// The most sums of a channel that are computed at once.
const MAX_SUMS: usize = 2;

/// A batch whose pixels are split into blocks, independently of the number of threads.
#[derive(Clone, Copy)]
struct Blocks {
    size: Images,
    rows: usize,
    blocks_per_image: usize,
}

impl Blocks {
    fn of(size: Images) -> Self {
        // A batch of vectors is reduced as the rows of one image.
        let size = if size.pixels == 1 { Images { n: 1, pixels: size.n, ..size } } else { size };
        let (fewest, most) = BLOCK_ROWS;
        let rows = (BLOCK_FLOATS / size.channels.clamp(1, BLOCK_CHANNELS)).clamp(fewest, most);
        Self { size, rows, blocks_per_image: size.pixels.div_ceil(rows) }
    }

    fn count(&self) -> usize {
        self.size.n * self.blocks_per_image
    }

    /// The rows of a block from its first one on.
    fn rows_of(&self, block: usize) -> (usize, usize) {
        let start = block % self.blocks_per_image * self.rows;
        (start, self.rows.min(self.size.pixels - start))
    }

    /// The rows of a block in a view of the batch, channels from `first` on. `is_vectors`: images of one pixel, whose row
    /// stride is the image stride.
    fn columns<'a>(&self, x: &View<'a>, block: usize, first: usize, is_vectors: bool) -> Columns<'a> {
        let ld = if is_vectors { x.image } else { x.ld };
        let (start, rows) = self.rows_of(block);
        let image = block / self.blocks_per_image * x.image * usize::from(!is_vectors);
        Columns { x: &x.data[image + start * ld..], ld, rows, first }
    }
}

/// Floats of scratch that the reductions over the batch need: [`batch_statistics`], [`channel_gradients`] and
/// [`channel_sums`].
pub fn batch_scratch_len(size: Images) -> usize {
    Blocks::of(size).count() * MAX_SUMS * size.channels
}

/// Computes the `K` partial sums of each channel of one block: `(blocks, block, first channel, partial sums)`, `(K, channels)`.
type PartialSums<'a> = dyn Fn(Blocks, usize, usize, &mut [f32]) + Sync + 'a;

/// The `K` partial sums of each channel, by block and group of channels.
struct Partials<'a, const K: usize> {
    blocks: Blocks,
    sums: &'a [f32],
}

impl<'a, const K: usize> Partials<'a, K> {
    fn compute(size: Images, scratch: &'a mut [f32], threads: &ThreadPool, partial_sums: &PartialSums<'_>) -> Self {
        let blocks = Blocks::of(size);
        let stride = K * size.channels;
        let sums = &mut scratch[..blocks.count() * stride];
        let groups = Partition::chunks(stride, K * BLOCK_CHANNELS);
        let partition = Partition { outer: blocks.count(), outer_stride: stride, ..groups };
        share(threads, sums, partition, Scratch::none(), &|chunk, out, _| {
            partial_sums(blocks, chunk.outer, chunk.inner * BLOCK_CHANNELS, out);
        });
        Partials { blocks, sums }
    }

    /// Calls `body(channels of a group, their k-th partial sums of the blocks)`.
    fn for_each_group(&self, k: usize, mut body: impl FnMut(Range<usize>, Columns<'_>)) {
        let channels = self.blocks.size.channels;
        for first in (0..channels).step_by(BLOCK_CHANNELS) {
            let width = BLOCK_CHANNELS.min(channels - first);
            let from = self.sums.get(K * first + k * width..).unwrap_or_default();
            body(first..first + width, Columns { x: from, ld: K * channels, rows: self.blocks.count(), first: 0 });
        }
    }

    /// The sum of the k-th partial sums: `(channels)`.
    fn total(&self, k: usize, out: &mut [f32]) {
        self.for_each_group(k, |channels, partial| sums(partial, &mut out[channels]));
    }
}

/// Computes the mean and then 1 / sqrt(biased variance + epsilon) of each channel over the batch: `(2, channels)`.
/// x is `(n, pixels, channels)`; `scratch` has [`batch_scratch_len`] floats. The moments of blocks are joined as those of
/// Chan, Golub and LeVeque (1979), so that the batch is read from memory once.
pub fn batch_statistics(
    x: View<'_>,
    size: Images,
    epsilon: f32,
    statistics: &mut [f32],
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (mean, inv_std) = statistics.split_at_mut(size.channels);
    let count = (size.n * size.pixels) as f32;
    let is_vectors = size.pixels == 1;
    let partials = Partials::<2>::compute(size, scratch, threads, &|blocks, block, first, out| {
        moments(blocks.columns(&x, block, first, is_vectors), out);
    });
    let rows_of = |block: usize| partials.blocks.rows_of(block).1 as f32;
    mean.fill(0.0);
    partials.for_each_group(0, |channels, means| {
        for block in 0..means.rows {
            let share = rows_of(block) / count;
            mean[channels.clone()].iter_mut().zip(&means.x[block * means.ld..]).for_each(|(v, m)| *v += share * m);
        }
    });
    partials.total(1, inv_std);
    partials.for_each_group(0, |channels, means| {
        for block in 0..means.rows {
            let from_mean = mean[channels.clone()].iter().zip(&means.x[block * means.ld..]);
            let between = from_mean.map(|(all, one)| rows_of(block) * (one - all) * (one - all));
            inv_std[channels.clone()].iter_mut().zip(between).for_each(|(v, between)| *v += between);
        }
    });
    inv_std.iter_mut().for_each(|v| *v = 1.0 / (*v / count + epsilon).sqrt());
}

/// The parameters and the [`batch_statistics`] of a batch normalisation.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// `(channels)`
    pub gamma: &'a [f32],
    /// `(channels)`
    pub beta: &'a [f32],
    /// Mean and inverse standard deviation, `(2, channels)`
    pub statistics: &'a [f32],
    /// What follows, see [`batch_norm`].
    pub activation: Activation,
}

/// y = activation(gamma * (x - mean) * inv_std + beta) (Ioffe and Szegedy, 2015); x and y are `(n, pixels, channels)`. Without
/// an `x` it works in place on `y`.
pub fn batch_norm(x: Option<View<'_>>, y: ViewMut<'_>, size: Images, norm: &BatchNorm<'_>, threads: &ThreadPool) {
    let (mean, inv_std) = norm.statistics.split_at(size.channels);
    pointwise(threads, x, y, size, &|_, values| {
        normalise(values, mean, inv_std, norm.gamma, norm.beta);
        norm.activation.apply(values);
    });
}

multiversion! {
    fn normalise(values: &mut [f32], mean: &[f32], inv_std: &[f32], gamma: &[f32], beta: &[f32]) {
        for row in values.chunks_exact_mut(mean.len()) {
            let parameters = gamma.iter().zip(inv_std).zip(mean.iter().zip(beta));
            row.iter_mut().zip(parameters).for_each(|(v, ((g, s), (m, b)))| *v = (*v - m) * (g * s) + b);
        }
    }
}

/// running = (1 - alpha) * running + alpha * batch, `(channels)`: NeuPy's exponential moving average of the mean.
pub fn update_running_mean(running: &mut [f32], batch: &[f32], alpha: f32) {
    running.iter_mut().zip(batch).for_each(|(r, b)| *r = (1.0 - alpha) * *r + alpha * b);
}

/// The same for inverse standard deviations, averaged as variances, as in Keras and PyTorch. NeuPy averages the inverses
/// themselves, where one batch without variance (a single row, or a channel that is dead after a ReLU) ruins predictions.
pub fn update_running_inv_std(running: &mut [f32], batch: &[f32], alpha: f32) {
    let variance = |inv_std: f32| (inv_std * inv_std).recip();
    let averaged = |r: f32, b: f32| ((1.0 - alpha) * variance(r) + alpha * variance(b)).sqrt().recip();
    running.iter_mut().zip(batch).for_each(|(r, b)| *r = averaged(*r, *b));
}

/// The sum of each channel over all pixels of the batch, `(channels)`: the gradient of a bias. x is
/// `(n, pixels, channels)`; `scratch` has [`batch_scratch_len`] floats.
pub fn channel_sums(x: View<'_>, size: Images, out: &mut [f32], scratch: &mut [f32], threads: &ThreadPool) {
    let is_vectors = size.pixels == 1;
    let partials = Partials::<1>::compute(size, scratch, threads, &|blocks, block, first, out| {
        sums(blocks.columns(&x, block, first, is_vectors), out);
    });
    partials.total(0, out);
}

/// The sum of x * dy of each channel over all pixels of the batch, `(channels)`: the gradient of a scale per channel. x and dy
/// are `(n, pixels, channels)`; `scratch` has [`batch_scratch_len`] floats.
pub fn channel_products(
    x: View<'_>,
    dy: View<'_>,
    size: Images,
    out: &mut [f32],
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    const NO_MEAN: [f32; BLOCK_CHANNELS] = [0.0; BLOCK_CHANNELS];
    let is_vectors = size.pixels == 1;
    let partials = Partials::<1>::compute(size, scratch, threads, &|blocks, block, first, out| {
        let columns = |v| blocks.columns(v, block, first, is_vectors);
        products(columns(&dy), columns(&x), &NO_MEAN, out);
    });
    partials.total(0, out);
}

/// Gradients of a scale and a shift per channel, `(2, channels)`: the sum of dy * (x - mean) * inv_std, then the sum of
/// dy, over the batch. With [`batch_statistics`] these are the gradients of gamma and beta; without, mean is 0 and
/// inv_std 1, for [`scale_shift`](super::scale_shift::scale_shift). x and dy are `(n, pixels, channels)`; `scratch` has
/// [`batch_scratch_len`] floats.
pub fn channel_gradients(
    x: View<'_>,
    dy: View<'_>,
    size: Images,
    statistics: Option<&[f32]>,
    gradients: &mut [f32],
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    const NO_MEAN: [f32; BLOCK_CHANNELS] = [0.0; BLOCK_CHANNELS];
    let channels = size.channels;
    let is_vectors = size.pixels == 1;
    let (scale, shift) = gradients.split_at_mut(channels);
    let partials = Partials::<2>::compute(size, scratch, threads, &|blocks, block, first, out| {
        let mean = statistics.map_or(&NO_MEAN[..], |statistics| &statistics[first..channels]);
        let columns = |v| blocks.columns(v, block, first, is_vectors);
        products_and_sums(columns(&dy), columns(&x), mean, out);
    });
    partials.total(0, scale);
    partials.total(1, shift);
    if let Some(statistics) = statistics {
        scale.iter_mut().zip(&statistics[channels..]).for_each(|(v, inv_std)| *v *= inv_std);
    }
}

/// The gradient of [`batch_norm`] without an activation, with the statistics of the batch, given the `gradients` of gamma and beta (from
/// [`channel_gradients`]): with m = n * pixels and xhat = (x - mean) * inv_std,
/// dx = gamma * inv_std * (dy - (dbeta + xhat * dgamma) / m). All `(n, pixels, channels)`.
pub fn batch_norm_gradient(
    x: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    norm: &BatchNorm<'_>,
    gradients: &[f32],
    threads: &ThreadPool,
) {
    let channels = size.channels;
    let inv_count = 1.0 / (size.n * size.pixels) as f32;
    pointwise(threads, Some(dy), dx, size, &|band, values| {
        let from = band.of(&x, channels).chunks(x.ld);
        for (values, x) in values.chunks_exact_mut(channels).zip(from) {
            pixel_gradient(values, &x[..channels], norm, gradients, inv_count);
        }
    });
}

multiversion! {
    /// dx of one pixel, in place on its dy.
    fn pixel_gradient(values: &mut [f32], x: &[f32], norm: &BatchNorm<'_>, gradients: &[f32], inv_count: f32) {
        let (mean, inv_std) = norm.statistics.split_at(values.len());
        let (dgamma, dbeta) = gradients.split_at(values.len());
        let statistics = mean.iter().zip(inv_std).zip(norm.gamma);
        let parameters = statistics.zip(dgamma.iter().zip(dbeta));
        for ((v, x), (((mean, inv_std), gamma), (dgamma, dbeta))) in values.iter_mut().zip(x).zip(parameters) {
            let xhat = (x - mean) * inv_std;
            *v = gamma * inv_std * (*v - (dbeta + xhat * dgamma) * inv_count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor, check_slice, dense, differences};

    const EPSILON: f32 = 1e-2;

    /// (mean, 1 / sqrt(variance + epsilon)) of a channel of a dense batch.
    fn moments(x: &[f64], channels: usize, c: usize) -> (f64, f64) {
        let values = || x.iter().skip(c).step_by(channels);
        let count = (x.len() / channels) as f64;
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        (mean, 1.0 / (variance + f64::from(EPSILON)).sqrt())
    }

    fn forward(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        let channels = gamma.len();
        let moments: Vec<(f64, f64)> = (0..channels).map(|c| moments(x, channels, c)).collect();
        let value = |(i, x): (usize, &f64)| {
            let (mean, inv_std) = moments[i % channels];
            (x - mean) * inv_std * gamma[i % channels] + beta[i % channels]
        };
        x.iter().enumerate().map(value).collect()
    }

    /// Batch statistics, computed with several numbers of threads.
    fn statistics(x: &Tensor) -> Floats {
        let out = Tensor::new(1, 1, 2 * x.size.channels, 0).filled(|out, threads| {
            let mut scratch = Floats::filled(f32::NAN, batch_scratch_len(x.size));
            batch_statistics(x.view(), x.size, EPSILON, out.data, &mut scratch, threads);
        });
        out.data
    }

    #[test]
    fn forward_and_gradients_match_the_reference() {
        let mut random = Random(71);
        for (n, pixels, channels, gap) in [(1, 4, 1, 0), (3, 5, 7, 2), (9, 1, 17, 3), (9, 1, 2, 0), (2, 3, 4, 0)] {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let x = Tensor::of(&x, |n, p, c| x.at(n, p, c) + 2.0);
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            let (gamma, beta) = (random.floats(channels), random.floats(channels));
            let double = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
            let (wide_x, wide_dy, wide_gamma, wide_beta) = (dense(&x), dense(&dy), double(&gamma), double(&beta));
            let statistics = statistics(&x);
            check_slice(&statistics, 2e-6, |i| match (i / channels, moments(&wide_x, channels, i % channels)) {
                (0, (mean, _)) => mean,
                (_, (_, inv_std)) => inv_std,
            });
            let activation = Activation::Linear;
            let norm = BatchNorm { gamma: &gamma, beta: &beta, statistics: &statistics, activation };
            let y = Tensor::new(n, pixels, channels, 1);
            let expected = forward(&wide_x, &wide_gamma, &wide_beta);
            y.filled(|y, t| batch_norm(Some(x.view()), y, x.size, &norm, t)).check_dense(3e-6, &expected);
            x.filled(|y, t| batch_norm(None, y, x.size, &norm, t)).check_dense(3e-6, &expected);
            let relu = BatchNorm { activation: Activation::Relu { alpha: 0.0 }, ..norm };
            let positive: Vec<f64> = expected.iter().map(|v| v.max(0.0)).collect();
            y.filled(|y, t| batch_norm(Some(x.view()), y, x.size, &relu, t)).check_dense(3e-6, &positive);

            let gradients = Tensor::new(1, 1, 2 * channels, 0).filled(|out, t| {
                let mut scratch = Floats::filled(f32::NAN, batch_scratch_len(x.size));
                channel_gradients(x.view(), dy.view(), x.size, Some(&statistics), out.data, &mut scratch, t);
            });
            let dgamma = differences(&wide_gamma, &wide_dy, |gamma| forward(&wide_x, gamma, &wide_beta));
            let dbeta = differences(&wide_beta, &wide_dy, |beta| forward(&wide_x, &wide_gamma, beta));
            check_slice(&gradients.data, 1e-5, |i| if i < channels { dgamma[i] } else { dbeta[i - channels] });
            let dx = y.filled(|dx, t| batch_norm_gradient(x.view(), dy.view(), dx, x.size, &norm, &gradients.data, t));
            dx.check_dense(1e-5, &differences(&wide_x, &wide_dy, |x| forward(x, &wide_gamma, &wide_beta)));
        }
    }

    #[test]
    fn statistics_of_many_blocks_are_those_of_the_batch() {
        let mut random = Random(73);
        // Blocks whose means differ, several groups of channels, and a mean far from zero.
        for (n, pixels, channels) in [(2, 2100, 70), (2500, 1, 3), (3, 150, 1100)] {
            let x = Tensor::random(&mut random, n, pixels, channels, 1);
            let x = Tensor::of(&x, |n, p, c| x.at(n, p, c) + 0.01 * p as f64 + 30.0);
            let wide = dense(&x);
            check_slice(&statistics(&x), 2e-5, |i| match (i / channels, moments(&wide, channels, i % channels)) {
                (0, (mean, _)) => mean,
                (_, (_, inv_std)) => inv_std,
            });
        }
    }

    #[test]
    fn scale_and_shift_gradients_over_many_rows() {
        let mut random = Random(72);
        for (n, pixels, channels) in [(2, 2100, 70), (2500, 1, 3), (3, 150, 1100)] {
            let x = Tensor::random(&mut random, n, pixels, channels, 1);
            let dy = Tensor::random(&mut random, n, pixels, channels, 0);
            let gradients = Tensor::new(1, 1, 2 * channels, 0).filled(|out, t| {
                let mut scratch = Floats::filled(f32::NAN, batch_scratch_len(x.size));
                channel_gradients(x.view(), dy.view(), x.size, None, out.data, &mut scratch, t);
            });
            let (x, dy) = (dense(&x), dense(&dy));
            check_slice(&gradients.data, 5e-5, |i| {
                let terms = x.iter().zip(&dy).skip(i % channels).step_by(channels);
                terms.map(|(x, dy)| if i < channels { x * dy } else { *dy }).sum()
            });
        }
    }

    #[test]
    fn running_statistics_are_moving_averages() {
        let mut running = [1.0, 0.0];
        update_running_mean(&mut running, &[2.0, -1.0], 0.1);
        check_slice(&running, 1e-7, |i| [1.1, -0.1][i]);
        // Variances 1 and 0.25 averaged with 4 and almost 0.
        let mut running = [1.0, 2.0];
        update_running_inv_std(&mut running, &[0.5, 316.0], 0.1);
        check_slice(&running, 1e-5, |i| [1.0 / f64::sqrt(1.3), 1.0 / f64::sqrt(0.225)][i]);
    }
}
