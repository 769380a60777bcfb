//! Products whose whole panels an instruction set's own code makes, from the first multiplication to what is stored.

use super::simd::{Across, Ahead, Vector};
use super::simd_panel::PANEL;
use super::simd_tile::{Product, Rows};

/// Floats of panels that tiles beside each other read: half of a first-level cache of 32 KiB.
const NEAR: usize = 4 << 10;
/// Rows of a tile at most.
const MOST: usize = 12;
/// The bias where there is none.
static NOTHING: [f32; PANEL] = [0.0; PANEL];

impl Product<'_> {
    /// The panels all of whose columns exist, where one run over the depth makes the result. Returns the columns done.
    ///
    /// # Safety
    /// All addresses must be valid, and the instruction set be there.
    #[inline(always)]
    pub unsafe fn across<V: Vector>(&self) -> usize {
        let tiles = self.rows.div_ceil(V::TILE_ROWS).max(1);
        let (height, higher) = (self.rows / tiles, self.rows % tiles);
        let fits = V::runs_across(height) && (higher == 0 || V::runs_across(height + 1));
        let listed = matches!(self.a, Rows::Listed { .. });
        let one = self.depth > 0 && (self.taps == 1 || listed) && self.parts().count() == 1;
        if !fits || !one || self.taps == 0 {
            return 0;
        }
        let panels = self.columns / PANEL;
        let deep = self.taps * self.depth;
        let together = (NEAR / (deep * PANEL)).max(1);
        // Each tile asks for its part of what comes next: one alone would wait for memory, the others leave it idle.
        let spread = tiles.min(PANEL);
        for first in (0..panels).step_by(together) {
            let end = (first + together).min(panels);
            let next = self.b.wrapping_add(if end < panels { end } else { 0 } * self.panel_stride);
            let mut row = 0;
            for tile in 0..tiles {
                let height = height + usize::from(tile < higher);
                let share = tile % spread * (deep / spread) * PANEL;
                let ahead = Ahead { from: next.wrapping_add(share), step: PANEL / spread };
                // SAFETY: rows and panels are within the block.
                unsafe { self.tiles_across::<V>(row, height, first, end - first, ahead) }
                row += height;
            }
        }
        panels * PANEL
    }

    /// Tiles of `height` rows from `row` on, over some panels.
    #[inline(always)]
    unsafe fn tiles_across<V: Vector>(&self, row: usize, height: usize, first: usize, panels: usize, ahead: Ahead) {
        let column = first * PANEL;
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
            let across = Across {
                rows,
                tap,
                taps: self.taps,
                depth: self.depth,
                panel: self.b.add(first * self.panel_stride),
                panel_stride: self.panel_stride,
                panels,
                ahead,
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
            V::run_across(height, &across);
        }
    }
}
