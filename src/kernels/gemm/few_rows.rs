//! Products of few rows: packing the right operand would take as long as the product, so it is read as it stands, some
//! of its rows side by side over all columns.

use super::Block;
use super::micro_kernel::parts;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::vector::{SimdOp, Vector};

/// Rows of the left operand, at most.
const ROWS: usize = 16;
/// Rows of a register tile.
const TILE_ROWS: usize = 4;
/// Rows of the right operand that are read side by side.
const TOGETHER: usize = 8;
/// The depth that is summed before it is added to what was summed before it.
const DEPTH: usize = 128;
/// Columns whose sums stand in the nearest cache.
const COLUMNS: usize = 256;
/// The floats of the buffer that [`multiply`] needs.
const BUFFER_LEN: usize = ROWS * COLUMNS;

/// Whether the tiles compute a product this way: one of so many rows, of a right operand that may be read transposed.
pub fn suits(rows: usize, transposed: bool) -> bool {
    rows <= ROWS && !transposed
}

/// Adds the product to what the result holds, or stores it.
///
/// # Safety
/// The block's addresses must be valid for its sizes, of which none may be 0.
pub unsafe fn multiply(block: &Block, isa: Isa, buffer: &mut [f32]) {
    let sums = &mut buffer[..BUFFER_LEN];
    for columns in parts(block.columns, COLUMNS) {
        for places in parts(block.depth, DEPTH) {
            let width = columns.len();
            let sums = &mut sums[..block.rows * width.next_multiple_of(PANEL)];
            sums.fill(0.0);
            for some in parts(places.len(), TOGETHER) {
                let place = places.start + some.start;
                let (row_step, place_step) = if block.transpose_a { (1, block.lda) } else { (block.lda, 1) };
                let part = Part {
                    a: block.a.wrapping_add(place * place_step),
                    row_step,
                    place_step,
                    rows: block.rows,
                    b: block.b.wrapping_add(place * block.ldb + columns.start),
                    ldb: block.ldb,
                    depth: some.len(),
                    width,
                    sums: sums.as_mut_ptr(),
                };
                // SAFETY: the part is within both operands, and the sums hold its rows and columns.
                unsafe { isa.dispatch(part) };
            }
            for (row, sums) in sums.chunks_exact(width.next_multiple_of(PANEL)).enumerate() {
                // SAFETY: the row is within the result.
                let to = unsafe { std::slice::from_raw_parts_mut(block.c.add(row * block.ldc + columns.start), width) };
                let stores = places.start == 0 && block.beta == 0.0;
                for (to, sum) in to.iter_mut().zip(sums) {
                    let product = block.alpha * sum;
                    *to = if stores { product } else { *to + product };
                }
            }
        }
    }
}

/// The products of a few rows of the right operand, over all columns.
struct Part {
    a: *const f32,
    row_step: usize,
    place_step: usize,
    rows: usize,
    b: *const f32,
    ldb: usize,
    depth: usize,
    width: usize,
    /// `rows` rows of the width's panels.
    sums: *mut f32,
}

impl SimdOp for Part {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let padded = self.width.next_multiple_of(PANEL);
        for column in (0..self.width).step_by(PANEL) {
            let mut last = [0.0f32; TOGETHER * PANEL];
            let (mut b, mut ldb) = (self.b.wrapping_add(column), self.ldb);
            if self.width - column < PANEL {
                for k in 0..self.depth {
                    // SAFETY: the columns are within the operand.
                    let line = unsafe { std::slice::from_raw_parts(b.add(k * ldb), self.width - column) };
                    last[k * PANEL..][..line.len()].copy_from_slice(line);
                }
                (b, ldb) = (last.as_ptr(), PANEL);
            }
            let mut row = 0;
            while row < self.rows {
                let a = self.a.wrapping_add(row * self.row_step);
                let sums = self.sums.wrapping_add(row * padded + column);
                // SAFETY: rows, places and columns are within the operands and the sums.
                unsafe {
                    match (self.rows - row).min(TILE_ROWS) {
                        1 => self.panel::<V, 1>(a, (b, ldb), sums, padded),
                        2 => self.panel::<V, 2>(a, (b, ldb), sums, padded),
                        3 => self.panel::<V, 3>(a, (b, ldb), sums, padded),
                        _ => self.panel::<V, TILE_ROWS>(a, (b, ldb), sums, padded),
                    }
                }
                row += TILE_ROWS;
            }
        }
    }
}

impl Part {
    /// Adds the products of `R` rows with 16 columns to their sums.
    #[inline(always)]
    unsafe fn panel<V: Vector, const R: usize>(
        &self,
        a: *const f32,
        (b, ldb): (*const f32, usize),
        sums: *mut f32,
        ld: usize,
    ) {
        // Two vectors at a time: of wide ones that is more than a panel has, and one is enough.
        let each = if V::LANES == PANEL { 1 } else { 2 };
        // SAFETY: the caller's promise.
        unsafe {
            for first in (0..PANEL).step_by(each * V::LANES) {
                let at = |n: usize| first + n * V::LANES;
                let mut tile = [[V::splat(0.0); 2]; R];
                for (r, line) in tile.iter_mut().enumerate() {
                    for (n, sum) in line.iter_mut().enumerate().take(each) {
                        *sum = V::load(sums.add(r * ld + at(n)));
                    }
                }
                for k in 0..self.depth {
                    let mut right = [V::splat(0.0); 2];
                    for (n, vector) in right.iter_mut().enumerate().take(each) {
                        *vector = V::load(b.add(k * ldb + at(n)));
                    }
                    for (r, line) in tile.iter_mut().enumerate() {
                        let left = V::splat(*a.add(r * self.row_step + k * self.place_step));
                        for (n, sum) in line.iter_mut().enumerate().take(each) {
                            *sum = left.mul_add(right[n], *sum);
                        }
                    }
                }
                for (r, line) in tile.iter().enumerate() {
                    for (n, sum) in line.iter().enumerate().take(each) {
                        sum.store(sums.add(r * ld + at(n)));
                    }
                }
            }
        }
    }
}
