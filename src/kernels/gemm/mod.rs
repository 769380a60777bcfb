//! GEMM: C = alpha op(A) op(B) + beta C, row-major, partitioned among threads by sizes only, so that the number of threads
//! does not change the result.
//!
//! A block of C is computed by OpenBLAS or by netc's own micro-kernels; see [`Backend`].

pub mod bf16;
pub mod blas;
mod block;
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
use block::Block;
pub use few_rows::supports as reads_unpacked;
use packing_buffer::Buffer;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Maximum rows and columns of a block of C.
pub const MAX_BLOCK: usize = 256;
/// Minimum depth (K) of a split of the sum (split-K).
const MIN_SPLIT_DEPTH: usize = 2048;
/// Multiply-adds up to which a product is a single task.
const SERIAL_MACS: usize = 1 << 18;
/// Tasks wanted for load balance.
const MIN_TASKS: usize = 16;

/// The implementation that computes blocks of C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// netc's micro-kernels, over a packed block of B.
    #[default]
    Tiles,
    /// The build's BLAS; `Tiles` in a build without.
    Blas,
}

impl Backend {
    /// Whether it is the default, which serialized plans omit.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The suffix that it adds to a step's description.
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
    /// A thread's packing buffer, allocated by its first product.
    static BUFFER: RefCell<Option<Buffer>> = const { RefCell::new(None) };
}

/// The thread's packing buffer, allocated if necessary; none if out of memory. At most 3 MiB, of which only the pages that a
/// product needs are ever touched.
fn get_or_allocate(buffer: &mut Option<Buffer>) -> Option<&mut [f32]> {
    if buffer.is_none() {
        *buffer = Buffer::try_new(buffer_len());
    }
    buffer.as_mut().map(Buffer::floats)
}

fn buffer_len() -> usize {
    blas::buffer_len().max(tiles::BUFFER_LEN)
}

/// Allocates the calling thread's packing buffer; false if out of memory. A product allocates it too, but cannot report a failure.
pub fn reserve() -> bool {
    BUFFER.with_borrow_mut(|buffer| get_or_allocate(buffer).is_some())
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

/// A product's sizes (M, N, K), factors and backend: op(A) is `(rows, depth)`, op(B) `(depth, columns)`, C `(rows, columns)`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub alpha: f32,
    pub beta: f32,
    pub backend: Backend,
}

/// The sizes of the products that a step computes, for the cost model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    /// Whether the left and the right operand are read transposed.
    pub transposed: (bool, bool),
    /// Number of products of these sizes.
    pub count: usize,
}

/// An operand: a row-major matrix with leading dimension `ld` (in floats), transposed when read if `transposed`.
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

    /// The address of an element of op(operand).
    unsafe fn at(&self, row: usize, column: usize) -> *const f32 {
        let (row, column) = if self.transposed { (column, row) } else { (row, column) };
        // SAFETY: within the operand by the caller's promise.
        unsafe { self.data.as_ptr().add(row * self.ld + column) }
    }
}

/// The partition of a product into tasks, by its sizes only.
#[derive(Clone, Copy)]
struct Partition {
    /// Rows and columns of a block of C.
    block_rows: usize,
    block_columns: usize,
    row_blocks: usize,
    column_blocks: usize,
    /// Splits of K, whose partial sums are reduced at the end.
    splits: usize,
}

