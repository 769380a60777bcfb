//! Gradients of activations, PReLU and softmax.

use super::activation::{Activation, GELU_CUBIC, GELU_FACTOR};
use super::column_reduce::{Columns, sums};
use super::combine::with_rows;
use super::softmax::lane_dot;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math;
use crate::kernels::tensor_view::{View, ViewMut};

/// The tensor that the derivative of an activation is computed from: its input or its output.
#[derive(Clone, Copy, Debug)]
pub enum SlopeSource<'a> {
    Input(View<'a>),
    Output(View<'a>),
}

/// Whether the derivative can be computed from the activation's output; the others need the input.
pub fn is_slope_from_output(activation: Activation) -> bool {
    match activation {
        Activation::Relu { alpha } => alpha >= 0.0,
        Activation::Linear
        | Activation::Relu6
        | Activation::Sigmoid
        | Activation::HardSigmoid { .. }
        | Activation::Tanh
        | Activation::Elu
        | Activation::Softplus
        | Activation::Clip { .. }
        | Activation::Exp
        | Activation::Sqrt
        | Activation::Affine { .. } => true,
        Activation::Swish
        | Activation::HardSwish
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Log
        | Activation::Square
        | Activation::Power { .. } => false,
    }
}

/// dx = dy * activation'(x), all `(n, pixels, channels)`. At a kink the derivative is that of the flat side, or of the
/// side below. Without a `dy` it works in place on `dx`.
///
/// # Panics
/// If `source` is the output and the derivative cannot be computed from it (see [`is_slope_from_output`]).
pub fn activation_gradient(
    source: SlopeSource<'_>,
    dy: Option<View<'_>>,
    dx: ViewMut<'_>,
    size: Images,
    activation: Activation,
    threads: &ThreadPool,
) {
    if dy.is_none() && activation == Activation::Linear {
        return;
    }
    match source {
        SlopeSource::Input(x) => pointwise(threads, dy, dx, size, &|band, values| {
            with_rows(&x, band, values, size.channels, |values, x| multiply_by_slope_from_input(activation, values, x));
        }),
        SlopeSource::Output(y) => {
            assert!(is_slope_from_output(activation), "the derivative of {activation:?} needs its input");
            pointwise(threads, dy, dx, size, &|band, values| {
                with_rows(&y, band, values, size.channels, |values, y| {
                    multiply_by_slope_from_output(activation, values, y)
                });
            });
        }
    }
}

/// values *= slope(x), elementwise
#[inline(always)]
fn multiply_by(values: &mut [f32], x: &[f32], slope: impl Fn(f32) -> f32) {
    values.iter_mut().zip(x).for_each(|(v, x)| *v *= slope(*x));
}

/// `slope` where low < x < high, else 0.
#[inline(always)]
fn slope_within(x: f32, low: f32, high: f32, slope: f32) -> f32 {
    if x > low && x < high { slope } else { 0.0 }
}

multiversion! {
    /// values *= activation'(x)
    fn multiply_by_slope_from_input(activation: Activation, values: &mut [f32], x: &[f32]) {
        match activation {
            Activation::Linear => {}
            Activation::Relu { alpha } => multiply_by(values, x, |x| if x > 0.0 { 1.0 } else { alpha }),
            Activation::Relu6 => multiply_by(values, x, |x| slope_within(x, 0.0, 6.0, 1.0)),
            Activation::Sigmoid => multiply_by(values, x, |x| scalar_math::sigmoid(x) * scalar_math::sigmoid(-x)),
            Activation::HardSigmoid { alpha, beta } => {
                multiply_by(values, x, |x| slope_within(alpha * x + beta, 0.0, 1.0, alpha));
            }
            // 1 - tanh^2 without cancellation where tanh is near 1.
            Activation::Tanh => multiply_by(values, x, |x| 4.0 * scalar_math::sigmoid(2.0 * x) * scalar_math::sigmoid(-2.0 * x)),
            Activation::Elu => multiply_by(values, x, |x| if x > 0.0 { 1.0 } else { scalar_math::exp(x) }),
            Activation::Softplus => multiply_by(values, x, scalar_math::sigmoid),
            Activation::Swish => multiply_by(values, x, |x| scalar_math::sigmoid(x) * (1.0 + x * scalar_math::sigmoid(-x))),
            Activation::HardSwish => multiply_by(values, x, |x| {
                let gate = scalar_math::clip(x + 3.0, 0.0, 6.0) * (1.0 / 6.0);
                gate + slope_within(x, -3.0, 3.0, x * (1.0 / 6.0))
            }),
            Activation::Gelu => multiply_by(values, x, |x| scalar_math::normal_below(x) + x * scalar_math::normal_density(x)),
            // Of x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
            Activation::GeluTanh => multiply_by(values, x, |x| {
                let square = GELU_CUBIC * x * x;
                let twice = 2.0 * GELU_FACTOR * x * (1.0 + square);
                let inner = 2.0 * GELU_FACTOR * x * (1.0 + 3.0 * square);
                scalar_math::sigmoid(twice) * (1.0 + inner * scalar_math::sigmoid(-twice))
            }),
            Activation::Clip { min, max } => multiply_by(values, x, |x| slope_within(x, min, max, 1.0)),
            Activation::Exp => multiply_by(values, x, scalar_math::exp),
            Activation::Log => multiply_by(values, x, |x| 1.0 / x),
            Activation::Sqrt => multiply_by(values, x, |x| 0.5 / x.sqrt()),
            Activation::Square => multiply_by(values, x, |x| 2.0 * x),
            Activation::Power { exponent: 0.0 } => values.fill(0.0),
            // The cube and the square have a gradient at 0 too, where a logarithm has none.
            Activation::Power { exponent: 2.0 } => multiply_by(values, x, |x| 2.0 * x),
            Activation::Power { exponent: 3.0 } => multiply_by(values, x, |x| 3.0 * x * x),
            Activation::Power { exponent } => multiply_by(values, x, |x| exponent * x.powf(exponent - 1.0)),
            Activation::Affine { scale, .. } => multiply_by(values, x, |_| scale),
        }
    }
}

multiversion! {
    /// values *= activation'(x) where y = activation(x)
    fn multiply_by_slope_from_output(activation: Activation, values: &mut [f32], y: &[f32]) {
        match activation {
            Activation::Relu { alpha } => multiply_by(values, y, |y| if y > 0.0 { 1.0 } else { alpha }),
            Activation::Relu6 => multiply_by(values, y, |y| slope_within(y, 0.0, 6.0, 1.0)),
            Activation::Sigmoid => multiply_by(values, y, |y| y * (1.0 - y)),
            Activation::HardSigmoid { alpha, .. } => multiply_by(values, y, |y| slope_within(y, 0.0, 1.0, alpha)),
            Activation::Tanh => multiply_by(values, y, |y| (1.0 - y) * (1.0 + y)),
            Activation::Elu => multiply_by(values, y, |y| if y > 0.0 { 1.0 } else { y + 1.0 }),
            Activation::Softplus => multiply_by(values, y, |y| 1.0 - scalar_math::exp(-y)),
            Activation::Clip { min, max } => multiply_by(values, y, |y| slope_within(y, min, max, 1.0)),
            Activation::Exp => multiply_by(values, y, |y| y),
            Activation::Sqrt => multiply_by(values, y, |y| 0.5 / y),
            Activation::Affine { scale, .. } => multiply_by(values, y, |_| scale),
            _ => {}
        }
    }
}

/// The input gradient of [`prelu`](super::activate::prelu): dx = dy where x > 0, else alpha * dy; all
/// `(n, pixels, channels)`. Without a `dy` it works in place on `dx`.
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
            for_slope_runs(alpha.len(), (band.first + i) * channels, channels, |slopes, range| {
                prelu_gradient_slice(&alpha[slopes], &mut values[range.clone()], &x[range]);
            });
        }
    });
}

