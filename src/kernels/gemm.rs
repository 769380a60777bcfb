//! General matrix products for gradients: C = alpha op(A) op(B) + beta C, row-major, shared by the threads in fixed
//! tiles that each call OpenBLAS on one thread.

use super::epilogue::Output;
use super::threads::Threads;
use super::view::ViewMut;
use cblas_sys::{CBLAS_LAYOUT, CBLAS_TRANSPOSE, cblas_sgemm};
use std::ffi::c_int;
use std::ops::Range;
use std::sync::Once;

/// Rows and columns of a tile of the result, at most.
const TILE: usize = 256;
/// The depth of a piece where the sum is cut too.
const PIECE: usize = 2048;
/// Multiply-adds below which a product is one task.
const SMALL: usize = 1 << 18;
/// Tasks to have at least.
const TASKS: usize = 16;

unsafe extern "C" {
    fn openblas_set_num_threads(count: c_int);
}

/// Makes OpenBLAS work on the calling thread only, as our threads already share the work. Cheap to call again.
pub fn initialise() {
    static ONCE: Once = Once::new();
    // SAFETY: the function takes any positive count.
    ONCE.call_once(|| unsafe { openblas_set_num_threads(1) });
}

/// The sizes of a product: op(A) is `(rows, depth)`, op(B) `(depth, columns)`, C `(rows, columns)`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub alpha: f32,
    pub beta: f32,
}

/// An operand: row-major, rows `ld` floats apart, read transposed where `transposed`.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    pub data: &'a [f32],
    pub ld: usize,
    pub transposed: bool,
}

impl Operand<'_> {
    fn check(&self, name: &str, rows: usize, columns: usize) {
        let (rows, columns) = if self.transposed { (columns, rows) } else { (rows, columns) };
        assert!(self.ld >= columns, "{name}: rows overlap");
        if rows > 0 && columns > 0 {
            assert!((rows - 1) * self.ld + columns <= self.data.len(), "{name}: too short");
        }
    }

    fn flag(&self) -> CBLAS_TRANSPOSE {
        if self.transposed { CBLAS_TRANSPOSE::CblasTrans } else { CBLAS_TRANSPOSE::CblasNoTrans }
    }

    /// The address of an element of the operand as read.
    unsafe fn at(&self, row: usize, column: usize) -> *const f32 {
        let (row, column) = if self.transposed { (column, row) } else { (row, column) };
        // SAFETY: within the operand by the caller's promise.
        unsafe { self.data.as_ptr().add(row * self.ld + column) }
    }
}

/// How a product is cut, by its sizes only.
#[derive(Clone, Copy)]
struct Cut {
    rows: usize,
    columns: usize,
    row_blocks: usize,
    column_blocks: usize,
    pieces: usize,
}

impl Product {
    fn cut(&self) -> Cut {
        let (mut row_blocks, mut column_blocks) = (self.rows.div_ceil(TILE).max(1), self.columns.div_ceil(TILE).max(1));
        let mut pieces = 1;
        if self.rows * self.columns * self.depth > SMALL {
            if row_blocks * column_blocks < TASKS && self.depth >= 2 * PIECE {
                pieces = (self.depth / PIECE).min(TASKS.div_ceil(row_blocks * column_blocks));
            }
            // Cut the longer axis while there are too few tasks and tiles stay worth a call.
            while row_blocks * column_blocks * pieces < TASKS {
                let (height, width) = (self.rows / row_blocks, self.columns / column_blocks);
                if height >= width && height >= 64 {
                    row_blocks *= 2;
                } else if width >= 64 {
                    column_blocks *= 2;
                } else {
                    break;
                }
            }
        }
        let step = |size: usize, blocks: usize| size.div_ceil(blocks).next_multiple_of(16).min(size.max(1));
        let (rows, columns) = (step(self.rows, row_blocks), step(self.columns, column_blocks));
        row_blocks = self.rows.div_ceil(rows);
        column_blocks = self.columns.div_ceil(columns);
        Cut { rows, columns, row_blocks, column_blocks, pieces }
    }

