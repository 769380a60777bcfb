//! The gradient of convolutions with respect to the weights.
//!
//! In general it is a GEMM of the transposed im2col matrix with dy over all output pixels of the batch, in blocks. 3x3
//! kernels with enough channels use Winograd's method, and depthwise convolutions have a kernel of their own.

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

/// Maximum rows of dw per task.
const MAX_ROWS: usize = 256;
/// Floats of a block of the im2col matrix: half of an L2 cache of 512 KiB.
const BLOCK_FLOATS: usize = 64 * 1024;
/// Minimum tasks, for load balance.
const MIN_TASKS: usize = 16;
/// Minimum pixels of a split, each of which has a partial sum.
const MIN_SPLIT_PIXELS: usize = 512;

/// The method that computes the gradient; depends on the sizes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Depthwise,
    Winograd,
    General,
}

impl Method {
    fn of(conv: &Convolution) -> Self {
        if depthwise_gradient::supports(conv) {
            Self::Depthwise
        } else if weight_gradient_winograd::supports(conv) {
            Self::Winograd
        } else {
            Self::General
        }
    }
}

/// Scratch memory of [`weight_gradient`] for `workers` threads, in floats.
pub fn weight_gradient_scratch_len(conv: &Convolution, batch: usize, workers: usize) -> usize {
    match Method::of(conv) {
        Method::Depthwise => depthwise_gradient::scratch_len(conv, batch),
        Method::Winograd => weight_gradient_winograd::scratch_len(conv, batch),
        Method::General => General::new(conv, batch).scratch_len(workers),
    }
}

/// The GEMMs of [`weight_gradient`], if any.
pub fn weight_gradient_products(conv: &Convolution, batch: usize) -> Option<gemm::Shape> {
    match Method::of(conv) {
        Method::Depthwise => None,
        Method::Winograd => Some(weight_gradient_winograd::products(conv, batch)),
        Method::General => {
            let General { rows, out_c, depth, pixels, splits, .. } = General::new(conv, batch);
            let count = depth.div_ceil(rows.max(1)) * conv.groups * splits;
            let depth = pixels / splits.max(1);
            Some(gemm::Shape { rows, columns: out_c, depth, transposed: (true, false), count })
        }
    }
}

/// dw = the gradient of a convolution with respect to its weights, `(kernel_h, kernel_w, in_c / groups, out_c)`, summed over
/// the batch. x is `(batch, in_h, in_w, in_c)` and dy `(batch, out_h, out_w, out_c)`; `scratch` has at least
/// [`weight_gradient_scratch_len`] floats. The gradient of the bias is
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

/// The partition of the general method: a task has a block of rows of one group's dw, over one split of the pixels.
#[derive(Clone, Copy)]
struct General<'a> {
    conv: &'a Convolution,
    /// Rows of a group's dw: taps times input channels.
    depth: usize,
    /// The group's output channels.
    out_c: usize,
    /// Output pixels of the whole batch.
    pixels: usize,
    /// Rows of a block.
    rows: usize,
    /// Pixels of a split.
    split_pixels: usize,
    /// Splits of the pixels, whose partial sums are reduced at the end.
    splits: usize,
    /// Pixels of a block of the im2col matrix.
    step: usize,
}

impl<'a> General<'a> {
    fn new(conv: &'a Convolution, batch: usize) -> Self {
        let window = &conv.window;
        let depth = window.kernel_h * window.kernel_w * conv.in_c / conv.groups;
        let pixels = batch * window.out_h * window.out_w;
        let mut row_blocks = depth.div_ceil(MAX_ROWS).max(1);
        let splits = MIN_TASKS.div_ceil(row_blocks * conv.groups).min(pixels / MIN_SPLIT_PIXELS).max(1);
        while row_blocks * conv.groups * splits < MIN_TASKS && depth / row_blocks >= 64 {
            row_blocks *= 2;
        }
        let rows = depth.div_ceil(row_blocks).next_multiple_of(16).min(depth.max(1));
        let split_pixels = pixels.div_ceil(splits).max(1);
        Self {
            conv,
            depth,
            out_c: conv.out_c / conv.groups,
            pixels,
            rows,
            split_pixels,
            splits: pixels.div_ceil(split_pixels).max(1),
            step: (BLOCK_FLOATS / rows).clamp(32, 1024).min(split_pixels),
        }
    }

    fn worker_len(&self) -> usize {
        if self.conv.is_pixelwise() { 0 } else { self.step * self.rows }
    }

    /// Floats of partial sums: none if a single sum can be computed in place in dw.
    fn partial_len(&self) -> usize {
        let sums = self.splits * self.conv.groups;
        if sums == 1 { 0 } else { sums * self.depth * self.out_c }
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
        let worker_scratch = Scratch { data: scratch, per_worker: self.worker_len() };
        let partition = Partition {
            outer: self.splits * groups,
            outer_stride: depth * out_c,
            ..Partition::chunks(depth * out_c, self.rows * out_c)
        };
        let work = |index: usize, block: usize, sum: &mut [f32], copy: &mut [f32]| {
            let first = block * self.rows;
            let (split, group) = (index / groups, index % groups);
            let pixels = split * self.split_pixels..((split + 1) * self.split_pixels).min(self.pixels);
            self.block((threads.isa(), backend), x, dy, group, first..first + sum.len() / out_c, pixels, sum, copy);
        };
        if partial.is_empty() {
            share(threads, dw, partition, worker_scratch, &|piece, sum, copy| {
                work(piece.outer, piece.inner, sum, copy)
            });
            return;
        }
        share(threads, partial, partition, worker_scratch, &|piece, sum, copy| {
            work(piece.outer, piece.inner, sum, copy)
        });
        let partial = &*partial;
        share(threads, dw, Partition::chunks(depth * conv.out_c, conv.out_c), Scratch::none(), &|piece, row, _| {
            for (group, sums) in row.chunks_exact_mut(out_c).enumerate() {
                // Splits are added in a fixed order, whichever thread computed them.
                for split in 0..self.splits {
                    let addends = &partial[((split * groups + group) * depth + piece.inner) * out_c..][..out_c];
                    if split == 0 {
                        sums.copy_from_slice(addends);
                    } else {
                        sums.iter_mut().zip(addends).for_each(|(sum, addend)| *sum += addend);
                    }
                }
            }
        });
    }

    /// A block of rows of a group's dw, over a range of pixels.
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
        let image_pixels = conv.window.out_h * conv.window.out_w;
        let is_pointwise = conv.is_pixelwise();
        // Images without gaps between them are processed as one.
        let is_dense = |view: &View<'_>| view.image == image_pixels * view.ld;
        let is_contiguous = is_dense(&dy) && (!is_pointwise || is_dense(&x));
        if pixels.is_empty() {
            sum.fill(0.0);
        }
        let mut pixel = pixels.start;
        while pixel < pixels.end {
            let (image, within) = (pixel / image_pixels, pixel % image_pixels);
            let left = if is_contiguous { pixels.end - pixel } else { (pixels.end - pixel).min(image_pixels - within) };
            let count = if is_pointwise { left } else { left.min(self.step) };
            let beta = if pixel == pixels.start { 0.0 } else { 1.0 };
            let product = Product { rows: rows.len(), columns: self.out_c, depth: count, alpha: 1.0, beta, backend };
            let left = if is_pointwise {
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
