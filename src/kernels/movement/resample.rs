//! Interpolation of images: nearest neighbour, bilinear and bicubic, as PyTorch's `interpolate` without antialiasing.
//!
//! An output pixel is a weighted sum of 1, 2 or 4 input pixels along each axis. The pixels and weights of each axis are computed
//! once per call; the sums are taken first over rows, then over columns.

use serde::{Deserialize, Serialize};

pub use super::resample_table::MAX_TAPS;
use super::resample_table::{Table, blend_columns, blend_rows};
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands, copy_rows, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};

/// How a pixel between others gets its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Interpolation {
    Nearest,
    Bilinear,
    Bicubic,
}

impl Interpolation {
    /// All, in the order of the documentation.
    pub const ALL: [Interpolation; 3] = [Self::Nearest, Self::Bilinear, Self::Bicubic];

    /// Its name in specs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        }
    }

    /// The input pixels along an axis that an output pixel is a sum of.
    pub fn taps(self) -> usize {
        match self {
            Self::Nearest => 1,
            Self::Bilinear => 2,
            Self::Bicubic => 4,
        }
    }
}

/// Keys' parameter of the cubic kernel, as PyTorch, ONNX and OpenCV choose it; Pillow and TensorFlow's `resize` have -0.5.
const CUBIC_A: f64 = -0.75;

/// The geometry of a resize along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResizeAxis {
    pub input: usize,
    pub output: usize,
    /// Input pixels per output pixel.
    pub ratio: f64,
}

/// The geometry of a resize.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    pub rows: ResizeAxis,
    pub columns: ResizeAxis,
    pub channels: usize,
    pub interpolation: Interpolation,
    /// Whether coordinates are those of the pixels' centres, half a pixel from their corners: `align_corners=false`.
    pub half_pixels: bool,
}

impl Resize {
    /// The input pixels along an axis that output pixel `at` is a sum of, in ascending order, and their weights. Pixels beyond
    /// the border are those at the border. Only the first [`Interpolation::taps`] count.
    #[allow(clippy::cast_sign_loss)] // Clamped before, and casts saturate.
    pub fn taps(&self, axis: &ResizeAxis, at: usize) -> ([usize; MAX_TAPS], [f64; MAX_TAPS]) {
        let last = axis.input.saturating_sub(1);
        let same = axis.input == axis.output;
        let center = match self.half_pixels {
            true => axis.ratio * (at as f64 + 0.5) - 0.5,
            false => axis.ratio * at as f64,
        };
        match self.interpolation {
            Interpolation::Nearest if same => ([at; MAX_TAPS], [1.0; MAX_TAPS]),
            // PyTorch multiplies in f32, and a product just below an integer may round up to it.
            Interpolation::Nearest => {
                let source = (at as f32 * axis.ratio as f32).floor() as usize;
                ([source.min(last); MAX_TAPS], [1.0; MAX_TAPS])
            }
            Interpolation::Bilinear if same => ([at; MAX_TAPS], [1.0, 0.0, 0.0, 0.0]),
            Interpolation::Bilinear => {
                let center = center.max(0.0);
                let low = (center.floor() as usize).min(last);
                let share = (center - low as f64).clamp(0.0, 1.0);
                ([low, (low + 1).min(last), low, low], [1.0 - share, share, 0.0, 0.0])
            }
            Interpolation::Bicubic => {
                let low = center.floor();
                let place = |tap: i32| ((low + f64::from(tap)).max(0.0) as usize).min(last);
                let t = center - low;
                let near = |x: f64| ((CUBIC_A + 2.0) * x - (CUBIC_A + 3.0)) * x * x + 1.0;
                let far = |x: f64| ((CUBIC_A * x - 5.0 * CUBIC_A) * x + 8.0 * CUBIC_A) * x - 4.0 * CUBIC_A;
                ([-1, 0, 1, 2].map(place), [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)])
            }
        }
    }

    /// Floats of the tables of both axes.
    fn table_len(&self) -> usize {
        let taps = self.interpolation.taps();
        Table::len(self.rows.output, taps) + Table::len(self.columns.output, taps)
    }

    /// Fills `scratch` with the tables of both axes, and returns them and the floats after them.
    fn tables<'s>(&self, scratch: &'s mut [f32]) -> (Table<'s>, Table<'s>, &'s mut [f32]) {
        let taps = self.interpolation.taps();
        let (rows, scratch) = scratch.split_at_mut(Table::len(self.rows.output, taps));
        let (columns, scratch) = scratch.split_at_mut(Table::len(self.columns.output, taps));
        let table = |data, axis: &ResizeAxis| Table::new(data, axis.output, taps, |at| self.taps(axis, at));
        (table(rows, &self.rows), table(columns, &self.columns), scratch)
    }
}

