//! AVX-VNNI: `vpdpbusd` adds the four products of each of eight lanes at once.

use super::interface::{GROUP, Lanes, LanesOp, array_of};
use super::ymm::{float_lanes, quads};
use std::arch::x86_64::*;

/// Runs the kernel compiled for AVX-VNNI.
///
/// # Safety
/// The machine must support it, and the kernel's own preconditions must be met.
#[target_feature(enable = "avx2,fma,avxvnni")]
pub unsafe fn run<K: LanesOp>(kernel: K) {
    // SAFETY: the caller promises the kernel's preconditions.
    unsafe { kernel.run::<AvxVnni>() }
}

pub struct AvxVnni;

// SAFETY of the blocks below: callers promise that the machine supports the instructions and that pointers are valid.

impl Lanes for AvxVnni {
    const TILE: usize = 6;
    type Sums = [__m256i; 2];
    type Weights = [__m256i; 2];
    type Inputs = __m256i;
    type Each = [__m256i; 2];

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: see above.
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 32] => _mm256_loadu_si256(from.add(at).cast())) }
    }
    #[inline(always)]
    unsafe fn inputs(from: *const u8) -> Self::Inputs {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn each(from: [*const u8; GROUP]) -> Self::Each {
        // SAFETY: see above.
        unsafe {
            let quads = quads(from);
            [_mm256_set_m128i(quads[1], quads[0]), _mm256_set_m128i(quads[3], quads[2])]
        }
    }
    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe { Self::dot_each(sums, [inputs; 2], weights) }
    }
    #[inline(always)]
    unsafe fn dot_each(sums: Self::Sums, inputs: Self::Each, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 1] => _mm256_dpbusd_avx_epi32(sums[at], inputs[at], weights[at])) }
    }
    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats {
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 1] => _mm256_cvtepi32_ps(sums[at])) }
    }

    float_lanes!();
}
