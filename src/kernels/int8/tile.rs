//! Register tiles: the sums of a few rows of inputs times a few panels of weights, rescaled and stored from registers.

use super::lanes::{GROUP, LANES, Lanes, LanesOp, STEP};

/// The maximum number of rows of a [`Block`].
pub const MAX_ROWS: usize = 14;
/// The maximum number of panels of a register tile.
pub const MAX_PANELS: usize = 4;

/// Where a block's results go.
#[derive(Clone, Copy)]
pub enum Store {
    /// Bytes from `low` to `high`, at the first row and column; rows are `ld` bytes apart.
    Bytes { to: *mut u8, ld: usize, low: u8, high: u8 },
    /// f32, likewise.
    Floats { to: *mut f32, ld: usize },
}

/// Bytes that are added to a block's results: `scale` times each.
#[derive(Clone, Copy)]
pub struct Residual {
    pub from: *const u8,
    pub ld: usize,
    pub scale: f32,
}

/// Rows of inputs times panels of weights.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// The first row; rows are `row_stride` bytes apart.
    pub inputs: *const u8,
    pub row_stride: usize,
    /// At most [`MAX_ROWS`].
    pub rows: usize,
    /// The offset of each tap in a row: `groups` times [`GROUP`] contiguous bytes.
    pub taps: &'a [usize],
    pub groups: usize,
    /// The first panel: [`STEP`] bytes for each group of each tap.
    pub weights: *const i8,
    /// The columns of the panels; only those of the last may be less than [`LANES`].
    pub columns: usize,
    /// For each column of the panels, padded to whole panels: a result is `multiplier * sum + bias`.
    pub multipliers: *const f32,
    pub biases: *const f32,
    pub residual: Option<Residual>,
    pub store: Store,
}

/// Calls the tile of so many rows.
macro_rules! rows_of {
    ($block:expr, $lanes:ty, $panels:literal, $rows:expr, $row:expr, $panel:expr, [$($count:literal)*]) => {
        match $rows {
            $($count if const { $count * $panels <= <$lanes>::TILE } => $block.tile::<$lanes, $count, $panels>($row, $panel),)*
            _ => unreachable!("a tile has at most {MAX_ROWS} rows"),
        }
    };
}

/// Runs a block once for each row (or panel) of a tile: with constant indices, so that the sums stay in registers.
macro_rules! each {
    ($count:ident rows, $index:ident => $body:block) => { each!($count, $index => $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13) };
    ($count:ident panels, $index:ident => $body:block) => { each!($count, $index => $body, 0 1 2 3) };
    ($count:ident, $index:ident => $body:block, $($constant:literal)*) => {
        $(if $constant < $count {
            const $index: usize = $constant;
            $body
        })*
    };
}

impl LanesOp for Block<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let panels = self.columns.div_ceil(LANES);
        let mut panel = 0;
        while panel < panels {
            let left = panels - panel;
            let mut row = 0;
            // Few rows are multiplied by more panels at once: enough sums to hide the latency of the products.
            let wide = left >= 4 && L::TILE >= 4 && self.rows * 4 <= L::TILE;
            let count = if wide {
                4
            } else if left >= 2 && L::TILE >= 12 {
                2
            } else {
                1
            };
            while row < self.rows {
                let rows = (self.rows - row).min(L::TILE / count);
                // SAFETY: rows and panels are within the block, whose pointers the caller vouches for.
                unsafe {
                    match count {
                        4 => rows_of!(self, L, 4, rows, row, panel, [1 2 3 4 5 6 7]),
                        2 => rows_of!(self, L, 2, rows, row, panel, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
                        _ => rows_of!(self, L, 1, rows, row, panel, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]),
                    }
                }
                row += rows;
            }
            panel += count;
        }
    }
}

