//! A block of a product.

/// One block of a product, in BLAS' terms: addresses, and leading dimensions in floats.
pub(super) struct Block {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub alpha: f32,
    pub beta: f32,
    pub a: *const f32,
    pub lda: usize,
    pub transpose_a: bool,
    pub b: *const f32,
    pub ldb: usize,
    pub transpose_b: bool,
    pub c: *mut f32,
    pub ldc: usize,
}
