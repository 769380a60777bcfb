//! Strided copies: slices, concatenation, padding and cropping.

use serde::{Deserialize, Serialize};

use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, bands, copy_rows, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};

/// y = x, both `(n, pixels, channels)` with strides of their own.
///
/// A slice of channels is a view that starts at its first channel; a concatenation over channels or over the batch is
/// one copy per input, into a view that starts at the offset of that input.
pub fn copy(x: View<'_>, y: ViewMut<'_>, size: Images, threads: &ThreadPool) {
    let ld = y.ld;
    bands(threads, y, size, Scratch::none(), &|band, out, _| {
        copy_rows(band.of(&x, size.channels), x.ld, out, ld, size.channels);
    });
}

/// A rectangle of pixels in two images of different widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rectangle {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Floats from one row of pixels to the next in x.
    pub x_row_stride: usize,
    /// Floats from one row of pixels to the next in y.
    pub y_row_stride: usize,
}

/// y = x for a rectangle of pixels of `n` images: concatenation over rows or columns (y being a region of a larger image)
/// and cropping (x being one). The views start at the rectangle's first pixel.
pub fn copy_rectangle(x: View<'_>, y: ViewMut<'_>, n: usize, size: &Rectangle, threads: &ThreadPool) {
    let Rectangle { height, width, channels, x_row_stride, y_row_stride } = *size;
    let (ld, x_width) = (y.ld, span(width, x.ld, channels));
    let rows = Images { n, pixels: height, channels: span(width, ld, channels) };
    let y = ViewMut { data: y.data, ld: y_row_stride, image: y.image };
    bands(threads, y, rows, Scratch::none(), &|band, out, _| {
        for i in 0..band.pixels {
            let from = &x.data[band.image * x.image + (band.first + i) * x_row_stride..][..x_width];
            copy_rows(from, x.ld, &mut out[i * y_row_stride..][..rows.channels], ld, channels);
        }
    });
}

/// The geometry of padding: the size of the unpadded image, and the pixels added on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PadGeometry {
    pub in_h: usize,
    pub in_w: usize,
    pub channels: usize,
    pub top: usize,
    pub left: usize,
    pub bottom: usize,
    pub right: usize,
}

/// y = x padded with `value`: x is `(n, in_h, in_w, channels)`, y is
/// `(n, top + in_h + bottom, left + in_w + right, channels)`.
pub fn pad(x: View<'_>, y: ViewMut<'_>, n: usize, geometry: &PadGeometry, value: f32, threads: &ThreadPool) {
    let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = *geometry;
    let (ld, out_w) = (y.ld, left + in_w + right);
    let rows = Images { n, pixels: top + in_h + bottom, channels: span(out_w, ld, channels) };
    let y = ViewMut { data: y.data, ld: out_w * ld, image: y.image };
    bands(threads, y, rows, Scratch::none(), &|band, out, _| {
        for (i, row) in out.chunks_mut(out_w * ld).enumerate() {
            let y_row = band.first + i;
            if (top..top + in_h).contains(&y_row) {
                let from = &x.data[band.image * x.image + (y_row - top) * in_w * x.ld..][..span(in_w, x.ld, channels)];
                let end = row.len();
                fill(&mut row[..(left * ld).min(end)], ld, channels, value);
                copy_rows(from, x.ld, &mut row[left * ld..][..span(in_w, ld, channels)], ld, channels);
                fill(&mut row[((left + in_w) * ld).min(end)..], ld, channels, value);
            } else {
                fill(row, ld, channels, value);
            }
        }
    });
}

/// Fills pixels with row stride `ld` and leaves the gaps between them untouched.
fn fill(pixels: &mut [f32], ld: usize, channels: usize, value: f32) {
    if ld == channels {
        pixels.fill(value);
    } else {
        pixels.chunks_mut(ld).for_each(|pixel| pixel[..channels].fill(value));
    }
}

/// Fills y, `(n, pixels, channels)`, with `value`.
pub fn fill_images(y: ViewMut<'_>, size: Images, value: f32, threads: &ThreadPool) {
    let ld = y.ld;
    bands(threads, y, size, Scratch::none(), &|_, out, _| fill(out, ld, size.channels, value));
}

/// y = x without its padding: x is `(n, top + in_h + bottom, left + in_w + right, channels)`, y `(n, in_h, in_w, channels)`.
pub fn crop(x: View<'_>, y: ViewMut<'_>, n: usize, geometry: &PadGeometry, threads: &ThreadPool) {
    let PadGeometry { in_h, in_w, channels, top, left, right, .. } = *geometry;
    let width = left + in_w + right;
    let first = (top * width + left) * x.ld;
    let (x_row_stride, y_row_stride) = (width * x.ld, in_w * y.ld);
    let size = Rectangle { height: in_h, width: in_w, channels, x_row_stride, y_row_stride };
    copy_rectangle(View { data: &x.data[first..], ..x }, y, n, &size, threads);
}

