//! The passes in plain code.

use super::filter::{Filter, PRECISION};
use super::passes::{HALF, LANES, Passes};

/// The photo, and the filter along its rows.
pub struct Portable<'a> {
    pub pixels: &'a [u8],
    /// Values of a row of the photo.
    pub line: usize,
    pub columns: &'a Filter,
    pub channels: usize,
}

impl Passes for Portable<'_> {
    fn along_rows(&mut self, first: usize, stride: usize, block: &mut [u8]) {
        let lines = self.pixels.chunks_exact(self.line).skip(first);
        for (line, row) in lines.zip(block.chunks_exact_mut(stride)) {
            match self.channels {
                1 => along_row::<1>(line, self.columns, row),
                _ => along_row::<3>(line, self.columns, row),
            }
        }
    }

    fn along_columns(&self, weights: &[i32], rows: &[u8], sums: &mut [i32], begins: bool, out: Option<&mut [u8]>) {
        along_columns(weights, rows, sums, begins, out);
    }
}

fn along_row<const C: usize>(line: &[u8], filter: &Filter, row: &mut [u8]) {
    let (line, _) = line.as_chunks::<C>();
    let (row, _) = row.as_chunks_mut::<C>();
    for (out, window) in row.iter_mut().zip(&filter.windows) {
        let mut sums = [HALF; C];
        for (pixel, weight) in line[window.start..window.end()].iter().zip(filter.of_window(window)) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += weight * i32::from(value);
            }
        }
        *out = sums.map(to_pixel);
    }
}

/// Adds rows (of `sums.len()` values each, a multiple of [`LANES`]) times their weights to the sums, which begin with these
/// rows if `begins`. With `out`, the sums end with these rows, and go there as pixels.
#[inline(always)]
pub fn along_columns(weights: &[i32], rows: &[u8], sums: &mut [i32], begins: bool, mut out: Option<&mut [u8]>) {
    let stride = sums.len();
    for (index, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let at = index * LANES;
        let mut total = if begins { [HALF; LANES] } else { *sums };
        for (weight, row) in weights.iter().zip(rows.chunks_exact(stride)) {
            for (total, &value) in total.iter_mut().zip(&row[at..at + LANES]) {
                *total += weight * i32::from(value);
            }
        }
        match &mut out {
            Some(out) => {
                for (out, sum) in out[at..at + LANES].iter_mut().zip(total) {
                    *out = to_pixel(sum);
                }
            }
            None => *sums = total,
        }
    }
}

fn to_pixel(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
