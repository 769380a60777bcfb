//! The matrix product that all kernels share: rows found through addresses, times packed panels, in register tiles.
//!
//! Element (r, c) of the result is the sum over taps t and k of `a[t][r][k] * panel[t][k][c]`, always in that order and
//! with the same sums between, whatever the tile, so that results do not depend on how rows are cut into blocks.

// Loops over registers count with plain indices, which unroll; iterators over nested arrays do not always.
#![allow(clippy::needless_range_loop)]

pub(crate) use super::lhs_rows::Rows;
use crate::kernels::epilogue::EpiloguePtrs;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::tile::{KSlice, Prefetch, UNROLL};
use crate::kernels::simd::vector::{SimdOp, Vector, prefetch};
use crate::kernels::simd::vector_math::activate_row;
use std::ops::Range;

/// Steps of the depth that are summed before they are added to what was summed before them: a sum of sums rounds less
/// than one long sum, and so much of a panel stays in the nearest cache from tile to tile.
const DEPTH: usize = 128;

/// How the products of a part of the depth are summed.
trait Summation: Copy {
    /// How many are summed by themselves, or 0 if it is one after the other.
    fn group(self) -> usize;

    /// Adds to a tile's sums the products of a tap's depth.
    ///
    /// # Safety
    /// Rows, places and panels must be within the block, and the instruction set be there.
    unsafe fn add<V: Vector, const R: usize, const N: usize>(
        self,
        product: &Product,
        sums: &mut [[V; N]; R],
        places: &KSlice<R>,
        fetch: &mut Prefetch,
    );
}

/// One after the other.
#[derive(Clone, Copy)]
struct Plain;

/// In groups of so many places, each of which is summed by itself.
#[derive(Clone, Copy)]
struct Groups(usize);

/// A good size of groups: few enough to round little, and so many that adding their sums costs little.
pub(crate) const FINE: usize = 32;

impl Summation for Plain {
    #[inline(always)]
    fn group(self) -> usize {
        0
    }

    #[inline(always)]
    unsafe fn add<V: Vector, const R: usize, const N: usize>(
        self,
        product: &Product,
        sums: &mut [[V; N]; R],
        places: &KSlice<R>,
        fetch: &mut Prefetch,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let done = V::accumulate_k(sums, places, *fetch);
            fetch.from = fetch.from.wrapping_add(done * fetch.step);
            product.add_places(sums, places, done..places.depth, fetch);
        }
    }
}

impl Summation for Groups {
    #[inline(always)]
    fn group(self) -> usize {
        self.0
    }

    #[inline(always)]
    unsafe fn add<V: Vector, const R: usize, const N: usize>(
        self,
        product: &Product,
        sums: &mut [[V; N]; R],
        places: &KSlice<R>,
        fetch: &mut Prefetch,
    ) {
        let Self(group) = self;
        // SAFETY: the caller's promise.
        unsafe {
            let mut done = V::accumulate_k_groups(sums, places, group, *fetch);
            fetch.from = fetch.from.wrapping_add(done * fetch.step);
            let whole = places.depth / UNROLL * UNROLL;
            while done < whole {
                let end = whole - (whole - done - 1) / group * group;
                let mut some = [[V::splat(0.0); N]; R];
                product.add_places(&mut some, places, done..end, fetch);
                done = end;
                for r in 0..R {
                    for n in 0..N {
                        sums[r][n] = sums[r][n].add(some[r][n]);
                    }
                }
            }
            product.add_places(sums, places, done..places.depth, fetch);
        }
    }
}

/// A product that is summed in groups.
struct InGroups<'a> {
    product: Product<'a>,
    how: Groups,
}

impl SimdOp for InGroups<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the maker's promise that all addresses are valid.
        unsafe { self.product.multiply::<V, Groups>(self.how) }
    }
}

/// A block of the product.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    /// The left operand: for each tap and row the address of `depth` floats.
    pub a: Rows,
    pub rows: usize,
    pub taps: usize,
    pub depth: usize,
    /// The first panel, at the first tap's first row.
    pub b: *const f32,
    /// Floats from one panel to the next.
    pub panel_stride: usize,
    /// What is read after the last panel, to be fetched meanwhile, or null.
    pub next: *const f32,
    /// Columns of the result.
    pub columns: usize,
    /// The result.
    pub c: *mut f32,
    pub ldc: usize,
    /// Whether to add to what the result holds.
    pub accumulate: bool,
    /// What to do once the sums are complete, if they are; `bias` is that of the first column.
    pub finish: Option<&'a EpiloguePtrs<'a>>,
    /// The residual of the first row and column, or null.
    pub residual: *const f32,
    /// The first column's place in the bias.
    pub first_column: usize,
}

