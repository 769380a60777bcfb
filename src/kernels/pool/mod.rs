//! Pooling: max and average over sliding windows, global pooling, and their gradients.

pub mod global_pool;
pub mod pool_gradient;

use super::elementwise::column_reduce::tiles;
use super::parallel::disjoint::Scratch;
use super::parallel::image_batches::{Images, bands, span};
use super::parallel::thread_pool::ThreadPool;
use super::simd::multiversion::multiversion;
use super::tensor_view::{View, ViewMut, Window};

/// Max pooling, padding excluded: x is `(n, in_h, in_w, channels)`, y `(n, out_h, out_w, channels)`.
/// A window that lies in the padding gives minus infinity; NaNs are ignored.
pub fn max_pool(x: View<'_>, y: ViewMut<'_>, n: usize, channels: usize, window: &Window, threads: &ThreadPool) {
    output_rows(x, y, n, channels, window, threads, &|x, out, ld, oy| max_row(x, out, ld, channels, window, oy));
}

/// Average pooling: x is `(n, in_h, in_w, channels)`, y `(n, out_h, out_w, channels)`.
///
/// Divides by the number of window elements inside the image, as TensorFlow does, or with `count_padding` by the window
/// size, PyTorch's default (`count_include_pad`). A window that lies in the padding gives 0.
pub fn average_pool(
    x: View<'_>,
    y: ViewMut<'_>,
    n: usize,
    channels: usize,
    window: &Window,
    count_padding: bool,
    threads: &ThreadPool,
) {
    output_rows(x, y, n, channels, window, threads, &|x, out, ld, oy| {
        if count_padding {
            average_row_padded(x, out, ld, channels, window, oy);
        } else {
            average_row(x, out, ld, channels, window, oy);
        }
    });
}

/// The pixels of one image, with row stride `ld`.
#[derive(Clone, Copy)]
pub(crate) struct Image<'a> {
    pub data: &'a [f32],
    pub ld: usize,
}

/// Computes one row of output pixels: `(input image, output floats, their row stride, index of the row)`.
type ComputeRow<'a> = dyn Fn(Image<'_>, &mut [f32], usize, usize) + Sync + 'a;

fn output_rows(
    x: View<'_>,
    y: ViewMut<'_>,
    n: usize,
    channels: usize,
    window: &Window,
    threads: &ThreadPool,
    compute: &ComputeRow<'_>,
) {
    let ld = y.ld;
    let width = span(window.out_w, ld, channels);
    let size = Images { n, pixels: window.out_h, channels: width };
    let row_stride = window.out_w * ld;
    let y = ViewMut { data: y.data, ld: row_stride, image: y.image };
    let image = Images { n, pixels: window.in_h * window.in_w, channels }.span(x.ld);
    bands(threads, y, size, Scratch::none(), &|band, out, _| {
        let from = Image { data: &x.data[band.image * x.image..][..image], ld: x.ld };
        for i in 0..band.pixels {
            compute(from, &mut out[i * row_stride..][..width], ld, band.first + i);
        }
    });
}

/// The taps of a window inside the image along one axis: the position of the first, and their number.
#[inline(always)]
fn taps(out: usize, stride: usize, pad: usize, kernel: usize, dilation: usize, size: usize) -> (usize, usize) {
    let start = out * stride;
    // The first tap at or after position 0, and the first one after the image.
    let skipped = pad.saturating_sub(start).div_ceil(dilation);
    let end = (size + pad).saturating_sub(start).div_ceil(dilation).min(kernel);
    (start + skipped * dilation - pad, end.saturating_sub(skipped))
}

