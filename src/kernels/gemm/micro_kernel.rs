//! The GEMM macro-kernel and micro-kernel that all kernels share: (strided or indirect) rows of A times packed panels of B.
//!
//! Element (r, c) of the result is the sum over taps t and k of `a[t][r][k] * panel[t][k][c]`, always in that order and
//! with the same partial sums for every tile shape, so that the bits do not depend on how rows are blocked.

// Loops over registers use indices, which always unroll; iterators over nested arrays do not.
#![allow(clippy::needless_range_loop)]

pub(crate) use super::lhs_rows::LhsRows;
use crate::kernels::epilogue::EpiloguePtrs;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::tile::{KSlice, Prefetch, UNROLL};
use crate::kernels::simd::vector::{SimdOp, Vector, prefetch};
use crate::kernels::simd::vector_math::activate_row;
use std::ops::Range;

/// K steps of a block, whose sum is then added to C: a sum of partial sums rounds less than one running sum, and a panel's
/// part of this depth stays in the L1 cache from tile to tile.
const KC: usize = 128;

/// How the products along K are summed in the accumulators.
trait Summation: Copy {
    /// Computes columns by the set's [`Vector::run_row_tile`], if it sums in this way. Returns the columns done.
    ///
    /// # Safety
    /// All addresses must be valid, and the machine must support the instruction set.
    #[inline(always)]
    unsafe fn row_tiles<V: Vector>(self, _: &PackedProduct) -> usize {
        0
    }

    /// Accumulates one tap's K slice into a tile.
    ///
    /// # Safety
    /// Rows, K steps and panels must be within the block, and the machine must support the instruction set.
    unsafe fn accumulate<V: Vector, const R: usize, const N: usize>(
        self,
        product: &PackedProduct,
        acc: &mut [[V; N]; R],
        slice: &KSlice<R>,
        fetch: &mut Prefetch,
    );
}

/// One running sum over K.
#[derive(Clone, Copy)]
struct Sequential;

/// Blocked summation: a partial sum per block of so many K steps.
#[derive(Clone, Copy)]
struct Blocked(usize);

/// The usual block of blocked summation: small enough to round little, large enough that adding the partial sums is cheap.
pub(crate) const SUM_BLOCK: usize = 32;

impl Summation for Sequential {
    #[inline(always)]
    unsafe fn row_tiles<V: Vector>(self, product: &PackedProduct) -> usize {
        // SAFETY: the caller's promise.
        unsafe { product.row_tiles::<V>(0) }
    }

    #[inline(always)]
    unsafe fn accumulate<V: Vector, const R: usize, const N: usize>(
        self,
        product: &PackedProduct,
        acc: &mut [[V; N]; R],
        slice: &KSlice<R>,
        fetch: &mut Prefetch,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let done = V::accumulate_k(acc, slice, *fetch);
            fetch.from = fetch.from.wrapping_add(done * fetch.step);
            product.accumulate_steps(acc, slice, done..slice.depth, fetch, add_product);
        }
    }
}

/// One running sum over K of the products of pairs of bf16: see [`Operands::Bf16`](super::bf16::Operands).
#[derive(Clone, Copy)]
struct Pairs;

impl Summation for Pairs {
    #[inline(always)]
    unsafe fn accumulate<V: Vector, const R: usize, const N: usize>(
        self,
        product: &PackedProduct,
        acc: &mut [[V; N]; R],
        slice: &KSlice<R>,
        fetch: &mut Prefetch,
    ) {
        // SAFETY: the caller's promise.
        unsafe { product.accumulate_steps(acc, slice, 0..slice.depth, fetch, V::add_pair_products) }
    }
}

/// One running sum over K of the products of f32 with pairs of bf16: see [`Operands::Bf16Weights`](super::bf16::Operands).
#[derive(Clone, Copy)]
struct WeightPairs;

