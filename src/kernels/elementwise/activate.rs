//! Stand-alone activations, for layers that are not fused into a producer's epilogue.

use super::activation::Activation;
use crate::kernels::parallel::image_batches::{Band, Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// y = activation(x), all `(n, pixels, channels)`. Without an `x` it works in place on `y`.
pub fn activate(x: Option<View<'_>>, y: ViewMut<'_>, size: Images, activation: Activation, threads: &ThreadPool) {
    if x.is_none() && activation == Activation::Linear {
        return;
    }
    pointwise(threads, x, y, size, &|_, values| activation.apply(values));
}

/// PReLU (He et al., 2015): y = max(0, x) + alpha * min(0, x), all `(n, pixels, channels)`.
///
/// `alpha` is broadcast over the leading axes of an image: a single slope, one per channel, or one per element of any
/// trailing axes. Without an `x` it works in place on `y`.
///
/// # Panics
/// If the length of `alpha` does not divide `pixels * channels`.
pub fn prelu(x: Option<View<'_>>, y: ViewMut<'_>, size: Images, alpha: &[f32], threads: &ThreadPool) {
    assert!(
        !alpha.is_empty() && (size.pixels * size.channels).is_multiple_of(alpha.len()),
        "{} slopes cannot be broadcast over {} pixels of {} channels",
        alpha.len(),
        size.pixels,
        size.channels
    );
    pointwise(threads, x, y, size, &|band: Band, values| {
        let mut values = values;
        let mut offset = band.first * size.channels % alpha.len();
        while !values.is_empty() {
            let count = values.len().min(alpha.len() - offset);
            let (head, tail) = values.split_at_mut(count);
            prelu_slice(&alpha[offset..offset + count], head);
            values = tail;
            offset = 0;
        }
    });
}

multiversion! {
    fn prelu_slice(alpha: &[f32], values: &mut [f32]) {
        for (v, a) in values.iter_mut().zip(alpha) {
            *v = if *v < 0.0 { a * *v } else { *v };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn activations_match_their_definitions() {
        let mut random = Random(10);
        for (n, pixels, channels, gap) in [(1, 1, 1, 0), (3, 5, 17, 0), (2, 7, 3, 4), (2, 100, 128, 0)] {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let relu = Activation::Relu { alpha: 0.25 };
            let expected = |n, p, c| x.at(n, p, c).max(0.0) + 0.25 * x.at(n, p, c).min(0.0);
            let y = Tensor::new(n, pixels, channels, 1);
            y.filled(|y, t| activate(Some(x.view()), y, x.size, relu, t)).check(1e-6, expected);
            x.filled(|y, t| activate(None, y, x.size, relu, t)).check(1e-6, expected);
            let tanh = y.filled(|y, t| activate(Some(x.view()), y, x.size, Activation::Tanh, t));
            tanh.check(1e-6, |n, p, c| x.at(n, p, c).tanh());
            let same = y.filled(|y, t| activate(Some(x.view()), y, x.size, Activation::Linear, t));
            same.check(0.0, |n, p, c| x.at(n, p, c));
        }
    }

    #[test]
    fn prelu_slopes_broadcast_over_leading_axes() {
        let mut random = Random(11);
        for (n, pixels, channels, gap) in [(3, 6, 5, 0), (2, 6, 5, 3), (1, 300, 64, 0)] {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            for count in [1, channels, 2 * channels, pixels * channels] {
                let alpha = random.floats(count);
                let expected = |n, p, c| {
                    let slope = f64::from(alpha[(p * channels + c) % count]);
                    x.at(n, p, c).max(0.0) + slope * x.at(n, p, c).min(0.0)
                };
                let y = Tensor::new(n, pixels, channels, 2);
                y.filled(|y, t| prelu(Some(x.view()), y, x.size, &alpha, t)).check(1e-6, expected);
                x.filled(|y, t| prelu(None, y, x.size, &alpha, t)).check(1e-6, expected);
            }
        }
    }
}
