//! Gradients of activations, learnt slopes and softmax.

use super::activation::Activation;
use super::column_reduce::{Columns, sums};
use super::combine::with_rows;
use super::softmax::lane_dot;
use crate::kernels::parallel::disjoint::{Grid, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math;
use crate::kernels::tensor_view::{View, ViewMut};

/// What a gradient is computed from: the values before or after the activation.
#[derive(Clone, Copy, Debug)]
pub enum SlopeSource<'a> {
    Input(View<'a>),
    Output(View<'a>),
}

/// Does the output of an activation tell its slope? For the others [`activation_gradient`] needs the input.
pub fn slope_from_output(activation: Activation) -> bool {
    match activation {
        Activation::Relu { alpha } => alpha >= 0.0,
        Activation::Linear
        | Activation::Relu6
        | Activation::Sigmoid
        | Activation::HardSigmoid
        | Activation::Tanh
        | Activation::Elu
        | Activation::Softplus => true,
        Activation::Swish | Activation::HardSwish | Activation::Gelu => false,
    }
}

/// dx = dy * activation'(x), all `(n, pixels, channels)`, where a kink counts to its flat or lower side. Without a
/// `dy`, `dx` holds it and is overwritten.
///
/// # Panics
/// If only the output is known and does not tell the slope (see [`slope_from_output`]).
pub fn activation_gradient(
    known: SlopeSource<'_>,
    dy: Option<View<'_>>,
    dx: ViewMut<'_>,
    size: Images,
    activation: Activation,
    threads: &ThreadPool,
) {
    if dy.is_none() && activation == Activation::Linear {
        return;
    }
    match known {
        SlopeSource::Input(x) => pointwise(threads, dy, dx, size, &|band, values| {
            with_rows(&x, band, values, size.channels, |values, x| times_slope_at(activation, values, x));
        }),
        SlopeSource::Output(y) => {
            assert!(slope_from_output(activation), "the output of {activation:?} does not tell its slope");
            pointwise(threads, dy, dx, size, &|band, values| {
                with_rows(&y, band, values, size.channels, |values, y| times_slope_of(activation, values, y));
            });
        }
    }
}

/// values *= slope(at), value by value
#[inline(always)]
fn times(values: &mut [f32], at: &[f32], slope: impl Fn(f32) -> f32) {
    values.iter_mut().zip(at).for_each(|(v, at)| *v *= slope(*at));
}

#[inline(always)]
fn inside(x: f32, low: f32, high: f32, slope: f32) -> f32 {
    if x > low && x < high { slope } else { 0.0 }
}

multiversion! {
    /// values *= activation'(x)
    fn times_slope_at(activation: Activation, values: &mut [f32], x: &[f32]) {
        match activation {
            Activation::Linear => {}
            Activation::Relu { alpha } => times(values, x, |x| if x > 0.0 { 1.0 } else { alpha }),
            Activation::Relu6 => times(values, x, |x| inside(x, 0.0, 6.0, 1.0)),
            Activation::Sigmoid => times(values, x, |x| scalar_math::sigmoid(x) * scalar_math::sigmoid(-x)),
            Activation::HardSigmoid => times(values, x, |x| inside(x, -2.5, 2.5, 0.2)),
            // 1 - tanh^2 without cancellation where tanh is near 1.
            Activation::Tanh => times(values, x, |x| 4.0 * scalar_math::sigmoid(2.0 * x) * scalar_math::sigmoid(-2.0 * x)),
            Activation::Elu => times(values, x, |x| if x > 0.0 { 1.0 } else { scalar_math::exp(x) }),
            Activation::Softplus => times(values, x, scalar_math::sigmoid),
            Activation::Swish => times(values, x, |x| scalar_math::sigmoid(x) * (1.0 + x * scalar_math::sigmoid(-x))),
            Activation::HardSwish => times(values, x, |x| {
                let bent = scalar_math::clip(x + 3.0, 0.0, 6.0) * (1.0 / 6.0);
                bent + inside(x, -3.0, 3.0, x * (1.0 / 6.0))
            }),
            Activation::Gelu => times(values, x, |x| scalar_math::normal_below(x) + x * scalar_math::normal_density(x)),
        }
    }
}

multiversion! {
    /// values *= activation'(x) for the x of which y is the activation
    fn times_slope_of(activation: Activation, values: &mut [f32], y: &[f32]) {
        match activation {
            Activation::Relu { alpha } => times(values, y, |y| if y > 0.0 { 1.0 } else { alpha }),
            Activation::Relu6 => times(values, y, |y| inside(y, 0.0, 6.0, 1.0)),
            Activation::Sigmoid => times(values, y, |y| y * (1.0 - y)),
            Activation::HardSigmoid => times(values, y, |y| inside(y, 0.0, 1.0, 0.2)),
            Activation::Tanh => times(values, y, |y| (1.0 - y) * (1.0 + y)),
            Activation::Elu => times(values, y, |y| if y > 0.0 { 1.0 } else { y + 1.0 }),
            Activation::Softplus => times(values, y, |y| 1.0 - scalar_math::exp(-y)),
            _ => {}
        }
    }
}

/// dx of [`prelu`](super::activate::prelu): dx = dy where x > 0, else alpha * dy; all `(n, pixels, channels)`. Without
/// a `dy`, `dx` holds it and is overwritten.
pub fn prelu_gradient(
    x: View<'_>,
    dy: Option<View<'_>>,
    dx: ViewMut<'_>,
    size: Images,
    alpha: &[f32],
    threads: &ThreadPool,
) {
    let channels = size.channels;
    pointwise(threads, dy, dx, size, &|band, values| {
        let from = band.of(&x, channels);
        for (i, (values, x)) in values.chunks_exact_mut(channels).zip(from.chunks(x.ld)).enumerate() {
            each_slope(alpha.len(), (band.first + i) * channels, channels, |slopes, places| {
                prelu_slopes(&alpha[slopes], &mut values[places.clone()], &x[places]);
            });
        }
    });
}

multiversion! {
    fn prelu_slopes(alpha: &[f32], values: &mut [f32], x: &[f32]) {
        for ((v, x), a) in values.iter_mut().zip(x).zip(alpha) {
            *v = if *x > 0.0 { *v } else { a * *v };
        }
    }
}

/// Calls `work(slopes, places)` with ranges of the same length: `count` slopes are repeated over an image's floats, of
/// which the next `floats` from `first` on are places 0, 1, ...
fn each_slope(
    count: usize,
    first: usize,
    floats: usize,
    mut work: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>),
) {
    let mut place = 0;
    while place < floats {
        let slope = (first + place) % count;
        let len = (count - slope).min(floats - place);
        work(slope..slope + len, place..place + len);
        place += len;
    }
}

/// Most partial sums that images are gathered in.
const PARTS: usize = 64;

/// Floats of scratch that [`prelu_slope_gradient`] needs for `slopes` slopes.
pub fn prelu_slope_gradient_scratch_len(size: Images, slopes: usize) -> usize {
    size.n.min(PARTS) * slopes
}

/// The gradient of the slopes: for each one the sum of dy * min(0, x) over the places where it is used.
pub fn prelu_slope_gradient(
    x: View<'_>,
    dy: View<'_>,
    dalpha: &mut [f32],
    size: Images,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let Images { n, pixels, channels } = size;
    let slopes = dalpha.len();
    let parts = n.min(PARTS);
    let scratch = &mut scratch[..parts * slopes];
    share(threads, scratch, Grid::chunks(parts * slopes, slopes), Scratch::none(), &|piece, out, _| {
        out.fill(0.0);
        for image in (piece.inner..n).step_by(PARTS) {
            for pixel in 0..pixels {
                let x = &x.data[image * x.image + pixel * x.ld..][..channels];
                let dy = &dy.data[image * dy.image + pixel * dy.ld..][..channels];
                each_slope(slopes, pixel * channels, channels, |slopes, places| {
                    add_negative(&mut out[slopes], &x[places.clone()], &dy[places]);
                });
            }
        }
    });
    let scratch = &*scratch;
    share(threads, dalpha, Grid::chunks(slopes, PARTS), Scratch::none(), &|piece, out, _| {
        sums(Columns { x: scratch, ld: slopes, rows: parts, first: piece.inner * PARTS }, out);
    });
}

multiversion! {
    /// out += dy * min(0, x)
    fn add_negative(out: &mut [f32], x: &[f32], dy: &[f32]) {
        for ((v, x), dy) in out.iter_mut().zip(x).zip(dy) {
            *v += if *x < 0.0 { dy * x } else { 0.0 };
        }
    }
}

/// dx of [`softmax`](super::softmax::softmax) from its output: dx = y * (dy - sum of dy * y over the channels); all
/// `(n, pixels, channels)`. Without a `dy`, `dx` holds it and is overwritten.
pub fn softmax_gradient(y: View<'_>, dy: Option<View<'_>>, dx: ViewMut<'_>, size: Images, threads: &ThreadPool) {
    let channels = size.channels;
    pointwise(threads, dy, dx, size, &|band, values| {
        with_rows(&y, band, values, channels, |values, y| softmax_rows(values, y, channels));
    });
}

multiversion! {
    fn softmax_rows(values: &mut [f32], y: &[f32], channels: usize) {
        for (values, y) in values.chunks_exact_mut(channels).zip(y.chunks_exact(channels)) {
            let mean = lane_dot(values, y);
            values.iter_mut().zip(y).for_each(|(v, y)| *v = y * (*v - mean));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor, check_slice, dense, differences};

    #[test]
    fn of_activations() {
        let mut random = Random(41);
        for (i, activation) in Activation::ALL.into_iter().enumerate() {
            let (n, pixels, channels) = [(1, 1, 1), (3, 5, 17), (2, 40, 8)][i % 3];
            let x = Tensor::random(&mut random, n, pixels, channels, i % 2 * 3);
            let x = Tensor::of(&x, |n, p, c| x.at(n, p, c) * 7.0);
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            let dx = Tensor::new(n, pixels, channels, 2);
            let all = |x: &[f64]| x.iter().map(|x| activation.exact(*x)).collect();
            let expected = differences(&dense(&x), &dense(&dy), all);
            let known = SlopeSource::Input(x.view());
            let run = |known, dy| {
                move |dx: ViewMut<'_>, t: &ThreadPool| activation_gradient(known, dy, dx, x.size, activation, t)
            };
            dx.filled(run(known, Some(dy.view()))).check_dense(2e-6, &expected);
            dy.filled(run(known, None)).check_dense(2e-6, &expected);
            if slope_from_output(activation) {
                let y = Tensor::of(&x, |n, p, c| activation.exact(x.at(n, p, c)));
                dx.filled(run(SlopeSource::Output(y.view()), Some(dy.view()))).check_dense(2e-6, &expected);
            }
        }
    }

    #[test]
    fn of_slopes() {
        let mut random = Random(42);
        for (n, pixels, channels, gap) in [(1, 1, 1, 0), (3, 4, 5, 2), (70, 2, 3, 0)] {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            for count in [1, channels, 2 * channels, pixels * channels] {
                let alpha = random.floats(count);
                let wide: Vec<f64> = alpha.iter().map(|a| f64::from(*a)).collect();
                let floats = pixels * channels;
                let forward = |x: &[f64], alpha: &[f64]| -> Vec<f64> {
                    let value = |(i, x): (usize, &f64)| x.max(0.0) + alpha[i % floats % count] * x.min(0.0);
                    x.iter().enumerate().map(value).collect()
                };
                let dx = Tensor::new(n, pixels, channels, 2);
                let dx = dx.filled(|dx, t| prelu_gradient(x.view(), Some(dy.view()), dx, x.size, &alpha, t));
                dx.check_dense(1e-6, &differences(&dense(&x), &dense(&dy), |x| forward(x, &wide)));
                let expected = differences(&wide, &dense(&dy), |alpha| forward(&dense(&x), alpha));
                let dalpha = Tensor::new(1, 1, count, 0).filled(|out, threads| {
                    let mut scratch = Floats::filled(f32::NAN, prelu_slope_gradient_scratch_len(x.size, count));
                    prelu_slope_gradient(x.view(), dy.view(), out.data, x.size, &mut scratch, threads);
                });
                check_slice(&dalpha.data, 3e-6, |i| expected[i]);
            }
        }
    }

    #[test]
    fn of_softmax() {
        let mut random = Random(43);
        for (n, pixels, channels, gap) in [(1, 1, 1, 0), (3, 2, 10, 2), (2, 3, 33, 0)] {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            let forward = |x: &[f64]| -> Vec<f64> {
                let row = |row: &[f64]| {
                    let sum: f64 = row.iter().map(|x| x.exp()).sum();
                    row.iter().map(|x| x.exp() / sum).collect::<Vec<f64>>()
                };
                x.chunks(channels).flat_map(row).collect()
            };
            let all = forward(&dense(&x));
            let y = Tensor::of(&x, |n, p, c| all[(n * pixels + p) * channels + c]);
            let expected = differences(&dense(&x), &dense(&dy), forward);
            let dx = Tensor::new(n, pixels, channels, 2);
            dx.filled(|dx, t| softmax_gradient(y.view(), Some(dy.view()), dx, x.size, t)).check_dense(1e-6, &expected);
            dy.filled(|dx, t| softmax_gradient(y.view(), None, dx, x.size, t)).check_dense(1e-6, &expected);
        }
    }
}
