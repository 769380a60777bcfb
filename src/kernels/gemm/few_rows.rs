//! GEMM with few rows (small M): packing B would take as long as the product, so B is read unpacked, a few of its rows at a
//! time over all columns, as a sequence of rank-k updates.

use super::block::Block;
use super::micro_kernel::block_ranges;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::vector::{SimdOp, Vector};

/// Maximum rows of A.
const MAX_ROWS: usize = 16;
/// Rows of a register tile.
const MR: usize = 4;
/// K steps of a rank-k update: rows of B that are read concurrently.
const UPDATE_K: usize = 8;
/// K steps of a partial sum, which is then added to C.
const KC: usize = 128;
/// Columns of a block, whose partial sums fit the L1 cache.
const NC: usize = 256;
/// Floats of the buffer that [`multiply`] needs.
const BUFFER_LEN: usize = MAX_ROWS * NC;

/// Whether the tiles backend computes a product of `rows` rows without packing B, which is transposed or not.
pub fn supports(rows: usize, transposed: bool) -> bool {
    rows <= MAX_ROWS && !transposed
}

/// Adds the product to C, or stores it if beta is 0.
///
/// # Safety
/// The block's addresses must be valid for its sizes, of which none may be 0.
pub unsafe fn multiply(block: &Block, isa: Isa, buffer: &mut [f32]) {
    let partial = &mut buffer[..BUFFER_LEN];
    for columns in block_ranges(block.columns, NC) {
        for k_block in block_ranges(block.depth, KC) {
            let width = columns.len();
            let partial = &mut partial[..block.rows * width.next_multiple_of(PANEL)];
            partial.fill(0.0);
            for update in block_ranges(k_block.len(), UPDATE_K) {
                let k = k_block.start + update.start;
                let (row_stride, k_stride) = if block.transpose_a { (1, block.lda) } else { (block.lda, 1) };
                let update = RankKUpdate {
                    a: block.a.wrapping_add(k * k_stride),
                    row_stride,
                    k_stride,
                    rows: block.rows,
                    b: block.b.wrapping_add(k * block.ldb + columns.start),
                    ldb: block.ldb,
                    depth: update.len(),
                    width,
                    acc: partial.as_mut_ptr(),
                };
                // SAFETY: the update is within both operands, and the partial sums have its rows and columns.
                unsafe { isa.dispatch(update) };
            }
            for (row, partial) in partial.chunks_exact(width.next_multiple_of(PANEL)).enumerate() {
                // SAFETY: the row is within the result.
                let to = unsafe { std::slice::from_raw_parts_mut(block.c.add(row * block.ldc + columns.start), width) };
                let overwrites = k_block.start == 0 && block.beta == 0.0;
                for (to, sum) in to.iter_mut().zip(partial) {
                    let product = block.alpha * sum;
                    *to = if overwrites { product } else { *to + product };
                }
            }
        }
    }
}

/// A rank-k update: adds A's columns times a few rows of B to the partial sums, over all columns of the block.
struct RankKUpdate {
    a: *const f32,
    /// Floats from one row of op(A) to the next.
    row_stride: usize,
    /// Floats from one column of op(A) to the next.
    k_stride: usize,
    rows: usize,
    b: *const f32,
    ldb: usize,
    depth: usize,
    width: usize,
    /// `rows` rows of `width` floats, padded to whole panels.
    acc: *mut f32,
}

impl SimdOp for RankKUpdate {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let padded = self.width.next_multiple_of(PANEL);
        for column in (0..self.width).step_by(PANEL) {
            // A partial panel of columns is padded with zeros.
            let mut remainder = [0.0f32; UPDATE_K * PANEL];
            let (mut b, mut ldb) = (self.b.wrapping_add(column), self.ldb);
            if self.width - column < PANEL {
                for k in 0..self.depth {
                    // SAFETY: the columns are within the operand.
                    let b_row = unsafe { std::slice::from_raw_parts(b.add(k * ldb), self.width - column) };
                    remainder[k * PANEL..][..b_row.len()].copy_from_slice(b_row);
                }
                (b, ldb) = (remainder.as_ptr(), PANEL);
            }
            let mut row = 0;
            while row < self.rows {
                let a = self.a.wrapping_add(row * self.row_stride);
                let acc = self.acc.wrapping_add(row * padded + column);
                // SAFETY: rows, K steps and columns are within the operands and the accumulators.
                unsafe {
                    match (self.rows - row).min(MR) {
                        1 => self.tile::<V, 1>(a, (b, ldb), acc, padded),
                        2 => self.tile::<V, 2>(a, (b, ldb), acc, padded),
                        3 => self.tile::<V, 3>(a, (b, ldb), acc, padded),
                        _ => self.tile::<V, MR>(a, (b, ldb), acc, padded),
                    }
                }
                row += MR;
            }
        }
    }
}

impl RankKUpdate {
    /// Updates a tile of `R` rows by 16 columns.
    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize>(
        &self,
        a: *const f32,
        (b, ldb): (*const f32, usize),
        acc: *mut f32,
        ld: usize,
    ) {
        // Two vectors at a time, but a 16-lane vector is a full row of the tile.
        let vectors = if V::LANES == PANEL { 1 } else { 2 };
        // SAFETY: the caller's promise.
        unsafe {
            for first_lane in (0..PANEL).step_by(vectors * V::LANES) {
                let offset = |n: usize| first_lane + n * V::LANES;
                let mut tile = [[V::splat(0.0); 2]; R];
                for (r, tile_row) in tile.iter_mut().enumerate() {
                    for (n, sum) in tile_row.iter_mut().enumerate().take(vectors) {
                        *sum = V::load(acc.add(r * ld + offset(n)));
                    }
                }
                for k in 0..self.depth {
                    let mut b_k = [V::splat(0.0); 2];
                    for (n, vector) in b_k.iter_mut().enumerate().take(vectors) {
                        *vector = V::load(b.add(k * ldb + offset(n)));
                    }
                    for (r, tile_row) in tile.iter_mut().enumerate() {
                        let a_k = V::splat(*a.add(r * self.row_stride + k * self.k_stride));
                        for (n, sum) in tile_row.iter_mut().enumerate().take(vectors) {
                            *sum = a_k.mul_add(b_k[n], *sum);
                        }
                    }
                }
                for (r, tile_row) in tile.iter().enumerate() {
                    for (n, sum) in tile_row.iter().enumerate().take(vectors) {
                        sum.store(acc.add(r * ld + offset(n)));
                    }
                }
            }
        }
    }
}
