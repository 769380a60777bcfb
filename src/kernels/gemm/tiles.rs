//! The tiles backend: GEMM by the shared micro-kernels. A block of B is packed into panels; A is read in place, or
//! transposed into a buffer. The bits are the same on every machine with fused multiply-adds.

use super::block::Block;
use super::few_rows;
use super::micro_kernel::{LhsRows, PackedProduct, block_ranges};
use super::transpose::transpose;

use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::tile::PANEL;
use std::ops::Range;

/// Maximum depth (K) of a block: its panels and transposed rows fit the L2 cache.
const KC: usize = 256;
/// Maximum columns of a block.
const NC: usize = 256;
/// Maximum rows of a block of a transposed A.
const MC: usize = 128;

/// Rows of B that are packed into each panel before the next ones.
const PASS_ROWS: usize = 16;

/// Floats of a thread's buffer: the packed block of B and the transposed block of A.
pub const BUFFER_LEN: usize = KC * (NC + MC);

/// Computes one block of C.
///
/// # Safety
/// The block's addresses must be valid for its sizes.
pub unsafe fn multiply(block: &Block, isa: Isa, buffer: &mut [f32]) {
    let (packed, transposed) = buffer[..BUFFER_LEN].split_at_mut(KC * NC);
    // SAFETY: the rows are within the result.
    unsafe { scale(block) };
    if block.alpha == 0.0 || block.depth == 0 {
        return;
    }
    if few_rows::supports(block.rows, block.transpose_b) {
        // SAFETY: as above, and no size is 0.
        return unsafe { few_rows::multiply(block, isa, transposed) };
    }
    for columns in block_ranges(block.columns, NC) {
        for ks in block_ranges(block.depth, KC) {
            let depth = ks.len();
            // SAFETY: columns and K range are within B.
            unsafe { pack(block, columns.clone(), ks.clone(), packed) };
            let height = if block.transpose_a { MC } else { block.rows };
            for rows in block_ranges(block.rows, height) {
                let (data, ld) = if block.transpose_a {
                    // SAFETY: rows and K range are within A.
                    let from = unsafe {
                        slice(block.a.wrapping_add(ks.start * block.lda + rows.start), depth, block.lda, rows.len())
                    };
                    transpose(from, block.lda, depth, rows.len(), transposed, KC);
                    (transposed.as_ptr(), KC)
                } else {
                    (block.a.wrapping_add(rows.start * block.lda + ks.start), block.lda)
                };
                let product = PackedProduct {
                    a: LhsRows::Strided { data, ld, tap_stride: 0 },
                    rows: rows.len(),
                    taps: 1,
                    depth,
                    row_len: depth,
                    b: packed.as_ptr(),
                    panel_stride: depth * PANEL,
                    next_panel: std::ptr::null(),
                    columns: columns.len(),
                    c: block.c.wrapping_add(rows.start * block.ldc + columns.start),
                    ldc: block.ldc,
                    accumulate: block.beta != 0.0 || ks.start > 0,
                    epilogue: None,
                    residual: std::ptr::null(),
                    first_column: columns.start,
                };
                // SAFETY: rows, columns and K range are within the operands and the result.
                unsafe { isa.dispatch(product) };
            }
        }
    }
}

/// Multiplies C by beta, as far as the products do not overwrite it anyway.
///
/// # Safety
/// The result must be valid for the block's sizes.
unsafe fn scale(block: &Block) {
    let empty = block.alpha == 0.0 || block.depth == 0;
    if block.beta == 1.0 || block.beta == 0.0 && !empty {
        return;
    }
    for row in 0..block.rows {
        // SAFETY: the caller's promise.
        let row = unsafe { std::slice::from_raw_parts_mut(block.c.add(row * block.ldc), block.columns) };
        // With beta 0, C is not read: it may be uninitialised or NaN.
        row.iter_mut().for_each(|value| *value = if block.beta == 0.0 { 0.0 } else { *value * block.beta });
    }
}

/// The slice that spans rows of a matrix, from the first float of the first row to the last of the last.
///
/// # Safety
/// The rows must be readable, and there must be one.
unsafe fn slice<'a>(from: *const f32, rows: usize, ld: usize, columns: usize) -> &'a [f32] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(from, (rows - 1) * ld + columns) }
}

/// Packs a block of B, times alpha, into panels of 16 columns.
///
/// # Safety
/// Columns and K range must be within B, and not empty.
unsafe fn pack(block: &Block, columns: Range<usize>, ks: Range<usize>, packed: &mut [f32]) {
    let (depth, width) = (ks.len(), columns.len());
    let packed = &mut packed[..width.div_ceil(PANEL) * depth * PANEL];
    if !width.is_multiple_of(PANEL) {
        // The zero padding after the last column.
        packed[width / PANEL * depth * PANEL..].fill(0.0);
    }
    // A few rows at a time, so that each is read contiguously across the panels.
    let step = if block.transpose_b { depth } else { PASS_ROWS };
    for pass in block_ranges(depth, step) {
        for (index, panel) in packed.chunks_exact_mut(depth * PANEL).enumerate() {
            let first = columns.start + index * PANEL;
            let count = PANEL.min(columns.end - first);
            let k = ks.start + pass.start;
            let panel = &mut panel[pass.start * PANEL..pass.end * PANEL];
            // SAFETY: the caller's promise.
            unsafe {
                if block.transpose_b {
                    let from = slice(block.b.add(first * block.ldb + k), count, block.ldb, pass.len());
                    transpose(from, block.ldb, count, pass.len(), panel, PANEL);
                } else {
                    let from = slice(block.b.add(k * block.ldb + first), pass.len(), block.ldb, count);
                    copy_rows(from, block.ldb, count, panel);
                }
            }
        }
    }
    if block.alpha != 1.0 {
        packed.iter_mut().for_each(|value| *value *= block.alpha);
    }
}

multiversion! {
    /// Copies rows of `count` floats to the rows of a panel.
    fn copy_rows(from: &[f32], ld: usize, count: usize, panel: &mut [f32]) {
        let (panel_rows, _) = panel.as_chunks_mut::<PANEL>();
        for (to, row) in panel_rows.iter_mut().zip(from.chunks(ld)) {
            match row.first_chunk::<PANEL>() {
                Some(full) if count == PANEL => *to = *full,
                _ => to[..count].copy_from_slice(&row[..count]),
            }
        }
    }
}
