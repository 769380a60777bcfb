//! The gradient of convolutions by their weights.
//!
//! It is the product of the windows' pixels, transposed, with dy, over all pixels of the batch: windows are copied in
//! blocks of rows, and general products multiply. 3x3 kernels with enough channels go by Winograd's method, and depthwise
//! ones by loops of their own.

use super::depthwise_gradient;
use crate::kernels::conv::window_copy::copy_windows;
use crate::kernels::conv::winograd::weight_gradient_winograd;
use crate::kernels::epilogue::check_view;
use crate::kernels::gemm;
use crate::kernels::gemm::{Operand, Product, multiply_serial};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::tensor_view::{Convolution, View};
use std::ops::Range;

/// Rows of dw of one task, at most.
const ROWS: usize = 256;
/// Floats of copied windows: half of a second-level cache of 512 KiB.
const BLOCK_FLOATS: usize = 64 * 1024;
/// Tasks to have at least, so that threads finish at about the same time.
const TASKS: usize = 16;
/// Pixels of a partial sum, at least.
const PIECE: usize = 512;

/// Which way the gradient is computed, by sizes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Depthwise,
    Winograd,
    General,
}

impl Method {
    fn of(conv: &Convolution) -> Self {
        if depthwise_gradient::suits(conv) {
            Self::Depthwise
        } else if weight_gradient_winograd::suits(conv) {
            Self::Winograd
        } else {
            Self::General
        }
    }
}

/// The floats of scratch memory that [`weight_gradient`] needs for `workers` threads.
pub fn weight_gradient_scratch_len(conv: &Convolution, batch: usize, workers: usize) -> usize {
    match Method::of(conv) {
        Method::Depthwise => depthwise_gradient::scratch_len(conv, batch),
        Method::Winograd => weight_gradient_winograd::scratch_len(conv, batch),
        Method::General => General::new(conv, batch).scratch_len(workers),
    }
}

/// The general products of [`weight_gradient`], where it has any.
pub fn weight_gradient_products(conv: &Convolution, batch: usize) -> Option<gemm::Shape> {
    match Method::of(conv) {
        Method::Depthwise => None,
        Method::Winograd => Some(weight_gradient_winograd::products(conv, batch)),
        Method::General => {
            let General { rows, out_c, depth, pixels, pieces, .. } = General::new(conv, batch);
            let count = depth.div_ceil(rows.max(1)) * conv.groups * pieces;
            let depth = pixels / pieces.max(1);
            Some(gemm::Shape { rows, columns: out_c, depth, transposed: (true, false), count })
        }
    }
}

/// dw = the gradient of a convolution by its weights, `(kernel_h, kernel_w, in_c / groups, out_c)`, summed over the
/// batch. x is `(batch, in_h, in_w, in_c)` and dy `(batch, out_h, out_w, out_c)`. The gradient of the bias is
/// [`channel_sums`](crate::kernels::norm::batch_norm::channel_sums) of dy.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // Views, gradient and scratch are separate borrows of the arena.
pub fn weight_gradient(
    threads: &ThreadPool,
    backend: gemm::Backend,
    conv: &Convolution,
    batch: usize,
    x: View<'_>,
    dy: View<'_>,
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    let window = &conv.window;
    check_view("input", &x, batch, window.in_h * window.in_w, conv.in_c);
    check_view("gradient of the output", &dy, batch, window.out_h * window.out_w, conv.out_c);
    assert_eq!(dw.len(), window.kernel_h * window.kernel_w * conv.in_c / conv.groups * conv.out_c, "weights");
    match Method::of(conv) {
        Method::Depthwise => depthwise_gradient::weight_gradient(threads, conv, batch, x, dy, dw, scratch),
        Method::Winograd => {
            weight_gradient_winograd::weight_gradient(threads, backend, conv, batch, x, dy, dw, scratch)
        }
        Method::General => General::new(conv, batch).run(threads, backend, x, dy, dw, scratch),
    }
}

/// How the general method cuts the work. Each task has some rows of one group's dw over some pixels.
#[derive(Clone, Copy)]
struct General<'a> {
    conv: &'a Convolution,
    /// Rows of dw: taps times the group's input channels.
    depth: usize,
    /// The group's output channels.
    out_c: usize,
    /// Output pixels of the whole batch.
    pixels: usize,
    /// Rows of a block.
    rows: usize,
    /// Pixels of a piece, and the number of pieces, whose sums are added in the end.
    piece: usize,
    pieces: usize,
    /// Pixels copied at once.
    step: usize,
}

impl<'a> General<'a> {
    fn new(conv: &'a Convolution, batch: usize) -> Self {
        let window = &conv.window;
        let depth = window.kernel_h * window.kernel_w * conv.in_c / conv.groups;
        let pixels = batch * window.out_h * window.out_w;
        let mut row_blocks = depth.div_ceil(ROWS).max(1);
        let pieces = TASKS.div_ceil(row_blocks * conv.groups).min(pixels / PIECE).max(1);
        while row_blocks * conv.groups * pieces < TASKS && depth / row_blocks >= 64 {
            row_blocks *= 2;
        }
        let rows = depth.div_ceil(row_blocks).next_multiple_of(16).min(depth.max(1));
        let piece = pixels.div_ceil(pieces).max(1);
        Self {
            conv,
            depth,
            out_c: conv.out_c / conv.groups,
            pixels,
            rows,
            piece,
            pieces: pixels.div_ceil(piece).max(1),
            step: (BLOCK_FLOATS / rows).clamp(32, 1024).min(piece),
        }
    }

