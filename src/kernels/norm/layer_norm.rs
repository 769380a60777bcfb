//! Layer normalisation: over the channels of each pixel.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::column_reduce::{Columns, sums};
use crate::kernels::elementwise::softmax::{lane_dot, lane_sum};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// Pixels of one partial sum of the parameters' gradients.
const BLOCK_ROWS: usize = 64;
/// Channels of one task that adds partial sums.
const BLOCK_CHANNELS: usize = 64;

/// The scale and shift `(channels)` of a layer normalisation.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// y = activation(gamma * (x - mean) / sqrt(variance + epsilon) + beta), mean and biased variance over the channels of each
/// pixel (Ba et al., 2016); x and y are `(n, pixels, channels)`. Without an `x` it works in place on `y`.
pub fn layer_norm(
    x: Option<View<'_>>,
    y: ViewMut<'_>,
    size: Images,
    norm: &LayerNorm<'_>,
    activation: Activation,
    threads: &ThreadPool,
) {
    pointwise(threads, x, y, size, &|_, values| {
        normalise(values, norm.gamma, norm.beta, norm.epsilon);
        activation.apply(values);
    });
}

/// Mean and 1 / sqrt(variance + epsilon) of a row, the variance from centred values.
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    const LANES: usize = 16;
    let inv_count = 1.0 / row.len() as f32;
    let mean = lane_sum(row) * inv_count;
    let mut lanes = [0.0; LANES];
    let (blocks, tail) = row.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] += (block[i] - mean) * (block[i] - mean);
        }
    }
    let squares = lanes.iter().sum::<f32>() + tail.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
    (mean, 1.0 / (squares * inv_count + epsilon).sqrt())
}

multiversion! {
    fn normalise(values: &mut [f32], gamma: &[f32], beta: &[f32], epsilon: f32) {
        for row in values.chunks_exact_mut(gamma.len()) {
            let (mean, inv_std) = moments(row, epsilon);
            for ((v, g), b) in row.iter_mut().zip(gamma).zip(beta) {
                *v = (*v - mean) * inv_std * g + b;
            }
        }
    }
}

/// The gradient of [`layer_norm`] by its input, `dy` being the gradient before the activation: with means over the channels
/// and xhat = (x - mean) * inv_std, dx = inv_std * (gamma dy - mean(gamma dy) - xhat * mean(gamma dy xhat)). All
/// `(n, pixels, channels)`.
pub fn layer_norm_gradient(
    x: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    gamma: &[f32],
    epsilon: f32,
    threads: &ThreadPool,
) {
    let channels = size.channels;
    pointwise(threads, Some(dy), dx, size, &|band, values| {
        pixel_gradients(values, band.of(&x, channels), x.ld, gamma, epsilon);
    });
}

multiversion! {
    /// dx of some pixels, in place on their dy.
    fn pixel_gradients(values: &mut [f32], x: &[f32], x_ld: usize, gamma: &[f32], epsilon: f32) {
        let inv_count = 1.0 / gamma.len() as f32;
        for (values, x) in values.chunks_exact_mut(gamma.len()).zip(x.chunks(x_ld)) {
            let x = &x[..gamma.len()];
            let (mean, inv_std) = moments(x, epsilon);
            values.iter_mut().zip(gamma).for_each(|(v, g)| *v *= g);
            let mean_dy = lane_sum(values) * inv_count;
            // The sum of gamma dy (x - mean), without a tensor of its own.
            let mean_dy_xhat = (lane_dot(values, x) * inv_count - mean * mean_dy) * inv_std;
            for (v, x) in values.iter_mut().zip(x) {
                *v = inv_std * (*v - mean_dy - (x - mean) * inv_std * mean_dy_xhat);
            }
        }
    }
}

/// The rows of a batch in blocks, independently of the number of threads.
#[derive(Clone, Copy)]
struct Blocks {
    size: Images,
    /// Blocks of an image.
    blocks: usize,
}

impl Blocks {
    fn of(size: Images) -> Self {
        // A batch of vectors is reduced as the rows of one image.
        let size = if size.pixels == 1 { Images { n: 1, pixels: size.n, ..size } } else { size };
        Self { size, blocks: size.pixels.div_ceil(BLOCK_ROWS) }
    }

    fn count(&self) -> usize {
        self.size.n * self.blocks
    }

    /// The first float of a block, the row stride, and the number of its rows.
    fn rows<'a>(&self, x: &View<'a>, block: usize, is_vectors: bool) -> (&'a [f32], usize, usize) {
        let (image, ld) = if is_vectors { (0, x.image) } else { (x.image, x.ld) };
        let start = block % self.blocks * BLOCK_ROWS;
        let rows = BLOCK_ROWS.min(self.size.pixels - start);
        (&x.data[block / self.blocks * image + start * ld..], ld, rows)
    }
}

/// Floats of scratch that [`layer_norm_parameter_gradients`] needs.
pub fn layer_norm_scratch_len(size: Images) -> usize {
    2 * Blocks::of(size).count() * size.channels
}