/// y = x, a parallel copy.
///
/// # Panics
/// If the slices differ in length.
pub fn copy_slice(x: &[f32], y: &mut [f32], threads: &ThreadPool) {
    const TASK_FLOATS: usize = 1 << 16;
    assert_eq!(x.len(), y.len());
    share(threads, y, Partition::chunks(x.len(), TASK_FLOATS), Scratch::none(), &|chunk, out, _| {
        out.copy_from_slice(&x[chunk.inner * TASK_FLOATS..][..out.len()]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn channels_are_concatenated_and_sliced() {
        let mut random = Random(14);
        for (n, pixels, a, b) in [(1, 1, 1, 1), (3, 5, 4, 13), (2, 300, 60, 5)] {
            let left = Tensor::random(&mut random, n, pixels, a, 2);
            let right = Tensor::random(&mut random, n, pixels, b, 0);
            let both = Tensor::new(n, pixels, a + b, 3).filled(|y, threads| {
                copy(left.view(), ViewMut { data: y.data, ld: y.ld, image: y.image }, left.size, threads);
                let tail = ViewMut { data: &mut y.data[a..], ld: y.ld, image: y.image };
                copy(right.view(), tail, right.size, threads);
            });
            both.check(0.0, |n, p, c| if c < a { left.at(n, p, c) } else { right.at(n, p, c - a) });
            let slice = View { data: &both.data[a..], ld: both.ld, image: both.image };
            let sliced = Tensor::new(n, pixels, b, 0).filled(|y, threads| copy(slice, y, right.size, threads));
            sliced.check(0.0, |n, p, c| right.at(n, p, c));
        }
    }

    #[test]
    fn columns_are_concatenated_and_images_cropped() {
        let mut random = Random(15);
        let (n, height, channels) = (2, 5, 3);
        let (a, b) = (4, 7);
        for gap in [0, 2] {
            let left = Tensor::random(&mut random, n, height * a, channels, gap);
            let right = Tensor::random(&mut random, n, height * b, channels, 1);
            let wide = a + b;
            let both = Tensor::new(n, height * wide, channels, gap).filled(|y, threads| {
                for (x, width, start) in [(&left, a, 0), (&right, b, a)] {
                    let region = ViewMut { data: &mut y.data[start * y.ld..], ld: y.ld, image: y.image };
                    let size =
                        Rectangle { height, width, channels, x_row_stride: width * x.ld, y_row_stride: wide * y.ld };
                    copy_rectangle(x.view(), region, n, &size, threads);
                }
            });
            both.check(0.0, |n, p, c| match (p / wide, p % wide) {
                (row, column) if column < a => left.at(n, row * a + column, c),
                (row, column) => right.at(n, row * b + column - a, c),
            });
            let start = (wide + 2) * both.ld;
            let inside = View { data: &both.data[start..], ld: both.ld, image: both.image };
            let size =
                Rectangle { height: 3, width: 6, channels, x_row_stride: wide * both.ld, y_row_stride: 6 * channels };
            let cropped = Tensor::new(n, 3 * 6, channels, 0).filled(|y, t| copy_rectangle(inside, y, n, &size, t));
            cropped.check(0.0, |n, p, c| both.at(n, (p / 6 + 1) * wide + p % 6 + 2, c));
        }
    }

    #[test]
    fn padding_on_each_side() {
        let mut random = Random(16);
        for (i, (top, left, bottom, right)) in
            [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 0, 0), (0, 0, 2, 0), (2, 0, 0, 1)].into_iter().enumerate()
        {
            for (gap, channels) in [(0, 1), (3, 5), (1, 5), (9, 2)] {
                let (n, in_h, in_w) = (1 + i % 3, 4, 3);
                let geometry = PadGeometry { in_h, in_w, channels, top, left, bottom, right };
                let x = Tensor::random(&mut random, n, in_h * in_w, channels, 2);
                let width = left + in_w + right;
                let y = Tensor::new(n, (top + in_h + bottom) * width, channels, gap);
                let y = y.filled(|y, threads| pad(x.view(), y, n, &geometry, -1.0, threads));
                y.check(0.0, |n, p, c| {
                    let (row, column) = ((p / width).wrapping_sub(top), (p % width).wrapping_sub(left));
                    if row < in_h && column < in_w { x.at(n, row * in_w + column, c) } else { -1.0 }
                });
            }
        }
    }

    #[test]
    fn fills_and_contiguous_copies() {
        let mut random = Random(17);
        let x = Tensor::random(&mut random, 3, 50, 1000, 2);
        x.filled(|y, threads| fill_images(y, x.size, 2.0, threads)).check(0.0, |_, _, _| 2.0);
        let from = random.floats(200_000);
        let mut to = Floats::filled(0.0, from.len());
        copy_slice(&from, &mut to, &ThreadPool::new(2));
        assert_eq!(from, to);
    }
}
