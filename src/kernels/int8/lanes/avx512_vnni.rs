//! AVX-512 with VNNI: `vpdpbusd` adds the four products of each of sixteen lanes at once.

use super::{GROUP, Lanes, LanesOp};
use std::arch::x86_64::*;

/// Runs the kernel compiled for AVX-512 VNNI.
///
/// # Safety
/// The machine must support it, and the kernel's own preconditions must be met.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
pub unsafe fn run<K: LanesOp>(kernel: K) {
    // SAFETY: the caller promises the kernel's preconditions.
    unsafe { kernel.run::<Avx512Vnni>() }
}

pub struct Avx512Vnni;

// SAFETY of the blocks below: callers promise that the machine supports the instructions and that pointers are valid.

impl Lanes for Avx512Vnni {
    const TILE: usize = 28;
    type Sums = __m512i;
    type Weights = __m512i;
    type Inputs = __m512i;
    type Each = __m512i;
    type Floats = __m512;
    type Bounds = (__m512i, __m512i);

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn inputs(from: *const u8) -> Self::Inputs {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn each(from: [*const u8; GROUP]) -> Self::Each {
        // SAFETY: see above.
        unsafe {
            let [a, b, c, d] = from.map(|from| _mm_loadu_si128(from.cast()));
            let (ab_low, ab_high) = (_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b));
            let (cd_low, cd_high) = (_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d));
            let first =
                _mm256_set_m128i(_mm_unpackhi_epi16(ab_low, cd_low), _mm_unpacklo_epi16(ab_low, cd_low));
            let second =
                _mm256_set_m128i(_mm_unpackhi_epi16(ab_high, cd_high), _mm_unpacklo_epi16(ab_high, cd_high));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
        }
    }
    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(sums, inputs, weights) }
    }
    #[inline(always)]
    unsafe fn dot_each(sums: Self::Sums, inputs: Self::Each, weights: Self::Weights) -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(sums, inputs, weights) }
    }
    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn clamp(values: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats {
        // The instructions return their second operand if either is NaN.
        // SAFETY: see above.
        unsafe { _mm512_min_ps(_mm512_max_ps(values, low), high) }
    }
    #[inline(always)]
    unsafe fn bounds(low: u8, high: u8) -> Self::Bounds {
        // SAFETY: see above.
        unsafe { (_mm512_set1_epi32(i32::from(low)), _mm512_set1_epi32(i32::from(high))) }
    }
    #[inline(always)]
    unsafe fn store_bytes(values: Self::Floats, (low, high): Self::Bounds, to: *mut u8) {
        // SAFETY: see above.
        unsafe {
            let integers = _mm512_min_epi32(_mm512_max_epi32(_mm512_cvtps_epi32(values), low), high);
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(integers));
        }
    }
    #[inline(always)]
    unsafe fn store(values: Self::Floats, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to, values) }
    }
}
