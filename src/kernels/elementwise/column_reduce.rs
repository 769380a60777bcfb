//! Reductions of each column (channel) over many rows (pixels).

use crate::kernels::simd::multiversion::multiversion;

/// Rows of a partial sum: sums are blocked so that the rounding error grows with the number of blocks, not of rows.
const BLOCK_ROWS: usize = 32;

/// Columns `first..first + out.len()` of `rows` rows with row stride `ld`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a> {
    pub x: &'a [f32],
    pub ld: usize,
    pub rows: usize,
    pub first: usize,
}

/// Covers `0..columns` with tiles of 32, 8 and 1.
#[inline(always)]
pub(crate) fn tiles(
    columns: usize,
    mut wide: impl FnMut(usize),
    mut narrow: impl FnMut(usize),
    mut single: impl FnMut(usize),
) {
    let mut column = 0;
    while column + 32 <= columns {
        wide(column);
        column += 32;
    }
    while column + 8 <= columns {
        narrow(column);
        column += 8;
    }
    while column < columns {
        single(column);
        column += 1;
    }
}

/// A sum reduction over rows: what each row contributes.
trait Reduction: Copy {
    /// Adds the contribution of one row to the accumulators of output columns `column..column + T`.
    fn accumulate<const T: usize>(self, row: usize, column: usize, sums: &mut [f32; T]);
}

#[inline(always)]
fn reduce_tile<const T: usize>(rows: usize, column: usize, reduction: impl Reduction) -> [f32; T] {
    let mut total = [0.0; T];
    for block in (0..rows).step_by(BLOCK_ROWS) {
        let mut partial = [0.0; T];
        for row in block..rows.min(block + BLOCK_ROWS) {
            reduction.accumulate(row, column, &mut partial);
        }
        for lane in 0..T {
            total[lane] += partial[lane];
        }
    }
    total
}

#[inline(always)]
fn reduce_columns(rows: usize, out: &mut [f32], reduction: impl Reduction) {
    let out = std::cell::Cell::from_mut(out).as_slice_of_cells();
    let store = |column: usize, sums: &[f32]| sums.iter().enumerate().for_each(|(i, s)| out[column + i].set(*s));
    tiles(
        out.len(),
        |column| store(column, &reduce_tile::<32>(rows, column, reduction)),
        |column| store(column, &reduce_tile::<8>(rows, column, reduction)),
        |column| store(column, &reduce_tile::<1>(rows, column, reduction)),
    );
}

impl<'a> Columns<'a> {
    #[inline(always)]
    fn tile<const T: usize>(&self, row: usize, column: usize) -> &'a [f32] {
        &self.x[row * self.ld + self.first + column..][..T]
    }
}

#[derive(Clone, Copy)]
struct Sum<'a>(Columns<'a>);

impl Reduction for Sum<'_> {
    #[inline(always)]
    fn accumulate<const T: usize>(self, row: usize, column: usize, sums: &mut [f32; T]) {
        let x = self.0.tile::<T>(row, column);
        for lane in 0..T {
            sums[lane] += x[lane];
        }
    }
}

#[derive(Clone, Copy)]
struct SquaredDeviation<'a>(Columns<'a>, &'a [f32]);

impl Reduction for SquaredDeviation<'_> {
    #[inline(always)]
    fn accumulate<const T: usize>(self, row: usize, column: usize, sums: &mut [f32; T]) {
        let (x, mean) = (self.0.tile::<T>(row, column), &self.1[column..][..T]);
        for lane in 0..T {
            sums[lane] += (x[lane] - mean[lane]) * (x[lane] - mean[lane]);
        }
    }
}

#[derive(Clone, Copy)]
struct DotProduct<'a>(Columns<'a>, Columns<'a>, &'a [f32]);

impl Reduction for DotProduct<'_> {
    #[inline(always)]
    fn accumulate<const T: usize>(self, row: usize, column: usize, sums: &mut [f32; T]) {
        let (x, other, mean) = (self.0.tile::<T>(row, column), self.1.tile::<T>(row, column), &self.2[column..][..T]);
        for lane in 0..T {
            sums[lane] += x[lane] * (other[lane] - mean[lane]);
        }
    }
}

multiversion! {
    /// out = sum over rows of x
    pub(crate) fn sums(x: Columns<'_>, out: &mut [f32]) {
        reduce_columns(x.rows, out, Sum(x));
    }
}

multiversion! {
    /// out = sum over rows of (x - mean)^2, `mean` for the same columns as `out`
    pub(crate) fn squares(x: Columns<'_>, mean: &[f32], out: &mut [f32]) {
        reduce_columns(x.rows, out, SquaredDeviation(x, mean));
    }
}

multiversion! {
    /// out = sum over rows of x * (other - mean), `mean` for the same columns as `out`
    pub(crate) fn products(x: Columns<'_>, other: Columns<'_>, mean: &[f32], out: &mut [f32]) {
        reduce_columns(x.rows, out, DotProduct(x, other, mean));
    }
}

#[inline(always)]
fn max_tile<const T: usize>(x: Columns<'_>, column: usize, out: &mut [f32]) {
    let mut max = [f32::NEG_INFINITY; T];
    for row in 0..x.rows {
        let x = &x.x[row * x.ld + x.first + column..][..T];
        for lane in 0..T {
            max[lane] = if x[lane] > max[lane] { x[lane] } else { max[lane] };
        }
    }
    out[column..][..T].copy_from_slice(&max);
}

multiversion! {
    /// out = maximum over rows of x
    pub(crate) fn maxima(x: Columns<'_>, out: &mut [f32]) {
        let mut column = 0;
        while column + 32 <= out.len() {
            max_tile::<32>(x, column, out);
            column += 32;
        }
        while column + 8 <= out.len() {
            max_tile::<8>(x, column, out);
            column += 8;
        }
        while column < out.len() {
            max_tile::<1>(x, column, out);
            column += 1;
        }
    }
}
