//! AVX2 without byte products: bytes are widened to 16 bits, whose products `vpmaddwd` adds in pairs. (`vpmaddubsw` would
//! saturate.) The two sums of a lane are added at the end.

use super::interface::{GROUP, Lanes, LanesOp, array_of};
use super::ymm::{float_lanes, quads};
use std::arch::x86_64::*;

/// Runs the kernel compiled for AVX2.
///
/// # Safety
/// The machine must support it, and the kernel's own preconditions must be met.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run<K: LanesOp>(kernel: K) {
    // SAFETY: the caller promises the kernel's preconditions.
    unsafe { kernel.run::<Avx2>() }
}

pub struct Avx2;

// SAFETY of the blocks below: callers promise that the machine supports the instructions and that pointers are valid.

impl Lanes for Avx2 {
    const TILE: usize = 2;
    /// Four lanes in each: two sums of two products for every lane.
    type Sums = [__m256i; 4];
    type Weights = [__m256i; 4];
    type Inputs = __m256i;
    type Each = [__m256i; 4];

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: see above.
        unsafe { [_mm256_setzero_si256(); 4] }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: see above.
        unsafe { array_of!(at in [0, 16, 32, 48] => _mm256_cvtepi8_epi16(_mm_loadu_si128(from.add(at).cast()))) }
    }
    #[inline(always)]
    unsafe fn inputs(from: *const u8) -> Self::Inputs {
        // SAFETY: see above.
        unsafe { _mm256_cvtepu8_epi16(_mm_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn each(from: [*const u8; GROUP]) -> Self::Each {
        // SAFETY: see above.
        unsafe {
            let quads = quads(from);
            array_of!(at in [0, 1, 2, 3] => _mm256_cvtepu8_epi16(quads[at]))
        }
    }
    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe { Self::dot_each(sums, [inputs; 4], weights) }
    }
    #[inline(always)]
    unsafe fn dot_each(sums: Self::Sums, inputs: Self::Each, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe {
            array_of!(at in [0, 1, 2, 3] => _mm256_add_epi32(sums[at], _mm256_madd_epi16(inputs[at], weights[at])))
        }
    }
    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats {
        // `hadd` works within halves: lanes 0, 1, 4, 5 and 2, 3, 6, 7.
        // SAFETY: see above.
        unsafe {
            array_of!(at in [0, 2] => {
                let pairs = _mm256_hadd_epi32(sums[at], sums[at + 1]);
                _mm256_cvtepi32_ps(_mm256_permute4x64_epi64::<0b11_01_10_00>(pairs))
            })
        }
    }

    float_lanes!();
}
