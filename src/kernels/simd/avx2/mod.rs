//! Vectors of AVX2 with FMA; its register tiles have loops in assembly.

pub(crate) mod inner_loop;
pub(crate) mod row_tile_asm;

use super::tile::{KSlice, Prefetch, RowTile};
use super::vector::{SimdOp, Vector};
use std::arch::x86_64::*;

/// Runs the kernel compiled for AVX2 and FMA.
///
/// # Safety
/// The machine must have both, and the kernel's own conditions must hold.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run<K: SimdOp>(kernel: K) {
    // SAFETY: the caller's promise is the kernel's condition.
    unsafe { kernel.run::<F32x8>() }
}

/// Runs the kernel compiled for AVX2 and FMA, with the shapes of AVX-512.
///
/// # Safety
/// As of [`run`].
#[cfg(test)]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run_wide<K: SimdOp>(kernel: K) {
    // SAFETY: the caller's promise is the kernel's condition.
    unsafe { kernel.run::<crate::kernels::simd::portable::Wide>() }
}

/// The masks of the first 0 to 8 lanes: read from `8 - count` on.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Eight floats in an AVX register.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct F32x8(__m256);

// SAFETY of the blocks in the implementations: a value of the type exists only where its maker's caller promised
// the instruction set, and the pointers are the callers' promises.

/// The registers of a tile's sums, as the assembly takes them.
#[inline(always)]
fn registers<const R: usize, const N: usize>(sums: &mut [[F32x8; N]; R]) -> &mut [[__m256; N]; R] {
    // SAFETY: a vector is its register (`repr(transparent)`).
    unsafe { &mut *std::ptr::from_mut(sums).cast() }
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
        row_tile_asm::has_row_tile(rows)
    }
    #[inline(always)]
    unsafe fn run_row_tile(rows: usize, across: &RowTile) {
        // SAFETY: the caller's promise.
        unsafe { row_tile_asm::run_row_tile(rows, across) }
    }
    #[inline(always)]
    unsafe fn accumulate_k<const R: usize, const N: usize>(
        sums: &mut [[Self; N]; R],
        slice: &KSlice<R>,
        fetch: Prefetch,
    ) -> usize {
        // SAFETY: the same promises.
        unsafe { inner_loop::accumulate_k(registers(sums), slice, fetch) }
    }
    #[inline(always)]
    unsafe fn accumulate_k_groups<const R: usize, const N: usize>(
        sums: &mut [[Self; N]; R],
        slice: &KSlice<R>,
        group: usize,
        fetch: Prefetch,
    ) -> usize {
        // SAFETY: the same promises.
        unsafe { inner_loop::accumulate_k_groups(registers(sums), slice, group, fetch) }
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
