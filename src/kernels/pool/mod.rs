//! Pooling over windows that slide over an image.

pub mod global_pool;
pub mod pool_gradient;

use super::elementwise::column_reduce::tiles;
use super::parallel::disjoint::Scratch;
use super::parallel::image_batches::{Images, bands, span};
use super::parallel::thread_pool::ThreadPool;
use super::simd::multiversion::multiversion;
use super::tensor_view::{View, ViewMut, Window};

/// y = maximum of each window, padding excluded: x is `(n, in_h, in_w, channels)`, y `(n, out_h, out_w, channels)`.
/// A window of padding alone gives minus infinity; NaN is passed over.
pub fn max_pool(x: View<'_>, y: ViewMut<'_>, n: usize, channels: usize, window: &Window, threads: &ThreadPool) {
    rows(x, y, n, channels, window, threads, &|from, out, ld, oy| max_row(from, out, ld, channels, window, oy));
}

/// y = mean of each window: x is `(n, in_h, in_w, channels)`, y `(n, out_h, out_w, channels)`.
///
/// Divides by the number of cells inside the image, as TensorFlow does, or with `count_padding` by the window's size,
/// as PyTorch does by default. A window of padding alone gives 0.
pub fn average_pool(
    x: View<'_>,
    y: ViewMut<'_>,
    n: usize,
    channels: usize,
    window: &Window,
    count_padding: bool,
    threads: &ThreadPool,
) {
    rows(x, y, n, channels, window, threads, &|from, out, ld, oy| {
        if count_padding {
            average_row_padded(from, out, ld, channels, window, oy);
        } else {
            average_row(from, out, ld, channels, window, oy);
        }
    });
}

/// One image's pixels and their distance.
#[derive(Clone, Copy)]
pub(crate) struct Image<'a> {
    pub data: &'a [f32],
    pub ld: usize,
}

/// Writes one row of output pixels: (input image, output floats, distance of output pixels, row).
type Row<'a> = dyn Fn(Image<'_>, &mut [f32], usize, usize) + Sync + 'a;

fn rows(x: View<'_>, y: ViewMut<'_>, n: usize, channels: usize, window: &Window, threads: &ThreadPool, work: &Row<'_>) {
    let ld = y.ld;
    let width = span(window.out_w, ld, channels);
    let size = Images { n, pixels: window.out_h, channels: width };
    let row_step = window.out_w * ld;
    let y = ViewMut { data: y.data, ld: row_step, image: y.image };
    let image = Images { n, pixels: window.in_h * window.in_w, channels }.span(x.ld);
    bands(threads, y, size, Scratch::none(), &|band, out, _| {
        let from = Image { data: &x.data[band.image * x.image..][..image], ld: x.ld };
        for i in 0..band.pixels {
            work(from, &mut out[i * row_step..][..width], ld, band.first + i);
        }
    });
}

/// The places along one axis where a window's taps meet the image: the first cell and how many.
#[inline(always)]
pub(crate) fn taps(
    out: usize,
    stride: usize,
    pad: usize,
    kernel: usize,
    dilation: usize,
    size: usize,
) -> (usize, usize) {
    let start = out * stride;
    // The first tap at or behind cell 0, and the first one behind the image.
    let skipped = pad.saturating_sub(start).div_ceil(dilation);
    let end = (size + pad).saturating_sub(start).div_ceil(dilation).min(kernel);
    (start + skipped * dilation - pad, end.saturating_sub(skipped))
}

/// The cells of one window: the offset of the first, and how many rows and columns of them how far apart.
#[derive(Clone, Copy)]
pub(crate) struct Cells {
    pub first: usize,
    pub rows: usize,
    pub columns: usize,
    pub row_step: usize,
    pub column_step: usize,
}

impl Cells {
    #[inline(always)]
    pub fn of(w: &Window, ld: usize, oy: usize, ox: usize) -> Self {
        let (y, rows) = taps(oy, w.stride_h, w.pad_top, w.kernel_h, w.dilation_h, w.in_h);
        let (x, columns) = taps(ox, w.stride_w, w.pad_left, w.kernel_w, w.dilation_w, w.in_w);
        let (row_step, column_step) = (w.dilation_h * w.in_w * ld, w.dilation_w * ld);
        if rows == 0 || columns == 0 {
            return Self { first: 0, rows: 0, columns: 0, row_step, column_step };
        }
        Self { first: (y * w.in_w + x) * ld, rows, columns, row_step, column_step }
    }

