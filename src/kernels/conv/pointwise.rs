//! Pointwise (1x1) convolution: a GEMM over the pixels.

use super::algorithm::{ConvAlgorithm, ConvCall};
use super::cost::Sizes;
use super::im2col::{self, Im2col, packed_geometry};
use crate::kernels::epilogue::{Pool, check_convolution};
use crate::kernels::gemm::bf16::Operands;
use crate::kernels::gemm::micro_kernel::{LhsRows, PackedProduct, block_ranges};
use crate::kernels::gemm::panel::BlockGrid;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::Convolution;
use crate::size::span;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Maximum K of a block, for all columns of a task.
const KC: usize = 512;
/// Floats of a block's left operand: half of an L2 cache of 512 KiB.
const BLOCK_FLOATS: usize = 64 * 1024;
/// Minimum tasks, for load balance.
const MIN_TASKS: usize = 16;

/// The algorithm for 1x1 kernels without padding. Weights are packed as for [`Im2col`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointwise;

impl ConvAlgorithm for Pointwise {
    fn candidates(_: &Convolution, _: usize) -> Vec<Self> {
        vec![Self]
    }

    fn supports(&self, conv: &Convolution, _: Option<Pool>) -> bool {
        let window = &conv.window;
        conv.groups == 1
            && (window.kernel_h, window.kernel_w) == (1, 1)
            && (window.pad_top, window.pad_left) == (0, 0)
            && span(window.out_h.max(1), window.stride_h, 1) <= window.in_h.max(1)
            && span(window.out_w.max(1), window.stride_w, 1) <= window.in_w.max(1)
    }

    fn packed_len(&self, conv: &Convolution) -> usize {
        Im2col.packed_len(conv)
    }

    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
        Im2col.pack(conv, weights, packed, threads);
    }

    fn scratch_len(&self, conv: &Convolution, batch: usize, pool: Option<Pool>, workers: usize) -> usize {
        Im2col.scratch_len(conv, batch, pool, workers)
    }

    fn run(&self, call: ConvCall<'_>) {
        assert!(self.supports(call.conv, call.epilogue.pool), "not a pointwise convolution: {:?}", call.conv);
        multiply(call, Operands::F32);
    }

    fn cost(&self, sizes: &Sizes) -> f64 {
        Im2col.cost(sizes)
    }
}

/// Computes a convolution by a GEMM: over the pixels, or over the windows where it is not pixelwise or pools. As
/// [`im2col::multiply`].
///
/// # Panics
/// If a slice is too short for the sizes.
pub(crate) fn multiply(call: ConvCall<'_>, operands: Operands) {
    if !call.conv.is_pixelwise() || call.conv.groups != 1 || call.epilogue.pool.is_some() {
        // Strided pixels go through an indirection buffer, and pooling is im2col's.
        return im2col::multiply(call, operands);
    }
    let ConvCall { threads, conv, batch, input, weights, epilogue, output, .. } = call;
    let window = &conv.window;
    assert_eq!(weights.len(), Im2col.packed_len(&packed_geometry(conv, operands)), "packed weights");
    let mut pixels = window.out_h * window.out_w;
    let mut images = batch;
    let is_dense = |ld: usize, image: usize| image == pixels * ld;
    let is_residual_dense = epilogue.residual.is_none_or(|view| is_dense(view.ld, view.image));
    let (output_ld, output_image) = (output.ld, output.image);
    let (output, epilogue_ptrs) = check_convolution(conv, batch, &input, epilogue, output);
    if is_dense(input.ld, input.image) && is_dense(output_ld, output_image) && is_residual_dense {
        (pixels, images) = (pixels * batch, 1);
    }
    if pixels == 0 || images == 0 || conv.out_c == 0 {
        return;
    }
    let depth = operands.depth(conv.in_c);
    let depth_step = depth.div_ceil(depth.div_ceil(KC).max(1)).max(1);
    let row_block = (BLOCK_FLOATS / depth_step).clamp(24, 240);
    let grid = BlockGrid::new(pixels, conv.out_c, row_block, images, MIN_TASKS).larger_operand_once();
    let blocks = grid.blocks();
    threads.run_in_parts(images * blocks, &|task, _| {
        let image = task / blocks;
        let (rows, columns) = grid.block(task % blocks);
        // SAFETY: rows and columns are within the checked views; blocks are disjoint.
        unsafe {
            let a = input.data.as_ptr().add(image * input.image + rows.start * input.ld);
            let b = weights.as_ptr().add(columns.start * depth);
            let mut residual = epilogue_ptrs.residual(image, rows.start);
            if !residual.is_null() {
                residual = residual.add(columns.start);
            }
            let product = PackedProduct {
                a: LhsRows::Strided { data: a, ld: input.ld, tap_stride: 0 },
                rows: rows.len(),
                taps: 1,
                depth,
                row_len: conv.in_c,
                b,
                panel_stride: depth * PANEL,
                next_panel: std::ptr::null(),
                columns: columns.len(),
                c: output.pixel(image, rows.start).add(columns.start),
                ldc: output.ld,
                accumulate: false,
                epilogue: Some(&epilogue_ptrs),
                residual,
                first_column: columns.start,
            };
            for ks in block_ranges(depth, depth_step) {
                // The next K steps of these columns, or the next columns.
                let next_panel = match ks.end < depth {
                    true => b.wrapping_add(ks.end * PANEL),
                    false => b.wrapping_add(columns.len().div_ceil(PANEL) * product.panel_stride),
                };
                operands.multiply(threads.isa(), PackedProduct { next_panel, ..product.slice_k(ks) });
            }
        }
    });
}

impl fmt::Display for Pointwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pixels")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{self, convolution};

    fn check(conv: Convolution) {
        naive::check(&conv, 2e-6 * conv.in_c as f64, |_| Pointwise);
    }

    #[test]
    fn pointwise_equals_naive_for_sizes_and_strides() {
        check(convolution((1, 1), (1, 1, 1), (1, 1, 1), (0, 0)));
        check(convolution((5, 7), (13, 33, 1), (1, 1, 1), (0, 0)));
        check(convolution((6, 9), (16, 48, 1), (1, 2, 1), (0, 0)));
        check(convolution((19, 17), (24, 31, 1), (1, 1, 1), (0, 0)));
        check(convolution((4, 3), (1030, 16, 1), (1, 1, 1), (0, 0)));
        check(convolution((1, 3), (20, 150, 1), (1, 1, 1), (0, 0)));
        check(convolution((2, 1), (520, 70, 1), (1, 1, 1), (0, 0)));
    }
}
