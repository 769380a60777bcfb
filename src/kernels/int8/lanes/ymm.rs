//! What the instruction sets with registers of eight lanes share.

use super::interface::{GROUP, array_of};
use std::arch::x86_64::*;

/// Sixteen f32.
pub type Floats = [__m256; 2];
/// The lowest and the highest byte to store.
pub type Bounds = (__m128i, __m128i);

/// Four bytes for each lane, four lanes in each: a byte of each address.
///
/// # Safety
/// The machine must have AVX2, and sixteen bytes must be readable from each address.
#[inline(always)]
pub unsafe fn quads(from: [*const u8; GROUP]) -> [__m128i; 4] {
    // SAFETY: as the caller promises.
    unsafe {
        let [a, b, c, d] = array_of!(at in [0, 1, 2, 3] => _mm_loadu_si128(from[at].cast()));
        let (ab_low, ab_high) = (_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b));
        let (cd_low, cd_high) = (_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d));
        [
            _mm_unpacklo_epi16(ab_low, cd_low),
            _mm_unpackhi_epi16(ab_low, cd_low),
            _mm_unpacklo_epi16(ab_high, cd_high),
            _mm_unpackhi_epi16(ab_high, cd_high),
        ]
    }
}

/// The functions of [`Lanes`](super::Lanes) on sixteen f32 in two registers.
macro_rules! float_lanes {
    () => {
        type Floats = $crate::kernels::int8::lanes::ymm::Floats;
        type Bounds = $crate::kernels::int8::lanes::ymm::Bounds;

        #[inline(always)]
        unsafe fn bytes(from: *const u8) -> Self::Floats {
            // SAFETY: see above.
            unsafe {
                let bytes = _mm_loadu_si128(from.cast());
                let upper = _mm_srli_si128::<8>(bytes);
                [_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(upper))]
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
    };
}
pub(super) use float_lanes;
