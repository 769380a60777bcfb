//! Products whose whole panels an instruction set's own code makes, from the first multiplication to what is stored.

use super::micro_kernel::{Product, Rows};
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::tile::{Prefetch, RowTile, UNROLL};
use crate::kernels::simd::vector::Vector;
use std::ops::Range;

/// Floats of panels that tiles beside each other read: half of a first-level cache of 32 KiB.
const NEAR: usize = 4 << 10;
/// Rows of a tile at most.
const MOST: usize = 12;
/// The bias where there is none.
static NOTHING: [f32; PANEL] = [0.0; PANEL];

/// Tiles of a strip at least: fewer cannot ask for all that comes next.
const TILES: usize = 4;

impl Product<'_> {
    /// The panels all of whose columns exist, in groups of so many places where `group` is not 0. Returns the columns done.
    ///
    /// # Safety
    /// All addresses must be valid, and the instruction set be there.
    #[inline(always)]
    pub unsafe fn across<V: Vector>(&self, group: usize) -> usize {
        let tiles = self.rows.div_ceil(V::TILE_ROWS).max(1);
        let (height, higher) = (self.rows / tiles, self.rows % tiles);
        let fits = V::has_row_tile(height) && (higher == 0 || V::has_row_tile(height + 1)) && tiles >= TILES;
        let turns = group == 0 || self.taps == 1 && self.depth.is_multiple_of(UNROLL);
        let listed = self.taps == 1 || matches!(self.a, Rows::Listed { .. });
        if !fits || !turns || !listed || self.taps * self.depth == 0 {
            return 0;
        }
        let panels = self.columns / PANEL;
        // Each tile asks for its part of what comes next: one alone would wait for memory, the others leave it idle.
        let spread = tiles.min(PANEL);
        let together = (NEAR / (self.taps * self.depth * PANEL)).max(1);
        for first in (0..panels).step_by(together) {
            let end = (first + together).min(panels);
            let panel = |index: usize| self.b.wrapping_add(index * self.panel_stride);
            let behind = match end < panels {
                true => panel(end),
                false if self.next.is_null() => panel(0),
                false => self.next,
            };
            for places in self.parts() {
                let next = if places.end < self.depth { panel(first).wrapping_add(places.end * PANEL) } else { behind };
                let part = self.part(places);
                let each = part.taps * part.depth / spread;
                let mut row = 0;
                for tile in 0..tiles {
                    let height = height + usize::from(tile < higher);
                    let from = next.wrapping_add(tile % spread * each * PANEL);
                    let fetch = Prefetch { from, step: PANEL / spread };
                    // SAFETY: rows and panels are within the block.
                    unsafe { part.tiles_across::<V>(group, row..row + height, first..end, fetch) }
                    row += height;
                }
            }
        }
        panels * PANEL
    }

    /// A tile of some rows for each of some panels.
    #[inline(always)]
    unsafe fn tiles_across<V: Vector>(&self, group: usize, rows: Range<usize>, panels: Range<usize>, fetch: Prefetch) {
        let (row, height, column) = (rows.start, rows.len(), panels.start * PANEL);
        let finish = self.finish;
        let bias = finish.map(|finish| finish.bias).filter(|bias| !bias.is_null());
        let (low, high) = finish.map_or((f32::NEG_INFINITY, f32::INFINITY), |finish| (finish.low, finish.high));
        let residual_ld = finish.map_or(0, |finish| finish.residual_ld);
        let residual = match finish.is_none() || self.residual.is_null() {
            true => std::ptr::null(),
            false => self.residual.wrapping_add(row * residual_ld + column),
        };
        let mut addresses = [std::ptr::null(); MOST];
        let (rows, tap) = match self.a {
            // SAFETY: the rows are within the list.
            Rows::Listed { addresses, rows } => (unsafe { addresses.add(row) }, rows),
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
            let across = RowTile {
                rows,
                tap,
                taps: self.taps,
                depth: self.depth,
                group,
                panel: self.b.add(panels.start * self.panel_stride),
                panel_stride: self.panel_stride,
                panels: panels.len(),
                fetch,
                accumulate: self.accumulate,
                bias: bias.map_or(NOTHING.as_ptr(), |bias| bias.wrapping_add(self.first_column + column)),
                bias_stride: if bias.is_some() { PANEL } else { 0 },
                residual,
                residual_ld,
                low,
                high,
                c: self.c.add(row * self.ldc + column),
                ldc: self.ldc,
            };
            V::run_row_tile(height, &across);
        }
    }
}