/// Scratch memory of [`resize`], in floats: the tables, and for each worker a row of the input.
pub fn resize_scratch_len(size: &Resize, workers: usize) -> usize {
    size.table_len() + workers * size.columns.input * size.channels
}

/// Scratch memory of [`resize_gradient`], in floats: the tables, and for each worker a row of the output.
pub fn resize_gradient_scratch_len(size: &Resize, workers: usize) -> usize {
    size.table_len() + workers * size.columns.output * size.channels
}

/// y = x resized: x is `(n, rows.input, columns.input, channels)`, y `(n, rows.output, columns.output, channels)`; `scratch` has
/// at least [`resize_scratch_len`] floats.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn resize(x: View<'_>, y: ViewMut<'_>, n: usize, size: &Resize, scratch: &mut [f32], threads: &ThreadPool) {
    let Resize { rows, columns, channels, interpolation, .. } = *size;
    let (row_table, column_table, scratch) = size.tables(scratch);
    let (ld, in_w, out_w) = (y.ld, columns.input, columns.output);
    let images = Images { n, pixels: rows.output, channels: span(out_w, ld, channels) };
    let y = ViewMut { data: y.data, ld: out_w * ld, image: y.image };
    let scratch = Scratch { data: scratch, per_worker: in_w * channels };
    bands(threads, y, images, scratch, &|band, out, blended| {
        let image = &x.data[band.image * x.image..][..span(rows.input * in_w, x.ld, channels)];
        for (i, row) in out.chunks_mut(out_w * ld).enumerate() {
            let at = band.first + i;
            if interpolation != Interpolation::Nearest {
                blend_rows(blended, image, x.ld, channels, row_table.at(at));
                blend_columns(row, ld, blended, channels, column_table);
                continue;
            }
            let from = &image[row_table.index(at, 0) * in_w * x.ld..];
            match in_w == out_w {
                true => copy_rows(&from[..span(in_w, x.ld, channels)], x.ld, row, ld, channels),
                false => row.chunks_mut(ld).enumerate().for_each(|(j, pixel)| {
                    pixel[..channels].copy_from_slice(&from[column_table.index(j, 0) * x.ld..][..channels]);
                }),
            }
        }
    });
}

