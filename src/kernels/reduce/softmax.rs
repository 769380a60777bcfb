//! Softmax along an axis of the pixels, and its gradient. Along the channels it is
//! [`softmax`](crate::kernels::elementwise::softmax::softmax).

use super::{Axes, BLOCK, for_each_outer};
use crate::kernels::parallel::image_batches::copy_rows;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math;
use crate::kernels::tensor_view::{View, ViewMut};

/// y = exp(x - max) / sum(exp(x - max)) along the `len` pixels of `axes`; x and y are `(n, outer, len, inner, channels)`.
/// Without an `x` it works in place on `y`.
pub fn softmax_along(x: Option<View<'_>>, y: ViewMut<'_>, n: usize, axes: &Axes, threads: &ThreadPool) {
    let ld = axes.inner * y.ld;
    in_blocks(x, y, n, axes, threads, &|block, values| softmax_columns(values, ld, axes.len, block.width));
}

/// The gradient of [`softmax_along`] from its output: dx = y * (dy - sum of dy * y along the axis). Without a `dy` it works in
/// place on `dx`.
pub fn softmax_along_gradient(
    y: View<'_>,
    dy: Option<View<'_>>,
    dx: ViewMut<'_>,
    n: usize,
    axes: &Axes,
    threads: &ThreadPool,
) {
    let ld = axes.inner * dx.ld;
    in_blocks(dy, dx, n, axes, threads, &|block, values| {
        let y_rows = &y.data[block.image * y.image + block.pixel * y.ld + block.channel..];
        softmax_gradient_columns(values, ld, y_rows, axes.inner * y.ld, axes.len, block.width);
    });
}

/// Columns from a pixel and a channel of an image on, whose rows are the pixels along the axis.
struct Block {
    image: usize,
    pixel: usize,
    channel: usize,
    /// The number of columns.
    width: usize,
}

/// Calls `body(block, values from there on)` for blocks of columns, after x is copied to y.
fn in_blocks(
    x: Option<View<'_>>,
    y: ViewMut<'_>,
    n: usize,
    axes: &Axes,
    threads: &ThreadPool,
    body: &(dyn Fn(Block, &mut [f32]) + Sync),
) {
    if n == 0 || !axes.is_possible() {
        return;
    }
    let (ld, channels) = (y.ld, axes.channels);
    for_each_outer(y, n, axes, threads, &|image, outer, out| {
        let first = outer * axes.len * axes.inner;
        if let Some(x) = &x {
            copy_rows(&x.data[image * x.image + first * x.ld..], x.ld, out, ld, channels);
        }
        for inner in 0..axes.inner {
            for channel in (0..channels).step_by(BLOCK) {
                let width = BLOCK.min(channels - channel);
                body(Block { image, pixel: first + inner, channel, width }, &mut out[inner * ld + channel..]);
            }
        }
    });
}

multiversion! {
    fn softmax_columns(values: &mut [f32], ld: usize, rows: usize, width: usize) {
        let mut most = [f32::NEG_INFINITY; BLOCK];
        let mut sums = [0.0f32; BLOCK];
        let (most, sums) = (&mut most[..width], &mut sums[..width]);
        for row in 0..rows {
            let values = &values[row * ld..][..width];
            most.iter_mut().zip(values).for_each(|(most, v)| *most = if *v > *most { *v } else { *most });
        }
        for row in 0..rows {
            let values = &mut values[row * ld..][..width];
            for ((v, most), sum) in values.iter_mut().zip(&*most).zip(&mut *sums) {
                *v = scalar_math::exp(*v - most);
                *sum += *v;
            }
        }
        sums.iter_mut().for_each(|sum| *sum = 1.0 / *sum);
        for row in 0..rows {
            let values = &mut values[row * ld..][..width];
            values.iter_mut().zip(&*sums).for_each(|(v, factor)| *v *= factor);
        }
    }
}

multiversion! {
    fn softmax_gradient_columns(values: &mut [f32], ld: usize, y: &[f32], y_ld: usize, rows: usize, width: usize) {
        let mut dots = [0.0f32; BLOCK];
        let dots = &mut dots[..width];
        for row in 0..rows {
            let (values, y) = (&values[row * ld..][..width], &y[row * y_ld..][..width]);
            dots.iter_mut().zip(values.iter().zip(y)).for_each(|(dot, (v, y))| *dot += v * y);
        }
        for row in 0..rows {
            let (values, y) = (&mut values[row * ld..][..width], &y[row * y_ld..][..width]);
            values.iter_mut().zip(y).zip(&*dots).for_each(|((v, y), dot)| *v = y * (*v - dot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reduce::reduction::tests::cases;
    use crate::kernels::testing::{Random, Tensor, dense, differences};

    /// Softmax of dense values along the axis.
    fn expected(x: &[f64], axes: &Axes) -> Vec<f64> {
        let mut y: Vec<f64> = x.iter().map(|x| x.exp()).collect();
        let stride = axes.inner * axes.channels;
        for group in y.chunks_mut(axes.len * stride) {
            for column in 0..stride {
                let sum: f64 = group.iter().skip(column).step_by(stride).sum();
                group.iter_mut().skip(column).step_by(stride).for_each(|value| *value /= sum);
            }
        }
        y
    }

    #[test]
    fn softmax_and_its_gradient_match_their_definitions() {
        let mut random = Random(63);
        for (case, axes) in cases().into_iter().enumerate().filter(|(_, axes)| axes.pixels() * axes.channels < 300) {
            let (n, gap) = (1 + case % 3, case / 2 % 2 * 3);
            let x = Tensor::random(&mut random, n, axes.pixels(), axes.channels, gap);
            let x = Tensor::of(&x, |n, p, c| x.at(n, p, c) * 5.0);
            let dy = Tensor::random(&mut random, n, axes.pixels(), axes.channels, 1);
            let y = Tensor::new(n, axes.pixels(), axes.channels, 2);
            let wanted = expected(&dense(&x), &axes);
            y.filled(|y, t| softmax_along(Some(x.view()), y, n, &axes, t)).check_dense(3e-7, &wanted);
            let y = x.filled(|y, t| softmax_along(None, y, n, &axes, t));
            y.check_dense(3e-7, &wanted);
            let slopes = differences(&dense(&x), &dense(&dy), |x| expected(x, &axes));
            let dx = Tensor::new(n, axes.pixels(), axes.channels, 1);
            let run = |dy, dx: ViewMut<'_>, t: &ThreadPool| softmax_along_gradient(y.view(), dy, dx, n, &axes, t);
            dx.filled(|dx, t| run(Some(dy.view()), dx, t)).check_dense(2e-6, &slopes);
            dy.filled(|dx, t| run(None, dx, t)).check_dense(2e-6, &slopes);
        }
    }
}