multiversion! {
    fn prelu_gradient_slice(alpha: &[f32], values: &mut [f32], x: &[f32]) {
        for ((v, x), a) in values.iter_mut().zip(x).zip(alpha) {
            *v = if *x > 0.0 { *v } else { a * *v };
        }
    }
}

/// Splits `floats` elements, the first of which has index `first` in its image, into runs over which `count` slopes are
/// not yet repeated; calls `body(range of the slopes, range of the elements)` for every run.
fn for_slope_runs(
    count: usize,
    first: usize,
    floats: usize,
    mut body: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>),
) {
    let mut offset = 0;
    while offset < floats {
        let slope = (first + offset) % count;
        let len = (count - slope).min(floats - offset);
        body(slope..slope + len, offset..offset + len);
        offset += len;
    }
}

/// Max number of partial sums over the images of a batch.
const PARTIAL_SUMS: usize = 64;
/// Slopes of one task of the final reduction.
const TASK_SLOPES: usize = 64;

/// Floats of scratch that [`prelu_slope_gradient`] needs for `slopes` slopes.
pub fn prelu_slope_gradient_scratch_len(size: Images, slopes: usize) -> usize {
    size.n.min(PARTIAL_SUMS) * slopes
}

/// The gradient of the slopes of [`prelu`](super::activate::prelu): each is the sum of dy * min(0, x) over the elements
/// that use it. x and dy are `(n, pixels, channels)`; `scratch` has [`prelu_slope_gradient_scratch_len`] floats.
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
    let count = n.min(PARTIAL_SUMS);
    let partial_sums = &mut scratch[..count * slopes];
    share(threads, partial_sums, Partition::chunks(count * slopes, slopes), Scratch::none(), &|chunk, out, _| {
        out.fill(0.0);
        for image in (chunk.inner..n).step_by(PARTIAL_SUMS) {
            for pixel in 0..pixels {
                let x = &x.data[image * x.image + pixel * x.ld..][..channels];
                let dy = &dy.data[image * dy.image + pixel * dy.ld..][..channels];
                for_slope_runs(slopes, pixel * channels, channels, |slopes, range| {
                    add_negative(&mut out[slopes], &x[range.clone()], &dy[range]);
                });
            }
        }
    });
    let partial_sums = &*partial_sums;
    share(threads, dalpha, Partition::chunks(slopes, TASK_SLOPES), Scratch::none(), &|chunk, out, _| {
        sums(Columns { x: partial_sums, ld: slopes, rows: count, first: chunk.inner * TASK_SLOPES }, out);
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

/// The gradient of [`softmax`](super::softmax::softmax) from its output: dx = y * (dy - sum of dy * y over the channels);
/// all `(n, pixels, channels)`. Without a `dy` it works in place on `dx`.
pub fn softmax_gradient(y: View<'_>, dy: Option<View<'_>>, dx: ViewMut<'_>, size: Images, threads: &ThreadPool) {
    let channels = size.channels;
    pointwise(threads, dy, dx, size, &|band, values| {
        with_rows(&y, band, values, channels, |values, y| softmax_gradient_rows(values, y, channels));
    });
}

multiversion! {
    fn softmax_gradient_rows(values: &mut [f32], y: &[f32], channels: usize) {
        for (values, y) in values.chunks_exact_mut(channels).zip(y.chunks_exact(channels)) {
            let dot = lane_dot(values, y);
            values.iter_mut().zip(y).for_each(|(v, y)| *v = y * (*v - dot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor, check_slice, dense, differences};

    /// Whether an activation has no derivative at or below 0.
    fn is_for_positive(activation: Activation) -> bool {
        matches!(activation, Activation::Log | Activation::Sqrt | Activation::Power { .. })
    }

    #[test]
    fn activation_gradients_match_finite_differences() {
        let mut random = Random(41);
        for (i, activation) in Activation::ALL.into_iter().enumerate() {
            let (n, pixels, channels) = [(1, 1, 1), (3, 5, 17), (2, 40, 8)][i % 3];
            let x = Tensor::random(&mut random, n, pixels, channels, i % 2 * 3);
            let scale = |x: f64| if is_for_positive(activation) { x.abs() * 3.0 + 0.25 } else { x * 7.0 };
            let x = Tensor::of(&x, |n, p, c| scale(x.at(n, p, c)));
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            let dx = Tensor::new(n, pixels, channels, 2);
            let all = |x: &[f64]| x.iter().map(|x| activation.exact(*x)).collect();
            let expected = differences(&dense(&x), &dense(&dy), all);
            let input = SlopeSource::Input(x.view());
            let run = |source, dy| {
                move |dx: ViewMut<'_>, t: &ThreadPool| activation_gradient(source, dy, dx, x.size, activation, t)
            };
            dx.filled(run(input, Some(dy.view()))).check_dense(2e-6, &expected);
            dy.filled(run(input, None)).check_dense(2e-6, &expected);
            if is_slope_from_output(activation) {
                let y = Tensor::of(&x, |n, p, c| activation.exact(x.at(n, p, c)));
                dx.filled(run(SlopeSource::Output(y.view()), Some(dy.view()))).check_dense(2e-6, &expected);
            }
        }
    }

    #[test]
    fn prelu_gradients_match_finite_differences() {
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
    fn softmax_gradient_matches_finite_differences() {
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