    /// The floats of scratch memory that [`multiply`] needs: the partial sums where the depth is cut.
    pub fn scratch_len(&self) -> usize {
        let pieces = self.cut().pieces;
        if pieces > 1 { pieces * self.rows * self.columns } else { 0 }
    }
}

/// C = alpha op(A) op(B) + beta C; C's rows are `c.ld` floats apart.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn multiply(threads: &Threads, product: &Product, a: Operand, b: Operand, c: ViewMut, scratch: &mut [f32]) {
    initialise();
    a.check("left operand", product.rows, product.depth);
    b.check("right operand", product.depth, product.columns);
    assert!(scratch.len() >= product.scratch_len(), "scratch memory is too small");
    let c = Output::new(c, 1, product.rows, product.columns);
    if product.rows == 0 || product.columns == 0 {
        return;
    }
    let cut = product.cut();
    let blocks = cut.row_blocks * cut.column_blocks;
    let ranges = |block: usize| {
        let (row, column) = (block / cut.column_blocks * cut.rows, block % cut.column_blocks * cut.columns);
        (row..(row + cut.rows).min(product.rows), column..(column + cut.columns).min(product.columns))
    };
    if cut.pieces == 1 {
        threads.run(blocks, &|block, _| {
            let (rows, columns) = ranges(block);
            // SAFETY: the block is within the checked operands; blocks are disjoint.
            unsafe {
                let to = c.pixel(0, rows.start).add(columns.start);
                tile((product.alpha, product.beta), (&a, &b), [rows, columns, 0..product.depth], to, c.ld);
            }
        });
        return;
    }
    let each = product.rows * product.columns;
    let partial = Output::new(
        ViewMut { data: scratch, ld: product.columns, image: each },
        cut.pieces,
        product.rows,
        product.columns,
    );
    let step = product.depth.div_ceil(cut.pieces);
    threads.run(blocks * cut.pieces, &|task, _| {
        let (piece, block) = (task / blocks, task % blocks);
        let (rows, columns) = ranges(block);
        let depth = (piece * step).min(product.depth)..((piece + 1) * step).min(product.depth);
        // SAFETY: as above; each piece has its own partial sums.
        unsafe {
            let to = partial.pixel(piece, rows.start).add(columns.start);
            tile((product.alpha, 0.0), (&a, &b), [rows, columns, depth], to, partial.ld);
        }
    });
    // The pieces are added in their order, whoever computed them.
    threads.run(cut.row_blocks, &|block, _| {
        for row in block * cut.rows..((block + 1) * cut.rows).min(product.rows) {
            // SAFETY: rows are within the checked result and disjoint; the partial sums are complete.
            let (to, parts) = unsafe {
                let to = std::slice::from_raw_parts_mut(c.pixel(0, row), product.columns);
                let part = |piece| std::slice::from_raw_parts(partial.pixel(piece, row).cast_const(), product.columns);
                (to, (0..cut.pieces).map(part))
            };
            for (piece, part) in parts.enumerate() {
                let keep = if piece > 0 { 1.0 } else { product.beta };
                for (to, from) in to.iter_mut().zip(part) {
                    // With beta 0, C is not read: it may hold anything.
                    *to = if keep == 0.0 { *from } else { keep * *to + *from };
                }
            }
        }
    });
}

/// C = alpha op(A) op(B) + beta C on the calling thread alone: for kernels that share their work themselves.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn multiply_alone(product: &Product, a: Operand, b: Operand, c: &mut [f32], ldc: usize) {
    initialise();
    a.check("left operand", product.rows, product.depth);
    b.check("right operand", product.depth, product.columns);
    Operand { data: c, ld: ldc, transposed: false }.check("result", product.rows, product.columns);
    if product.rows == 0 || product.columns == 0 {
        return;
    }
    let ranges = [0..product.rows, 0..product.columns, 0..product.depth];
    // SAFETY: the whole operands and result were checked.
    unsafe { tile((product.alpha, product.beta), (&a, &b), ranges, c.as_mut_ptr(), ldc) }
}