impl Product {
    fn partition(&self) -> Partition {
        let mut row_blocks = self.rows.div_ceil(MAX_BLOCK).max(1);
        let mut column_blocks = self.columns.div_ceil(MAX_BLOCK).max(1);
        let mut splits = 1;
        if self.rows * self.columns * self.depth > SERIAL_MACS {
            if row_blocks * column_blocks < MIN_TASKS && self.depth >= 2 * MIN_SPLIT_DEPTH {
                splits = (self.depth / MIN_SPLIT_DEPTH).min(MIN_TASKS.div_ceil(row_blocks * column_blocks));
            }
            // Split the longer axis while there are too few tasks and blocks stay large enough to be efficient.
            while row_blocks * column_blocks * splits < MIN_TASKS {
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
        let (block_rows, block_columns) = (step(self.rows, row_blocks), step(self.columns, column_blocks));
        row_blocks = self.rows.div_ceil(block_rows);
        column_blocks = self.columns.div_ceil(block_columns);
        Partition { block_rows, block_columns, row_blocks, column_blocks, splits }
    }

    /// Floats of scratch memory that [`multiply`] needs: the partial sums of a split-K product, else none.
    pub fn scratch_len(&self) -> usize {
        let splits = self.partition().splits;
        if splits > 1 { splits * self.rows * self.columns } else { 0 }
    }
}

/// C = alpha op(A) op(B) + beta C on all threads; C's rows are `c.ld` floats apart. `scratch` has at least
/// [`Product::scratch_len`] floats.
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
    let Partition { block_rows, block_columns, row_blocks, column_blocks, splits } = product.partition();
    let blocks = row_blocks * column_blocks;
    let ranges = |block: usize| {
        let (row, column) = (block / column_blocks * block_rows, block % column_blocks * block_columns);
        (row..(row + block_rows).min(product.rows), column..(column + block_columns).min(product.columns))
    };
    if splits == 1 {
        threads.run(blocks, &|block, _| {
            let (rows, columns) = ranges(block);
            // SAFETY: the block is within the checked operands; blocks are disjoint.
            unsafe {
                let to = c.pixel(0, rows.start).add(columns.start);
                product.block((&a, &b), [rows, columns, 0..product.depth], product.beta, (to, c.ld), threads.isa());
            }
        });
        return;
    }
    let image = product.rows * product.columns;
    let partial =
        Output::new(ViewMut { data: scratch, ld: product.columns, image }, splits, product.rows, product.columns);
    let step = product.depth.div_ceil(splits);
    threads.run(blocks * splits, &|task, _| {
        let (split, block) = (task / blocks, task % blocks);
        let (rows, columns) = ranges(block);
        let depth = (split * step).min(product.depth)..((split + 1) * step).min(product.depth);
        // SAFETY: as above; each split has its own partial sums.
        unsafe {
            let to = partial.pixel(split, rows.start).add(columns.start);
            product.block((&a, &b), [rows, columns, depth], 0.0, (to, partial.ld), threads.isa());
        }
    });
    // The reduction adds the splits in a fixed order, whichever thread computed them.
    threads.run(row_blocks, &|block, _| {
        for row in block * block_rows..((block + 1) * block_rows).min(product.rows) {
            // SAFETY: rows are within the checked result and disjoint; the partial sums are complete.
            let (to, partials) = unsafe {
                let to = std::slice::from_raw_parts_mut(c.pixel(0, row), product.columns);
                let partial =
                    |split| std::slice::from_raw_parts(partial.pixel(split, row).cast_const(), product.columns);
                (to, (0..splits).map(partial))
            };
            for (split, partial) in partials.enumerate() {
                let beta = if split > 0 { 1.0 } else { product.beta };
                for (to, from) in to.iter_mut().zip(partial) {
                    // With beta 0, C is not read: it may be uninitialised or NaN.
                    *to = if beta == 0.0 { *from } else { beta * *to + *from };
                }
            }
        }
    });
}

/// C = alpha op(A) op(B) + beta C on the calling thread, for kernels that partition the work themselves.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn multiply_serial(isa: Isa, product: &Product, a: Operand, b: Operand, c: &mut [f32], ldc: usize) {
    a.check("left operand", product.rows, product.depth);
    b.check("right operand", product.depth, product.columns);
    Operand { data: c, ld: ldc, transposed: false }.check("result", product.rows, product.columns);
    if product.rows == 0 || product.columns == 0 {
        return;
    }
    let ranges = [0..product.rows, 0..product.columns, 0..product.depth];
    // SAFETY: the operands and the result were checked.
    unsafe { product.block((&a, &b), ranges, product.beta, (c.as_mut_ptr(), ldc), isa) }
}

impl Product {
    /// One block of C: the product over the given rows, columns and depth, plus `beta` times C.
    ///
    /// # Safety
    /// The ranges must be within the operands, and `c` be writable for the block.
    unsafe fn block(
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
            let buffer = get_or_allocate(buffer).unwrap_or_else(|| Buffer::refused(buffer_len()));
            // SAFETY: as above; the thread pool was created with a supported `isa`.
            unsafe {
                match self.backend {
                    Backend::Blas if blas::is_available() => blas::multiply(&block, buffer),
                    _ => tiles::multiply(&block, isa, buffer),
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::guarded::Floats;
    use super::*;
    use crate::kernels::testing::noise;

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
        let mut serial = start.clone();
        let left = Operand { data: &a, ld: a_ld, transposed: ta };
        let right = Operand { data: &b, ld: b_ld, transposed: tb };
        multiply_serial(Isa::detect(), &product, left, right, &mut serial, c_ld);
        for (serial, c) in serial.iter().zip(&c) {
            assert!((serial - c).abs() < 1e-4, "{serial} for {c}");
        }
        for row in 0..rows {
            for column in 0..if row + 1 < rows { c_ld } else { columns } {
                let at = row * c_ld + column;
                if column >= columns {
                    assert_eq!(c[at], start[at], "wrote beyond the row");
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

    /// Reproducible training without BLAS relies on this: a seed gives the same bytes on every machine with fused
    /// multiply-adds, that is all x86-64 since 2013 and all aarch64.
    #[test]
    fn tiles_give_the_same_bits_on_every_instruction_set() {
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

    /// The build links the library that build.rs names for the target, and its core is chosen by the features of the
    /// processor, not by its name.
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
        // The documented maximum of a thread's buffer: 3 MiB.
        assert!((1..=3 << 18).contains(&blas::buffer_len()), "{}", blas::buffer_len());
    }

    #[test]
    fn products_equal_f64_sums_for_all_shapes_and_transposes() {
        check(1, 1, 1, (false, false), (1.0, 0.0));
        check(33, 17, 29, (true, false), (0.5, 1.0));
        check(70, 150, 31, (false, true), (1.0, 0.5));
        check(300, 40, 64, (true, true), (2.0, 0.0));
        check(20, 24, 5000, (true, false), (1.0, 0.5));
        check(20, 24, 5000, (false, true), (1.0, 0.0));
    }
}
