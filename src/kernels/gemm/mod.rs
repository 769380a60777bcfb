//! General matrix products: C = alpha op(A) op(B) + beta C, row-major, shared by the threads in fixed tiles.
//!
//! A tile is computed by OpenBLAS where the build has it, else by the register tiles of the other kernels; see [`Backend`].

pub mod blas;
mod few_rows;
mod lhs_rows;
pub(crate) mod micro_kernel;
#[cfg(test)]
mod micro_kernel_tests;
mod packing_buffer;
pub mod panel;
pub mod peak;
mod row_tile;
pub(crate) mod small;
mod tiles;
mod transpose;

use super::epilogue::Output;
use super::parallel::thread_pool::ThreadPool;
use super::simd::isa::Isa;
use super::tensor_view::ViewMut;
pub use few_rows::suits as reads_as_it_stands;
use packing_buffer::Buffer;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows and columns of a tile of the result, at most.
pub const TILE: usize = 256;
/// The depth of a piece where the sum is cut too.
const PIECE: usize = 2048;
/// Multiply-adds below which a product is one task.
const SMALL: usize = 1 << 18;
/// Tasks to have at least.
const TASKS: usize = 16;

/// What computes a product's tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// netc's register tiles, over a packed block of the right operand.
    #[default]
    Tiles,
    /// The BLAS of the build; the tiles where it has none.
    Blas,
}

impl Backend {
    /// Whether it is what a plan does not mention.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What a step's description says of it.
    pub fn note(self) -> &'static str {
        match self {
            Self::Tiles => "",
            Self::Blas => ", by BLAS",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tiles => "tiles",
            Self::Blas => "BLAS",
        })
    }
}

thread_local! {
    /// Where a thread packs operands; nothing until its first product.
    static BUFFER: RefCell<Option<Buffer>> = const { RefCell::new(None) };
}

/// The floats of a thread's buffer, which is made if there is none yet and there is memory for it: at most 3 MiB, of which
/// only what a product needs is ever touched.
fn made(buffer: &mut Option<Buffer>) -> Option<&mut [f32]> {
    if buffer.is_none() {
        *buffer = Buffer::try_new(blas::buffer_len().max(tiles::BUFFER_LEN));
    }
    buffer.as_mut().map(Buffer::floats)
}

/// Makes the calling thread's buffer for products, and says whether there was memory for it. A product makes it too, but
/// cannot fail for it.
pub fn reserve() -> bool {
    BUFFER.with_borrow_mut(|buffer| made(buffer).is_some())
}

/// [`reserve`] for each thread of a pool and the calling one.
pub fn reserve_on(threads: &ThreadPool) -> bool {
    let all = AtomicBool::new(true);
    threads.on_each(&|| {
        if !reserve() {
            all.store(false, Ordering::Relaxed);
        }
    });
    reserve() && all.into_inner()
}

/// One product of a thread's: addresses and row strides, in floats.
struct Block {
    rows: usize,
    columns: usize,
    depth: usize,
    alpha: f32,
    beta: f32,
    a: *const f32,
    lda: usize,
    transpose_a: bool,
    b: *const f32,
    ldb: usize,
    transpose_b: bool,
    c: *mut f32,
    ldc: usize,
}

/// The sizes of a product: op(A) is `(rows, depth)`, op(B) `(depth, columns)`, C `(rows, columns)`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub alpha: f32,
    pub beta: f32,
    pub backend: Backend,
}

