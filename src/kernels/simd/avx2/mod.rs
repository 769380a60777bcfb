//! AVX2 and FMA vectors; their GEMM micro-kernels are in assembly.

pub(crate) mod inner_loop;
pub(crate) mod row_tile_asm;

use super::tile::{KSlice, Prefetch, RowTile};
use super::vector::{SimdOp, Vector};
use std::arch::x86_64::*;

/// Runs the kernel compiled for AVX2 and FMA.
///
/// # Safety
/// The machine must support both, and the kernel's own preconditions must be met.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run<K: SimdOp>(kernel: K) {
    // SAFETY: the caller promises the kernel's preconditions.
    unsafe { kernel.run::<F32x8>() }
}

/// Runs the kernel compiled for AVX2 and FMA with 16-lane vectors, in AVX-512's shapes.
///
/// # Safety
/// As of [`run`].
#[cfg(test)]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn run_wide<K: SimdOp>(kernel: K) {
    // SAFETY: the caller promises the kernel's preconditions.
    unsafe { kernel.run::<crate::kernels::simd::portable::Wide>() }
}

/// Lane masks: 8 integers from offset `8 - count` enable the first `count` lanes.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Eight floats in an AVX register.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct F32x8(__m256);

// SAFETY of the blocks below: a value exists only if its constructor's caller promised the instruction set; callers also
// promise that pointers are valid.

/// The accumulators of a tile as the register type of the assembly.
#[inline(always)]
fn registers<const R: usize, const N: usize>(acc: &mut [[F32x8; N]; R]) -> &mut [[__m256; N]; R] {
    // SAFETY: `F32x8` is `repr(transparent)` over the register type.
    unsafe { &mut *std::ptr::from_mut(acc).cast() }
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
        // The instruction returns its second operand if either is NaN.
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
    fn exp2_integral(self) -> Self {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn lower_bf16(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(self.0))) })
    }
    #[inline(always)]
    fn upper_bf16(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_and_ps(self.0, _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000_u32 as i32))) })
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
    fn repeat_in_groups<const G: usize>(self, index: usize) -> Self {
        // SAFETY: see above.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let first = _mm256_and_si256(lanes, _mm256_set1_epi32(-(G as i32)));
            Self(_mm256_permutevar8x32_ps(self.0, _mm256_add_epi32(first, _mm256_set1_epi32(index as i32))))
        }
    }
    #[inline(always)]
    fn has_row_tile(rows: usize) -> bool {
        row_tile_asm::has_row_tile(rows)
    }
    #[inline(always)]
    unsafe fn run_row_tile(rows: usize, tile: &RowTile) {
        // SAFETY: the caller's promise.
        unsafe { row_tile_asm::run_row_tile(rows, tile) }
    }
    #[inline(always)]
    unsafe fn accumulate_k<const R: usize, const N: usize>(
        acc: &mut [[Self; N]; R],
        slice: &KSlice<R>,
        fetch: Prefetch,
    ) -> usize {
        // SAFETY: the same promises.
        unsafe { inner_loop::accumulate_k(registers(acc), slice, fetch) }
    }
    #[inline(always)]
    unsafe fn accumulate_k_blocked<const R: usize, const N: usize>(
        acc: &mut [[Self; N]; R],
        slice: &KSlice<R>,
        sum_block: usize,
        fetch: Prefetch,
    ) -> usize {
        // SAFETY: the same promises.
        unsafe { inner_loop::accumulate_k_blocked(registers(acc), slice, sum_block, fetch) }
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> Self {
        // SAFETY: see above; masked-off lanes are not read.
        unsafe {
            let mask = _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast());
            Self(_mm256_maskload_ps(from, mask))
        }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize) {
        // SAFETY: see above; masked-off lanes are not written.
        unsafe {
            let mask = _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast());
            _mm256_maskstore_ps(to, mask, self.0);
        }
    }
}