/// The gradient of [`resize`]: each dy is distributed over the pixels that it is a sum of, by their weights. dy is
/// `(n, rows.output, columns.output, channels)`, dx `(n, rows.input, columns.input, channels)`; `scratch` has at least
/// [`resize_gradient_scratch_len`] floats.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn resize_gradient(
    dy: View<'_>,
    dx: ViewMut<'_>,
    n: usize,
    size: &Resize,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let Resize { rows, columns, channels, .. } = *size;
    let (row_table, column_table, scratch) = size.tables(scratch);
    let (ld, in_w, out_w) = (dx.ld, columns.input, columns.output);
    let images = Images { n, pixels: rows.input, channels: span(in_w, ld, channels) };
    let dx = ViewMut { data: dx.data, ld: in_w * ld, image: dx.image };
    let scratch = Scratch { data: scratch, per_worker: out_w * channels };
    bands(threads, dx, images, scratch, &|band, out, gathered| {
        for (i, row) in out.chunks_mut(in_w * ld).enumerate() {
            gathered.fill(0.0);
            for (output, weight) in row_table.sums_with(band.first + i) {
                let from = &dy.data[band.image * dy.image + output * out_w * dy.ld..];
                for (to, from) in gathered.chunks_exact_mut(channels).zip(from.chunks(dy.ld)) {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
                }
            }
            row.chunks_mut(ld).for_each(|pixel| pixel[..channels].fill(0.0));
            for (j, from) in gathered.chunks_exact(channels).enumerate() {
                for tap in 0..column_table.taps {
                    let (input, weight) = (column_table.index(j, tap), column_table.weight(j, tap));
                    let to = &mut row[input * ld..][..channels];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor, dense, differences};

    fn axis(input: usize, output: usize, half_pixels: bool) -> ResizeAxis {
        let ratio = match half_pixels {
            true => input as f64 / output as f64,
            false if output > 1 => (input - 1) as f64 / (output - 1) as f64,
            false => 0.0,
        };
        ResizeAxis { input, output, ratio }
    }

    fn sizes() -> Vec<Resize> {
        let shapes = [
            (1, 1, 1, 1, 1),
            (3, 5, 7, 10, 5),
            (9, 8, 4, 3, 17),
            (6, 4, 6, 9, 3),
            (30, 40, 60, 25, 8),
            (5, 2, 1, 1, 4),
        ];
        let each = shapes.into_iter().flat_map(|shape| Interpolation::ALL.map(|kind| (shape, kind)));
        each.flat_map(|((in_h, in_w, out_h, out_w, channels), interpolation)| {
            [true, false].map(|half_pixels| Resize {
                rows: axis(in_h, out_h, half_pixels),
                columns: axis(in_w, out_w, half_pixels),
                channels,
                interpolation,
                half_pixels,
            })
        })
        .collect()
    }

    /// By the definition: the sum over both axes' taps.
    fn reference(x: &[f64], n: usize, size: &Resize) -> Vec<f64> {
        let Resize { rows, columns, channels, interpolation, .. } = *size;
        let mut y = Vec::new();
        for image in 0..n {
            for p in 0..rows.output * columns.output {
                let (i, i_weights) = size.taps(&rows, p / columns.output);
                let (j, j_weights) = size.taps(&columns, p % columns.output);
                for c in 0..channels {
                    let taps = 0..interpolation.taps() * interpolation.taps();
                    y.push(taps.fold(0.0, |sum, tap| {
                        let (a, b) = (tap / interpolation.taps(), tap % interpolation.taps());
                        let pixel = (image * rows.input + i[a]) * columns.input + j[b];
                        sum + i_weights[a] * j_weights[b] * x[pixel * channels + c]
                    }));
                }
            }
        }
        y
    }

    #[test]
    fn images_are_interpolated() {
        let mut random = Random(41);
        for (i, size) in sizes().into_iter().enumerate() {
            let (n, gap) = (1 + i % 3, i % 2 * 3);
            let x = Tensor::random(&mut random, n, size.rows.input * size.columns.input, size.channels, gap);
            let y = Tensor::new(n, size.rows.output * size.columns.output, size.channels, 2 - i % 2);
            let y = y.filled(|y, threads| {
                let mut scratch = Floats::filled(f32::NAN, resize_scratch_len(&size, threads.count()));
                resize(x.view(), y, n, &size, &mut scratch, threads);
            });
            y.check_dense(1e-6, &reference(&dense(&x), n, &size));
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let mut random = Random(42);
        for (i, size) in sizes().into_iter().enumerate().filter(|(_, size)| size.rows.input < 30) {
            let n = 1 + i % 2;
            let x = Tensor::random(&mut random, n, size.rows.input * size.columns.input, size.channels, 0);
            let dy = Tensor::random(&mut random, n, size.rows.output * size.columns.output, size.channels, i % 3);
            let dx = Tensor::new(n, size.rows.input * size.columns.input, size.channels, i % 2 * 2);
            let dx = dx.filled(|dx, threads| {
                let mut scratch = Floats::filled(f32::NAN, resize_gradient_scratch_len(&size, threads.count()));
                resize_gradient(dy.view(), dx, n, &size, &mut scratch, threads);
            });
            dx.check_dense(1e-5, &differences(&dense(&x), &dense(&dy), |x| reference(x, n, &size)));
        }
    }
}
