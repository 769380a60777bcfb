//! The operands of register tiles: micro-kernels of matrix products, which hold their sums in registers.

/// Columns of a panel of packed weights, and of a register tile.
pub const PANEL: usize = 16;

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