/// The elements of one window that lie inside the image: the offset of the first, their rows and columns, and strides.
#[derive(Clone, Copy)]
pub(crate) struct WindowElements {
    pub offset: usize,
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl WindowElements {
    #[inline(always)]
    pub fn of(w: &Window, ld: usize, oy: usize, ox: usize) -> Self {
        let (y, rows) = taps(oy, w.stride_h, w.pad_top, w.kernel_h, w.dilation_h, w.in_h);
        let (x, columns) = taps(ox, w.stride_w, w.pad_left, w.kernel_w, w.dilation_w, w.in_w);
        let (row_stride, column_stride) = (w.dilation_h * w.in_w * ld, w.dilation_w * ld);
        if rows == 0 || columns == 0 {
            return Self { offset: 0, rows: 0, columns: 0, row_stride, column_stride };
        }
        Self { offset: (y * w.in_w + x) * ld, rows, columns, row_stride, column_stride }
    }

    /// Reduces the window for `T` channels from `channel` on, starting at `initial`. `ROWS` and `COLUMNS` are the size of
    /// the window if it is known at compile time, else 0.
    #[inline(always)]
    fn reduce<const T: usize, const ROWS: usize, const COLUMNS: usize>(
        self,
        x: &[f32],
        channel: usize,
        initial: f32,
        combine: impl Fn(f32, f32) -> f32,
    ) -> [f32; T] {
        let mut acc = [initial; T];
        let rows = if ROWS == 0 { self.rows } else { ROWS };
        let columns = if COLUMNS == 0 { self.columns } else { COLUMNS };
        for row in 0..rows {
            for column in 0..columns {
                let element = &x[self.offset + row * self.row_stride + column * self.column_stride + channel..][..T];
                for lane in 0..T {
                    acc[lane] = combine(acc[lane], element[lane]);
                }
            }
        }
        acc
    }
}

/// out[c] = finish(reduction of the window) for all channels of a pixel.
#[inline(always)]
fn reduce_window<const ROWS: usize, const COLUMNS: usize>(
    x: &[f32],
    elements: WindowElements,
    out: &mut [f32],
    initial: f32,
    combine: impl Fn(f32, f32) -> f32 + Copy,
    finish: impl Fn(f32) -> f32 + Copy,
) {
    let out = std::cell::Cell::from_mut(out).as_slice_of_cells();
    let store = |channel: usize, acc: &[f32]| {
        acc.iter().enumerate().for_each(|(i, v)| out[channel + i].set(finish(*v)));
    };
    tiles(
        out.len(),
        |channel| store(channel, &elements.reduce::<32, ROWS, COLUMNS>(x, channel, initial, combine)),
        |channel| store(channel, &elements.reduce::<8, ROWS, COLUMNS>(x, channel, initial, combine)),
        |channel| store(channel, &elements.reduce::<1, ROWS, COLUMNS>(x, channel, initial, combine)),
    );
}

/// One row of windows; `factor` maps the number of elements in a window to the factor of the reduction, if any.
#[inline(always)]
fn reduce_row(
    (x, out, ld, channels): (Image<'_>, &mut [f32], usize, usize),
    (window, oy): (&Window, usize),
    initial: f32,
    combine: impl Fn(f32, f32) -> f32 + Copy,
    factor: impl Fn(usize) -> Option<f32>,
) {
    for ox in 0..window.out_w {
        let elements = WindowElements::of(window, x.ld, oy, ox);
        let out = &mut out[ox * ld..][..channels];
        let factor = factor(elements.rows * elements.columns);
        match (elements.rows, elements.columns, factor) {
            (2, 2, None) => reduce_window::<2, 2>(x.data, elements, out, initial, combine, |v| v),
            (3, 3, None) => reduce_window::<3, 3>(x.data, elements, out, initial, combine, |v| v),
            (_, _, None) => reduce_window::<0, 0>(x.data, elements, out, initial, combine, |v| v),
            (2, 2, Some(f)) => reduce_window::<2, 2>(x.data, elements, out, initial, combine, |v| v * f),
            (3, 3, Some(f)) => reduce_window::<3, 3>(x.data, elements, out, initial, combine, |v| v * f),
            (_, _, Some(f)) => reduce_window::<0, 0>(x.data, elements, out, initial, combine, |v| v * f),
        }
    }
}

multiversion! {
    fn max_row(x: Image<'_>, out: &mut [f32], ld: usize, channels: usize, window: &Window, oy: usize) {
        let max = |a: f32, b: f32| if b > a { b } else { a };
        reduce_row((x, out, ld, channels), (window, oy), f32::NEG_INFINITY, max, |_| None);
    }
}

multiversion! {
    fn average_row(x: Image<'_>, out: &mut [f32], ld: usize, channels: usize, window: &Window, oy: usize) {
        let factor = |count: usize| Some(1.0 / count.max(1) as f32);
        reduce_row((x, out, ld, channels), (window, oy), 0.0, |a, b| a + b, factor);
    }
}

multiversion! {
    fn average_row_padded(x: Image<'_>, out: &mut [f32], ld: usize, channels: usize, window: &Window, oy: usize) {
        let size = (window.kernel_h * window.kernel_w) as f32;
        reduce_row((x, out, ld, channels), (window, oy), 0.0, |a, b| a + b, |_| Some(1.0 / size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor, receptive_field, windows};

    /// Channel counts around the tile widths.
    const CHANNELS: [usize; 6] = [1, 3, 8, 17, 33, 64];

    fn cases(random: &mut Random) -> Vec<(Window, usize, usize, usize)> {
        let square = |size: usize, kernel: usize, stride: usize, pad: usize| Window {
            in_h: size,
            in_w: size,
            out_h: (size + pad - kernel) / stride + 1,
            out_w: (size + pad - kernel) / stride + 1,
            kernel_h: kernel,
            kernel_w: kernel,
            stride_h: stride,
            stride_w: stride,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: pad,
            pad_left: pad,
        };
        let mut all = windows(random, 40);
        all.extend([square(14, 2, 2, 0), square(13, 3, 2, 0), square(13, 3, 2, 1), square(3, 3, 1, 2)]);
        let case = |(i, window)| (window, 1 + i % 3, CHANNELS[i % 6], i % 2 * 5);
        all.into_iter().enumerate().map(case).collect()
    }

    #[test]
    fn max_pooling_matches_the_reference() {
        let mut random = Random(1);
        for (w, n, channels, gap) in cases(&mut random) {
            let x = Tensor::random(&mut random, n, w.in_h * w.in_w, channels, gap);
            let y = Tensor::new(n, w.out_h * w.out_w, channels, gap / 2);
            let y = y.filled(|y, threads| max_pool(x.view(), y, n, channels, &w, threads));
            y.check(0.0, |n, p, c| {
                receptive_field(&w, p).iter().fold(f64::NEG_INFINITY, |max, (cell, ..)| max.max(x.at(n, *cell, c)))
            });
        }
    }

    #[test]
    fn average_pooling_matches_the_reference() {
        let mut random = Random(2);
        for (w, n, channels, gap) in cases(&mut random) {
            let x = Tensor::random(&mut random, n, w.in_h * w.in_w, channels, gap);
            let y = Tensor::new(n, w.out_h * w.out_w, channels, gap / 2);
            for count_padding in [false, true] {
                let run = |y: ViewMut<'_>, t: &ThreadPool| average_pool(x.view(), y, n, channels, &w, count_padding, t);
                y.filled(run).check(1e-6, |n, p, c| {
                    let cells = receptive_field(&w, p);
                    let count = if count_padding { w.kernel_h * w.kernel_w } else { cells.len().max(1) };
                    cells.iter().map(|(cell, ..)| x.at(n, *cell, c)).sum::<f64>() / count as f64
                });
            }
        }
    }

    #[test]
    fn large_images_are_split_into_tasks() {
        let mut random = Random(3);
        let x = Tensor::random(&mut random, 2, 80 * 60, 16, 0);
        let w = Window {
            in_h: 80,
            in_w: 60,
            out_h: 40,
            out_w: 30,
            kernel_h: 2,
            kernel_w: 2,
            stride_h: 2,
            stride_w: 2,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
        };
        let y = Tensor::new(2, 40 * 30, 16, 0).filled(|y, threads| max_pool(x.view(), y, 2, 16, &w, threads));
        y.check(0.0, |n, p, c| receptive_field(&w, p).iter().map(|(cell, ..)| x.at(n, *cell, c)).fold(-9.0, f64::max));
    }
}
