//! SSE2 vectors, the baseline of x86-64.

use super::vector::Vector;
use std::arch::x86_64::*;

/// Four floats in an SSE register.
#[derive(Clone, Copy)]
pub struct F32x4(__m128);

// SAFETY of the blocks below: SSE2 is part of the target; callers promise that pointers are valid.

impl Vector for F32x4 {
    const LANES: usize = 4;
    const TILE_ROWS: usize = 3;
    const TILE_PANELS: usize = 1;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        self.mul(factor).add(summand)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // The instruction returns its second operand if either is NaN.
        // SAFETY: see above.
        Self(unsafe { _mm_max_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_cvtepi32_ps(_mm_cvtps_epi32(self.0)) })
    }
    #[inline(always)]
    fn exp2_integral(self) -> Self {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm_add_epi32(_mm_cvtps_epi32(self.0), _mm_set1_epi32(127));
            Self(_mm_castsi128_ps(_mm_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn lower_bf16(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_castsi128_ps(_mm_slli_epi32::<16>(_mm_castps_si128(self.0))) })
    }
    #[inline(always)]
    fn upper_bf16(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_and_ps(self.0, _mm_castsi128_ps(_mm_set1_epi32(0xffff_0000_u32 as i32))) })
    }
    #[inline(always)]
    fn select_greater(self, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            let greater = _mm_cmpgt_ps(self.0, bound.0);
            Self(_mm_or_ps(_mm_and_ps(greater, yes.0), _mm_andnot_ps(greater, no.0)))
        }
    }
}
