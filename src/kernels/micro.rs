//! Small matrix products in registers, for kernels whose matrices are too small or too scattered for BLAS.

use super::wide::wide;

/// acc[p][c] += sum over k of x[p][k] * w[k * ld + c]
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

/// Rows of a matrix: row i is `data[i * ld..][..len]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub data: &'a [f32],
    pub ld: usize,
    pub len: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.ld..][..self.len]
    }
}

wide! {
    /// out += x w: `w` is `(x.len, width)` and `out` `(rows, width)`, both dense; `out` says how many rows.
    pub(crate) fn add_products(x: Rows<'_>, w: &[f32], width: usize, out: &mut [f32]) {
        let rows = out.len() / width;
        let mut at = 0;
        while at < rows {
            if at + 4 <= rows {
                add_rows::<4>(x, at, w, width, out);
                at += 4;
            } else {
                add_rows::<1>(x, at, w, width, out);
                at += 1;
            }
        }
    }
}

#[inline(always)]
fn add_rows<const P: usize>(x: Rows<'_>, at: usize, w: &[f32], width: usize, out: &mut [f32]) {
    let mut column = 0;
    while column < width {
        if column + 16 <= width {
            add_tile::<P, 16>(x, at, w, width, out, column);
            column += 16;
        } else if column + 4 <= width {
            add_tile::<P, 4>(x, at, w, width, out, column);
            column += 4;
        } else {
            add_tile::<P, 1>(x, at, w, width, out, column);
            column += 1;
        }
    }
}

#[inline(always)]
fn add_tile<const P: usize, const C: usize>(
    x: Rows<'_>,
    at: usize,
    w: &[f32],
    width: usize,
    out: &mut [f32],
    column: usize,
) {
    let mut acc = [[0.0; C]; P];
    for p in 0..P {
        acc[p].copy_from_slice(&out[(at + p) * width + column..][..C]);
    }
    accumulate(&mut acc, std::array::from_fn(|p| x.row(at + p)), &w[column..], width);
    for p in 0..P {
        out[(at + p) * width + column..][..C].copy_from_slice(&acc[p]);
    }
}
