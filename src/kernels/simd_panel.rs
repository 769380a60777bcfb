//! Matrices packed for products: panels of 16 columns, each panel's rows one after the other, zeros behind the last
//! column. The layout is the same for every instruction set, so that packed weights are the same bytes everywhere.

use std::ops::Range;

/// Columns of a panel.
pub const PANEL: usize = 16;

/// How many panels hold `columns`.
pub const fn panels(columns: usize) -> usize {
    columns.div_ceil(PANEL)
}

/// The floats of a packed matrix of `rows` by `columns`.
pub const fn packed_len(rows: usize, columns: usize) -> usize {
    rows * panels(columns) * PANEL
}

/// Packs the matrix `(rows, columns)` whose rows begin `ld` floats apart.
///
/// # Panics
/// If `matrix` is too short or `packed` is not [`packed_len`] floats.
pub fn pack(rows: usize, columns: usize, matrix: &[f32], ld: usize, packed: &mut [f32]) {
    assert_eq!(packed.len(), packed_len(rows, columns), "packed matrix");
    if packed.is_empty() {
        return;
    }
    for (index, panel) in packed.chunks_exact_mut(rows * PANEL).enumerate() {
        let first = index * PANEL;
        let width = PANEL.min(columns - first);
        for (row, line) in panel.chunks_exact_mut(PANEL).enumerate() {
            let from = row * ld + first;
            line[..width].copy_from_slice(&matrix[from..from + width]);
            line[width..].fill(0.0);
        }
    }
}

/// A result cut into blocks, by its sizes only: the tasks that threads share.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    rows: usize,
    columns: usize,
    row_block: usize,
    row_blocks: usize,
    panel_block: usize,
    panel_blocks: usize,
}

impl Grid {
    /// Cuts `rows` into nearly equal blocks of at most `row_block`; the columns too where the blocks of all `parts`
    /// such results would be fewer than `tasks`.
    pub fn new(rows: usize, columns: usize, row_block: usize, parts: usize, tasks: usize) -> Self {
        let row_blocks = rows.div_ceil(row_block.max(1)).max(1);
        let panels = panels(columns).max(1);
        let wanted = tasks.div_ceil(row_blocks * parts.max(1)).clamp(1, panels);
        let panel_block = panels.div_ceil(wanted);
        let row_block = rows.div_ceil(row_blocks).max(1);
        Self {
            rows,
            columns,
            row_block,
            row_blocks: rows.div_ceil(row_block),
            panel_block,
            panel_blocks: panels.div_ceil(panel_block),
        }
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.row_blocks * self.panel_blocks
    }

    /// The rows of the highest block.
    pub fn row_block(&self) -> usize {
        self.row_block
    }

    /// The columns of the widest block.
    pub fn column_block(&self) -> usize {
        (self.panel_block * PANEL).min(self.columns)
    }

    /// A block's rows and columns; the columns begin at a panel.
    pub fn block(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let row = index / self.panel_blocks * self.row_block;
        let column = index % self.panel_blocks * self.panel_block * PANEL;
        let row_end = (row + self.row_block).min(self.rows);
        let column_end = (column + self.panel_block * PANEL).min(self.columns);
        (row..row_end, column..column_end)
    }
}
