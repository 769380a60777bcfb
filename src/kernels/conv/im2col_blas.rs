//! Convolutions as general products: windows are copied to rows in blocks, unless the window is a pixel, and the weights
//! are read as they stand.

use super::window_copy::copy_windows;
use crate::kernels::epilogue::{EpilogueArgs, check_convolution};
use crate::kernels::gemm::{Backend, Operand, Product, multiply_alone};
use crate::kernels::parallel::disjoint::{Grid, Scratch, share};
use crate::kernels::parallel::image_batches::span;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Convolution, View, ViewMut};
use crate::size::{product, round_up};

/// Floats of a block's copied windows: half of a second-level cache of 512 KiB.
const BLOCK_FLOATS: usize = 64 * 1024;
/// Blocks to have at least, so that threads finish at about the same time.
const TASKS: usize = 16;

/// Whether [`convolve`] does a convolution: one group.
pub fn supports(conv: &Convolution) -> bool {
    conv.groups == 1
}

/// The values of a window.
fn depth(conv: &Convolution) -> usize {
    product([conv.window.kernel_h, conv.window.kernel_w, conv.in_c])
}

/// Pixels of a block, by sizes only.
fn rows(conv: &Convolution) -> usize {
    let pixels = product([conv.window.out_h, conv.window.out_w]);
    (BLOCK_FLOATS / depth(conv).max(1)).clamp(16, 256).min(round_up(pixels.div_ceil(TASKS), 16)).max(1)
}

fn worker_len(conv: &Convolution) -> usize {
    if conv.is_pixelwise() { 0 } else { product([rows(conv), depth(conv)]) }
}

/// The floats of scratch memory that [`convolve`] needs for `workers` threads.
pub fn scratch_len(conv: &Convolution, workers: usize) -> usize {
    product([worker_len(conv), workers])
}

/// Convolves `batch` images of `(in_h, in_w, in_c)` to `(out_h, out_w, out_c)`, by BLAS where the build has it;
/// `weights` as they stand, `(kernel_h, kernel_w, in_c, out_c)`.
///
/// # Panics
/// If a slice is too short for the sizes, [`supports`] is false, or the epilogue pools.
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
    assert!(supports(conv) && epilogue.pool.is_none(), "not a convolution for BLAS: {conv:?}");
    assert_eq!(weights.len(), conv.weights(), "weights");
    let ViewMut { data, ld, image } = output;
    check_convolution(conv, batch, &input, epilogue, ViewMut { data: &mut *data, ld, image });
    let (pixels, out_c, depth) = (conv.window.out_h * conv.window.out_w, conv.out_c, depth(conv));
    if batch * pixels * out_c == 0 {
        return;
    }
    let each = rows(conv);
    let inner = pixels.div_ceil(each);
    let grid = Grid {
        outer: batch,
        outer_stride: image,
        inner,
        inner_stride: each * ld,
        len: span(each.min(pixels), ld, out_c),
        last: span(pixels - (inner - 1) * each, ld, out_c),
    };
    let own = Scratch { data: scratch, each: worker_len(conv) };
    share(threads, data, grid, own, &|piece, out, copy| {
        let first = piece.inner * each;
        let count = each.min(pixels - first);
        let left = if conv.is_pixelwise() {
            let data = &input.data[piece.outer * input.image + first * input.ld..];
            Operand { data, ld: input.ld, transposed: false }
        } else {
            let copy = &mut copy[..count * depth];
            copy_windows(conv, input, piece.outer * pixels + first, 0, 0..depth, copy);
            Operand { data: copy, ld: depth, transposed: false }
        };
        let block = Product { rows: count, columns: out_c, depth, alpha: 1.0, beta: 0.0, backend: Backend::Blas };
        let right = Operand { data: weights, ld: out_c, transposed: false };
        multiply_alone(threads.isa(), &block, left, right, out, ld);
        for (index, row) in out.chunks_mut(ld).enumerate() {
            epilogue.apply(&mut row[..out_c], piece.outer, first + index);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::im2col;
    use crate::kernels::conv::naive::{compare, convolution, noise};

    #[test]
    fn sizes_strides_and_padding() {
        for conv in [
            convolution((1, 1), (1, 1, 1), (1, 1, 1), (0, 0)),
            convolution((5, 7), (13, 33, 1), (1, 1, 1), (0, 0)),
            convolution((9, 6), (5, 19, 1), (3, 1, 1), (1, 1)),
            convolution((12, 11), (16, 24, 1), (3, 2, 1), (1, 0)),
            convolution((15, 15), (8, 7, 1), (5, 1, 2), (2, 3)),
        ] {
            let weights = noise(conv.weights(), 7);
            compare(&conv, &weights, 2e-6 * depth(&conv) as f64, &|threads, batch, input, epilogue, output| {
                if epilogue.pool.is_some() {
                    // Not its own: another method stands in, so that the other cases are compared.
                    let packed = im2col::pack_weights(&conv, &weights);
                    let mut scratch = vec![0.0; im2col::scratch_len(&conv, batch, epilogue.pool, threads.count())];
                    return im2col::convolve(threads, &conv, batch, input, &packed, epilogue, &mut scratch, output);
                }
                let mut scratch = vec![0.0; scratch_len(&conv, threads.count())];
                convolve(threads, &conv, batch, input, &weights, epilogue, &mut scratch, output);
            });
        }
    }
}
