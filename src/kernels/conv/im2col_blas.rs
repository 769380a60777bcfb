//! Explicit im2col with GEMM by BLAS: windows are copied to rows in blocks (1x1 convolutions are read in place), and the
//! weights are not packed.

use super::algorithm::{ConvAlgorithm, ConvCall};
use super::cost::Sizes;
use super::window_copy::copy_windows;
use crate::kernels::epilogue::{Pool, check_convolution};
use crate::kernels::gemm::{self, Backend, Operand, Product, multiply_serial};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::span;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::target;
use crate::kernels::tensor_view::{Convolution, ViewMut};
use crate::size::{product, round_up};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Floats of a block of the im2col matrix: half of an L2 cache of 512 KiB.
const BLOCK_FLOATS: usize = 64 * 1024;
/// Minimum tasks, for load balance.
const MIN_TASKS: usize = 16;

/// K of the GEMM: the values of a window.
fn depth(conv: &Convolution) -> usize {
    product([conv.window.kernel_h, conv.window.kernel_w, conv.in_c])
}

/// Output pixels of a block; depends on the sizes only.
fn rows(conv: &Convolution) -> usize {
    let pixels = product([conv.window.out_h, conv.window.out_w]);
    (BLOCK_FLOATS / depth(conv).max(1)).clamp(16, 256).min(round_up(pixels.div_ceil(MIN_TASKS), 16)).max(1)
}

fn worker_len(conv: &Convolution) -> usize {
    if conv.is_pixelwise() { 0 } else { product([rows(conv), depth(conv)]) }
}

/// The algorithm for one group without pooling, by BLAS where the build has it. Weights are not packed:
/// `(kernel_h, kernel_w, in_c, out_c)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Im2colBlas;

impl ConvAlgorithm for Im2colBlas {
    fn candidates(_: &Convolution, _: usize) -> Vec<Self> {
        vec![Self]
    }

    fn supports(&self, conv: &Convolution, pool: Option<Pool>) -> bool {
        conv.groups == 1 && pool.is_none()
    }

    fn packed_len(&self, conv: &Convolution) -> usize {
        conv.weights()
    }

    fn pack(&self, _: &Convolution, weights: &[f32], packed: &mut [f32], _: &ThreadPool) {
        packed.copy_from_slice(weights);
    }

    fn scratch_len(&self, conv: &Convolution, _: usize, _: Option<Pool>, workers: usize) -> usize {
        product([worker_len(conv), workers])
    }

    fn run(&self, call: ConvCall<'_>) {
        let ConvCall { threads, conv, batch, input, weights, epilogue, scratch, output } = call;
        assert!(self.supports(conv, epilogue.pool), "not a convolution for BLAS: {conv:?}");
        assert_eq!(weights.len(), conv.weights(), "weights");
        let ViewMut { data, ld, image } = output;
        check_convolution(conv, batch, &input, epilogue, ViewMut { data: &mut *data, ld, image });
        let (pixels, out_c, depth) = (conv.window.out_h * conv.window.out_w, conv.out_c, depth(conv));
        if batch * pixels * out_c == 0 {
            return;
        }
        let block_rows = rows(conv);
        let inner = pixels.div_ceil(block_rows);
        let partition = Partition {
            outer: batch,
            outer_stride: image,
            inner,
            inner_stride: block_rows * ld,
            len: span(block_rows.min(pixels), ld, out_c),
            last: span(pixels - (inner - 1) * block_rows, ld, out_c),
        };
        let scratch = Scratch { data: scratch, per_worker: worker_len(conv) };
        share(threads, data, partition, scratch, &|piece, out, copy| {
            let first = piece.inner * block_rows;
            let count = block_rows.min(pixels - first);
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
            multiply_serial(threads.isa(), &block, left, right, out, ld);
            for (index, row) in out.chunks_mut(ld).enumerate() {
                epilogue.apply(&mut row[..out_c], piece.outer, first + index);
            }
        });
    }

    fn cost(&self, sizes: &Sizes) -> f64 {
        let &Sizes { conv, pixels, depth, outputs, activation_bytes, .. } = sizes;
        let copies = if conv.is_pixelwise() { 0.0 } else { pixels * depth * 8.0 / target::STREAM_BYTES_PER_NS };
        // BLAS packs both operands in blocks, and the epilogue is a second pass over the result.
        let packs = (pixels * depth + depth * outputs * (pixels / gemm::MAX_BLOCK as f64).ceil()) * 0.22;
        let streams = activation_bytes / target::STREAM_BYTES_PER_NS;
        sizes.product(pixels, depth, 7.0) + copies + packs + streams + sizes.read_weights()
    }

    fn uses_blas(&self) -> bool {
        true
    }
}

impl fmt::Display for Im2colBlas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BLAS")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{self, convolution};

    #[test]
    fn im2col_blas_equals_naive_for_sizes_strides_and_padding() {
        for conv in [
            convolution((1, 1), (1, 1, 1), (1, 1, 1), (0, 0)),
            convolution((5, 7), (13, 33, 1), (1, 1, 1), (0, 0)),
            convolution((9, 6), (5, 19, 1), (3, 1, 1), (1, 1)),
            convolution((12, 11), (16, 24, 1), (3, 2, 1), (1, 0)),
            convolution((15, 15), (8, 7, 1), (5, 1, 2), (2, 3)),
        ] {
            naive::check(&conv, 2e-6 * depth(&conv) as f64, |_| Im2colBlas);
        }
    }
}
