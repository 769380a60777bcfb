//! Gradients of reductions along axes.

use super::{Axes, BLOCK, for_each_outer};
use crate::kernels::elementwise::column_reduce::{Columns, maxima};
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// The gradient of a sum (`factor` 1) or an average (1 / count) along `axes`: dx = dy * factor, repeated along them. dx has
/// the sizes of x and dy those of y in [`reduce`](super::reduction::reduce).
pub fn spread_gradient(dy: View<'_>, dx: ViewMut<'_>, n: usize, axes: &Axes, factor: f32, threads: &ThreadPool) {
    if n == 0 || !axes.is_possible() {
        return;
    }
    let (ld, channels) = (dx.ld, axes.channels);
    let size = Images { n, pixels: axes.pixels(), channels };
    bands(threads, dx, size, Scratch::none(), &|band, out, _| {
        for (index, out) in out.chunks_mut(ld).enumerate() {
            let pixel = band.first + index;
            let from = pixel / (axes.len * axes.inner) * axes.inner + pixel % axes.inner;
            let dy = &dy.data[band.image * dy.image + from * dy.ld..];
            match axes.over_channels {
                true => out[..channels].fill(dy[0] * factor),
                false => scaled_copy(&mut out[..channels], dy, factor),
            }
        }
    });
}

multiversion! {
    /// values = x * factor
    fn scaled_copy(values: &mut [f32], x: &[f32], factor: f32) {
        values.iter_mut().zip(x).for_each(|(v, x)| *v = x * factor);
    }
}

/// The gradient of a maximum along `axes`: dy goes to the first value that attains it. x and dx have the sizes of x, dy those
/// of y in [`reduce`](super::reduction::reduce).
pub fn maximum_gradient(x: View<'_>, dy: View<'_>, dx: ViewMut<'_>, n: usize, axes: &Axes, threads: &ThreadPool) {
    if n == 0 || !axes.is_possible() {
        return;
    }
    let ld = dx.ld;
    for_each_outer(dx, n, axes, threads, &|image, outer, out| {
        for inner in 0..axes.inner {
            let from = &x.data[image * x.image + (outer * axes.len * axes.inner + inner) * x.ld..];
            let dy = &dy.data[image * dy.image + (outer * axes.inner + inner) * dy.ld..];
            let x = Columns { x: from, ld: axes.inner * x.ld, rows: axes.len, first: 0 };
            let (out, ld) = (&mut out[inner * ld..], axes.inner * ld);
            if axes.over_channels {
                first_of_all(x, axes.channels, dy[0], out, ld);
                continue;
            }
            for first in (0..axes.channels).step_by(BLOCK) {
                let width = BLOCK.min(axes.channels - first);
                let mut most = [0.0; BLOCK];
                let columns = Columns { first, ..x };
                maxima(columns, &mut most[..width]);
                first_of_each(columns, &most[..width], &dy[first..], &mut out[first..], ld);
            }
        }
    });
}

multiversion! {
    /// out = dy in the first row where x is `most`, else 0: as many columns as `most` has.
    fn first_of_each(x: Columns<'_>, most: &[f32], dy: &[f32], out: &mut [f32], ld: usize) {
        let mut left = [0.0; BLOCK];
        let left = &mut left[..most.len()];
        left.copy_from_slice(&dy[..most.len()]);
        for row in 0..x.rows {
            let x = &x.x[row * x.ld + x.first..][..most.len()];
            let out = &mut out[row * ld..][..most.len()];
            for (((v, x), most), left) in out.iter_mut().zip(x).zip(most).zip(&mut *left) {
                let is_first = x == most;
                *v = if is_first { *left } else { 0.0 };
                *left = if is_first { 0.0 } else { *left };
            }
        }
    }
}

/// out = dy at the first of the largest values of all rows, else 0.
fn first_of_all(x: Columns<'_>, channels: usize, dy: f32, out: &mut [f32], ld: usize) {
    let mut best = (f32::NEG_INFINITY, 0, 0);
    for row in 0..x.rows {
        out[row * ld..][..channels].fill(0.0);
        for (channel, &value) in x.x[row * x.ld..][..channels].iter().enumerate() {
            if value > best.0 {
                best = (value, row, channel);
            }
        }
    }
    out[best.1 * ld + best.2] = dy;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reduce::reduction::tests::cases;
    use crate::kernels::testing::{Random, Tensor, dense, differences};

    #[test]
    fn gradients_match_finite_differences() {
        let mut random = Random(62);
        for (case, axes) in cases().into_iter().enumerate().filter(|(_, axes)| axes.pixels() * axes.channels < 300) {
            let (n, gap) = (1 + case % 3, case / 2 % 2 * 3);
            let x = Tensor::random(&mut random, n, axes.pixels(), axes.channels, gap);
            let (pixels, channels) = axes.reduced();
            let dy = Tensor::random(&mut random, n, pixels, channels, 1);
            // The index of the result that a value of x belongs to.
            let result = |index: usize| {
                let (channel, pixel) = (index % axes.channels, index / axes.channels);
                let (image, pixel) = (pixel / axes.pixels(), pixel % axes.pixels());
                let to = pixel / (axes.len * axes.inner) * axes.inner + pixel % axes.inner;
                (image * pixels + to) * channels + if axes.over_channels { 0 } else { channel }
            };
            let fold = |x: &[f64], start: f64, f: fn(f64, f64) -> f64| {
                let mut y = vec![start; n * pixels * channels];
                x.iter().enumerate().for_each(|(index, x)| y[result(index)] = f(y[result(index)], *x));
                y
            };
            let dx = Tensor::new(n, axes.pixels(), axes.channels, 2);
            let (values, slopes) = (dense(&x), dense(&dy));
            let found = dx.filled(|dx, t| spread_gradient(dy.view(), dx, n, &axes, 0.5, t));
            found.check_dense(1e-6, &differences(&values, &slopes, |x| fold(x, 0.0, |a, b| a + 0.5 * b)));
            let found = dx.filled(|dx, t| maximum_gradient(x.view(), dy.view(), dx, n, &axes, t));
            found.check_dense(1e-6, &differences(&values, &slopes, |x| fold(x, f64::NEG_INFINITY, f64::max)));
        }
    }

    #[test]
    fn equal_maxima_leave_the_gradient_to_the_first() {
        let x = [1.0, 2.0, 2.0, 2.0, 0.0, 2.0];
        let run = |over_channels, dy: &[f32]| {
            let axes = Axes { outer: 1, len: 3, inner: 1, channels: 2, over_channels };
            let mut dx = [9.0; 6];
            let (x, out) = (View { data: &x, ld: 2, image: 6 }, ViewMut { data: &mut dx, ld: 2, image: 6 });
            maximum_gradient(x, View { data: dy, ld: 2, image: 2 }, out, 1, &axes, &ThreadPool::new(1));
            dx
        };
        assert_eq!(run(false, &[5.0, 7.0]), [0.0, 7.0, 5.0, 0.0, 0.0, 0.0]);
        assert_eq!(run(true, &[5.0]), [0.0, 5.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
