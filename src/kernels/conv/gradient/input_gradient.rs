//! The gradient of convolutions by their input.
//!
//! For stride 1 it is a convolution of dy again, with [`flip_weights`] and [`input_gradient_geometry`], and so has all
//! the kernels of convolutions. For other strides pixels of dx that see the same taps are computed together: for each
//! such tap a general product multiplies their pixels of dy with the tap's weights as they stand.

use super::depthwise_gradient;
use crate::kernels::epilogue::check_view;
use crate::kernels::gemm::{Backend, Operand, Product, Shape, multiply_serial};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::{Images, bands, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{Convolution, View, ViewMut, Window};
use std::ops::Range;

/// Pixels of dx of one task, about, for each of the stride's phases.
const PIXELS: usize = 96;

/// The convolution over dy that gives the gradient by the input, where there is one: for stride 1 and a window that
/// pads by no more than it reaches.
pub fn input_gradient_geometry(conv: &Convolution) -> Option<Convolution> {
    let w = conv.window;
    let reach = |kernel: usize, dilation: usize| (kernel - 1) * dilation;
    let stride_one = (w.stride_h, w.stride_w) == (1, 1);
    stride_one.then_some(())?;
    let pad_top = reach(w.kernel_h, w.dilation_h).checked_sub(w.pad_top)?;
    let pad_left = reach(w.kernel_w, w.dilation_w).checked_sub(w.pad_left)?;
    let window = Window { in_h: w.out_h, in_w: w.out_w, out_h: w.in_h, out_w: w.in_w, pad_top, pad_left, ..w };
    Some(Convolution { window, in_c: conv.out_c, out_c: conv.in_c, groups: conv.groups })
}

/// Brings weights `(kernel_h, kernel_w, in_c / groups, out_c)` into the order of [`input_gradient_geometry`]:
/// `(kernel_h, kernel_w, out_c / groups, in_c)` with the taps reversed along both axes.
///
/// # Panics
/// If `weights` or `out` does not have their length.
pub fn flip_weights(conv: &Convolution, weights: &[f32], out: &mut [f32], threads: &ThreadPool) {
    let taps = conv.window.kernel_h * conv.window.kernel_w;
    let (in_c, out_c) = (conv.in_c / conv.groups, conv.out_c / conv.groups);
    let each = in_c * conv.out_c;
    assert_eq!(weights.len(), taps * each, "weights");
    assert_eq!(out.len(), taps * each, "flipped weights");
    // A task has some rows of one tap's flipped weights.
    let rows = (TRANSPOSED / conv.in_c.max(1)).clamp(1, out_c.max(1)).next_multiple_of(TILE).min(out_c.max(1));
    let partition = Partition { outer: taps, outer_stride: each, ..Partition::chunks(each, rows * conv.in_c) };
    share(threads, out, partition, Scratch::none(), &|piece, out, _| {
        let tap = &weights[(taps - 1 - piece.outer) * each..][..each];
        let first = piece.inner * rows;
        let count = out.len() / conv.in_c;
        for group in 0..conv.groups {
            for column in (0..in_c).step_by(TILE) {
                for row in (0..count).step_by(TILE) {
                    let from = &tap[column * conv.out_c + group * out_c + first + row..];
                    let to = &mut out[row * conv.in_c + group * in_c + column..];
                    let size = (TILE.min(in_c - column), TILE.min(count - row));
                    transpose_tile(from, conv.out_c, to, conv.in_c, size);
                }
            }
        }
    });
}

multiversion! {
    /// Transposes a tile of `size` rows and columns: each line is read and written once, as their strides would make
    /// them collide in the cache.
    fn transpose_tile(from: &[f32], from_ld: usize, to: &mut [f32], to_ld: usize, size: (usize, usize)) {
        let mut tile = [[0.0; TILE]; TILE];
        for (i, line) in tile.iter_mut().enumerate().take(size.0) {
            match from[i * from_ld..].first_chunk::<TILE>() {
                Some(whole) if size.1 == TILE => *line = *whole,
                _ => line[..size.1].copy_from_slice(&from[i * from_ld..][..size.1]),
            }
        }
        for o in 0..size.1 {
            let line: [f32; TILE] = std::array::from_fn(|i| tile[i][o]);
            match to[o * to_ld..].first_chunk_mut::<TILE>() {
                Some(whole) if size.0 == TILE => *whole = line,
                _ => to[o * to_ld..][..size.0].copy_from_slice(&line[..size.0]),
            }
        }
    }
}

/// Floats that one task transposes, about.
const TRANSPOSED: usize = 1 << 15;
/// Rows and columns that are transposed at once.
const TILE: usize = 16;

/// The floats of scratch memory that [`input_gradient`] needs for `workers` threads.
pub fn input_gradient_scratch_len(conv: &Convolution, workers: usize) -> usize {
    if depthwise_gradient::suits(conv) { 0 } else { Bands::new(conv).worker_len(conv) * workers }
}

/// The general products of [`input_gradient`], where it has any: one for each tap, band and group.
pub fn input_gradient_products(conv: &Convolution, batch: usize) -> Option<Shape> {
    if depthwise_gradient::suits(conv) {
        return None;
    }
    let (window, bands) = (&conv.window, Bands::new(conv).rows);
    let rows = bands.div_ceil(window.stride_h) * window.in_w.div_ceil(window.stride_w);
    let (columns, depth) = (conv.in_c / conv.groups, conv.out_c / conv.groups);
    let count = batch * window.in_h.div_ceil(bands.max(1)) * window.kernel_h * window.kernel_w * conv.groups;
    Some(Shape { rows, columns, depth, transposed: (false, true), count })
}

/// dx `(batch, in_h, in_w, in_c)` = the gradient of a convolution by its input, of dy `(batch, out_h, out_w, out_c)`
/// and `weights` as they stand, `(kernel_h, kernel_w, in_c / groups, out_c)`: for every window.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // Views, weights and scratch are separate borrows of the arena.
pub fn input_gradient(
    threads: &ThreadPool,
    backend: Backend,
    conv: &Convolution,
    batch: usize,
    dy: View<'_>,
    weights: &[f32],
    dx: ViewMut<'_>,
    scratch: &mut [f32],
) {
    let window = &conv.window;
    check_view("gradient of the output", &dy, batch, window.out_h * window.out_w, conv.out_c);
    assert_eq!(weights.len(), window.kernel_h * window.kernel_w * conv.in_c / conv.groups * conv.out_c, "weights");
    let row = span(window.in_w, dx.ld, conv.in_c);
    let ld = dx.ld;
    let depthwise = depthwise_gradient::suits(conv);
    let cut = Bands::new(conv);
    let each = if depthwise { 0 } else { cut.worker_len(conv) };
    // A row of dx counts as a pixel.
    let dx = ViewMut { data: dx.data, ld: window.in_w * ld, image: dx.image };
    if depthwise {
        bands(
            threads,
            dx,
            Images { n: batch, pixels: window.in_h, channels: row },
            Scratch::none(),
            &|band, out, _| {
                let dy = View { data: &dy.data[band.image * dy.image..], ..dy };
                for (index, out) in out.chunks_mut(window.in_w * ld).enumerate() {
                    depthwise_gradient::input_row(conv, dy, weights, band.first + index, out, ld);
                }
            },
        );
        return;
    }
    if batch * window.in_h * row == 0 {
        return;
    }
    let count = window.in_h.div_ceil(cut.rows);
    let len = span(cut.rows.min(window.in_h), dx.ld, row);
    let last = span(window.in_h - (count - 1) * cut.rows, dx.ld, row);
    let partition =
        Partition { outer: batch, outer_stride: dx.image, inner: count, inner_stride: cut.rows * dx.ld, len, last };
    share(threads, dx.data, partition, Scratch { data: scratch, per_worker: each }, &|piece, out, copy| {
        let dy = View { data: &dy.data[piece.outer * dy.image..], ..dy };
        let first = piece.inner * cut.rows;
        let rows = first..(first + cut.rows).min(window.in_h);
        for y_phase in 0..window.stride_h.min(rows.len()) {
            for x_phase in 0..window.stride_w.min(window.in_w) {
                let phase = Phase::new(window, rows.clone(), (y_phase, x_phase));
                for group in 0..conv.groups {
                    phase.run((threads.isa(), backend), conv, (dy, weights), group, out, ld, copy);
                }
            }
        }
    });
}

/// How dx is cut, by sizes only: bands of rows.
#[derive(Clone, Copy)]
struct Bands {
    rows: usize,
}

impl Bands {
    fn new(conv: &Convolution) -> Self {
        let w = &conv.window;
        // Whole strides, of about as many pixels for each phase.
        let strides = PIXELS.div_ceil(w.in_w.div_ceil(w.stride_w).max(1));
        Self { rows: (strides * w.stride_h).min(w.in_h.max(1)) }
    }

    /// Pixels of dy and of dx of one phase.
    fn worker_len(&self, conv: &Convolution) -> usize {
        let w = &conv.window;
        let pixels = self.rows.div_ceil(w.stride_h) * w.in_w.div_ceil(w.stride_w);
        pixels * (conv.in_c + conv.out_c) / conv.groups
    }
}

/// Pixels of a band that are a stride apart, and so see the same taps.
struct Phase {
    /// The first row of the band, and the first row and column of the phase.
    band: usize,
    first: (usize, usize),
    rows: usize,
    columns: usize,
}

impl Phase {
    fn new(window: &Window, rows: Range<usize>, (y, x): (usize, usize)) -> Self {
        Self {
            band: rows.start,
            first: (rows.start + y, x),
            rows: (rows.len() - y).div_ceil(window.stride_h),
            columns: (window.in_w - x).div_ceil(window.stride_w),
        }
    }

    /// Computes one group's channels of the phase into the band's floats `out`, whose pixels are `ld` apart.
    #[allow(clippy::too_many_arguments)] // The band, the copy and the operands are separate borrows.
    fn run(
        &self,
        (isa, backend): (Isa, Backend),
        conv: &Convolution,
        (dy, weights): (View<'_>, &[f32]),
        group: usize,
        out: &mut [f32],
        ld: usize,
        copy: &mut [f32],
    ) {
        let window = &conv.window;
        let (in_c, out_c) = (conv.in_c / conv.groups, conv.out_c / conv.groups);
        let pixels = self.rows * self.columns;
        let (copy, rest) = copy.split_at_mut(pixels * out_c);
        let sums = &mut rest[..pixels * in_c];
        let mut begun = false;
        for tap_y in 0..window.kernel_h {
            let Some(y) = place(self.first.0, window.pad_top, tap_y * window.dilation_h, window.stride_h) else {
                continue;
            };
            for tap_x in 0..window.kernel_w {
                let Some(x) = place(self.first.1, window.pad_left, tap_x * window.dilation_w, window.stride_w) else {
                    continue;
                };
                if !self.copy_pixels(window, View { data: &dy.data[group * out_c..], ..dy }, (y, x), out_c, copy) {
                    continue;
                }
                let tap = (tap_y * window.kernel_w + tap_x) * in_c * conv.out_c + group * out_c;
                let beta = if begun { 1.0 } else { 0.0 };
                let product = Product { rows: pixels, columns: in_c, depth: out_c, alpha: 1.0, beta, backend };
                let left = Operand { data: copy, ld: out_c, transposed: false };
                let right = Operand { data: &weights[tap..], ld: conv.out_c, transposed: true };
                multiply_serial(isa, &product, left, right, sums, in_c);
                begun = true;
            }
        }
        if !begun {
            sums.fill(0.0);
        }
        for (row, sums) in sums.chunks_exact(self.columns * in_c).enumerate() {
            let y = self.first.0 - self.band + row * window.stride_h;
            for (column, sum) in sums.chunks_exact(in_c).enumerate() {
                let x = self.first.1 + column * window.stride_w;
                out[(y * window.in_w + x) * ld + group * in_c..][..in_c].copy_from_slice(sum);
            }
        }
    }

    /// Copies the pixels of dy from `(y, x)` on, which may lie outside, where they are 0; whether any is inside.
    fn copy_pixels(
        &self,
        window: &Window,
        dy: View<'_>,
        (y, x): (isize, isize),
        channels: usize,
        copy: &mut [f32],
    ) -> bool {
        let (height, width) = (window.out_h as isize, window.out_w as isize);
        let inside = |from: isize, count: usize, size: isize| from < size && from + count as isize > 0;
        if !inside(y, self.rows, height) || !inside(x, self.columns, width) {
            return false;
        }
        for (row, line) in copy.chunks_exact_mut(self.columns * channels).enumerate() {
            let y = y + row as isize;
            for (column, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let x = x + column as isize;
                if (0..height).contains(&y) && (0..width).contains(&x) {
                    pixel.copy_from_slice(&dy.data[(y * width + x) as usize * dy.ld..][..channels]);
                } else {
                    pixel.fill(0.0);
                }
            }
        }
        true
    }
}

/// The place of dy whose tap at `shift` is place `at` of dx; it may lie outside, and there may be none.
fn place(at: usize, pad: usize, shift: usize, stride: usize) -> Option<isize> {
    let distance = (at + pad) as isize - shift as isize;
    let stride = stride as isize;
    (distance.rem_euclid(stride) == 0).then(|| distance.div_euclid(stride))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::algorithm::{ConvAlgorithm, ConvCall};
    use crate::kernels::conv::im2col::Im2col;
    use crate::kernels::conv::naive::convolution;
    use crate::kernels::epilogue::EpilogueArgs;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Sum, Tensor, seen, windows};

    /// What each output pixel gives to the pixels it saw.
    fn expected(conv: &Convolution, dy: &Tensor, weights: &[f32]) -> Vec<Sum> {
        let window = &conv.window;
        let (in_c, out_c) = (conv.in_c / conv.groups, conv.out_c / conv.groups);
        let pixels = window.in_h * window.in_w;
        let mut dx = vec![Sum::default(); dy.size.n * pixels * conv.in_c];
        for n in 0..dy.size.n {
            for pixel in 0..window.out_h * window.out_w {
                for (cell, ky, kx) in seen(window, pixel) {
                    for i in 0..in_c {
                        for o in 0..conv.out_c {
                            let weight = weights[((ky * window.kernel_w + kx) * in_c + i) * conv.out_c + o];
                            let place = (n * pixels + cell) * conv.in_c + o / out_c * in_c + i;
                            dx[place].add(dy.at(n, pixel, o) * f64::from(weight));
                        }
                    }
                }
            }
        }
        dx
    }

    fn check(random: &mut Random, conv: Convolution, batch: usize, gap: usize) {
        let window = &conv.window;
        let weights = random.floats(window.kernel_h * window.kernel_w * conv.in_c / conv.groups * conv.out_c);
        let dy = Tensor::random(random, batch, window.out_h * window.out_w, conv.out_c, gap);
        let exact = expected(&conv, &dy, &weights);
        let check = |dx: Tensor| {
            // What is as near as the depth of its sum explains passes for the exact value.
            dx.check(0.0, |n, p, c| {
                let (found, sum) = (dx.at(n, p, c), &exact[(n * window.in_h * window.in_w + p) * conv.in_c + c]);
                if (found - sum.value).abs() <= sum.rounding() { found } else { sum.value }
            });
        };
        let dx = Tensor::new(batch, window.in_h * window.in_w, conv.in_c, gap / 2);
        check(dx.filled(|dx, threads| {
            let mut scratch = Floats::filled(f32::NAN, input_gradient_scratch_len(&conv, threads.count()));
            input_gradient(threads, Backend::Blas, &conv, batch, dy.view(), &weights, dx, &mut scratch);
        }));
        let Some(over) = input_gradient_geometry(&conv) else { return };
        let flip = |count| {
            let mut flipped = Floats::filled(f32::NAN, weights.len());
            flip_weights(&conv, &weights, &mut flipped, &ThreadPool::new(count));
            flipped
        };
        let flipped = flip(1);
        assert_eq!(flipped, flip(3));
        let packed = Floats::from(Im2col.packed(&over, &flipped));
        check(dx.filled(|dx, threads| {
            let mut scratch = Floats::filled(0.0, Im2col.scratch_len(&over, batch, None, threads.count()));
            let plain = EpilogueArgs::default();
            let (conv, input, scratch) = (&over, dy.view(), &mut scratch);
            Im2col.run(ConvCall {
                threads,
                conv,
                batch,
                input,
                weights: &packed,
                epilogue: &plain,
                scratch,
                output: dx,
            });
        }));
    }

    #[test]
    fn of_any_window() {
        let mut random = Random(46);
        let mut flipped = 0;
        for (i, window) in windows(&mut random, 60).into_iter().enumerate() {
            let (in_c, out_c, groups) = [(2, 4, 1), (17, 3, 1), (4, 6, 2), (21, 35, 1), (5, 5, 5), (6, 18, 6)][i % 6];
            let conv = Convolution { window, in_c, out_c, groups };
            flipped += usize::from(input_gradient_geometry(&conv).is_some());
            check(&mut random, conv, 1 + i % 3, i % 2 * 4);
        }
        assert!(flipped > 3, "{flipped} of stride 1");
    }

    #[test]
    fn of_larger_images() {
        let mut random = Random(47);
        check(&mut random, convolution((28, 30), (20, 33, 1), (3, 2, 1), (0, 1)), 2, 0);
        check(&mut random, convolution((31, 29), (6, 16, 1), (7, 2, 1), (3, 3)), 1, 2);
        check(&mut random, convolution((14, 15), (40, 24, 1), (1, 2, 1), (0, 0)), 2, 0);
        check(&mut random, convolution((24, 25), (36, 36, 36), (3, 2, 1), (0, 1)), 2, 2);
        check(&mut random, convolution((9, 11), (48, 20, 4), (3, 1, 1), (1, 1)), 1, 0);
        check(&mut random, convolution((9, 10), (5, 7, 1), (2, 3, 2), (1, 2)), 2, 0);
    }

    #[test]
    fn geometries() {
        let conv = convolution((9, 11), (4, 6, 2), (3, 1, 2), (1, 1));
        let over = input_gradient_geometry(&conv).expect("stride 1");
        assert_eq!((over.window.pad_top, over.window.pad_left), (3, 3));
        assert_eq!((over.in_c, over.out_c, over.window.out_h, over.window.in_w), (6, 4, 9, conv.window.out_w));
        assert_eq!(input_gradient_geometry(&convolution((9, 11), (4, 6, 1), (3, 2, 1), (1, 1))), None);
        assert_eq!(input_gradient_geometry(&convolution((9, 11), (4, 6, 1), (1, 1, 1), (1, 1))), None);
        let mut flipped = [0.0; 8];
        flip_weights(
            &convolution((2, 3), (2, 1, 1), (2, 1, 1), (0, 0)),
            &[0., 1., 2., 3., 4., 5., 6., 7.],
            &mut flipped,
            &ThreadPool::new(1),
        );
        assert_eq!(flipped, [6., 7., 4., 5., 2., 3., 0., 1.]);
    }
}