impl Summation for WeightPairs {
    #[inline(always)]
    unsafe fn accumulate<V: Vector, const R: usize, const N: usize>(
        self,
        product: &PackedProduct,
        acc: &mut [[V; N]; R],
        slice: &KSlice<R>,
        fetch: &mut Prefetch,
    ) {
        // SAFETY: rows, K steps and panels are within the block.
        unsafe {
            let mut b = slice.panel;
            for k in 0..slice.depth {
                let mut pairs = [V::splat(0.0); N];
                for n in 0..N {
                    let column = n * V::LANES;
                    pairs[n] = V::load(b.add(column / PANEL * product.panel_stride + column % PANEL));
                }
                let mut half = [V::splat(0.0); N];
                for n in 0..N {
                    half[n] = pairs[n].lower_bf16();
                }
                for r in 0..R {
                    let a = V::splat(*slice.rows[r].add(2 * k));
                    for n in 0..N {
                        acc[r][n] = a.mul_add(half[n], acc[r][n]);
                    }
                }
                if 2 * k + 1 < product.row_len {
                    for n in 0..N {
                        half[n] = pairs[n].upper_bf16();
                    }
                    for r in 0..R {
                        let a = V::splat(*slice.rows[r].add(2 * k + 1));
                        for n in 0..N {
                            acc[r][n] = a.mul_add(half[n], acc[r][n]);
                        }
                    }
                }
                prefetch(fetch.from);
                fetch.from = fetch.from.wrapping_add(fetch.step);
                b = b.add(PANEL);
            }
        }
    }
}

/// One K step of f32.
#[inline(always)]
fn add_product<V: Vector>(sum: V, a: V, b: V) -> V {
    a.mul_add(b, sum)
}

impl Summation for Blocked {
    #[inline(always)]
    unsafe fn row_tiles<V: Vector>(self, product: &PackedProduct) -> usize {
        // SAFETY: the caller's promise.
        unsafe { product.row_tiles::<V>(self.0) }
    }

    #[inline(always)]
    unsafe fn accumulate<V: Vector, const R: usize, const N: usize>(
        self,
        product: &PackedProduct,
        acc: &mut [[V; N]; R],
        slice: &KSlice<R>,
        fetch: &mut Prefetch,
    ) {
        let Self(sum_block) = self;
        // SAFETY: the caller's promise.
        unsafe {
            let mut done = V::accumulate_k_blocked(acc, slice, sum_block, *fetch);
            fetch.from = fetch.from.wrapping_add(done * fetch.step);
            let unrolled = slice.depth / UNROLL * UNROLL;
            while done < unrolled {
                // Blocks are aligned to the end of the unrolled part: the first one takes the remainder.
                let end = unrolled - (unrolled - done - 1) / sum_block * sum_block;
                let mut partial = [[V::splat(0.0); N]; R];
                product.accumulate_steps(&mut partial, slice, done..end, fetch, add_product);
                done = end;
                for r in 0..R {
                    for n in 0..N {
                        acc[r][n] = acc[r][n].add(partial[r][n]);
                    }
                }
            }
            product.accumulate_steps(acc, slice, done..slice.depth, fetch, add_product);
        }
    }
}

/// A product whose panels are pairs of bf16.
pub(super) struct WeightPairProduct<'a>(pub PackedProduct<'a>);

impl SimdOp for WeightPairProduct<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the constructor's promise that all addresses are valid.
        unsafe { self.0.multiply::<V, WeightPairs>(WeightPairs) }
    }
}

/// A product of pairs of bf16.
pub(super) struct PairProduct<'a>(pub PackedProduct<'a>);

impl SimdOp for PairProduct<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the constructor's promise that all addresses are valid.
        unsafe { self.0.multiply::<V, Pairs>(Pairs) }
    }
}

/// A product with blocked summation.
struct BlockedProduct<'a> {
    product: PackedProduct<'a>,
    summation: Blocked,
}

impl SimdOp for BlockedProduct<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the constructor's promise that all addresses are valid.
        unsafe { self.product.multiply::<V, Blocked>(self.summation) }
    }
}

/// A block of a matrix product with a packed right operand: C = A B, or C += A B, with an epilogue.
#[derive(Clone, Copy)]
pub(crate) struct PackedProduct<'a> {
    /// The rows of A: `depth` contiguous floats for each tap and row.
    pub a: LhsRows,
    pub rows: usize,
    /// Taps of a convolution's kernel, the outer part of K; 1 for a plain product.
    pub taps: usize,
    /// K of one tap: rows of its part of a panel.
    pub depth: usize,
    /// Floats of a row of A at each tap: `depth`, or twice as many (or one less) if a panel's rows are pairs of bf16 and A's are not.
    pub row_len: usize,
    /// The first packed panel of B.
    pub b: *const f32,
    /// Floats from one panel to the next.
    pub panel_stride: usize,
    /// The panel that the caller reads after this block, to be prefetched, or null.
    pub next_panel: *const f32,
    pub columns: usize,
    pub c: *mut f32,
    /// Floats from one row of C to the next.
    pub ldc: usize,
    /// Whether to add to C (beta = 1) or to overwrite it.
    pub accumulate: bool,
    /// Applied if this block completes the sums over K.
    pub epilogue: Option<&'a EpiloguePtrs<'a>>,
    /// The residual at the block's first row and column, or null.
    pub residual: *const f32,
    /// Index of the block's first column in the bias.
    pub first_column: usize,
}

