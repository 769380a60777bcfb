//! The gradient of local response normalisation.

use super::local_response_norm::{LocalResponseNorm, denominator_bases, window_sums};
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// Floats of scratch that [`local_response_norm_gradient`] needs on `workers` threads.
pub fn local_response_norm_gradient_scratch_len(channels: usize, workers: usize) -> usize {
    2 * channels * workers
}

/// The gradient of [`local_response_norm`](super::local_response_norm::local_response_norm): with s = k + alpha * window
/// sum of x^2, dx = dy s^-beta - 2 alpha beta x * window sum of dy x s^(-beta - 1); all `(n, pixels, channels)`.
pub fn local_response_norm_gradient(
    x: View<'_>,
    dy: View<'_>,
    dx: ViewMut<'_>,
    size: Images,
    norm: &LocalResponseNorm,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (channels, ld) = (size.channels, dx.ld);
    bands(threads, dx, size, Scratch { data: scratch, per_worker: 2 * channels }, &|band, out, scratch| {
        let from = band.of(&x, channels).chunks(x.ld).zip(band.of(&dy, channels).chunks(dy.ld));
        for ((x, dy), dx) in from.zip(out.chunks_mut(ld)) {
            pixel_gradient(&x[..channels], &dy[..channels], &mut dx[..channels], norm, scratch);
        }
    });
}

multiversion! {
    fn pixel_gradient(x: &[f32], dy: &[f32], dx: &mut [f32], norm: &LocalResponseNorm, scratch: &mut [f32]) {
        let (base, cross) = scratch.split_at_mut(x.len());
        denominator_bases(x, base, norm);
        match norm.beta {
            0.5 => direct_terms(x, dy, dx, base, cross, |s| 1.0 / s.sqrt()),
            0.75 => direct_terms(x, dy, dx, base, cross, |s| 1.0 / (s.sqrt() * s.sqrt().sqrt())),
            _ => direct_terms(x, dy, dx, base, cross, |s| s.powf(-norm.beta)),
        }
        base.fill(0.0);
        window_sums(cross, base, norm.radius, |v| v);
        let factor = 2.0 * norm.alpha * norm.beta;
        dx.iter_mut().zip(x.iter().zip(base)).for_each(|(v, (x, sum))| *v -= factor * x * *sum);
    }
}

/// dx = dy s^-beta, and cross = dy x s^(-beta - 1) for the window sums.
#[inline(always)]
fn direct_terms(x: &[f32], dy: &[f32], dx: &mut [f32], base: &[f32], cross: &mut [f32], power: impl Fn(f32) -> f32) {
    let outputs = dx.iter_mut().zip(cross);
    for (((x, dy), s), (dx, cross)) in x.iter().zip(dy).zip(base).zip(outputs) {
        *dx = dy * power(*s);
        *cross = *dx * x / s;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor, dense, differences};

    #[test]
    fn gradient_matches_finite_differences() {
        let mut random = Random(61);
        for (i, beta) in [0.75, 0.5, 1.0, 0.6].into_iter().enumerate() {
            for (radius, channels) in [(0, 3), (2, 1), (2, 17), (5, 7), (20, 5)] {
                let norm = LocalResponseNorm { alpha: 0.3, beta, k: 1.5, radius };
                let n = 1 + i % 3;
                let x = Tensor::random(&mut random, n, 2, channels, i % 2);
                let dy = Tensor::random(&mut random, n, 2, channels, 1);
                let forward = |x: &[f64]| -> Vec<f64> {
                    let row = |row: &[f64]| {
                        let value = |c: usize| {
                            let window = &row[c.saturating_sub(radius)..channels.min(c + radius + 1)];
                            let sum: f64 = window.iter().map(|v| v * v).sum();
                            row[c] / (1.5 + f64::from(0.3f32) * sum).powf(f64::from(beta))
                        };
                        (0..channels).map(value).collect::<Vec<f64>>()
                    };
                    x.chunks(channels).flat_map(row).collect()
                };
                let dx = Tensor::new(n, 2, channels, 2).filled(|dx, t| {
                    let mut scratch =
                        Floats::filled(f32::NAN, local_response_norm_gradient_scratch_len(channels, t.count()));
                    local_response_norm_gradient(x.view(), dy.view(), dx, x.size, &norm, &mut scratch, t);
                });
                dx.check_dense(2e-6, &differences(&dense(&x), &dense(&dy), forward));
            }
        }
    }
}