/// The gradients of gamma and then beta, `(2, channels)`: the sums of dy * xhat and of dy over all pixels of the batch. x and
/// dy are `(n, pixels, channels)`; `scratch` has [`layer_norm_scratch_len`] floats.
pub fn layer_norm_parameter_gradients(
    x: View<'_>,
    dy: View<'_>,
    size: Images,
    epsilon: f32,
    gradients: &mut [f32],
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (blocks, width) = (Blocks::of(size), 2 * size.channels);
    let is_vectors = size.pixels == 1;
    let partial_sums = &mut scratch[..blocks.count() * width];
    share(
        threads,
        partial_sums,
        Partition::chunks(blocks.count() * width, width),
        Scratch::none(),
        &|chunk, out, _| {
            let (x, x_ld, rows) = blocks.rows(&x, chunk.inner, is_vectors);
            let (dy, dy_ld, _) = blocks.rows(&dy, chunk.inner, is_vectors);
            let (gamma, beta) = out.split_at_mut(size.channels);
            add_rows((x, x_ld), (dy, dy_ld), rows, epsilon, gamma, beta);
        },
    );
    let partial_sums = &*partial_sums;
    share(threads, gradients, Partition::chunks(width, BLOCK_CHANNELS), Scratch::none(), &|chunk, out, _| {
        sums(Columns { x: partial_sums, ld: width, rows: blocks.count(), first: chunk.inner * BLOCK_CHANNELS }, out);
    });
}

multiversion! {
    /// The sums of dy * xhat and of dy over some rows.
    fn add_rows(
        x: (&[f32], usize),
        dy: (&[f32], usize),
        rows: usize,
        epsilon: f32,
        gamma: &mut [f32],
        beta: &mut [f32],
    ) {
        gamma.fill(0.0);
        beta.fill(0.0);
        for row in 0..rows {
            let (x, dy) = (&x.0[row * x.1..][..gamma.len()], &dy.0[row * dy.1..][..gamma.len()]);
            let (mean, inv_std) = moments(x, epsilon);
            for ((g, b), (x, dy)) in gamma.iter_mut().zip(beta.iter_mut()).zip(x.iter().zip(dy)) {
                *g += dy * ((x - mean) * inv_std);
                *b += dy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor, check_slice, dense, differences};

    const EPSILON: f32 = 1e-3;

    fn forward(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        let channels = gamma.len();
        let row = |row: &[f64]| {
            let mean = row.iter().sum::<f64>() / channels as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / channels as f64;
            let scale = 1.0 / (variance + f64::from(EPSILON)).sqrt();
            (0..channels).map(|c| (row[c] - mean) * scale * gamma[c] + beta[c]).collect::<Vec<f64>>()
        };
        x.chunks_exact(channels).flat_map(row).collect()
    }

    #[test]
    fn values_and_gradients_match_the_reference() {
        let mut random = Random(31);
        for (n, pixels, channels, gap) in
            [(1, 1, 2, 0), (3, 5, 7, 2), (2, 9, 16, 0), (9, 1, 17, 3), (2, 3, 70, 1), (70, 1, 3, 0), (1, 130, 33, 1)]
        {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            // A mean far from zero, as large as residual streams have.
            let x = Tensor::of(&x, |n, p, c| x.at(n, p, c) + 3.0);
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            let (gamma, beta) = (random.floats(channels), random.floats(channels));
            let double = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
            let (wide_x, wide_dy, wide_gamma, wide_beta) = (dense(&x), dense(&dy), double(&gamma), double(&beta));
            let norm = LayerNorm { gamma: &gamma, beta: &beta, epsilon: EPSILON };
            let (y, none) = (Tensor::new(n, pixels, channels, 1), Activation::Linear);
            let expected = forward(&wide_x, &wide_gamma, &wide_beta);
            y.filled(|y, t| layer_norm(Some(x.view()), y, x.size, &norm, none, t)).check_dense(3e-5, &expected);
            x.filled(|y, t| layer_norm(None, y, x.size, &norm, none, t)).check_dense(3e-5, &expected);
            let relu = Activation::Relu { alpha: 0.0 };
            y.filled(|y, t| layer_norm(Some(x.view()), y, x.size, &norm, relu, t))
                .check(3e-5, |n, p, c| expected[(n * pixels + p) * channels + c].max(0.0));
            let dx = y.filled(|dx, t| layer_norm_gradient(x.view(), dy.view(), dx, x.size, &gamma, EPSILON, t));
            dx.check_dense(2e-4, &differences(&wide_x, &wide_dy, |x| forward(x, &wide_gamma, &wide_beta)));
            let gradients = Tensor::new(1, 1, 2 * channels, 0).filled(|out, t| {
                let mut scratch = Floats::filled(f32::NAN, layer_norm_scratch_len(x.size));
                let (x, dy, size) = (x.view(), dy.view(), x.size);
                layer_norm_parameter_gradients(x, dy, size, EPSILON, out.data, &mut scratch, t);
            });
            let dgamma = differences(&wide_gamma, &wide_dy, |gamma| forward(&wide_x, gamma, &wide_beta));
            let dbeta = differences(&wide_beta, &wide_dy, |beta| forward(&wide_x, &wide_gamma, beta));
            check_slice(&gradients.data, 1e-4, |i| if i < channels { dgamma[i] } else { dbeta[i - channels] });
        }
    }
}
