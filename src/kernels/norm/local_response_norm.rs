//! Local response normalisation across channels.

use serde::{Deserialize, Serialize};

use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// Hyperparameters as TensorFlow defines them: y = x / (k + alpha * sum of x^2 over channels c - radius ..= c + radius)^beta.
/// `alpha` is not divided by the window size 2 * radius + 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalResponseNorm {
    pub alpha: f32,
    pub beta: f32,
    pub k: f32,
    pub radius: usize,
}

/// y = x / (k + alpha * window sum of x^2)^beta (Krizhevsky et al., 2012); x and y are `(n, pixels, channels)`.
pub fn local_response_norm(x: View<'_>, y: ViewMut<'_>, size: Images, norm: &LocalResponseNorm, threads: &ThreadPool) {
    let ld = y.ld;
    bands(threads, y, size, Scratch::none(), &|band, out, _| {
        let from = band.of(&x, size.channels);
        for (row, y) in from.chunks(x.ld).zip(out.chunks_mut(ld)) {
            normalise(&row[..size.channels], &mut y[..size.channels], norm);
        }
    });
}

multiversion! {
    fn normalise(x: &[f32], y: &mut [f32], norm: &LocalResponseNorm) {
        denominator_bases(x, y, norm);
        match norm.beta {
            0.5 => scale(x, y, |s| 1.0 / s.sqrt()),
            0.75 => scale(x, y, |s| 1.0 / (s.sqrt() * s.sqrt().sqrt())),
            1.0 => scale(x, y, |s| 1.0 / s),
            _ => scale(x, y, |s| s.powf(-norm.beta)),
        }
    }
}

/// y = k + alpha * window sum of x^2, for one pixel.
#[inline(always)]
pub(crate) fn denominator_bases(x: &[f32], y: &mut [f32], norm: &LocalResponseNorm) {
    y.fill(0.0);
    window_sums(x, y, norm.radius, |v| v * v);
    y.iter_mut().for_each(|s| *s = norm.k + norm.alpha * *s);
}

#[inline(always)]
fn scale(x: &[f32], y: &mut [f32], power: impl Fn(f32) -> f32) {
    y.iter_mut().zip(x).for_each(|(s, v)| *s = v * power(*s));
}

/// `y[i] +=` sum of `map(x[j])` for |i - j| <= radius; one vectorisable pass over the row per offset.
#[inline(always)]
pub(crate) fn window_sums(x: &[f32], y: &mut [f32], radius: usize, map: impl Fn(f32) -> f32) {
    let radius = radius.min(x.len().saturating_sub(1));
    for offset in (1..=radius).rev() {
        y[offset..].iter_mut().zip(x).for_each(|(s, v)| *s += map(*v));
    }
    for offset in 0..=radius {
        y.iter_mut().zip(&x[offset..]).for_each(|(s, v)| *s += map(*v));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn normalises_by_windows_of_channels() {
        let mut random = Random(6);
        for (i, beta) in [0.75, 0.5, 1.0, 0.6].into_iter().enumerate() {
            for (radius, channels) in [(0, 3), (2, 1), (2, 2), (2, 17), (5, 7), (3, 14), (20, 9)] {
                let (n, gap) = (1 + i % 3, i % 2 * 3);
                let norm = LocalResponseNorm { alpha: 0.3, beta, k: 1.5, radius };
                let x = Tensor::random(&mut random, n, 5, channels, gap);
                let y = Tensor::new(n, 5, channels, 2 - i % 2);
                let y = y.filled(|y, threads| local_response_norm(x.view(), y, x.size, &norm, threads));
                y.check(1e-6, |n, p, c| {
                    let window = c.saturating_sub(radius)..channels.min(c + radius + 1);
                    let sum: f64 = window.map(|j| x.at(n, p, j).powi(2)).sum();
                    x.at(n, p, c) / (1.5 + f64::from(0.3f32) * sum).powf(f64::from(beta))
                });
            }
        }
    }
}
