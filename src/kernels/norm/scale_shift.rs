//! Scale and shift per channel: batch normalisation at inference.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// y = activation(x * scale + shift) with `scale` and `shift` per channel; x and y are `(n, pixels, channels)`.
///
/// Batch normalisation at inference has scale = gamma * inv_std and shift = beta - mean * scale.
/// Without an `x` it works in place on `y`.
///
/// # Panics
/// If `scale` or `shift` does not have one value per channel.
pub fn scale_shift(
    x: Option<View<'_>>,
    y: ViewMut<'_>,
    size: Images,
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    threads: &ThreadPool,
) {
    assert!(scale.len() == size.channels && shift.len() == size.channels, "one scale and shift per channel");
    pointwise(threads, x, y, size, &|_, values| {
        scale_rows(values, scale, shift);
        activation.apply(values);
    });
}

multiversion! {
    pub(crate) fn scale_rows(values: &mut [f32], scale: &[f32], shift: &[f32]) {
        for row in values.chunks_exact_mut(scale.len()) {
            for ((v, a), b) in row.iter_mut().zip(scale).zip(shift) {
                *v = *v * a + b;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn scale_and_shift_per_channel() {
        let mut random = Random(12);
        for (n, pixels, channels, gap) in [(1, 1, 1, 0), (3, 7, 17, 2), (2, 5, 8, 0), (2, 400, 96, 0)] {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let (scale, shift) = (random.floats(channels), random.floats(channels));
            let relu = Activation::Relu { alpha: 0.0 };
            let expected = |n, p, c: usize| (x.at(n, p, c) * f64::from(scale[c]) + f64::from(shift[c])).max(0.0);
            let y = Tensor::new(n, pixels, channels, 1);
            y.filled(|y, t| scale_shift(Some(x.view()), y, x.size, &scale, &shift, relu, t)).check(1e-6, expected);
            x.filled(|y, t| scale_shift(None, y, x.size, &scale, &shift, relu, t)).check(1e-6, expected);
        }
    }
}
