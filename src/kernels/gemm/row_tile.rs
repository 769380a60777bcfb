//! The macro-kernel around an instruction set's own micro-kernels ([`Vector::run_row_tile`]), which include the epilogue and
//! the store.

use super::micro_kernel::{LhsRows, PackedProduct};
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::tile::{Prefetch, RowTile, UNROLL};
use crate::kernels::simd::vector::Vector;
use std::ops::Range;

/// Floats of panels that one row of tiles reads: half of an L1 cache of 32 KiB.
const L1_FLOATS: usize = 4 << 10;
/// Maximum rows of a tile.
const MAX_ROWS: usize = 12;
/// The bias of a product without one.
static ZERO_BIAS: [f32; PANEL] = [0.0; PANEL];

/// Minimum tiles of a strip: fewer cannot prefetch all of the next panels.
const MIN_TILES: usize = 4;

impl PackedProduct<'_> {
    /// Computes the full panels by [`Vector::run_row_tile`], with blocked summation if `sum_block` is not 0. Returns the
    /// columns done: 0 if the set has no micro-kernel for the product.
    ///
    /// # Safety
    /// All addresses must be valid, and the machine must support the instruction set.
    #[inline(always)]
    pub unsafe fn row_tiles<V: Vector>(&self, sum_block: usize) -> usize {
        let tiles = self.rows.div_ceil(V::TILE_ROWS).max(1);
        let (height, remainder) = (self.rows / tiles, self.rows % tiles);
        let has_tiles =
            V::has_row_tile(height) && (remainder == 0 || V::has_row_tile(height + 1)) && tiles >= MIN_TILES;
        let sums_fit = sum_block == 0 || self.taps == 1 && self.depth.is_multiple_of(UNROLL);
        let rows_fit = self.taps == 1 || matches!(self.a, LhsRows::Indirect { .. });
        if !has_tiles || !sums_fit || !rows_fit || self.taps * self.depth == 0 {
            return 0;
        }
        let panels = self.columns / PANEL;
        // The prefetch of the next panels is spread evenly over the tiles: one tile alone would wait for memory.
        let shares = tiles.min(PANEL);
        let panels_at_once = (L1_FLOATS / (self.taps * self.depth * PANEL)).max(1);
        for first in (0..panels).step_by(panels_at_once) {
            let end = (first + panels_at_once).min(panels);
            let panel = |index: usize| self.b.wrapping_add(index * self.panel_stride);
            let following = match end < panels {
                true => panel(end),
                false if self.next_panel.is_null() => panel(0),
                false => self.next_panel,
            };
            for ks in self.k_blocks() {
                let next_panel =
                    if ks.end < self.depth { panel(first).wrapping_add(ks.end * PANEL) } else { following };
                let block = self.slice_k(ks);
                let share = block.taps * block.depth / shares;
                let mut row = 0;
                for tile in 0..tiles {
                    let height = height + usize::from(tile < remainder);
                    let from = next_panel.wrapping_add(tile % shares * share * PANEL);
                    let fetch = Prefetch { from, step: PANEL / shares };
                    // SAFETY: rows and panels are within the block.
                    unsafe { block.row_tile::<V>(sum_block, row..row + height, first..end, fetch) }
                    row += height;
                }
            }
        }
        panels * PANEL
    }

    /// One row of register tiles: a range of rows by a range of panels.
    #[inline(always)]
    unsafe fn row_tile<V: Vector>(&self, sum_block: usize, rows: Range<usize>, panels: Range<usize>, fetch: Prefetch) {
        let (row, height, column) = (rows.start, rows.len(), panels.start * PANEL);
        let epilogue = self.epilogue;
        let bias = epilogue.map(|epilogue| epilogue.bias).filter(|bias| !bias.is_null());
        let (low, high) = epilogue.map_or((f32::NEG_INFINITY, f32::INFINITY), |epilogue| (epilogue.low, epilogue.high));
        let residual_ld = epilogue.map_or(0, |epilogue| epilogue.residual_ld);
        let residual = match epilogue.is_none() || self.residual.is_null() {
            true => std::ptr::null(),
            false => self.residual.wrapping_add(row * residual_ld + column),
        };
        let mut addresses = [std::ptr::null(); MAX_ROWS];
        let (rows, tap_stride) = match self.a {
            // SAFETY: the rows are within the indirection buffer.
            LhsRows::Indirect { addresses, rows } => (unsafe { addresses.add(row) }, rows),
            strided => {
                for (index, address) in addresses[..height].iter_mut().enumerate() {
                    // SAFETY: the rows are within the block.
                    [*address] = unsafe { strided.addresses::<1>(0, row + index) };
                }
                (addresses.as_ptr(), 0)
            }
        };
        // SAFETY: rows and panels are within the block.
        unsafe {
            let tile = RowTile {
                rows,
                tap_stride,
                taps: self.taps,
                depth: self.depth,
                sum_block,
                panel: self.b.add(panels.start * self.panel_stride),
                panel_stride: self.panel_stride,
                panels: panels.len(),
                fetch,
                accumulate: self.accumulate,
                bias: bias.map_or(ZERO_BIAS.as_ptr(), |bias| bias.wrapping_add(self.first_column + column)),
                bias_stride: if bias.is_some() { PANEL } else { 0 },
                residual,
                residual_ld,
                low,
                high,
                c: self.c.add(row * self.ldc + column),
                ldc: self.ldc,
            };
            V::run_row_tile(height, &tile);
        }
    }
}
