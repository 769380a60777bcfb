//! Matrices packed for products: panels of 16 columns, each panel's rows one after the other, zeros behind the last
//! column. The layout is the same for every instruction set, so that packed weights are the same bytes everywhere.

use crate::kernels::parallel::disjoint::{Grid as Pieces, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::tile::PANEL;
use crate::size::product;
use std::ops::Range;

/// How many panels hold `columns`.
pub const fn panels(columns: usize) -> usize {
    columns.div_ceil(PANEL)
}

/// The floats of a packed matrix of `rows` by `columns`.
pub fn packed_len(rows: usize, columns: usize) -> usize {
    product([rows, panels(columns), PANEL])
}

/// Panels that are packed side by side, so that a row is read in longer stretches.
const TOGETHER: usize = 8;
/// Rows that are packed at once.
const ROWS: usize = 32;
/// Rows of a task where there are few panels.
const TASK_ROWS: usize = 1024;

/// Packs the matrix `(rows, columns)` whose rows begin `ld` floats apart.
///
/// # Panics
/// If `matrix` is too short or `packed` is not [`packed_len`] floats.
pub fn pack(threads: &ThreadPool, rows: usize, columns: usize, matrix: &[f32], ld: usize, packed: &mut [f32]) {
    assert_eq!(packed.len(), packed_len(rows, columns), "packed matrix");
    if packed.is_empty() {
        return;
    }
    let panel = rows * PANEL;
    if panels(columns) >= TOGETHER {
        share(threads, packed, Pieces::chunks(packed.len(), TOGETHER * panel), Scratch::none(), &|piece, part, _| {
            let first = piece.inner * TOGETHER;
            for row in (0..rows).step_by(ROWS) {
                for (index, panel) in part.chunks_exact_mut(panel).enumerate() {
                    let lines = &mut panel[row * PANEL..(row + ROWS).min(rows) * PANEL];
                    pack_lines(&matrix[row * ld..], ld, columns, first + index, lines);
                }
            }
        });
        return;
    }
    let grid = Pieces { outer: panels(columns), outer_stride: panel, ..Pieces::chunks(panel, TASK_ROWS * PANEL) };
    share(threads, packed, grid, Scratch::none(), &|piece, lines, _| {
        pack_lines(&matrix[piece.inner * TASK_ROWS * ld..], ld, columns, piece.outer, lines);
    });
}

/// Packs some rows of a panel; the matrix begins at the first of them.
fn pack_lines(matrix: &[f32], ld: usize, columns: usize, panel: usize, lines: &mut [f32]) {
    let first = panel * PANEL;
    let width = PANEL.min(columns - first);
    let (lines, _) = lines.as_chunks_mut::<PANEL>();
    for (line, row) in lines.iter_mut().zip(matrix.chunks(ld)) {
        match row[first..].first_chunk::<PANEL>() {
            Some(whole) if width == PANEL => *line = *whole,
            _ => {
                line[..width].copy_from_slice(&row[first..first + width]);
                line[width..].fill(0.0);
            }
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
        let wanted = tasks.div_ceil(product([row_blocks, parts.max(1)])).clamp(1, panels);
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
        product([self.panel_block, PANEL]).min(self.columns)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::noise;
    use crate::kernels::guarded::Floats;

    #[test]
    fn panels_hold_their_columns() {
        for (rows, columns, gap) in [(1, 1, 0), (5, 16, 0), (2100, 10, 0), (40, 37, 3), (70, 130, 2), (3, 256, 0)] {
            let ld = columns + gap;
            // The last row ends where its columns end.
            let matrix = noise(rows * ld - gap, 5);
            let run = |count| {
                let mut packed = Floats::filled(f32::NAN, packed_len(rows, columns));
                pack(&ThreadPool::new(count), rows, columns, &matrix, ld, &mut packed);
                packed
            };
            let packed = run(1);
            assert_eq!(packed, run(3), "threads change the result");
            for (place, found) in packed.iter().enumerate() {
                let (line, column) = (place / PANEL, place / PANEL / rows * PANEL + place % PANEL);
                let expected = if column < columns { matrix[line % rows * ld + column] } else { 0.0 };
                assert_eq!(*found, expected, "{rows}x{columns} at {place}");
            }
        }
    }
}
