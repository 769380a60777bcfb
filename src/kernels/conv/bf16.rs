//! Convolution with weights in bf16, and sums, bias, residual and result in f32. On a CPU with fast products of bf16, the input is
//! rounded to a copy in pairs, over which the other algorithms' GEMMs run with half the K steps; elsewhere it stays f32.

use super::algorithm::{ConvAlgorithm, ConvCall, Rounding};
use super::cost::Sizes;
use super::im2col::{Im2col, packed_geometry, product_cost};
use super::pointwise;
use crate::kernels::epilogue::Pool;
use crate::kernels::gemm::bf16::{Operands, round_pixels, round_weights};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Convolution, View};
use crate::size::product;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Nanoseconds to round one float of the input.
const ROUND: f64 = 0.1;

/// The algorithm for products of bf16. Weights are packed as for [`Im2col`], in pairs of input channels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bf16;

/// The convolution whose channels are pairs.
fn of_pairs(conv: &Convolution) -> Convolution {
    packed_geometry(conv, Operands::Bf16Weights)
}

/// Floats of the rounded copy of an image.
fn image_len(conv: &Convolution) -> usize {
    product([conv.window.in_h, conv.window.in_w, of_pairs(conv).in_c])
}

impl ConvAlgorithm for Bf16 {
    fn candidates(_: &Convolution, _: usize) -> Vec<Self> {
        vec![Self]
    }

    fn supports(&self, conv: &Convolution, _: Option<Pool>) -> bool {
        conv.groups == 1 || (conv.in_c / conv.groups.max(1)).is_multiple_of(2)
    }

    fn packed_len(&self, conv: &Convolution) -> usize {
        Im2col.packed_len(&of_pairs(conv))
    }

    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
        let rounded = round_weights(weights, conv.in_c / conv.groups, conv.out_c);
        Im2col.pack(&of_pairs(conv), &rounded, packed, threads);
    }

    fn scratch_len(&self, conv: &Convolution, batch: usize, pool: Option<Pool>, workers: usize) -> usize {
        product([image_len(conv), batch]).saturating_add(Im2col.scratch_len(&of_pairs(conv), batch, pool, workers))
    }

    fn run(&self, call: ConvCall<'_>) {
        let ConvCall { threads, conv, batch, input, .. } = call;
        assert!(self.supports(conv, call.epilogue.pool), "groups of an odd number of channels: {conv:?}");
        if !threads.isa().has_fast_bf16() {
            return pointwise::multiply(call, Operands::Bf16Weights);
        }
        let image = image_len(conv);
        let (rounded, scratch) = call.scratch.split_at_mut(image * batch);
        round_pixels(threads, input, batch, conv.window.in_h * conv.window.in_w, conv.in_c, rounded);
        let conv = &of_pairs(conv);
        let input = View { data: rounded, ld: conv.in_c, image };
        pointwise::multiply(ConvCall { conv, input, scratch, ..call }, Operands::Bf16);
    }

    fn cost(&self, sizes: &Sizes) -> f64 {
        let window = &sizes.conv.window;
        let round = ROUND * (window.in_h * window.in_w * sizes.conv.in_c) as f64;
        // Half the K steps, which start and store as many tiles.
        product_cost(sizes, sizes.depth / 2.0) + round + sizes.read_weights() / 2.0
    }

    fn rounding(&self) -> Rounding {
        Rounding::Bf16
    }

    fn copied_floats(&self, conv: &Convolution) -> usize {
        image_len(conv)
    }
}

impl fmt::Display for Bf16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bf16")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{self, convolution};
    use crate::kernels::simd::isa::Isa;

    fn check(conv: Convolution) {
        let depth = conv.weights() / conv.out_c;
        naive::check_rounded(&conv, 2e-6 * depth as f64, Isa::has_fast_bf16, |_| Bf16);
    }

    #[test]
    fn bf16_equals_naive_of_rounded_operands_for_kernels_strides_dilations_and_paddings() {
        check(convolution((7, 9), (5, 7, 1), (3, 1, 1), (1, 1)));
        check(convolution((13, 11), (3, 33, 1), (5, 2, 1), (2, 1)));
        check(convolution((9, 12), (17, 16, 1), (3, 1, 2), (2, 2)));
        check(convolution((6, 5), (4, 31, 1), (2, 3, 1), (0, 1)));
        check(convolution((1, 1), (1, 1, 1), (1, 1, 1), (0, 0)));
        check(convolution((3, 4), (802, 18, 1), (3, 1, 1), (1, 1)));
    }

    #[test]
    fn bf16_equals_naive_of_rounded_operands_for_pixels() {
        check(convolution((5, 7), (13, 33, 1), (1, 1, 1), (0, 0)));
        check(convolution((6, 9), (16, 48, 1), (1, 2, 1), (0, 0)));
        check(convolution((19, 17), (24, 31, 1), (1, 1, 1), (0, 0)));
        check(convolution((4, 3), (1030, 16, 1), (1, 1, 1), (0, 0)));
        check(convolution((1, 3), (20, 150, 1), (1, 1, 1), (0, 0)));
    }

    #[test]
    fn bf16_equals_naive_of_rounded_operands_for_groups() {
        check(convolution((7, 7), (8, 12, 2), (3, 1, 1), (1, 1)));
        check(convolution((5, 6), (12, 51, 3), (3, 2, 1), (1, 0)));
    }
}
