//! Operands of the GEMM micro-kernels, whose accumulators form an MR x NR tile in registers.

/// Columns of a packed panel: the NR of every instruction set, so that packed weights are portable.
pub const PANEL: usize = 16;

/// K steps in one unrolled iteration of a micro-kernel's inner loop.
pub const UNROLL: usize = 4;

/// The operands of an `R`-row tile over one range of K: at each step, `R` floats of A times a row of the packed panel of B.
pub struct KSlice<const R: usize> {
    /// The address of each row of A, `depth` contiguous floats.
    pub rows: [*const f32; R],
    /// The packed panel of B: `depth` rows of 16 floats.
    pub panel: *const f32,
    pub depth: usize,
}

/// The stream that a micro-kernel prefetches while it multiplies.
#[derive(Clone, Copy)]
pub struct Prefetch {
    pub from: *const f32,
    /// Floats to advance per K step.
    pub step: usize,
}

/// One row of register tiles: the same rows of A times several full panels of B, epilogue and store included.
pub struct RowTile {
    /// The addresses of the rows of A, each `depth` contiguous floats, tap by tap.
    pub rows: *const *const f32,
    /// Addresses from one tap's first row to the next tap's.
    pub tap_stride: usize,
    /// At least one.
    pub taps: usize,
    /// K of one tap; at least one.
    pub depth: usize,
    /// K steps of a partial sum, a power of two and a multiple of [`UNROLL`], or 0 for one running sum. Only with a single tap
    /// whose depth is a multiple of [`UNROLL`].
    pub sum_block: usize,
    /// The first panel.
    pub panel: *const f32,
    /// Floats from one panel to the next.
    pub panel_stride: usize,
    pub panels: usize,
    /// The stream prefetched during the first panel; it advances by `panel_stride` for each further panel.
    pub fetch: Prefetch,
    /// Whether to add to C (beta = 1) or to overwrite it.
    pub accumulate: bool,
    /// Added to every row: 16 floats per panel.
    pub bias: *const f32,
    /// Floats from one panel's bias to the next: 16, or 0 to reuse the same 16 zeros.
    pub bias_stride: usize,
    /// Added after the bias, if not null: a matrix of C's shape.
    pub residual: *const f32,
    pub residual_ld: usize,
    /// Clip bounds of the result.
    pub low: f32,
    pub high: f32,
    /// The first row of C at the first panel.
    pub c: *mut f32,
    /// Floats from one row of C to the next.
    pub ldc: usize,
}