    fn worker_len(&self) -> usize {
        if self.conv.is_pixelwise() { 0 } else { self.step * self.rows }
    }

    /// Sums of pieces or groups, which do not stand in dw as they are computed.
    fn partial_len(&self) -> usize {
        let parts = self.pieces * self.conv.groups;
        if parts == 1 { 0 } else { parts * self.depth * self.out_c }
    }

    fn scratch_len(&self, workers: usize) -> usize {
        self.partial_len() + self.worker_len() * workers
    }

    fn run(
        &self,
        threads: &ThreadPool,
        backend: gemm::Backend,
        x: View<'_>,
        dy: View<'_>,
        dw: &mut [f32],
        scratch: &mut [f32],
    ) {
        assert!(scratch.len() >= self.scratch_len(threads.count()), "scratch memory is too small");
        let Self { conv, depth, out_c, .. } = *self;
        if depth * out_c == 0 {
            return;
        }
        let groups = conv.groups;
        let (partial, scratch) = scratch.split_at_mut(self.partial_len());
        let own = Scratch { data: scratch, per_worker: self.worker_len() };
        let partition = Partition {
            outer: self.pieces * groups,
            outer_stride: depth * out_c,
            ..Partition::chunks(depth * out_c, self.rows * out_c)
        };
        let work = |part: usize, block: usize, sum: &mut [f32], copy: &mut [f32]| {
            let first = block * self.rows;
            let pixels = part / groups * self.piece..((part / groups + 1) * self.piece).min(self.pixels);
            self.block(
                (threads.isa(), backend),
                x,
                dy,
                part % groups,
                first..first + sum.len() / out_c,
                pixels,
                sum,
                copy,
            );
        };
        if partial.is_empty() {
            share(threads, dw, partition, own, &|piece, sum, copy| work(piece.outer, piece.inner, sum, copy));
            return;
        }
        share(threads, partial, partition, own, &|piece, sum, copy| work(piece.outer, piece.inner, sum, copy));
        let partial = &*partial;
        share(threads, dw, Partition::chunks(depth * conv.out_c, conv.out_c), Scratch::none(), &|piece, row, _| {
            for (group, sums) in row.chunks_exact_mut(out_c).enumerate() {
                // Pieces are added in their order, whoever computed them.
                for index in 0..self.pieces {
                    let part = &partial[((index * groups + group) * depth + piece.inner) * out_c..][..out_c];
                    if index == 0 {
                        sums.copy_from_slice(part);
                    } else {
                        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                    }
                }
            }
        });
    }

    /// Some rows of a group's dw over some pixels.
    #[allow(clippy::too_many_arguments)] // A block has three ranges besides its operands.
    fn block(
        &self,
        (isa, backend): (Isa, gemm::Backend),
        x: View<'_>,
        dy: View<'_>,
        group: usize,
        rows: Range<usize>,
        pixels: Range<usize>,
        sum: &mut [f32],
        copy: &mut [f32],
    ) {
        let conv = self.conv;
        let in_c = conv.in_c / conv.groups;
        let each = conv.window.out_h * conv.window.out_w;
        let pointwise = conv.is_pixelwise();
        // Images that follow each other without a gap are one.
        let dense = |view: &View<'_>| view.image == each * view.ld;
        let joined = dense(&dy) && (!pointwise || dense(&x));
        if pixels.is_empty() {
            sum.fill(0.0);
        }
        let mut pixel = pixels.start;
        while pixel < pixels.end {
            let (image, within) = (pixel / each, pixel % each);
            let left = if joined { pixels.end - pixel } else { (pixels.end - pixel).min(each - within) };
            let count = if pointwise { left } else { left.min(self.step) };
            let beta = if pixel == pixels.start { 0.0 } else { 1.0 };
            let product = Product { rows: rows.len(), columns: self.out_c, depth: count, alpha: 1.0, beta, backend };
            let left = if pointwise {
                let data = &x.data[image * x.image + within * x.ld + group * in_c + rows.start..];
                Operand { data, ld: x.ld, transposed: true }
            } else {
                let copy = &mut copy[..count * rows.len()];
                copy_windows(conv, x, pixel, group * in_c, rows.clone(), copy);
                Operand { data: copy, ld: rows.len(), transposed: true }
            };
            let data = &dy.data[image * dy.image + within * dy.ld + group * self.out_c..];
            multiply_serial(isa, &product, left, Operand { data, ld: dy.ld, transposed: false }, sum, self.out_c);
            pixel += count;
        }
    }
}

#[cfg(test)]
mod tests;
