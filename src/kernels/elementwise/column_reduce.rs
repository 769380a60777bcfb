//! Reductions of each column (channel) over many rows (pixels).

use crate::kernels::simd::multiversion::multiversion;
use std::cell::Cell;
use std::ops::Range;

/// Rows of a partial sum: sums are blocked so that the rounding error grows with the number of blocks, not of rows, and few,
/// so that the rows are read as so many streams.
const BLOCK_ROWS: usize = 8;

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

/// Sum reductions over rows, `K` at once: what each row contributes.
trait Reduction<const K: usize>: Copy {
    /// Adds the contribution of one row to the accumulators of output columns `column..column + T`.
    fn accumulate<const T: usize>(self, row: usize, column: usize, sums: &mut [[f32; T]; K]);
}

/// Adds the sums of these rows to the output columns from `column` on.
#[inline(always)]
fn add_tile<const T: usize, const K: usize>(
    rows: Range<usize>,
    column: usize,
    out: [&[Cell<f32>]; K],
    reduction: impl Reduction<K>,
) {
    let mut partial = [[0.0; T]; K];
    for row in rows {
        reduction.accumulate(row, column, &mut partial);
    }
    for (out, partial) in out.iter().zip(&partial) {
        for (out, partial) in out[column..][..T].iter().zip(partial) {
            out.set(out.get() + partial);
        }
    }
}

/// out = `K` sums of each column, `(K, columns)`
#[inline(always)]
fn reduce_columns<const K: usize>(rows: usize, out: &mut [f32], reduction: impl Reduction<K>) {
    out.fill(0.0);
    let columns = out.len() / K;
    let out = Cell::from_mut(out).as_slice_of_cells();
    let out: [_; K] = std::array::from_fn(|k| &out[k * columns..][..columns]);
    for block in (0..rows).step_by(BLOCK_ROWS) {
        let rows = || block..rows.min(block + BLOCK_ROWS);
        tiles(
            columns,
            |column| add_tile::<32, K>(rows(), column, out, reduction),
            |column| add_tile::<8, K>(rows(), column, out, reduction),
            |column| add_tile::<1, K>(rows(), column, out, reduction),
        );
    }
}

impl<'a> Columns<'a> {
    #[inline(always)]
    fn tile<const T: usize>(&self, row: usize, column: usize) -> &'a [f32] {
        &self.x[row * self.ld + self.first + column..][..T]
    }
}

#[derive(Clone, Copy)]
struct Sum<'a>(Columns<'a>);

impl Reduction<1> for Sum<'_> {
    #[inline(always)]
    fn accumulate<const T: usize>(self, row: usize, column: usize, [sums]: &mut [[f32; T]; 1]) {
        let x = self.0.tile::<T>(row, column);
        for lane in 0..T {
            sums[lane] += x[lane];
        }
    }
}

#[derive(Clone, Copy)]
struct SquaredDeviation<'a>(Columns<'a>, &'a [f32]);

impl Reduction<1> for SquaredDeviation<'_> {
    #[inline(always)]
    fn accumulate<const T: usize>(self, row: usize, column: usize, [sums]: &mut [[f32; T]; 1]) {
        let (x, mean) = (self.0.tile::<T>(row, column), &self.1[column..][..T]);
        for lane in 0..T {
            sums[lane] += (x[lane] - mean[lane]) * (x[lane] - mean[lane]);
        }
    }
}

#[derive(Clone, Copy)]
struct DotProduct<'a>(Columns<'a>, Columns<'a>, &'a [f32]);

impl Reduction<1> for DotProduct<'_> {
    #[inline(always)]
    fn accumulate<const T: usize>(self, row: usize, column: usize, [sums]: &mut [[f32; T]; 1]) {
        let (x, other, mean) = (self.0.tile::<T>(row, column), self.1.tile::<T>(row, column), &self.2[column..][..T]);
        for lane in 0..T {
            sums[lane] += x[lane] * (other[lane] - mean[lane]);
        }
    }
}

/// The dot product and the sum, which read `x` once.
#[derive(Clone, Copy)]
struct DotProductAndSum<'a>(DotProduct<'a>);

impl Reduction<2> for DotProductAndSum<'_> {
    #[inline(always)]
    fn accumulate<const T: usize>(self, row: usize, column: usize, [products, sums]: &mut [[f32; T]; 2]) {
        let DotProduct(x, other, mean) = self.0;
        let (x, other, mean) = (x.tile::<T>(row, column), other.tile::<T>(row, column), &mean[column..][..T]);
        for lane in 0..T {
            products[lane] += x[lane] * (other[lane] - mean[lane]);
            sums[lane] += x[lane];
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

multiversion! {
    /// out = sum over rows of x * (other - mean), then the sum of x: `(2, columns)`; `mean` for the same columns as `out`
    pub(crate) fn products_and_sums(x: Columns<'_>, other: Columns<'_>, mean: &[f32], out: &mut [f32]) {
        reduce_columns(x.rows, out, DotProductAndSum(DotProduct(x, other, mean)));
    }
}

multiversion! {
    /// out = the mean over rows of x, then the sum of the squared deviations from it: `(2, columns)`
    pub(crate) fn moments(x: Columns<'_>, out: &mut [f32]) {
        let (mean, squares) = out.split_at_mut(out.len() / 2);
        reduce_columns(x.rows, mean, Sum(x));
        let inv_count = 1.0 / x.rows as f32;
        mean.iter_mut().for_each(|v| *v *= inv_count);
        reduce_columns(x.rows, squares, SquaredDeviation(x, mean));
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