impl Block<'_> {
    /// One tile, from a row and a panel of the block on.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const ROWS: usize, const PANELS: usize>(&self, row: usize, panel: usize) {
        let panel_len = self.taps.len() * self.groups * STEP;
        // SAFETY: the caller of `run` vouches for all rows, taps and panels.
        unsafe {
            let mut sums = [[L::zero(); PANELS]; ROWS];
            let mut weights = self.weights.add(panel * panel_len);
            let (first, stride) = (self.inputs.add(row * self.row_stride), self.row_stride);
            for &tap in self.taps {
                // Three bases and multiples of one stride address all rows without a register for each.
                let base = first.wrapping_add(tap);
                let mut bases = [base, base.wrapping_add(5 * stride), base.wrapping_add(10 * stride)];
                for _ in 0..self.groups {
                    let mut columns = [L::weights(weights); PANELS];
                    each!(PANELS panels, PANEL => {
                        columns[PANEL] = L::weights(weights.add(PANEL * panel_len));
                    });
                    each!(ROWS rows, ROW => {
                        let inputs = L::inputs(bases[ROW / 5].wrapping_add(ROW % 5 * stride));
                        each!(PANELS panels, PANEL => {
                            sums[ROW][PANEL] = L::dot(sums[ROW][PANEL], inputs, columns[PANEL]);
                        });
                    });
                    bases = [bases[0].wrapping_add(GROUP), bases[1].wrapping_add(GROUP), bases[2].wrapping_add(GROUP)];
                    weights = weights.add(STEP);
                }
            }
            let is_whole = (panel + PANELS) * LANES <= self.columns;
            if let (Store::Bytes { to, ld, low, high }, true) = (self.store, is_whole) {
                let first = panel * LANES;
                let (to, bounds) = (to.add(row * ld + first), L::bounds(low, high));
                let mut scales = [(L::load(self.multipliers.add(first)), L::load(self.biases.add(first))); PANELS];
                each!(PANELS panels, PANEL => {
                    let first = first + PANEL * LANES;
                    scales[PANEL] = (L::load(self.multipliers.add(first)), L::load(self.biases.add(first)));
                });
                each!(ROWS rows, ROW => {
                    let mut values = [scales[0].0; PANELS];
                    each!(PANELS panels, PANEL => {
                        values[PANEL] = L::mul_add(L::to_floats(sums[ROW][PANEL]), scales[PANEL].0, scales[PANEL].1);
                    });
                    if let Some(residual) = self.residual {
                        let from = residual.from.add((row + ROW) * residual.ld + first);
                        each!(PANELS panels, PANEL => {
                            let added = L::bytes(from.add(PANEL * LANES));
                            values[PANEL] = L::mul_add(added, L::splat(residual.scale), values[PANEL]);
                        });
                    }
                    L::store_rows(values, bounds, to.add(ROW * ld));
                });
                return;
            }
            each!(PANELS panels, PANEL => {
                let first = (panel + PANEL) * LANES;
                let columns = LANES.min(self.columns - first);
                let (multiplier, bias) = (L::load(self.multipliers.add(first)), L::load(self.biases.add(first)));
                each!(ROWS rows, ROW => {
                    let value = L::mul_add(L::to_floats(sums[ROW][PANEL]), multiplier, bias);
                    self.finish::<L>(value, row + ROW, first, columns);
                });
            });
        }
    }

    /// Adds the residual and stores sixteen results, or fewer at the end of a row.
    #[inline(always)]
    unsafe fn finish<L: Lanes>(&self, mut value: L::Floats, row: usize, column: usize, columns: usize) {
        // SAFETY: the caller of `run` vouches for `columns` values from here on.
        unsafe {
            if let Some(residual) = self.residual {
                let from = residual.from.add(row * residual.ld + column);
                let added = if columns == LANES { L::bytes(from) } else { L::bytes(padded(from, columns).as_ptr()) };
                value = L::mul_add(added, L::splat(residual.scale), value);
            }
            match self.store {
                Store::Bytes { to, ld, low, high } => {
                    let (to, bounds) = (to.add(row * ld + column), L::bounds(low, high));
                    if columns == LANES {
                        L::store_bytes(value, bounds, to);
                    } else {
                        let mut all = [0; LANES];
                        L::store_bytes(value, bounds, all.as_mut_ptr());
                        to.copy_from_nonoverlapping(all.as_ptr(), columns);
                    }
                }
                Store::Floats { to, ld } => {
                    let to = to.add(row * ld + column);
                    if columns == LANES {
                        L::store(value, to);
                    } else {
                        let mut all = [0.0; LANES];
                        L::store(value, all.as_mut_ptr());
                        to.copy_from_nonoverlapping(all.as_ptr(), columns);
                    }
                }
            }
        }
    }
}

/// A copy of up to sixteen bytes, filled up with zeros.
///
/// # Safety
/// `count` bytes must be readable.
#[inline(always)]
pub unsafe fn padded(from: *const u8, count: usize) -> [u8; LANES] {
    let mut all = [0; LANES];
    // SAFETY: as the caller promises; at most sixteen.
    unsafe { all.as_mut_ptr().copy_from_nonoverlapping(from, count.min(LANES)) };
    all
}
