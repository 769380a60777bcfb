//! Packing of GEMM's right operand into panels of 16 columns, row by row, zero-padded after the last column. The layout does
//! not depend on the instruction set, so an artifact's packed weights serve every machine.

use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::tile::PANEL;
use crate::size::product;
use std::ops::Range;

/// Number of panels of a matrix of `columns` columns.
pub const fn panels(columns: usize) -> usize {
    columns.div_ceil(PANEL)
}

/// Floats of a packed matrix of `rows` by `columns`.
pub fn packed_len(rows: usize, columns: usize) -> usize {
    product([rows, panels(columns), PANEL])
}

/// Panels of a task, packed together so that each row is read in longer contiguous runs.
const TASK_PANELS: usize = 8;
/// Rows packed into each panel of a task before the next ones.
const PASS_ROWS: usize = 32;
/// Rows of a task if there are too few panels for [`TASK_PANELS`].
const TASK_ROWS: usize = 1024;

/// Packs the row-major matrix `(rows, columns)` with leading dimension `ld`, in floats.
///
/// # Panics
/// If `matrix` is too short or `packed` is not [`packed_len`] floats.
pub fn pack(threads: &ThreadPool, rows: usize, columns: usize, matrix: &[f32], ld: usize, packed: &mut [f32]) {
    assert_eq!(packed.len(), packed_len(rows, columns), "packed matrix");
    if packed.is_empty() {
        return;
    }
    let panel = rows * PANEL;
    if panels(columns) >= TASK_PANELS {
        share(
            threads,
            packed,
            Partition::chunks(packed.len(), TASK_PANELS * panel),
            Scratch::none(),
            &|piece, out, _| {
                let first = piece.inner * TASK_PANELS;
                for row in (0..rows).step_by(PASS_ROWS) {
                    for (index, panel) in out.chunks_exact_mut(panel).enumerate() {
                        let out = &mut panel[row * PANEL..(row + PASS_ROWS).min(rows) * PANEL];
                        pack_rows(&matrix[row * ld..], ld, columns, first + index, out);
                    }
                }
            },
        );
        return;
    }
    let grid = Partition { outer: panels(columns), outer_stride: panel, ..Partition::chunks(panel, TASK_ROWS * PANEL) };
    share(threads, packed, grid, Scratch::none(), &|piece, out, _| {
        pack_rows(&matrix[piece.inner * TASK_ROWS * ld..], ld, columns, piece.outer, out);
    });
}

/// Packs a range of rows of one panel; `matrix` starts at the first of them.
fn pack_rows(matrix: &[f32], ld: usize, columns: usize, panel: usize, out: &mut [f32]) {
    let first = panel * PANEL;
    let width = PANEL.min(columns - first);
    let (out, _) = out.as_chunks_mut::<PANEL>();
    for (to, row) in out.iter_mut().zip(matrix.chunks(ld)) {
        match row[first..].first_chunk::<PANEL>() {
            Some(full) if width == PANEL => *to = *full,
            _ => {
                to[..width].copy_from_slice(&row[first..first + width]);
                to[width..].fill(0.0);
            }
        }
    }
}

/// The partition of a result into blocks of rows and whole panels, one per task; it depends on the sizes only.
#[derive(Clone, Copy, Debug)]
pub struct BlockGrid {
    rows: usize,
    columns: usize,
    row_block: usize,
    row_blocks: usize,
    panel_block: usize,
    panel_blocks: usize,
    /// Whether successive blocks have the same columns rather than the same rows.
    by_columns: bool,
}

impl BlockGrid {
    /// Splits `rows` into nearly equal blocks of at most `row_block`, and the columns too if all blocks of the `results`
    /// results of this size would be fewer than `tasks`.
    pub fn new(rows: usize, columns: usize, row_block: usize, results: usize, tasks: usize) -> Self {
        let row_blocks = rows.div_ceil(row_block.max(1)).max(1);
        let panels = panels(columns).max(1);
        let column_splits = tasks.div_ceil(product([row_blocks, results.max(1)])).clamp(1, panels);
        // Pairs of panels: wide instruction sets have tiles of two.
        let panel_block = panels.div_ceil(column_splits).next_multiple_of(2).min(panels);
        let row_block = rows.div_ceil(row_blocks).max(1);
        Self {
            rows,
            columns,
            row_block,
            row_blocks: rows.div_ceil(row_block),
            panel_block,
            panel_blocks: panels.div_ceil(panel_block),
            by_columns: false,
        }
    }

    /// The same blocks, column by column if the weights are larger than the rows: threads that take successive blocks then read
    /// each column's weights once.
    pub fn larger_operand_once(self) -> Self {
        Self { by_columns: self.columns > self.rows, ..self }
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.row_blocks * self.panel_blocks
    }

    /// Rows of a block; the last one may have fewer.
    pub fn row_block(&self) -> usize {
        self.row_block
    }

    /// Columns of a block; the last one may have fewer.
    pub fn column_block(&self) -> usize {
        product([self.panel_block, PANEL]).min(self.columns)
    }

    /// The rows and columns of a block; columns start at a panel boundary.
    pub fn block(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let (row, column) = match self.by_columns {
            true => (index % self.row_blocks, index / self.row_blocks),
            false => (index / self.panel_blocks, index % self.panel_blocks),
        };
        let (row, column) = (row * self.row_block, column * self.panel_block * PANEL);
        let row_end = (row + self.row_block).min(self.rows);
        let column_end = (column + self.panel_block * PANEL).min(self.columns);
        (row..row_end, column..column_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::noise;

    #[test]
    fn panels_contain_their_columns_and_zero_padding() {
        for (rows, columns, gap) in [(1, 1, 0), (5, 16, 0), (2100, 10, 0), (40, 37, 3), (70, 130, 2), (3, 256, 0)] {
            let ld = columns + gap;
            // There is no gap after the last row.
            let matrix = noise(rows * ld - gap, 5);
            let run = |count| {
                let mut packed = Floats::filled(f32::NAN, packed_len(rows, columns));
                pack(&ThreadPool::new(count), rows, columns, &matrix, ld, &mut packed);
                packed
            };
            let packed = run(1);
            assert_eq!(packed, run(3), "threads change the result");
            for (index, found) in packed.iter().enumerate() {
                let (panel_row, column) = (index / PANEL, index / PANEL / rows * PANEL + index % PANEL);
                let expected = if column < columns { matrix[panel_row % rows * ld + column] } else { 0.0 };
                assert_eq!(*found, expected, "{rows}x{columns} at {index}");
            }
        }
    }
}
