//! Products by the register tiles that all kernels share: a block of the right operand is packed into panels, the left
//! one is read as it stands, or copied row by row where it is transposed. The bits are the same on every machine.

use super::micro_kernel::{Product, Rows, parts};
use super::transpose::transpose;
use super::{Block, few_rows};
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::tile::PANEL;
use std::ops::Range;

/// The depth of a block, at most: its panels and copied rows stay in the second-level cache.
const DEPTH: usize = 256;
/// Columns of a block, at most.
const COLUMNS: usize = 256;
/// Rows of a block, at most, where they are copied.
const ROWS: usize = 128;

/// Rows of the right operand that are packed at once.
const STRETCH: usize = 16;

/// The floats of the buffer that a thread needs: the packed block, and the copied rows.
pub const BUFFER_LEN: usize = DEPTH * (COLUMNS + ROWS);

/// One product.
///
/// # Safety
/// The block's addresses must be valid for its sizes.
pub unsafe fn tile(block: &Block, isa: Isa, buffer: &mut [f32]) {
    let (packed, copied) = buffer[..BUFFER_LEN].split_at_mut(DEPTH * COLUMNS);
    // SAFETY: the rows are within the result.
    unsafe { scale(block) };
    if block.alpha == 0.0 || block.depth == 0 {
        return;
    }
    if few_rows::suits(block.rows, block.transpose_b) {
        // SAFETY: as above, and no size is 0.
        return unsafe { few_rows::multiply(block, isa, copied) };
    }
    for columns in parts(block.columns, COLUMNS) {
        for places in parts(block.depth, DEPTH) {
            let depth = places.len();
            // SAFETY: columns and places are within the right operand.
            unsafe { pack(block, columns.clone(), places.clone(), packed) };
            let height = if block.transpose_a { ROWS } else { block.rows };
            for rows in parts(block.rows, height) {
                let (data, ld) = if block.transpose_a {
                    // SAFETY: rows and places are within the left operand.
                    let from = unsafe {
                        slice(block.a.wrapping_add(places.start * block.lda + rows.start), depth, block.lda, rows.len())
                    };
                    transpose(from, block.lda, depth, rows.len(), copied, DEPTH);
                    (copied.as_ptr(), DEPTH)
                } else {
                    (block.a.wrapping_add(rows.start * block.lda + places.start), block.lda)
                };
                let product = Product {
                    a: Rows::Strided { data, ld, tap: 0 },
                    rows: rows.len(),
                    taps: 1,
                    depth,
                    b: packed.as_ptr(),
                    panel_stride: depth * PANEL,
                    next: std::ptr::null(),
                    columns: columns.len(),
                    c: block.c.wrapping_add(rows.start * block.ldc + columns.start),
                    ldc: block.ldc,
                    accumulate: block.beta != 0.0 || places.start > 0,
                    finish: None,
                    residual: std::ptr::null(),
                    first_column: columns.start,
                };
                // SAFETY: the operands hold these rows, columns and places, and the result its block.
                unsafe { isa.dispatch(product) };
            }
        }
    }
}

/// Brings the result to what the products are added to.
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
        // With beta 0, what stands there is not read: it may hold anything.
        row.iter_mut().for_each(|value| *value = if block.beta == 0.0 { 0.0 } else { *value * block.beta });
    }
}

/// Rows of a matrix as one slice, from the first row's first float to the last row's last.
///
/// # Safety
/// They must be readable.
unsafe fn slice<'a>(from: *const f32, rows: usize, ld: usize, columns: usize) -> &'a [f32] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(from, (rows - 1) * ld + columns) }
}

/// Packs a block of the right operand, times alpha, into panels of 16 columns.
///
/// # Safety
/// Columns and places must be within the operand; neither may be empty.
unsafe fn pack(block: &Block, columns: Range<usize>, places: Range<usize>, packed: &mut [f32]) {
    let (depth, width) = (places.len(), columns.len());
    let packed = &mut packed[..width.div_ceil(PANEL) * depth * PANEL];
    let last = width % PANEL;
    if last > 0 {
        // Zeros after the last column.
        packed[width / PANEL * depth * PANEL..].fill(0.0);
    }
    // Some rows at a time, so that each is read in one stretch.
    let step = if block.transpose_b { depth } else { STRETCH };
    for some in parts(depth, step) {
        for (index, panel) in packed.chunks_exact_mut(depth * PANEL).enumerate() {
            let first = columns.start + index * PANEL;
            let count = PANEL.min(columns.end - first);
            let place = places.start + some.start;
            let panel = &mut panel[some.start * PANEL..some.end * PANEL];
            // SAFETY: the caller's promise.
            unsafe {
                if block.transpose_b {
                    let from = slice(block.b.add(first * block.ldb + place), count, block.ldb, some.len());
                    transpose(from, block.ldb, count, some.len(), panel, PANEL);
                } else {
                    let from = slice(block.b.add(place * block.ldb + first), some.len(), block.ldb, count);
                    copy_lines(from, block.ldb, count, panel);
                }
            }
        }
    }
    if block.alpha != 1.0 {
        packed.iter_mut().for_each(|value| *value *= block.alpha);
    }
}

multiversion! {
    /// Copies rows of `count` floats to the lines of a panel.
    fn copy_lines(from: &[f32], ld: usize, count: usize, panel: &mut [f32]) {
        let (lines, _) = panel.as_chunks_mut::<PANEL>();
        for (line, row) in lines.iter_mut().zip(from.chunks(ld)) {
            match row.first_chunk::<PANEL>() {
                Some(whole) if count == PANEL => *line = *whole,
                _ => line[..count].copy_from_slice(&row[..count]),
            }
        }
    }
}