/// The sizes of the products that a step computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    /// Whether the left and the right operand are read transposed.
    pub transposed: (bool, bool),
    /// How many products there are of these sizes.
    pub count: usize,
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
pub fn multiply(threads: &ThreadPool, product: &Product, a: Operand, b: Operand, c: ViewMut, scratch: &mut [f32]) {
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
                product.tile((&a, &b), [rows, columns, 0..product.depth], product.beta, (to, c.ld), threads.isa());
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
            product.tile((&a, &b), [rows, columns, depth], 0.0, (to, partial.ld), threads.isa());
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
pub fn multiply_alone(isa: Isa, product: &Product, a: Operand, b: Operand, c: &mut [f32], ldc: usize) {
    a.check("left operand", product.rows, product.depth);
    b.check("right operand", product.depth, product.columns);
    Operand { data: c, ld: ldc, transposed: false }.check("result", product.rows, product.columns);
    if product.rows == 0 || product.columns == 0 {
        return;
    }
    let ranges = [0..product.rows, 0..product.columns, 0..product.depth];
    // SAFETY: the whole operands and result were checked.
    unsafe { product.tile((&a, &b), ranges, product.beta, (c.as_mut_ptr(), ldc), isa) }
}

impl Product {
    /// One tile: the rows, columns and depth of `ranges`, added to `beta` times what the result holds.
    ///
    /// # Safety
    /// The ranges must be within the operands, and `c` hold the tile.
    unsafe fn tile(
        &self,
        (a, b): (&Operand, &Operand),
        [rows, columns, depth]: [Range<usize>; 3],
        beta: f32,
        (c, ldc): (*mut f32, usize),
        isa: Isa,
    ) {
        // SAFETY: the ranges are within the operands, by the caller's promise.
        let (a_begin, b_begin) = unsafe { (a.at(rows.start, depth.start), b.at(depth.start, columns.start)) };
        let block = Block {
            rows: rows.len(),
            columns: columns.len(),
            depth: depth.len(),
            alpha: self.alpha,
            beta,
            a: a_begin,
            lda: a.ld,
            transpose_a: a.transposed,
            b: b_begin,
            ldb: b.ld,
            transpose_b: b.transposed,
            c,
            ldc: ldc.max(columns.len()),
        };
        BUFFER.with_borrow_mut(|buffer| {
            let buffer = made(buffer).expect("memory for packing a block of a product");
            // SAFETY: as above; the machine has `isa`, which a pool of threads made sure of.
            unsafe {
                match self.backend {
                    Backend::Blas if blas::is_there() => blas::tile(&block, buffer),
                    _ => tiles::tile(&block, isa, buffer),
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::guarded::Floats;
    use super::*;
    use crate::kernels::conv::naive::noise;

    fn check(rows: usize, columns: usize, depth: usize, (ta, tb): (bool, bool), (alpha, beta): (f32, f32)) {
        for backend in [Backend::Tiles, Backend::Blas] {
            check_backend(backend, (rows, columns, depth), (ta, tb), (alpha, beta));
        }
    }

    fn check_backend(
        backend: Backend,
        (rows, columns, depth): (usize, usize, usize),
        (ta, tb): (bool, bool),
        (alpha, beta): (f32, f32),
    ) {
        let (a_rows, a_columns) = if ta { (depth, rows) } else { (rows, depth) };
        let (b_rows, b_columns) = if tb { (columns, depth) } else { (depth, columns) };
        let (a_ld, b_ld, c_ld) = (a_columns + 2, b_columns + 1, columns + 3);
        // The last rows end where their columns end.
        let len = |rows: usize, ld: usize, gap| (rows * ld).saturating_sub(gap);
        let (a, b) = (noise(len(a_rows, a_ld, 2), 1), noise(len(b_rows, b_ld, 1), 2));
        let start = noise(len(rows, c_ld, 3), 3);
        let product = Product { rows, columns, depth, alpha, beta, backend };
        let run = |count| {
            let mut c = start.clone();
            let mut scratch = Floats::filled(f32::NAN, product.scratch_len());
            let left = Operand { data: &a, ld: a_ld, transposed: ta };
            let right = Operand { data: &b, ld: b_ld, transposed: tb };
            let to = ViewMut { data: &mut c, ld: c_ld, image: 0 };
            multiply(&ThreadPool::new(count), &product, left, right, to, &mut scratch);
            c
        };
        let c = run(1);
        assert!(c == run(2), "threads change the result");
        let mut alone = start.clone();
        let left = Operand { data: &a, ld: a_ld, transposed: ta };
        let right = Operand { data: &b, ld: b_ld, transposed: tb };
        multiply_alone(Isa::detect(), &product, left, right, &mut alone, c_ld);
        for (alone, c) in alone.iter().zip(&c) {
            assert!((alone - c).abs() < 1e-4, "{alone} for {c}");
        }
        for row in 0..rows {
            for column in 0..if row + 1 < rows { c_ld } else { columns } {
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

    /// What a run of training without BLAS relies on: the same seed gives the same bytes on every machine that fuses products
    /// and sums, as all x86-64 since 2013 and all aarch64 do.
    #[test]
    fn tiles_give_the_same_bits_in_every_instruction_set() {
        for (rows, columns, depth) in [(3, 40, 300), (16, 17, 129), (33, 70, 700), (130, 300, 520)] {
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                let (a, b) = (noise(rows * depth, 4), noise(depth * columns, 5));
                let results = Isa::available().into_iter().filter(|isa| isa.is_fused()).map(|isa| {
                    let backend = Backend::Tiles;
                    let product = Product { rows, columns, depth, alpha: 0.5, beta: 1.0, backend };
                    let left = Operand { data: &a, ld: if ta { rows } else { depth }, transposed: ta };
                    let right = Operand { data: &b, ld: if tb { depth } else { columns }, transposed: tb };
                    let mut c = noise(rows * columns, 6);
                    let mut scratch = Floats::filled(f32::NAN, product.scratch_len());
                    let to = ViewMut { data: &mut c, ld: columns, image: 0 };
                    multiply(&ThreadPool::with_isa(2, isa), &product, left, right, to, &mut scratch);
                    (isa, c.into_iter().map(f32::to_bits).collect::<Vec<u32>>())
                });
                let results: Vec<_> = results.collect();
                for (isa, bits) in &results[1..] {
                    assert!(*bits == results[0].1, "{isa:?}: {rows}x{depth}x{columns} {ta} {tb}");
                }
            }
        }
    }

    /// The library that a build links is the one that build.rs names for its target, and its best core is found by what
    /// the processor can do, not by its name.
    #[cfg(openblas)]
    #[test]
    fn the_core_is_chosen_by_the_instruction_set() {
        let best = match Isa::available().last() {
            #[cfg(target_arch = "x86_64")]
            Some(Isa::Avx512) => "SkylakeX",
            #[cfg(target_arch = "x86_64")]
            Some(Isa::Avx2) => "Haswell",
            #[cfg(target_arch = "aarch64")]
            Some(Isa::Neon) => "ARMV8",
            _ => "Prescott",
        };
        let wanted = std::env::var("OPENBLAS_CORETYPE").unwrap_or_default();
        let name = blas::name().expect("a library");
        assert!(name.ends_with(best) || name.to_lowercase().ends_with(&wanted.to_lowercase()), "{name}");
        // Floats that a thread packs at most, which the documentation states as 3 MiB.
        assert!((1..=3 << 18).contains(&blas::buffer_len()), "{}", blas::buffer_len());
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
