//! Products of a few rows by weights that are read as they lie, without packing or BLAS: each sum stays in a register over the whole
//! depth, and a row's sums are as wide as the registers allow, so that the weights are read in long contiguous pieces.

use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::vector::{SimdOp, Vector};

/// A strided matrix: row i is `data[i * ld..][..len]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StridedRows<'a> {
    pub data: &'a [f32],
    pub ld: usize,
    pub len: usize,
}

/// Rows of the result that share a pass over the weights.
const SHARED_ROWS: usize = 4;
/// The most floats of a vector.
const MAX_LANES: usize = 16;

/// out += x w: `w` is `(x.len, width)`, and `out` has so many rows of `width` floats, so many floats apart.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn add_products(
    isa: Isa,
    x: StridedRows<'_>,
    w: &[f32],
    width: usize,
    out: &mut [f32],
    (rows, ld): (usize, usize),
) {
    let Some(last) = rows.checked_sub(1) else { return };
    assert!(x.data.len() >= last * x.ld + x.len && w.len() >= x.len * width && out.len() >= last * ld + width);
    // SAFETY: all rows are within the slices, and a pool has a set that the machine supports.
    unsafe { isa.dispatch(Products { x, w: w.as_ptr(), width, out: out.as_mut_ptr(), rows, ld }) };
}

/// Arguments of [`add_products`], whose slices are long enough.
struct Products<'a> {
    x: StridedRows<'a>,
    w: *const f32,
    width: usize,
    out: *mut f32,
    rows: usize,
    ld: usize,
}

impl SimdOp for Products<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // AVX-512 has 32 registers; a tile needs one of them for a factor.
        let is_wide = V::LANES == MAX_LANES;
        let mut row = 0;
        while row < self.rows {
            // SAFETY: the rows are within the operands.
            unsafe {
                if row + SHARED_ROWS <= self.rows {
                    match is_wide {
                        true => self.columns::<V, SHARED_ROWS, 6, 2>(row),
                        false => self.columns::<V, SHARED_ROWS, 3, 1>(row),
                    }
                    row += SHARED_ROWS;
                } else {
                    match is_wide {
                        true => self.columns::<V, 1, 24, 8>(row),
                        false => self.columns::<V, 1, 12, 4>(row),
                    }
                    row += 1;
                }
            }
        }
    }
}

impl Products<'_> {
    /// `R` rows of the result, in tiles of `WIDE`, `NARROW` and single vectors.
    #[inline(always)]
    unsafe fn columns<V: Vector, const R: usize, const WIDE: usize, const NARROW: usize>(&self, row: usize) {
        let mut column = 0;
        // SAFETY: tiles are within the rows.
        unsafe {
            while column + WIDE * V::LANES <= self.width {
                self.tile::<V, R, WIDE>(row, column);
                column += WIDE * V::LANES;
            }
            while column + NARROW * V::LANES <= self.width {
                self.tile::<V, R, NARROW>(row, column);
                column += NARROW * V::LANES;
            }
            while column + V::LANES <= self.width {
                self.tile::<V, R, 1>(row, column);
                column += V::LANES;
            }
            if column < self.width {
                self.rest::<V, R>(row, column);
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize, const N: usize>(&self, row: usize, column: usize) {
        // SAFETY: the tile is within the result, and its columns within the weights.
        unsafe {
            let out = self.out.add(row * self.ld + column);
            let mut sums = [[V::splat(0.0); N]; R];
            for (r, sums) in sums.iter_mut().enumerate() {
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(out.add(r * self.ld + n * V::LANES));
                }
            }
            let (x, mut w) = (self.x.data.as_ptr().add(row * self.x.ld), self.w.add(column));
            for k in 0..self.x.len {
                let factors: [V; R] = std::array::from_fn(|r| V::splat(*x.add(r * self.x.ld + k)));
                for n in 0..N {
                    let weights = V::load(w.add(n * V::LANES));
                    for (sums, factor) in sums.iter_mut().zip(factors) {
                        sums[n] = factor.mul_add(weights, sums[n]);
                    }
                }
                w = w.wrapping_add(self.width);
            }
            for (r, sums) in sums.iter().enumerate() {
                for (n, sum) in sums.iter().enumerate() {
                    sum.store(out.add(r * self.ld + n * V::LANES));
                }
            }
        }
    }

    /// The last columns, fewer than a vector has.
    #[inline(always)]
    unsafe fn rest<V: Vector, const R: usize>(&self, row: usize, column: usize) {
        let count = self.width - column;
        // SAFETY: the columns are within the result and the weights; the buffer has a vector.
        unsafe {
            for r in row..row + R {
                let out = std::slice::from_raw_parts_mut(self.out.add(r * self.ld + column), count);
                let mut buffer = [0.0f32; MAX_LANES];
                buffer[..count].copy_from_slice(out);
                let mut sum = V::load(buffer.as_ptr());
                for k in 0..self.x.len {
                    let weights = std::slice::from_raw_parts(self.w.add(k * self.width + column), count);
                    buffer[..count].copy_from_slice(weights);
                    sum = V::splat(self.x.data[r * self.x.ld + k]).mul_add(V::load(buffer.as_ptr()), sum);
                }
                sum.store(buffer.as_mut_ptr());
                out.copy_from_slice(&buffer[..count]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, check_slice};

    #[test]
    fn products_are_added_to_the_output() {
        let mut random = Random(25);
        for (rows, len, width) in [(1, 1, 1), (3, 7, 5), (4, 17, 16), (9, 33, 39), (6, 0, 4), (5, 20, 401), (0, 3, 4)] {
            let (ld, out_ld) = (len + 2, width + 3);
            let (x, w) = (random.floats(rows * ld), random.floats(len * width));
            let before = random.floats(rows * out_ld);
            for isa in Isa::available() {
                let mut out = before.clone();
                add_products(isa, StridedRows { data: &x, ld, len }, &w, width, &mut out, (rows, out_ld));
                check_slice(&out, 3e-6, |i| {
                    let (row, column) = (i / out_ld, i % out_ld);
                    let term = |k: usize| f64::from(x[row * ld + k]) * f64::from(w[k * width + column]);
                    let terms = if column < width { len } else { 0 };
                    f64::from(before[i]) + (0..terms).map(term).sum::<f64>()
                });
            }
        }
    }
}
