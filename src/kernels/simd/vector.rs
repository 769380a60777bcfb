//! The vector that kernels are written over.

use super::tile::{KSlice, Prefetch, RowTile};

/// Code over vectors; `run` and all it calls must be `#[inline(always)]`, so that it is compiled for the set.
pub trait SimdOp {
    /// Runs with vectors `V`.
    ///
    /// # Safety
    /// The machine must have `V`'s instruction set; pointers held by the kernel must be valid for what it does.
    unsafe fn run<V: Vector>(self);
}

/// A vector of `LANES` floats. The functions that make one are unsafe because its instruction set must be there;
/// whoever has one may compute with it.
pub trait Vector: Copy {
    /// Floats in a vector: 4, 8 or 16.
    const LANES: usize;
    /// Rows of the register tile of a matrix product.
    const TILE_ROWS: usize;
    /// Panels (of 16 columns) of the register tile of a matrix product.
    const TILE_PANELS: usize;

    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// The machine must have the instruction set, and `LANES` floats must be readable.
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
    /// The larger; `self` where `self` is not a number.
    fn max(self, other: Self) -> Self;
    /// The smaller; `self` where `self` is not a number.
    fn min(self, other: Self) -> Self;
    /// To the nearest whole number; for magnitudes below 2^22.
    fn round(self) -> Self;
    /// 2^self for whole numbers from -126 to 127.
    fn exp2_whole(self) -> Self;
    /// `yes` where self > bound, else `no`.
    fn select_greater(self, bound: Self, yes: Self, no: Self) -> Self;

    /// Adds to a register tile's sums the products of the whole turns of the slice, by code that the set has for that
    /// shape. Returns how many slice it did: those, or none.
    ///
    /// # Safety
    /// The machine must have the instruction set, and the slice must be readable.
    #[inline(always)]
    unsafe fn accumulate_k<const R: usize, const N: usize>(
        _sums: &mut [[Self; N]; R],
        _places: &KSlice<R>,
        _ahead: Prefetch,
    ) -> usize {
        0
    }

    /// The same in groups of `group` slice, a power of two and whole turns, each of which is summed by itself; the first
    /// group is what others leave.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    unsafe fn accumulate_k_groups<const R: usize, const N: usize>(
        _sums: &mut [[Self; N]; R],
        _places: &KSlice<R>,
        _group: usize,
        _ahead: Prefetch,
    ) -> usize {
        0
    }

    /// Whether the set has [`Vector::run_row_tile`] for tiles of so many rows.
    #[inline(always)]
    fn has_row_tile(_rows: usize) -> bool {
        false
    }

    /// Runs tiles of so many rows beside each other.
    ///
    /// # Safety
    /// The machine must have the instruction set, [`Vector::has_row_tile`] be true, and all addresses be valid.
    #[inline(always)]
    unsafe fn run_row_tile(_rows: usize, _across: &RowTile) {}

    /// The first `count` floats, zeros behind them.
    ///
    /// # Safety
    /// The machine must have the instruction set, and `count` (at most `LANES`) floats must be readable.
    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0f32; 16];
        // SAFETY: at most 16 floats are copied, all readable by the caller's promise.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }

    /// Stores the first `count` floats.
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

/// Asks for the line at `address` to be brought into the cache; never errors.
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
