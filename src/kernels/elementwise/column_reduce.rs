//! Reductions of each column (channel) over many rows (pixels).

use crate::kernels::simd::multiversion::multiversion;

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

/// What is summed over the rows.
trait Term: Copy {
    /// Adds one row's terms for columns `at..at + T` (of the output) to `sums`.
    fn add<const T: usize>(self, row: usize, at: usize, sums: &mut [f32; T]);
}

#[inline(always)]
fn sum_tile<const T: usize>(rows: usize, at: usize, term: impl Term) -> [f32; T] {
    let mut total = [0.0; T];
    for block in (0..rows).step_by(BLOCK) {
        let mut part = [0.0; T];
        for row in block..rows.min(block + BLOCK) {
            term.add(row, at, &mut part);
        }
        for lane in 0..T {
            total[lane] += part[lane];
        }
    }
    total
}

#[inline(always)]
fn sum_all(rows: usize, out: &mut [f32], term: impl Term) {
    let out = std::cell::Cell::from_mut(out).as_slice_of_cells();
    let store = |at: usize, sums: &[f32]| sums.iter().enumerate().for_each(|(i, s)| out[at + i].set(*s));
    tiles(
        out.len(),
        |at| store(at, &sum_tile::<32>(rows, at, term)),
        |at| store(at, &sum_tile::<8>(rows, at, term)),
        |at| store(at, &sum_tile::<1>(rows, at, term)),
    );
}

impl<'a> Columns<'a> {
    #[inline(always)]
    fn tile<const T: usize>(&self, row: usize, at: usize) -> &'a [f32] {
        &self.x[row * self.ld + self.first + at..][..T]
    }
}

#[derive(Clone, Copy)]
struct Plain<'a>(Columns<'a>);

impl Term for Plain<'_> {
    #[inline(always)]
    fn add<const T: usize>(self, row: usize, at: usize, sums: &mut [f32; T]) {
        let x = self.0.tile::<T>(row, at);
        for lane in 0..T {
            sums[lane] += x[lane];
        }
    }
}

#[derive(Clone, Copy)]
struct Squares<'a>(Columns<'a>, &'a [f32]);

impl Term for Squares<'_> {
    #[inline(always)]
    fn add<const T: usize>(self, row: usize, at: usize, sums: &mut [f32; T]) {
        let (x, mean) = (self.0.tile::<T>(row, at), &self.1[at..][..T]);
        for lane in 0..T {
            sums[lane] += (x[lane] - mean[lane]) * (x[lane] - mean[lane]);
        }
    }
}

#[derive(Clone, Copy)]
struct Products<'a>(Columns<'a>, Columns<'a>, &'a [f32]);

impl Term for Products<'_> {
    #[inline(always)]
    fn add<const T: usize>(self, row: usize, at: usize, sums: &mut [f32; T]) {
        let (x, other, mean) = (self.0.tile::<T>(row, at), self.1.tile::<T>(row, at), &self.2[at..][..T]);
        for lane in 0..T {
            sums[lane] += x[lane] * (other[lane] - mean[lane]);
        }
    }
}

multiversion! {
    /// out = sum over rows of x
    pub(crate) fn sums(x: Columns<'_>, out: &mut [f32]) {
        sum_all(x.rows, out, Plain(x));
    }
}

multiversion! {
    /// out = sum over rows of (x - mean)^2, `mean` for the same columns as `out`
    pub(crate) fn squares(x: Columns<'_>, mean: &[f32], out: &mut [f32]) {
        sum_all(x.rows, out, Squares(x, mean));
    }
}

multiversion! {
    /// out = sum over rows of x * (other - mean), `mean` for the same columns as `out`
    pub(crate) fn products(x: Columns<'_>, other: Columns<'_>, mean: &[f32], out: &mut [f32]) {
        sum_all(x.rows, out, Products(x, other, mean));
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

multiversion! {
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
