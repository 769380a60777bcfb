//! Small matrix products by auto-vectorised register tiles, for kernels whose matrices are too small or too scattered for
//! packing or BLAS.

use crate::kernels::simd::multiversion::multiversion;

/// `acc[p][c] +=` sum over k of `x[p][k] * w[k * ld + c]`
#[inline(always)]
pub(crate) fn accumulate<const P: usize, const C: usize>(
    acc: &mut [[f32; C]; P],
    x: [&[f32]; P],
    w: &[f32],
    ld: usize,
) {
    for k in 0..x[0].len() {
        let row = &w[k * ld..][..C];
        for p in 0..P {
            let factor = x[p][k];
            for c in 0..C {
                acc[p][c] += factor * row[c];
            }
        }
    }
}

/// A strided matrix: row i is `data[i * ld..][..len]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StridedRows<'a> {
    pub data: &'a [f32],
    pub ld: usize,
    pub len: usize,
}

impl<'a> StridedRows<'a> {
    #[inline(always)]
    fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.ld..][..self.len]
    }
}

multiversion! {
    /// out += x w: `w` is `(x.len, width)` and `out` `(rows, width)`, both contiguous; `rows` follows from the length of
    /// `out`.
    pub(crate) fn add_products(x: StridedRows<'_>, w: &[f32], width: usize, out: &mut [f32]) {
        let rows = out.len() / width;
        add_all_rows(x, w, width, out, (rows, width));
    }
}

multiversion! {
    /// As [`add_products`], for so many rows of `out`, so many floats apart. The sums are the same.
    pub(crate) fn add_strided_products(
        x: StridedRows<'_>,
        w: &[f32],
        width: usize,
        out: &mut [f32],
        rows: (usize, usize),
    ) {
        add_all_rows(x, w, width, out, rows);
    }
}

#[inline(always)]
fn add_all_rows(x: StridedRows<'_>, w: &[f32], width: usize, out: &mut [f32], (rows, ld): (usize, usize)) {
    let mut row_index = 0;
    while row_index < rows {
        if row_index + 4 <= rows {
            add_rows::<4>(x, row_index, (w, width), out, ld);
            row_index += 4;
        } else {
            add_rows::<1>(x, row_index, (w, width), out, ld);
            row_index += 1;
        }
    }
}

/// Rows of `w` per pass: more rows would conflict in the cache, fewer would load and store the sums too often.
const PASS_K: usize = 8;

#[inline(always)]
fn add_rows<const P: usize>(
    x: StridedRows<'_>,
    row_index: usize,
    (w, width): (&[f32], usize),
    out: &mut [f32],
    ld: usize,
) {
    for k in (0..x.len).step_by(PASS_K) {
        let depth = PASS_K.min(x.len - k);
        let rows = std::array::from_fn(|p| &x.row(row_index + p)[k..k + depth]);
        let (w, out) = (&w[k * width..], &mut out[row_index * ld..]);
        let mut column = 0;
        while column < width {
            if column + 16 <= width {
                add_tile::<P, 16>(rows, (w, width), out, ld, column);
                column += 16;
            } else if column + 4 <= width {
                add_tile::<P, 4>(rows, (w, width), out, ld, column);
                column += 4;
            } else {
                add_tile::<P, 1>(rows, (w, width), out, ld, column);
                column += 1;
            }
        }
    }
}

#[inline(always)]
fn add_tile<const P: usize, const C: usize>(
    x: [&[f32]; P],
    (w, width): (&[f32], usize),
    out: &mut [f32],
    ld: usize,
    column: usize,
) {
    let mut acc = [[0.0; C]; P];
    for p in 0..P {
        acc[p].copy_from_slice(&out[p * ld + column..][..C]);
    }
    accumulate(&mut acc, x, &w[column..], width);
    for p in 0..P {
        out[p * ld + column..][..C].copy_from_slice(&acc[p]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, check_slice};

    #[test]
    fn products_are_added_to_the_output() {
        let mut random = Random(25);
        for (rows, len, width) in [(1, 1, 1), (3, 7, 5), (4, 17, 16), (9, 33, 39), (6, 0, 4)] {
            let ld = len + 2;
            let (x, w) = (random.floats(rows * ld), random.floats(len * width));
            let before = random.floats(rows * width);
            let mut out = before.clone();
            add_products(StridedRows { data: &x, ld, len }, &w, width, &mut out);
            check_slice(&out, 3e-6, |i| {
                let term = |k: usize| f64::from(x[i / width * ld + k]) * f64::from(w[k * width + i % width]);
                f64::from(before[i]) + (0..len).map(term).sum::<f64>()
            });
        }
    }
}