    /// Folds `T` channels from `at` on into `start`. `ROWS` and `COLUMNS` are the window's sizes, or 0 for any.
    #[inline(always)]
    fn fold<const T: usize, const ROWS: usize, const COLUMNS: usize>(
        self,
        x: &[f32],
        at: usize,
        start: f32,
        step: impl Fn(f32, f32) -> f32,
    ) -> [f32; T] {
        let mut acc = [start; T];
        let rows = if ROWS == 0 { self.rows } else { ROWS };
        let columns = if COLUMNS == 0 { self.columns } else { COLUMNS };
        for row in 0..rows {
            for column in 0..columns {
                let cell = &x[self.first + row * self.row_step + column * self.column_step + at..][..T];
                for lane in 0..T {
                    acc[lane] = step(acc[lane], cell[lane]);
                }
            }
        }
        acc
    }
}

/// Writes out[c] = finish(fold of the window's cells) for all channels of a pixel.
#[inline(always)]
fn pixel<const ROWS: usize, const COLUMNS: usize>(
    x: &[f32],
    cells: Cells,
    out: &mut [f32],
    start: f32,
    step: impl Fn(f32, f32) -> f32 + Copy,
    finish: impl Fn(f32) -> f32 + Copy,
) {
    let out = std::cell::Cell::from_mut(out).as_slice_of_cells();
    let store = |at: usize, acc: &[f32]| acc.iter().enumerate().for_each(|(i, v)| out[at + i].set(finish(*v)));
    tiles(
        out.len(),
        |at| store(at, &cells.fold::<32, ROWS, COLUMNS>(x, at, start, step)),
        |at| store(at, &cells.fold::<8, ROWS, COLUMNS>(x, at, start, step)),
        |at| store(at, &cells.fold::<1, ROWS, COLUMNS>(x, at, start, step)),
    );
}

/// One row of windows; `divisor` of the number of cells is what the fold is divided by.
#[inline(always)]
fn row(
    (from, out, ld, channels): (Image<'_>, &mut [f32], usize, usize),
    (window, oy): (&Window, usize),
    start: f32,
    step: impl Fn(f32, f32) -> f32 + Copy,
    divisor: impl Fn(usize) -> Option<f32>,
) {
    for ox in 0..window.out_w {
        let cells = Cells::of(window, from.ld, oy, ox);
        let out = &mut out[ox * ld..][..channels];
        let factor = divisor(cells.rows * cells.columns);
        match (cells.rows, cells.columns, factor) {
            (2, 2, None) => pixel::<2, 2>(from.data, cells, out, start, step, |v| v),
            (3, 3, None) => pixel::<3, 3>(from.data, cells, out, start, step, |v| v),
            (_, _, None) => pixel::<0, 0>(from.data, cells, out, start, step, |v| v),
            (2, 2, Some(f)) => pixel::<2, 2>(from.data, cells, out, start, step, |v| v * f),
            (3, 3, Some(f)) => pixel::<3, 3>(from.data, cells, out, start, step, |v| v * f),
            (_, _, Some(f)) => pixel::<0, 0>(from.data, cells, out, start, step, |v| v * f),
        }
    }
}

multiversion! {
    fn max_row(from: Image<'_>, out: &mut [f32], ld: usize, channels: usize, window: &Window, oy: usize) {
        let step = |a: f32, b: f32| if b > a { b } else { a };
        row((from, out, ld, channels), (window, oy), f32::NEG_INFINITY, step, |_| None);
    }
}

multiversion! {
    fn average_row(from: Image<'_>, out: &mut [f32], ld: usize, channels: usize, window: &Window, oy: usize) {
        let divisor = |count: usize| Some(1.0 / count.max(1) as f32);
        row((from, out, ld, channels), (window, oy), 0.0, |a, b| a + b, divisor);
    }
}

multiversion! {
    fn average_row_padded(from: Image<'_>, out: &mut [f32], ld: usize, channels: usize, window: &Window, oy: usize) {
        let size = (window.kernel_h * window.kernel_w) as f32;
        row((from, out, ld, channels), (window, oy), 0.0, |a, b| a + b, |_| Some(1.0 / size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor, receptive_field, windows};

    /// Channels around the tiles' widths.
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
    fn maxima_of_windows() {
        let mut random = Random(1);
        for (w, n, channels, gap) in cases(&mut random) {
            let x = Tensor::random(&mut random, n, w.in_h * w.in_w, channels, gap);
            let y = Tensor::new(n, w.out_h * w.out_w, channels, gap / 2);
            let y = y.filled(|y, threads| max_pool(x.view(), y, n, channels, &w, threads));
            y.check(0.0, |n, p, c| {
                receptive_field(&w, p).iter().fold(f64::NEG_INFINITY, |most, (cell, ..)| most.max(x.at(n, *cell, c)))
            });
        }
    }

    #[test]
    fn means_of_windows() {
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
    fn many_rows_make_several_tasks() {
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