/// A depth in parts of `each` places; at least one, which may be empty.
#[inline(always)]
pub(crate) fn parts(depth: usize, each: usize) -> impl Iterator<Item = Range<usize>> {
    let each = each.max(1);
    (0..depth.div_ceil(each).max(1)).map(move |part| part * each..((part + 1) * each).min(depth))
}

impl SimdOp for Product<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the maker's promise that all addresses are valid.
        unsafe { self.multiply::<V, Plain>(Plain) }
    }
}

impl Product<'_> {
    /// Computes it in groups of `group` places, a power of two and at least a turn, each of which is summed by itself: for
    /// sums that should round less.
    ///
    /// # Safety
    /// All addresses must be valid.
    pub unsafe fn run_in_groups(self, isa: Isa, group: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.depth < group + UNROLL {
                isa.dispatch(self);
            } else {
                isa.dispatch(InGroups { product: self, how: Groups(group) });
            }
        }
    }

    /// # Safety
    /// All addresses must be valid, and the instruction set be there.
    #[inline(always)]
    unsafe fn multiply<V: Vector, S: Summation>(&self, how: S) {
        let per_panel = PANEL / V::LANES;
        // SAFETY: tiles cover the rows and columns exactly.
        unsafe {
            let mut column = self.few_rows::<V, S>(how).max(self.across::<V>(how.group()));
            while column < self.columns {
                let wide = V::TILE_PANELS == 2 && self.columns - column > PANEL;
                let width = if wide { 2 * PANEL } else { PANEL };
                let panel = self.b.wrapping_add(column / PANEL * self.panel_stride);
                let behind = match column + width >= self.columns {
                    true if self.next.is_null() => panel,
                    true => self.next,
                    false => panel.wrapping_add(width / PANEL * self.panel_stride),
                };
                for places in self.parts() {
                    let next = if places.end < self.depth { panel.wrapping_add(places.end * PANEL) } else { behind };
                    let part = Self { next, ..self.part(places) };
                    match (per_panel, wide) {
                        (1, true) => part.strip::<V, S, 2>(how, column),
                        (1, false) => part.strip::<V, S, 1>(how, column),
                        (2, _) => part.strip::<V, S, 2>(how, column),
                        _ => part.strip::<V, S, 4>(how, column),
                    }
                }
                column += width;
            }
            if let Some(finish) = self.finish
                && !finish.clips
            {
                for row in 0..self.rows {
                    activate_row::<V>(finish.activation, self.c.add(row * self.ldc), self.columns);
                }
            }
        }
    }

    /// The places of the depth that are summed at once. Taps are parts already, and who lists rows cuts the depth.
    #[inline(always)]
    pub fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let whole = self.taps > 1 || matches!(self.a, Rows::Listed { .. });
        parts(self.depth, if whole { self.depth } else { DEPTH })
    }

    /// The product of one tap over some places of the depth, which is finished behind the last.
    #[inline(always)]
    pub fn part(&self, places: Range<usize>) -> Self {
        let last = places.end == self.depth;
        Self {
            a: self.a.at_place(places.start),
            depth: places.len(),
            b: self.b.wrapping_add(places.start * PANEL),
            accumulate: self.accumulate || places.start > 0,
            finish: self.finish.filter(|_| last),
            residual: if last { self.residual } else { std::ptr::null() },
            ..*self
        }
    }

    /// The product of one to three rows, where the memory limits: several panels are read at once, as one stretch of
    /// memory alone does not use all of its speed. Returns the columns done.
    #[inline(always)]
    unsafe fn few_rows<V: Vector, S: Summation>(&self, how: S) -> usize {
        let mut column = 0;
        let fetch = Prefetch { from: self.b, step: PANEL };
        // SAFETY: as many columns are left as each tile takes.
        unsafe {
            while self.rows <= 3 && self.columns - column >= 4 * PANEL {
                for places in self.parts() {
                    let part = self.part(places);
                    match (self.rows, V::LANES) {
                        (1, 4) => part.tile::<V, S, 1, 16>(how, 0, column, fetch),
                        (1, 8) => part.tile::<V, S, 1, 8>(how, 0, column, fetch),
                        (1, 16) => part.tile::<V, S, 1, 4>(how, 0, column, fetch),
                        (2, 16) => part.tile::<V, S, 2, 4>(how, 0, column, fetch),
                        (3, 16) => part.tile::<V, S, 3, 4>(how, 0, column, fetch),
                        (2, 8) => {
                            part.tile::<V, S, 2, 4>(how, 0, column, fetch);
                            part.tile::<V, S, 2, 4>(how, 0, column + 2 * PANEL, fetch);
                        }
                        (3, 8) => {
                            part.tile::<V, S, 3, 4>(how, 0, column, fetch);
                            part.tile::<V, S, 3, 4>(how, 0, column + 2 * PANEL, fetch);
                        }
                        _ => return column,
                    }
                }
                column += 4 * PANEL;
            }
        }
        column
    }

    /// All rows of one strip of `N` vectors' columns.
    #[inline(always)]
    unsafe fn strip<V: Vector, S: Summation, const N: usize>(&self, how: S, column: usize) {
        // Tiles of nearly equal height: short ones waste the arithmetic units.
        let tiles = self.rows.div_ceil(V::TILE_ROWS);
        let (height, higher) = (self.rows / tiles, self.rows % tiles);
        let panel = self.b.wrapping_add(column / PANEL * self.panel_stride);
        // Each tile asks for its part of what comes next: one alone would wait for memory, the others leave it idle.
        let spread = tiles.min(PANEL);
        let each = self.taps * self.depth / spread;
        let mut row = 0;
        for tile in 0..tiles {
            let height = height + usize::from(tile < higher);
            let fetch = match tile {
                tile if tile < spread => {
                    Prefetch { from: self.next.wrapping_add(tile * each * PANEL), step: PANEL / spread }
                }
                _ => Prefetch { from: panel, step: PANEL },
            };
            // SAFETY: rows and columns are within the block.
            unsafe {
                match height {
                    1 => self.tile::<V, S, 1, N>(how, row, column, fetch),
                    2 => self.tile::<V, S, 2, N>(how, row, column, fetch),
                    3 => self.tile::<V, S, 3, N>(how, row, column, fetch),
                    4 if V::TILE_ROWS >= 4 => self.tile::<V, S, 4, N>(how, row, column, fetch),
                    5 if V::TILE_ROWS >= 5 => self.tile::<V, S, 5, N>(how, row, column, fetch),
                    6 if V::TILE_ROWS >= 6 => self.tile::<V, S, 6, N>(how, row, column, fetch),
                    7 if V::TILE_ROWS >= 7 => self.tile::<V, S, 7, N>(how, row, column, fetch),
                    8 if V::TILE_ROWS >= 8 => self.tile::<V, S, 8, N>(how, row, column, fetch),
                    9 if V::TILE_ROWS >= 9 => self.tile::<V, S, 9, N>(how, row, column, fetch),
                    10 if V::TILE_ROWS >= 10 => self.tile::<V, S, 10, N>(how, row, column, fetch),
                    11 if V::TILE_ROWS >= 11 => self.tile::<V, S, 11, N>(how, row, column, fetch),
                    12 if V::TILE_ROWS >= 12 => self.tile::<V, S, 12, N>(how, row, column, fetch),
                    _ => unreachable!("a tile has at most {} rows", V::TILE_ROWS),
                }
            }
            row += height;
        }
    }

    /// A tile of `R` rows by `N` vectors: sums in registers, then stored.
    #[inline(always)]
    unsafe fn tile<V: Vector, S: Summation, const R: usize, const N: usize>(
        &self,
        how: S,
        row: usize,
        column: usize,
        mut fetch: Prefetch,
    ) {
        // SAFETY: taps, rows, depth and columns are within the block.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; R];
            let panel = self.b.add(column / PANEL * self.panel_stride);
            for tap in 0..self.taps {
                let rows = self.a.addresses::<R>(tap, row);
                let places = KSlice { rows, panel: panel.add(tap * self.depth * PANEL), depth: self.depth };
                how.add(self, &mut sums, &places, &mut fetch);
            }
            if self.columns - column >= N * V::LANES {
                self.store::<V, R, N>(row, column, sums);
            } else {
                let mut tile = [[0.0f32; 2 * PANEL]; R];
                for r in 0..R {
                    for n in 0..N {
                        sums[r][n].store(tile[r].as_mut_ptr().add(n * V::LANES));
                    }
                }
                for (r, line) in tile.iter().enumerate() {
                    self.store_ragged::<V>(row + r, column, line);
                }
            }
        }
    }

    /// Adds to a tile's sums the products of some places of a tap's depth.
    #[inline(always)]
    unsafe fn add_places<V: Vector, const R: usize, const N: usize>(
        &self,
        sums: &mut [[V; N]; R],
        places: &KSlice<R>,
        some: Range<usize>,
        fetch: &mut Prefetch,
    ) {
        // SAFETY: rows, places and panels are within the block.
        unsafe {
            let mut b = places.panel.add(some.start * PANEL);
            for k in some {
                let mut right = [V::splat(0.0); N];
                for n in 0..N {
                    let at = n * V::LANES;
                    right[n] = V::load(b.add(at / PANEL * self.panel_stride + at % PANEL));
                }
                for r in 0..R {
                    let left = V::splat(*places.rows[r].add(k));
                    for n in 0..N {
                        sums[r][n] = left.mul_add(right[n], sums[r][n]);
                    }
                }
                prefetch(fetch.from);
                fetch.from = fetch.from.wrapping_add(fetch.step);
                b = b.add(PANEL);
            }
        }
    }

    /// Adds, finishes and stores a tile all of whose columns exist.
    #[inline(always)]
    unsafe fn store<V: Vector, const R: usize, const N: usize>(
        &self,
        row: usize,
        column: usize,
        mut sums: [[V; N]; R],
    ) {
        // SAFETY: the columns exist.
        unsafe {
            let c = self.c.add(row * self.ldc + column);
            if self.accumulate {
                for r in 0..R {
                    for n in 0..N {
                        sums[r][n] = sums[r][n].add(V::load(c.add(r * self.ldc + n * V::LANES)));
                    }
                }
            }
            if let Some(finish) = self.finish {
                if !finish.bias.is_null() {
                    for n in 0..N {
                        let bias = V::load(finish.bias.add(self.first_column + column + n * V::LANES));
                        for r in 0..R {
                            sums[r][n] = sums[r][n].add(bias);
                        }
                    }
                }
                if !self.residual.is_null() {
                    let residual = self.residual.add(row * finish.residual_ld + column);
                    for r in 0..R {
                        for n in 0..N {
                            let from = residual.add(r * finish.residual_ld + n * V::LANES);
                            sums[r][n] = sums[r][n].add(V::load(from));
                        }
                    }
                }
                let (low, high) = (V::splat(finish.low), V::splat(finish.high));
                for r in 0..R {
                    for n in 0..N {
                        sums[r][n] = sums[r][n].max(low).min(high);
                    }
                }
            }
            for r in 0..R {
                for n in 0..N {
                    sums[r][n].store(c.add(r * self.ldc + n * V::LANES));
                }
            }
        }
    }

    /// The same for a row of the last columns, from memory.
    #[inline(always)]
    unsafe fn store_ragged<V: Vector>(&self, row: usize, column: usize, sums: &[f32; 2 * PANEL]) {
        let mut at = 0;
        // SAFETY: only columns that exist are read and written.
        unsafe {
            while at < sums.len() && column + at < self.columns {
                let lanes = V::LANES.min(self.columns - column - at);
                let mut sum = V::load(sums.as_ptr().add(at));
                let c = self.c.add(row * self.ldc + column + at);
                if self.accumulate {
                    sum = sum.add(V::load_partial(c, lanes));
                }
                if let Some(finish) = self.finish {
                    if !finish.bias.is_null() {
                        let bias = finish.bias.add(self.first_column + column + at);
                        sum = sum.add(V::load_partial(bias, lanes));
                    }
                    if !self.residual.is_null() {
                        let residual = self.residual.add(row * finish.residual_ld + column + at);
                        sum = sum.add(V::load_partial(residual, lanes));
                    }
                    sum = sum.max(V::splat(finish.low)).min(V::splat(finish.high));
                }
                sum.store_partial(c, lanes);
                at += V::LANES;
            }
        }
    }
}
