//! The SIMD vector trait that kernels are generic over.

use super::tile::{KSlice, Prefetch, RowTile};
use half::bf16;

/// A kernel generic over the vector type; `run` and all it calls must be `#[inline(always)]`, so that they are compiled with
/// the target features of the dispatched set.
pub trait SimdOp {
    /// Runs with vectors `V`.
    ///
    /// # Safety
    /// The machine must support `V`'s instruction set; the kernel's pointers must be valid for its accesses.
    unsafe fn run<V: Vector>(self);
}

/// A vector of `LANES` floats. Constructors are unsafe because they require the instruction set; a value is the proof that it
/// is supported, so arithmetic on it is safe.
pub trait Vector: Copy {
    /// Floats in a vector: 4, 8 or 16.
    const LANES: usize;
    /// MR: rows of the GEMM register tile.
    const TILE_ROWS: usize;
    /// Panels (of 16 columns) of the GEMM register tile: NR is 16 times this.
    const TILE_PANELS: usize;

    /// # Safety
    /// The machine must support the instruction set.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// The machine must support the instruction set, and `LANES` floats must be readable.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `LANES` floats must be writable.
    unsafe fn store(self, to: *mut f32);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// self * factor + summand
    fn mul_add(self, factor: Self, summand: Self) -> Self;
    /// The lane-wise maximum; `self` where `self` is NaN.
    fn max(self, other: Self) -> Self;
    /// The lane-wise minimum; `self` where `self` is NaN.
    fn min(self, other: Self) -> Self;
    /// Rounds to the nearest integer; for magnitudes below 2^22.
    fn round(self) -> Self;
    /// 2^self for integral lanes from -126 to 127.
    fn exp2_integral(self) -> Self;
    /// `yes` where self > bound, else `no`.
    fn select_greater(self, bound: Self, yes: Self, no: Self) -> Self;

    /// Each lane as two bf16: the one in its lower 16 bits, as f32.
    fn lower_bf16(self) -> Self;
    /// The one in its upper 16 bits.
    fn upper_bf16(self) -> Self;

    /// Adds the two products of each lane's pairs of bf16. An instruction for it may flush subnormal numbers to zero, and
    /// round in another way than fused multiply-adds.
    #[inline(always)]
    fn add_pair_products(self, a: Self, b: Self) -> Self {
        unpacked_pair_products(self, a, b)
    }

    /// Stores the lanes rounded to bf16, to nearest with ties to even; NaN stays NaN.
    ///
    /// # Safety
    /// `LANES` numbers must be writable.
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16) {
        // SAFETY: the caller's promise.
        unsafe { store_rounded(self, to) }
    }

    /// In each group of `G` lanes, the lane of this index in all of them; `G` is a power of two.
    #[inline(always)]
    fn repeat_in_groups<const G: usize>(self, index: usize) -> Self {
        let (mut lanes, mut repeated) = ([0.0f32; 16], [0.0f32; 16]);
        // SAFETY: a vector fits in the arrays, and `self` proves the instruction set.
        unsafe {
            self.store(lanes.as_mut_ptr());
            for lane in 0..Self::LANES {
                repeated[lane] = lanes[lane / G * G + index];
            }
            Self::load(repeated.as_ptr())
        }
    }

    /// Accumulates the unrolled part of a K slice (a multiple of `UNROLL` steps) into a register tile
    /// by the set's hand-written loop. Returns the K steps done: 0 if the set has no loop for this tile shape.
    ///
    /// # Safety
    /// The machine must support the instruction set, and the slice must be readable.
    #[inline(always)]
    unsafe fn accumulate_k<const R: usize, const N: usize>(
        _acc: &mut [[Self; N]; R],
        _slice: &KSlice<R>,
        _fetch: Prefetch,
    ) -> usize {
        0
    }

    /// As [`Vector::accumulate_k`] with blocked summation: every `sum_block` steps (a power of two and a multiple of
    /// `UNROLL`) form a partial sum of their own. The first block takes the remainder.
    ///
    /// # Safety
    /// As of [`Vector::accumulate_k`].
    #[inline(always)]
    unsafe fn accumulate_k_blocked<const R: usize, const N: usize>(
        _acc: &mut [[Self; N]; R],
        _slice: &KSlice<R>,
        _sum_block: usize,
        _fetch: Prefetch,
    ) -> usize {
        0
    }

    /// Whether the set has a [`Vector::run_row_tile`] for tiles of this many rows.
    #[inline(always)]
    fn has_row_tile(_rows: usize) -> bool {
        false
    }

    /// Computes one row of register tiles of this many rows over all panels of `tile`, by the set's hand-written micro-kernel.
    ///
    /// # Safety
    /// The machine must have the instruction set, [`Vector::has_row_tile`] be true, and all addresses be valid.
    #[inline(always)]
    unsafe fn run_row_tile(_rows: usize, _tile: &RowTile) {}

    /// Loads the first `count` lanes; the others are zero.
    ///
    /// # Safety
    /// The machine must support the instruction set, and `count` (at most `LANES`) floats must be readable.
    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0f32; 16];
        // SAFETY: at most 16 floats are copied, all readable by the caller's promise.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }

    /// Stores the first `count` lanes.
    ///
    /// # Safety
    /// `count` (at most `LANES`) floats must be writable.
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize) {
        let mut lanes = [0.0f32; 16];
        // SAFETY: a vector fits in the array; at most `count` floats are written.
        unsafe {
            self.store(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
}

/// [`Vector::add_pair_products`] of sets without an instruction for it.
#[inline(always)]
pub(super) fn unpacked_pair_products<V: Vector>(sum: V, a: V, b: V) -> V {
    let lower = a.lower_bf16().mul_add(b.lower_bf16(), sum);
    a.upper_bf16().mul_add(b.upper_bf16(), lower)
}

/// [`Vector::store_bf16`] of sets without an instruction for it.
///
/// # Safety
/// `LANES` numbers must be writable.
#[inline(always)]
pub(super) unsafe fn store_rounded<V: Vector>(vector: V, to: *mut bf16) {
    let mut lanes = [0.0f32; 16];
    // SAFETY: a vector fits in the array; the caller promises the rest.
    unsafe {
        vector.store(lanes.as_mut_ptr());
        for (lane, value) in lanes[..V::LANES].iter().enumerate() {
            to.add(lane).write_unaligned(bf16::from_f32(*value));
        }
    }
}

/// Prefetches the cache line at `address` into all levels; any address is valid.
#[inline(always)]
pub fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is only a hint, valid for any address; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
