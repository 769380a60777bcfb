//! Reductions of each column (channel) over many rows (pixels).

use super::wide::wide;

/// Rows that are summed before the sum is added to the total: the error grows with the number of blocks, not of rows.
const BLOCK: usize = 32;

/// Columns `first..first + out.len()` of `rows` rows that are `ld` floats apart.
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
    let mut at = 0;
    while at + 32 <= columns {
        wide(at);
        at += 32;
    }
    while at + 8 <= columns {
        narrow(at);
        at += 8;
    }
    while at < columns {
        single(at);
        at += 1;
    }
}

/// The sum over rows of `term(row, column of out, lane's x)` for `T` columns.
#[inline(always)]
fn sum_tile<const T: usize>(c: Columns<'_>, at: usize, term: impl Fn(usize, usize, f32) -> f32) -> [f32; T] {
    let mut total = [0.0; T];
    for block in (0..c.rows).step_by(BLOCK) {
        let mut part = [0.0; T];
        for row in block..c.rows.min(block + BLOCK) {
            let x = &c.x[row * c.ld + c.first + at..][..T];
            for lane in 0..T {
                part[lane] += term(row, at + lane, x[lane]);
            }
        }
        for lane in 0..T {
            total[lane] += part[lane];
        }
    }
    total
}

#[inline(always)]
fn sum_all(c: Columns<'_>, out: &mut [f32], term: impl Fn(usize, usize, f32) -> f32 + Copy) {
    let out = std::cell::Cell::from_mut(out).as_slice_of_cells();
    let store = |at: usize, sums: &[f32]| sums.iter().enumerate().for_each(|(i, s)| out[at + i].set(*s));
    tiles(
        out.len(),
        |at| store(at, &sum_tile::<32>(c, at, term)),
        |at| store(at, &sum_tile::<8>(c, at, term)),
        |at| store(at, &sum_tile::<1>(c, at, term)),
    );
}

wide! {
    /// out = sum over rows of x
    pub(crate) fn sums(c: Columns<'_>, out: &mut [f32]) {
        sum_all(c, out, |_, _, x| x);
    }
}

wide! {
    /// out = sum over rows of (x - mean)^2, `mean` for the same columns as `out`
    pub(crate) fn squares(c: Columns<'_>, mean: &[f32], out: &mut [f32]) {
        let mean = &mean[..out.len()];
        sum_all(c, out, |_, column, x| (x - mean[column]) * (x - mean[column]));
    }
}

wide! {
    /// out = sum over rows of x * (other - mean); `other` has the same rows, columns and, from its start, `first`.
    pub(crate) fn products(c: Columns<'_>, other: &[f32], other_ld: usize, mean: &[f32], out: &mut [f32]) {
        let mean = &mean[..out.len()];
        sum_all(c, out, |row, column, x| x * (other[row * other_ld + c.first + column] - mean[column]));
    }
}

#[inline(always)]
fn max_tile<const T: usize>(c: Columns<'_>, at: usize, out: &mut [f32]) {
    let mut most = [f32::NEG_INFINITY; T];
    for row in 0..c.rows {
        let x = &c.x[row * c.ld + c.first + at..][..T];
        for lane in 0..T {
            most[lane] = if x[lane] > most[lane] { x[lane] } else { most[lane] };
        }
    }
    out[at..][..T].copy_from_slice(&most);
}

wide! {
    /// out = maximum over rows of x
    pub(crate) fn maxima(c: Columns<'_>, out: &mut [f32]) {
        let mut at = 0;
        while at + 32 <= out.len() {
            max_tile::<32>(c, at, out);
            at += 32;
        }
        while at + 8 <= out.len() {
            max_tile::<8>(c, at, out);
            at += 8;
        }
        while at < out.len() {
            max_tile::<1>(c, at, out);
            at += 1;
        }
    }
}
