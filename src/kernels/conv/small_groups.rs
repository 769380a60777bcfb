//! 3x3 convolutions in groups of 4 or 8 channels, as in ResNeXt and RegNet. A panel of 16 output channels holds several groups, so that
//! vectors are full and nothing is multiplied but the weights: a GEMM per group would pad each to a panel.

use super::algorithm::{ConvAlgorithm, ConvCall};
use super::cost::Sizes;
use super::depthwise::{rows_scratch_len, run_rows};
use crate::kernels::epilogue::Pool;
use crate::kernels::gemm::panel::{self, packed_len};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::Convolution;
use crate::size::product;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The algorithm for as many input as output channels, in groups of 4 or 8. Weights are packed in panels of 16 output channels by all
/// taps and input channels of a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SmallGroups;

impl ConvAlgorithm for SmallGroups {
    fn candidates(_: &Convolution, _: usize) -> Vec<Self> {
        vec![Self]
    }

    fn supports(&self, conv: &Convolution, _: Option<Pool>) -> bool {
        let window = &conv.window;
        conv.in_c == conv.out_c
            && conv.groups > 0
            && conv.in_c.is_multiple_of(conv.groups)
            && matches!(conv.in_c / conv.groups, 4 | 8)
            && (window.kernel_h, window.kernel_w) == (3, 3)
            && (window.dilation_h, window.dilation_w) == (1, 1)
            && matches!(window.stride_w, 1 | 2)
    }

    fn packed_len(&self, conv: &Convolution) -> usize {
        packed_len(depth(conv), conv.out_c)
    }

    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
        assert_eq!(weights.len(), depth(conv) * conv.out_c, "weights");
        panel::pack(threads, depth(conv), conv.out_c, weights, conv.out_c, packed);
    }

    fn scratch_len(&self, conv: &Convolution, _: usize, pool: Option<Pool>, workers: usize) -> usize {
        rows_scratch_len(conv, pool, workers)
    }

    fn run(&self, call: ConvCall<'_>) {
        assert!(self.supports(call.conv, call.epilogue.pool), "no small groups: {:?}", call.conv);
        assert_eq!(call.weights.len(), self.packed_len(call.conv), "packed weights");
        run_rows(call);
    }

    fn cost(&self, sizes: &Sizes) -> f64 {
        // Permutations take as long as the products that they are for, at stride 2.
        let macs_per_ns = if sizes.conv.window.stride_w == 1 { 25.0 } else { 18.0 };
        sizes.pixels * sizes.depth * sizes.conv.out_c as f64 / macs_per_ns
            + sizes.read(4.0 * self.packed_len(sizes.conv) as f64)
    }
}

impl fmt::Display for SmallGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("small groups")
    }
}

/// Weights of an output channel.
fn depth(conv: &Convolution) -> usize {
    product([conv.window.kernel_h, conv.window.kernel_w, conv.in_c / conv.groups.max(1)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{self, convolution};

    #[test]
    fn small_groups_equal_naive() {
        let check = |conv: Convolution| naive::check(&conv, 2e-6 * depth(&conv) as f64, |_| SmallGroups);
        check(convolution((11, 10), (32, 32, 8), (3, 1, 1), (1, 1)));
        check(convolution((14, 15), (12, 12, 3), (3, 2, 1), (0, 1)));
        check(convolution((9, 17), (24, 24, 3), (3, 1, 1), (1, 1)));
        check(convolution((12, 13), (40, 40, 5), (3, 2, 1), (1, 2)));
        check(convolution((2, 1), (4, 4, 1), (3, 1, 1), (1, 1)));
        check(convolution((3, 9), (8, 8, 1), (3, 1, 1), (0, 2)));
    }
}