/// One tile by OpenBLAS: the rows, columns and depth of `ranges`.
///
/// # Safety
/// The ranges must be within the operands, and `c` hold the tile.
unsafe fn tile(
    (alpha, beta): (f32, f32),
    (a, b): (&Operand, &Operand),
    ranges: [Range<usize>; 3],
    c: *mut f32,
    ldc: usize,
) {
    let [rows, columns, depth] = ranges;
    let int = |size: usize| c_int::try_from(size).expect("sizes that OpenBLAS can count");
    // SAFETY: the ranges are within the operands, by the caller's promise.
    unsafe {
        cblas_sgemm(
            CBLAS_LAYOUT::CblasRowMajor,
            a.flag(),
            b.flag(),
            int(rows.len()),
            int(columns.len()),
            int(depth.len()),
            alpha,
            a.at(rows.start, depth.start),
            int(a.ld.max(1)),
            b.at(depth.start, columns.start),
            int(b.ld.max(1)),
            beta,
            c,
            int(ldc.max(columns.len())),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv_im2col::reference::noise;
    use super::*;

    fn check(rows: usize, columns: usize, depth: usize, (ta, tb): (bool, bool), (alpha, beta): (f32, f32)) {
        let (a_rows, a_columns) = if ta { (depth, rows) } else { (rows, depth) };
        let (b_rows, b_columns) = if tb { (columns, depth) } else { (depth, columns) };
        let (a_ld, b_ld, c_ld) = (a_columns + 2, b_columns + 1, columns + 3);
        let (a, b) = (noise(a_rows * a_ld, 1), noise(b_rows * b_ld, 2));
        let start = noise(rows * c_ld, 3);
        let product = Product { rows, columns, depth, alpha, beta };
        let run = |count| {
            let mut c = start.clone();
            let mut scratch = vec![f32::NAN; product.scratch_len()];
            let left = Operand { data: &a, ld: a_ld, transposed: ta };
            let right = Operand { data: &b, ld: b_ld, transposed: tb };
            let to = ViewMut { data: &mut c, ld: c_ld, image: 0 };
            multiply(&Threads::new(count), &product, left, right, to, &mut scratch);
            c
        };
        let c = run(1);
        assert!(c == run(2), "threads change the result");
        let mut alone = start.clone();
        let left = Operand { data: &a, ld: a_ld, transposed: ta };
        let right = Operand { data: &b, ld: b_ld, transposed: tb };
        multiply_alone(&product, left, right, &mut alone, c_ld);
        for (alone, c) in alone.iter().zip(&c) {
            assert!((alone - c).abs() < 1e-4, "{alone} for {c}");
        }
        for row in 0..rows {
            for column in 0..c_ld {
                let at = row * c_ld + column;
                if column >= columns {
                    assert_eq!(c[at], start[at], "wrote behind the row");
                    continue;
                }
                let left = |k: usize| f64::from(if ta { a[k * a_ld + row] } else { a[row * a_ld + k] });
                let right = |k: usize| f64::from(if tb { b[column * b_ld + k] } else { b[k * b_ld + column] });
                let sum: f64 = (0..depth).map(|k| left(k) * right(k)).sum();
                let expected = f64::from(alpha) * sum + f64::from(beta) * f64::from(start[at]);
                assert!((f64::from(c[at]) - expected).abs() < 1e-4, "{} for {expected}", c[at]);
            }
        }
    }

    #[test]
    fn shapes_and_transposes() {
        check(1, 1, 1, (false, false), (1.0, 0.0));
        check(33, 17, 29, (true, false), (0.5, 1.0));
        check(70, 150, 31, (false, true), (1.0, 0.5));
        check(300, 40, 64, (true, true), (2.0, 0.0));
        check(20, 24, 5000, (true, false), (1.0, 0.5));
        check(20, 24, 5000, (false, true), (1.0, 0.0));
    }
}
