//! Vectors of x86-64: SSE2, which every such machine has, AVX2 with FMA, and AVX-512.

use super::{KSlice, Prefetch, RowTile, SimdOp, Vector};
use std::arch::x86_64::*;

/// Runs the kernel compiled for AVX2 and FMA.
///
/// # Safety
/// The machine must have both, and the kernel's own conditions must hold.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run_avx2<K: SimdOp>(kernel: K) {
    // SAFETY: the caller's promise is the kernel's condition.
    unsafe { kernel.run::<F32x8>() }
}

/// Runs the kernel compiled for AVX2 and FMA, with the shapes of AVX-512.
///
/// # Safety
/// As of [`run_avx2`].
#[cfg(test)]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run_wide<K: SimdOp>(kernel: K) {
    // SAFETY: the caller's promise is the kernel's condition.
    unsafe { kernel.run::<super::portable::Wide>() }
}

/// Runs the kernel compiled for AVX-512F.
///
/// # Safety
/// The machine must have it, and the kernel's own conditions must hold.
#[target_feature(enable = "avx512f,avx2,fma")]
pub unsafe fn run_avx512<K: SimdOp>(kernel: K) {
    // SAFETY: the caller's promise is the kernel's condition.
    unsafe { kernel.run::<F32x16>() }
}

/// The masks of the first 0 to 8 lanes: read from `8 - count` on.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Four floats in an SSE register.
#[derive(Clone, Copy)]
pub struct F32x4(__m128);

/// Eight floats in an AVX register.
#[derive(Clone, Copy)]
pub struct F32x8(pub(crate) __m256);

/// Sixteen floats in an AVX-512 register.
#[derive(Clone, Copy)]
pub struct F32x16(__m512);

// SAFETY of the blocks in the implementations: a value of the type exists only where its maker's caller promised
// the instruction set, and the pointers are the callers' promises.

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
        // The instruction returns its second operand where one is not a number.
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
    fn exp2_whole(self) -> Self {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm_add_epi32(_mm_cvtps_epi32(self.0), _mm_set1_epi32(127));
            Self(_mm_castsi128_ps(_mm_slli_epi32::<23>(exponent)))
        }
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

impl Vector for F32x8 {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const TILE_PANELS: usize = 1;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, summand.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // The instruction returns its second operand where one is not a number.
        // SAFETY: see above.
        Self(unsafe { _mm256_max_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }
    #[inline(always)]
    fn exp2_whole(self) -> Self {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn select_greater(self, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            let greater = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, bound.0);
            Self(_mm256_blendv_ps(no.0, yes.0, greater))
        }
    }
    #[inline(always)]
    fn has_row_tile(rows: usize) -> bool {
        crate::kernels::gemm::avx2::row_tile_avx2::has_row_tile(rows)
    }
    #[inline(always)]
    unsafe fn run_row_tile(rows: usize, across: &RowTile) {
        // SAFETY: the caller's promise.
        unsafe { crate::kernels::gemm::avx2::row_tile_avx2::run_row_tile(rows, across) }
    }
    #[inline(always)]
    unsafe fn accumulate_k<const R: usize, const N: usize>(
        sums: &mut [[Self; N]; R],
        slice: &KSlice<R>,
        fetch: Prefetch,
    ) -> usize {
        // SAFETY: the same promises.
        unsafe { crate::kernels::gemm::avx2::inner_loop::accumulate_k(sums, slice, fetch) }
    }
    #[inline(always)]
    unsafe fn accumulate_k_groups<const R: usize, const N: usize>(
        sums: &mut [[Self; N]; R],
        slice: &KSlice<R>,
        group: usize,
        fetch: Prefetch,
    ) -> usize {
        // SAFETY: the same promises.
        unsafe { crate::kernels::gemm::avx2::inner_loop::accumulate_k_groups(sums, slice, group, fetch) }
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> Self {
        // SAFETY: see above; lanes that the mask leaves out are not read.
        unsafe {
            let mask = _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast());
            Self(_mm256_maskload_ps(from, mask))
        }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize) {
        // SAFETY: see above; lanes that the mask leaves out are not written.
        unsafe {
            let mask = _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast());
            _mm256_maskstore_ps(to, mask, self.0);
        }
    }
}

impl Vector for F32x16 {
    const LANES: usize = 16;
    const TILE_ROWS: usize = 12;
    const TILE_PANELS: usize = 2;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, summand.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // The instruction returns its second operand where one is not a number.
        // SAFETY: see above.
        Self(unsafe { _mm512_max_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }
    #[inline(always)]
    fn exp2_whole(self) -> Self {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn select_greater(self, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, bound.0);
            Self(_mm512_mask_blend_ps(greater, no.0, yes.0))
        }
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> Self {
        // SAFETY: see above; lanes that the mask leaves out are not read.
        Self(unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, from) })
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize) {
        // SAFETY: see above; lanes that the mask leaves out are not written.
        unsafe { _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, self.0) }
    }
}