/// Splits `0..len` into ranges of `block`, the last of which may be shorter; at least one, empty if `len` is 0.
#[inline(always)]
pub(crate) fn block_ranges(len: usize, block: usize) -> impl Iterator<Item = Range<usize>> {
    let block = block.max(1);
    (0..len.div_ceil(block).max(1)).map(move |index| index * block..((index + 1) * block).min(len))
}

impl SimdOp for PackedProduct<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the constructor's promise that all addresses are valid.
        unsafe { self.multiply::<V, Sequential>(Sequential) }
    }
}

impl PackedProduct<'_> {
    /// Computes the product with blocked summation, for sums that must round less; `sum_block` is a power of two and at
    /// least [`UNROLL`].
    ///
    /// # Safety
    /// All addresses must be valid.
    pub unsafe fn run_with_blocked_sums(self, isa: Isa, sum_block: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.depth < sum_block + UNROLL {
                isa.dispatch(self);
            } else {
                isa.dispatch(BlockedProduct { product: self, summation: Blocked(sum_block) });
            }
        }
    }

    /// The macro-kernel: loops over panels, K blocks and register tiles.
    ///
    /// # Safety
    /// All addresses must be valid, and the machine must support the instruction set.
    #[inline(always)]
    unsafe fn multiply<V: Vector, S: Summation>(&self, summation: S) {
        let vectors_per_panel = PANEL / V::LANES;
        // SAFETY: tiles cover the rows and columns exactly.
        unsafe {
            let mut column = self.multi_panel_tiles::<V, S>(summation).max(summation.row_tiles::<V>(self));
            while column < self.columns {
                let is_double = V::TILE_PANELS == 2 && self.columns - column > PANEL;
                let width = if is_double { 2 * PANEL } else { PANEL };
                let panel = self.b.wrapping_add(column / PANEL * self.panel_stride);
                let following = match column + width >= self.columns {
                    true if self.next_panel.is_null() => panel,
                    true => self.next_panel,
                    false => panel.wrapping_add(width / PANEL * self.panel_stride),
                };
                for ks in self.k_blocks() {
                    let next_panel = if ks.end < self.depth { panel.wrapping_add(ks.end * PANEL) } else { following };
                    let block = Self { next_panel, ..self.slice_k(ks) };
                    match (vectors_per_panel, is_double) {
                        (1, true) => block.strip::<V, S, 2>(summation, column),
                        (1, false) => block.strip::<V, S, 1>(summation, column),
                        (2, _) => block.strip::<V, S, 2>(summation, column),
                        _ => block.strip::<V, S, 4>(summation, column),
                    }
                }
                column += width;
            }
            if let Some(epilogue) = self.epilogue
                && !epilogue.clips
            {
                for row in 0..self.rows {
                    activate_row::<V>(epilogue.activation, self.c.add(row * self.ldc), self.columns);
                }
            }
        }
    }

    /// The K blocks of the product. Several taps are blocks already, and callers with indirect rows block K themselves.
    #[inline(always)]
    pub fn k_blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let is_single = self.taps > 1 || matches!(self.a, LhsRows::Indirect { .. });
        block_ranges(self.depth, if is_single { self.depth } else { KC })
    }

    /// The product over a range of K of its single tap; only the last range has the epilogue.
    #[inline(always)]
    pub fn slice_k(&self, ks: Range<usize>) -> Self {
        let is_last = ks.end == self.depth;
        let floats = self.row_len.div_ceil(self.depth.max(1));
        Self {
            a: self.a.at_k(ks.start * floats),
            depth: ks.len(),
            row_len: (ks.len() * floats).min(self.row_len - ks.start * floats),
            b: self.b.wrapping_add(ks.start * PANEL),
            accumulate: self.accumulate || ks.start > 0,
            epilogue: self.epilogue.filter(|_| is_last),
            residual: if is_last { self.residual } else { std::ptr::null() },
            ..*self
        }
    }

    /// Products of one to three rows, which are memory-bound: tiles of four panels, as a single stream does not saturate
    /// the memory bandwidth. Returns the columns done.
    #[inline(always)]
    unsafe fn multi_panel_tiles<V: Vector, S: Summation>(&self, summation: S) -> usize {
        let mut column = 0;
        let fetch = Prefetch { from: self.b, step: PANEL };
        // SAFETY: as many columns are left as each tile takes.
        unsafe {
            while self.rows <= 3 && self.columns - column >= 4 * PANEL {
                for ks in self.k_blocks() {
                    let block = self.slice_k(ks);
                    match (self.rows, V::LANES) {
                        (1, 4) => block.tile::<V, S, 1, 16>(summation, 0, column, fetch),
                        (1, 8) => block.tile::<V, S, 1, 8>(summation, 0, column, fetch),
                        (1, 16) => block.tile::<V, S, 1, 4>(summation, 0, column, fetch),
                        (2, 16) => block.tile::<V, S, 2, 4>(summation, 0, column, fetch),
                        (3, 16) => block.tile::<V, S, 3, 4>(summation, 0, column, fetch),
                        (2, 8) => {
                            block.tile::<V, S, 2, 4>(summation, 0, column, fetch);
                            block.tile::<V, S, 2, 4>(summation, 0, column + 2 * PANEL, fetch);
                        }
                        (3, 8) => {
                            block.tile::<V, S, 3, 4>(summation, 0, column, fetch);
                            block.tile::<V, S, 3, 4>(summation, 0, column + 2 * PANEL, fetch);
                        }
                        _ => return column,
                    }
                }
                column += 4 * PANEL;
            }
        }
        column
    }

    /// The column strip of all rows by `N` vectors, tile by tile.
    #[inline(always)]
    unsafe fn strip<V: Vector, S: Summation, const N: usize>(&self, summation: S, column: usize) {
        // Tiles of nearly equal height: a short remainder tile would leave FMA units idle.
        let tiles = self.rows.div_ceil(V::TILE_ROWS);
        let (height, remainder) = (self.rows / tiles, self.rows % tiles);
        let panel = self.b.wrapping_add(column / PANEL * self.panel_stride);
        // The prefetch of the next strip's panels is spread evenly over the tiles: one tile alone would wait for memory.
        let panels = (N * V::LANES).div_ceil(PANEL);
        let tiles_per_panel = (tiles / panels).clamp(1, PANEL);
        let share = self.taps * self.depth / tiles_per_panel;
        let mut row = 0;
        for tile in 0..tiles {
            let height = height + usize::from(tile < remainder);
            let (next, part) = (tile / tiles_per_panel, tile % tiles_per_panel);
            let fetch = match next < panels {
                true => Prefetch {
                    from: self.next_panel.wrapping_add(next * self.panel_stride + part * share * PANEL),
                    step: PANEL.div_ceil(tiles_per_panel),
                },
                false => Prefetch { from: panel, step: PANEL },
            };
            // SAFETY: rows and columns are within the block.
            unsafe {
                match height {
                    1 => self.tile::<V, S, 1, N>(summation, row, column, fetch),
                    2 => self.tile::<V, S, 2, N>(summation, row, column, fetch),
                    3 => self.tile::<V, S, 3, N>(summation, row, column, fetch),
                    4 if V::TILE_ROWS >= 4 => self.tile::<V, S, 4, N>(summation, row, column, fetch),
                    5 if V::TILE_ROWS >= 5 => self.tile::<V, S, 5, N>(summation, row, column, fetch),
                    6 if V::TILE_ROWS >= 6 => self.tile::<V, S, 6, N>(summation, row, column, fetch),
                    7 if V::TILE_ROWS >= 7 => self.tile::<V, S, 7, N>(summation, row, column, fetch),
                    8 if V::TILE_ROWS >= 8 => self.tile::<V, S, 8, N>(summation, row, column, fetch),
                    9 if V::TILE_ROWS >= 9 => self.tile::<V, S, 9, N>(summation, row, column, fetch),
                    10 if V::TILE_ROWS >= 10 => self.tile::<V, S, 10, N>(summation, row, column, fetch),
                    11 if V::TILE_ROWS >= 11 => self.tile::<V, S, 11, N>(summation, row, column, fetch),
                    12 if V::TILE_ROWS >= 12 => self.tile::<V, S, 12, N>(summation, row, column, fetch),
                    _ => unreachable!("a tile has at most {} rows", V::TILE_ROWS),
                }
            }
            row += height;
        }
    }

    /// The micro-kernel: a tile of `R` rows by `N` vectors, accumulated in registers, then stored.
    #[inline(always)]
    unsafe fn tile<V: Vector, S: Summation, const R: usize, const N: usize>(
        &self,
        summation: S,
        row: usize,
        column: usize,
        mut fetch: Prefetch,
    ) {
        // SAFETY: taps, rows, depth and columns are within the block.
        unsafe {
            let mut acc = [[V::splat(0.0); N]; R];
            let panel = self.b.add(column / PANEL * self.panel_stride);
            for tap in 0..self.taps {
                let rows = self.a.addresses::<R>(tap, row);
                let slice = KSlice { rows, panel: panel.add(tap * self.depth * PANEL), depth: self.depth };
                summation.accumulate(self, &mut acc, &slice, &mut fetch);
            }
            match self.columns - column >= N * V::LANES {
                true => self.store::<V, R, N, true>(row, column, acc),
                false => self.store::<V, R, N, false>(row, column, acc),
            }
        }
    }

    /// The portable inner loop: accumulates a range of K steps into a tile by `add`, of a sum and one element of each operand.
    #[inline(always)]
    unsafe fn accumulate_steps<V: Vector, const R: usize, const N: usize>(
        &self,
        acc: &mut [[V; N]; R],
        slice: &KSlice<R>,
        steps: Range<usize>,
        fetch: &mut Prefetch,
        add: impl Fn(V, V, V) -> V,
    ) {
        // SAFETY: rows, K steps and panels are within the block.
        unsafe {
            let mut b = slice.panel.add(steps.start * PANEL);
            for k in steps {
                let mut b_row = [V::splat(0.0); N];
                for n in 0..N {
                    let column = n * V::LANES;
                    b_row[n] = V::load(b.add(column / PANEL * self.panel_stride + column % PANEL));
                }
                for r in 0..R {
                    let a = V::splat(*slice.rows[r].add(k));
                    for n in 0..N {
                        acc[r][n] = add(acc[r][n], a, b_row[n]);
                    }
                }
                prefetch(fetch.from);
                fetch.from = fetch.from.wrapping_add(fetch.step);
                b = b.add(PANEL);
            }
        }
    }

    /// Applies the epilogue to a tile and stores it: all columns if `FULL`, else those within the block, with masks.
    #[inline(always)]
    unsafe fn store<V: Vector, const R: usize, const N: usize, const FULL: bool>(
        &self,
        row: usize,
        column: usize,
        mut acc: [[V; N]; R],
    ) {
        let mut lanes = [V::LANES; N];
        for n in 0..N {
            lanes[n] = (self.columns - column).saturating_sub(n * V::LANES).min(V::LANES);
        }
        // SAFETY: rows and lanes are within the block.
        unsafe {
            let load = |from: *const f32, lanes: usize| if FULL { V::load(from) } else { V::load_partial(from, lanes) };
            let c = self.c.add(row * self.ldc + column);
            if self.accumulate {
                for r in 0..R {
                    for n in 0..N {
                        let from = c.wrapping_add(r * self.ldc + n * V::LANES);
                        acc[r][n] = acc[r][n].add(load(from, lanes[n]));
                    }
                }
            }
            if let Some(epilogue) = self.epilogue {
                if !epilogue.bias.is_null() {
                    for n in 0..N {
                        let from = epilogue.bias.wrapping_add(self.first_column + column + n * V::LANES);
                        let bias = load(from, lanes[n]);
                        for r in 0..R {
                            acc[r][n] = acc[r][n].add(bias);
                        }
                    }
                }
                if !self.residual.is_null() {
                    let residual = self.residual.wrapping_add(row * epilogue.residual_ld + column);
                    for r in 0..R {
                        for n in 0..N {
                            let from = residual.wrapping_add(r * epilogue.residual_ld + n * V::LANES);
                            acc[r][n] = acc[r][n].add(load(from, lanes[n]));
                        }
                    }
                }
                let (low, high) = (V::splat(epilogue.low), V::splat(epilogue.high));
                for r in 0..R {
                    for n in 0..N {
                        acc[r][n] = acc[r][n].max(low).min(high);
                    }
                }
            }
            for r in 0..R {
                for n in 0..N {
                    let to = c.wrapping_add(r * self.ldc + n * V::LANES);
                    if FULL { acc[r][n].store(to) } else { acc[r][n].store_partial(to, lanes[n]) }
                }
            }
        }
    }
}
