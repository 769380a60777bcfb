//! Vectors of the instruction sets, and the choice among them at run time.
//!
//! A kernel is written once over [`Vector`] as a [`SimdOp`], whose body is inlined into one function per instruction
//! set ([`Isa::dispatch`]), each compiled with that set's instructions.
//!
//! The tests run on each set that the machine has: AVX-512's ran on a Zen 5 in November 2026, NEON's are run by
//! `.ci/emulated` under QEMU. Only AVX2 has loops and tiles in assembly; AVX-512 runs the same code over [`Vector`].

pub(crate) mod multiversion;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
pub(crate) mod scalar_math;
pub(crate) mod vector_math;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use std::sync::OnceLock;

/// The vectors that every machine of the target has.
#[cfg(not(target_arch = "x86_64"))]
type Baseline = portable::F32x4;
#[cfg(target_arch = "x86_64")]
type Baseline = x86::F32x4;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Whatever every machine of the target has.
    Portable,
    /// AVX2 and FMA: 8 floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F: 16 floats.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON: 4 floats.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// 16 floats in portable code, with fused products: the shapes and bits of AVX-512 on machines without it.
    #[cfg(test)]
    Wide,
}

impl Isa {
    /// The best set of this machine.
    pub fn detect() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| *Self::available().last().expect("portable code runs everywhere"))
    }

    /// The sets that this machine can run, the best one last.
    pub fn available() -> Vec<Self> {
        let mut sets = vec![Self::Portable];
        #[cfg(test)]
        if cfg!(not(target_arch = "x86_64")) || Self::has_fma() {
            sets.push(Self::Wide);
        }
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                sets.push(Self::Avx512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(Self::Neon);
        sets
    }

    #[cfg(test)]
    fn has_fma() -> bool {
        #[cfg(target_arch = "x86_64")]
        return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether products are added to their sum with one rounding: all such sets give the same bits.
    pub fn is_fused(self) -> bool {
        self != Self::Portable
    }

    /// Runs the kernel with this set's vectors.
    ///
    /// # Safety
    /// The machine must have the set, and the kernel's own conditions must hold.
    pub unsafe fn dispatch<K: SimdOp>(self, kernel: K) {
        // SAFETY: the caller promises that the machine has the set.
        unsafe {
            match self {
                Self::Portable => kernel.run::<Baseline>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::run_avx2(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::run_avx512(kernel),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => kernel.run::<neon::F32x4>(),
                #[cfg(test)]
                #[cfg(target_arch = "x86_64")]
                Self::Wide => x86::run_wide(kernel),
                #[cfg(test)]
                #[cfg(not(target_arch = "x86_64"))]
                Self::Wide => kernel.run::<portable::Wide>(),
            }
        }
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(test)]
            Self::Wide => "wide",
        })
    }
}

/// Code over vectors; `run` and all it calls must be `#[inline(always)]`, so that it is compiled for the set.
pub trait SimdOp {
    /// Runs with vectors `V`.
    ///
    /// # Safety
    /// The machine must have `V`'s instruction set; pointers held by the kernel must be valid for what it does.
    unsafe fn run<V: Vector>(self);
}

/// Steps of the depth (k) in one unrolled iteration of a register tile's loop.
pub const UNROLL: usize = 4;

/// What a register tile of `R` rows multiplies: at each place of the depth each row's float with the panel's 16.
pub struct KSlice<const R: usize> {
    /// Where each row's `depth` floats begin.
    pub rows: [*const f32; R],
    /// Where the panel's `depth` times 16 begin.
    pub panel: *const f32,
    pub depth: usize,
}

/// What is asked for, to be in the cache, while a register tile is multiplied.
#[derive(Clone, Copy)]
pub struct Prefetch {
    pub from: *const f32,
    /// Floats further with each place of the depth.
    pub step: usize,
}

/// Register tiles of some rows, beside each other over whole panels, from the first product to what is stored.
pub struct RowTile {
    /// Where each row's `depth` floats begin, and addresses from a tap's first row to the next tap's.
    pub rows: *const *const f32,
    pub tap: usize,
    /// At least one.
    pub taps: usize,
    /// At least one.
    pub depth: usize,
    /// Steps of the depth that are summed by themselves, a power of two and whole turns, where there is one tap of whole turns; or 0.
    pub group: usize,
    /// The first panel, and floats from one to the next.
    pub panel: *const f32,
    pub panel_stride: usize,
    pub panels: usize,
    /// What is asked for meanwhile, in the first panel's time; a panel's floats further for each other.
    pub fetch: Prefetch,
    /// Whether to add to what the result holds.
    pub accumulate: bool,
    /// Added to each row: 16 floats for each panel.
    pub bias: *const f32,
    /// Floats from one panel's bias to the next's.
    pub bias_stride: usize,
    /// Added at last, if not null: a matrix like the result.
    pub residual: *const f32,
    pub residual_ld: usize,
    /// The results are clipped to these.
    pub low: f32,
    pub high: f32,
    /// The result's first row at the first panel, and floats from one row to the next.
    pub c: *mut f32,
    pub ldc: usize,
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
