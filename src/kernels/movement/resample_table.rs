//! The input pixels and weights of all output pixels along an axis, and the sums over them.

use crate::kernels::simd::multiversion::multiversion;

/// The most input pixels along an axis that an output pixel is a sum of.
pub const MAX_TAPS: usize = 4;

/// For each output pixel along an axis the input pixels that it is a sum of and their weights, in a slice of floats: `taps`
/// indices, whose bits a float holds, then `taps` weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    data: &'a [f32],
    pub taps: usize,
}

impl<'a> Table<'a> {
    /// Floats of a table of so many output pixels.
    pub fn len(outputs: usize, taps: usize) -> usize {
        outputs * 2 * taps
    }

    /// Fills `data` by a function from an output pixel to its input pixels, which ascend, and their weights.
    pub fn new(
        data: &'a mut [f32],
        outputs: usize,
        taps: usize,
        of: impl Fn(usize) -> ([usize; MAX_TAPS], [f64; MAX_TAPS]),
    ) -> Self {
        for (at, entry) in data.chunks_exact_mut(2 * taps).take(outputs).enumerate() {
            let (indices, weights) = of(at);
            let (places, factors) = entry.split_at_mut(taps);
            // Descriptions with more pixels are refused.
            places.iter_mut().zip(indices).for_each(|(place, index)| *place = f32::from_bits(index as u32));
            factors.iter_mut().zip(weights).for_each(|(factor, weight)| *factor = weight as f32);
        }
        Self { data, taps }
    }

    /// The entry of an output pixel, as a table of one.
    pub fn at(self, output: usize) -> Self {
        Self { data: &self.data[output * 2 * self.taps..][..2 * self.taps], ..self }
    }

    /// An input pixel of an output pixel.
    #[inline(always)]
    pub fn index(self, output: usize, tap: usize) -> usize {
        self.data[output * 2 * self.taps + tap].to_bits() as usize
    }

    /// The weight of an input pixel of an output pixel.
    #[inline(always)]
    pub fn weight(self, output: usize, tap: usize) -> f32 {
        self.data[(output * 2 + 1) * self.taps + tap]
    }

    /// The output pixels that an input pixel is part of, and its weight in each.
    pub fn sums_with(self, input: usize) -> impl Iterator<Item = (usize, f32)> {
        let outputs = self.data.len() / (2 * self.taps);
        // Input pixels ascend with the output pixels.
        let first = partition_point(outputs, |output| self.index(output, self.taps - 1) < input);
        let end = partition_point(outputs, |output| self.index(output, 0) <= input);
        (first..end.max(first)).map(move |output| {
            let of_input = (0..self.taps).filter(|&tap| self.index(output, tap) == input);
            (output, of_input.map(|tap| self.weight(output, tap)).sum())
        })
    }
}

/// The first number below `end` for which a condition that holds for the smaller ones does not.
fn partition_point(end: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        match holds(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

multiversion! {
    /// `out`, a row of pixels without gaps, = the weighted sum of rows of an image. `image` has pixels `ld` apart.
    pub(super) fn blend_rows(out: &mut [f32], image: &[f32], ld: usize, channels: usize, table: Table<'_>) {
        let width = out.len() / channels;
        let row = |tap: usize| &image[table.index(0, tap) * width * ld..];
        match (table.taps, ld == channels) {
            (2, true) => blend([row(0), row(1)], weights(table, 0), out),
            (2, false) => {
                for (j, pixel) in out.chunks_exact_mut(channels).enumerate() {
                    blend([row(0), row(1)].map(|row| &row[j * ld..]), weights(table, 0), pixel);
                }
            }
            (_, true) => blend([row(0), row(1), row(2), row(3)], weights(table, 0), out),
            (_, false) => {
                for (j, pixel) in out.chunks_exact_mut(channels).enumerate() {
                    blend([row(0), row(1), row(2), row(3)].map(|row| &row[j * ld..]), weights(table, 0), pixel);
                }
            }
        }
    }
}

multiversion! {
    /// `out`, a row of pixels `ld` apart, = weighted sums of the pixels of `row`, which has no gaps.
    pub(super) fn blend_columns(out: &mut [f32], ld: usize, row: &[f32], channels: usize, table: Table<'_>) {
        for (j, pixel) in out.chunks_mut(ld).enumerate() {
            let from = |tap: usize| &row[table.index(j, tap) * channels..];
            let pixel = &mut pixel[..channels];
            match table.taps {
                2 => blend([from(0), from(1)], weights(table, j), pixel),
                _ => blend([from(0), from(1), from(2), from(3)], weights(table, j), pixel),
            }
        }
    }
}

#[inline(always)]
fn weights<const T: usize>(table: Table<'_>, output: usize) -> [f32; T] {
    std::array::from_fn(|tap| table.weight(output, tap))
}

/// `out` = the weighted sum of slices that are at least as long.
#[inline(always)]
fn blend<const T: usize>(from: [&[f32]; T], weights: [f32; T], out: &mut [f32]) {
    let from = from.map(|slice| &slice[..out.len()]);
    for (i, out) in out.iter_mut().enumerate() {
        let mut sum = weights[0] * from[0][i];
        for tap in 1..T {
            sum += weights[tap] * from[tap][i];
        }
        *out = sum;
    }
}
