//! Convolutions by 1x1 kernels: a matrix product over the pixels.

use super::im2col;
use crate::kernels::epilogue::{EpilogueArgs, Pool, check_convolution};
use crate::kernels::gemm::micro_kernel::{Product, Rows, parts};
use crate::kernels::gemm::panel::Grid;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::{Convolution, View, ViewMut};
use crate::size::span;

/// The depth that a task multiplies at once for all its columns.
const DEPTH: usize = 512;
/// Floats of a block's left operand: half of a second-level cache of 512 KiB.
const BLOCK_FLOATS: usize = 64 * 1024;
/// Blocks to have at least, so that threads finish at about the same time.
const TASKS: usize = 16;

/// Whether the convolution is one that [`convolve`] does: a 1x1 kernel without padding, one group.
pub fn supports(conv: &Convolution) -> bool {
    let window = &conv.window;
    conv.groups == 1
        && (window.kernel_h, window.kernel_w) == (1, 1)
        && (window.pad_top, window.pad_left) == (0, 0)
        && span(window.out_h.max(1), window.stride_h, 1) <= window.in_h.max(1)
        && span(window.out_w.max(1), window.stride_w, 1) <= window.in_w.max(1)
}

/// The floats of the packed weights.
pub fn packed_len_weights(conv: &Convolution) -> usize {
    im2col::packed_len_weights(conv)
}

/// Packs `(1, 1, in_c, out_c)` for [`convolve`]: panels of 16 output channels.
pub fn pack_weights(conv: &Convolution, weights: &[f32]) -> Vec<f32> {
    im2col::pack_weights(conv, weights)
}

/// [`pack_weights`] into memory that is there.
///
/// # Panics
/// If a slice does not have its length.
pub fn pack_weights_into(conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
    im2col::pack_weights_into(conv, weights, packed, threads);
}

/// The floats of scratch memory that [`convolve`] needs for `workers` threads.
pub fn scratch_len(conv: &Convolution, batch: usize, pool: Option<Pool>, workers: usize) -> usize {
    im2col::scratch_len(conv, batch, pool, workers)
}

/// Convolves `batch` images of `(in_h, in_w, in_c)` to `(out_h, out_w, out_c)`, or half that size where the epilogue
/// pools; `weights` as [`pack_weights`] packed them.
///
/// # Panics
/// If a slice is too short for the sizes, or [`supports`] is false.
#[allow(clippy::too_many_arguments)] // The views and weights are separate borrows of the arena and the artifact.
pub fn convolve(
    threads: &ThreadPool,
    conv: &Convolution,
    batch: usize,
    input: View,
    weights: &[f32],
    epilogue: &EpilogueArgs,
    scratch: &mut [f32],
    output: ViewMut,
) {
    assert!(supports(conv), "not a pointwise convolution: {conv:?}");
    let window = &conv.window;
    if !conv.is_pixelwise() || epilogue.pool.is_some() {
        // Pixels that do not follow each other are gathered through their addresses.
        return im2col::convolve(threads, conv, batch, input, weights, epilogue, scratch, output);
    }
    assert_eq!(weights.len(), packed_len_weights(conv), "packed weights");
    let mut pixels = window.out_h * window.out_w;
    let mut images = batch;
    let dense = |ld: usize, image: usize| image == pixels * ld;
    let residual_dense = epilogue.residual.is_none_or(|view| dense(view.ld, view.image));
    let (output_ld, output_image) = (output.ld, output.image);
    let (output, finish) = check_convolution(conv, batch, &input, epilogue, output);
    if dense(input.ld, input.image) && dense(output_ld, output_image) && residual_dense {
        (pixels, images) = (pixels * batch, 1);
    }
    if pixels == 0 || images == 0 || conv.out_c == 0 {
        return;
    }
    let row_block = (BLOCK_FLOATS / conv.in_c.max(1)).clamp(24, 240);
    let grid = Grid::new(pixels, conv.out_c, row_block, images, TASKS);
    let blocks = grid.blocks();
    let depth_step = conv.in_c.div_ceil(conv.in_c.div_ceil(DEPTH).max(1)).max(1);
    threads.run_in_parts(images * blocks, &|task, _| {
        let image = task / blocks;
        let (rows, columns) = grid.block(task % blocks);
        // SAFETY: rows and columns are within the checked views; blocks are disjoint.
        unsafe {
            let a = input.data.as_ptr().add(image * input.image + rows.start * input.ld);
            let b = weights.as_ptr().add(columns.start * conv.in_c);
            let mut residual = finish.residual(image, rows.start);
            if !residual.is_null() {
                residual = residual.add(columns.start);
            }
            let product = Product {
                a: Rows::Strided { data: a, ld: input.ld, tap: 0 },
                rows: rows.len(),
                taps: 1,
                depth: conv.in_c,
                b,
                panel_stride: conv.in_c * PANEL,
                next: std::ptr::null(),
                columns: columns.len(),
                c: output.pixel(image, rows.start).add(columns.start),
                ldc: output.ld,
                accumulate: false,
                finish: Some(&finish),
                residual,
                first_column: columns.start,
            };
            for places in parts(conv.in_c, depth_step) {
                threads.isa().dispatch(product.part(places));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{compare, convolution, noise};

    fn check(conv: Convolution) {
        let weights = noise(conv.in_c * conv.out_c, 7);
        let packed = pack_weights(&conv, &weights);
        compare(&conv, &weights, 2e-6 * conv.in_c as f64, &|threads, batch, input, epilogue, output| {
            let mut scratch = vec![0.0; scratch_len(&conv, batch, epilogue.pool, threads.count())];
            convolve(threads, &conv, batch, input, &packed, epilogue, &mut scratch, output);
        });
    }

    #[test]
    fn sizes_and_strides() {
        check(convolution((1, 1), (1, 1, 1), (1, 1, 1), (0, 0)));
        check(convolution((5, 7), (13, 33, 1), (1, 1, 1), (0, 0)));
        check(convolution((6, 9), (16, 48, 1), (1, 2, 1), (0, 0)));
        check(convolution((19, 17), (24, 31, 1), (1, 1, 1), (0, 0)));
        check(convolution((4, 3), (1030, 16, 1), (1, 1, 1), (0, 0)));
        check(convolution((1, 3), (20, 150, 1), (1, 1, 1), (0, 0)));
        check(convolution((2, 1), (520, 70, 1), (1, 1, 1), (0, 0)));
    }
}
