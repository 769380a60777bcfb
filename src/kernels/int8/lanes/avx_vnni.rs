//! AVX-VNNI: `vpdpbusd` adds the four products of each of eight lanes at once.

use super::{GROUP, Lanes, LanesOp};
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
    type Floats = [__m256; 2];
    type Bounds = (__m128i, __m128i);

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: see above.
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::Weights {
        // SAFETY: see above.
        [0, 32].map(|at| unsafe { _mm256_loadu_si256(from.add(at).cast()) })
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
            let [a, b, c, d] = from.map(|from| _mm_loadu_si128(from.cast()));
            let (ab_low, ab_high) = (_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b));
            let (cd_low, cd_high) = (_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d));
            let quads = [
                _mm_unpacklo_epi16(ab_low, cd_low),
                _mm_unpackhi_epi16(ab_low, cd_low),
                _mm_unpacklo_epi16(ab_high, cd_high),
                _mm_unpackhi_epi16(ab_high, cd_high),
            ];
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
        std::array::from_fn(|at| unsafe { _mm256_dpbusd_avx_epi32(sums[at], inputs[at], weights[at]) })
    }
    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats {
        // SAFETY: see above.
        sums.map(|sums| unsafe { _mm256_cvtepi32_ps(sums) })
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> Self::Floats {
        // SAFETY: see above.
        unsafe {
            let bytes = _mm_loadu_si128(from.cast());
            [bytes, _mm_srli_si128::<8>(bytes)].map(|half| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(half)))
        }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Floats {
        // SAFETY: see above.
        unsafe { [_mm256_set1_ps(value); 2] }
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: see above.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    unsafe fn clamp(values: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats {
        // The instructions return their second operand if either is NaN.
        // SAFETY: see above.
        unsafe {
            [
                _mm256_min_ps(_mm256_max_ps(values[0], low[0]), high[0]),
                _mm256_min_ps(_mm256_max_ps(values[1], low[1]), high[1]),
            ]
        }
    }
    #[inline(always)]
    unsafe fn bounds(low: u8, high: u8) -> Self::Bounds {
        // SAFETY: see above.
        unsafe { (_mm_set1_epi8(low as i8), _mm_set1_epi8(high as i8)) }
    }
    #[inline(always)]
    unsafe fn store_bytes(values: Self::Floats, (low, high): Self::Bounds, to: *mut u8) {
        // SAFETY: see above.
        unsafe {
            // Both packs saturate, which clamps to 0 and 255.
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(values[0]), _mm256_cvtps_epi32(values[1]));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.cast(), _mm_min_epu8(_mm_max_epu8(bytes, low), high));
        }
    }
    #[inline(always)]
    unsafe fn store(values: Self::Floats, to: *mut f32) {
        // SAFETY: see above.
        unsafe {
            _mm256_storeu_ps(to, values[0]);
            _mm256_storeu_ps(to.add(8), values[1]);
        }
    }
}
