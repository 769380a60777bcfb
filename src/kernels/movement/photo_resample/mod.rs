//! Resampling of 8-bit photos with weights in fixed point: first along the rows, rounded to u8, then along the columns.
//!
//! All sums are exact in integers: every instruction set gives the same bytes.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod filter;
mod passes;
mod portable;

pub use filter::{Filter, PRECISION};

use crate::kernels::simd::isa::Isa;
use filter::BLOCK;
use passes::{LANES, Passes};

/// Resamples `pixels`, (height, width, channels) in row-major order, to (rows, columns, channels), on the best instruction set.
///
/// Besides the result, it needs at most four bytes for each of its values, and a few rows.
///
/// # Panics
/// If a filter reaches beyond the photo, or `pixels` is not a number of whole rows of 1 or 3 channels.
pub fn resample(pixels: &[u8], (width, channels): (usize, usize), rows: &Filter, columns: &Filter) -> Vec<u8> {
    resample_on(Isa::detect(), pixels, (width, channels), rows, columns)
}

fn resample_on(isa: Isa, pixels: &[u8], (width, channels): (usize, usize), rows: &Filter, columns: &Filter) -> Vec<u8> {
    let line = width * channels;
    assert!(channels == 1 || channels == 3, "one or three channels");
    assert!(line > 0 && pixels.len().is_multiple_of(line), "whole rows");
    assert!(columns.end() <= width && rows.end() <= pixels.len() / line, "filters are within the photo");
    let shape = Shape::new(columns, channels);
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => run(&mut avx2::Avx2::new(pixels, line, columns, channels), shape, rows),
        _ => run(&mut portable::Portable { pixels, line, columns, channels }, shape, rows),
    }
}

/// The length of a row of the result, and of one in scratch memory: whole vectors, and at least one value more.
#[derive(Clone, Copy)]
struct Shape {
    row: usize,
    stride: usize,
}

impl Shape {
    fn new(columns: &Filter, channels: usize) -> Self {
        let row = columns.windows.len() * channels;
        Self { row, stride: (row + 1).next_multiple_of(LANES) }
    }
}

fn run(passes: &mut impl Passes, Shape { row, stride }: Shape, rows: &Filter) -> Vec<u8> {
    let needed = rows.windows.first().map_or(0, |window| window.start)..rows.end();
    // Rows of the result are finished in order, each with some values more, which the next one overwrites.
    let mut out = vec![0u8; rows.windows.len() * row + (stride - row)];
    let mut block = vec![0u8; BLOCK * stride];
    let slots = rows.max_unfinished(needed.start).max(1);
    let mut sums = vec![0i32; slots * stride];
    // The windows that contain rows of a block are a range that only moves forward.
    let mut first = 0;
    for y in needed.clone().step_by(BLOCK) {
        let until = (y + BLOCK).min(needed.end);
        while rows.windows.get(first).is_some_and(|window| window.end() <= y) {
            first += 1;
        }
        let windows = || (first..).zip(&rows.windows[first..]).take_while(|(_, window)| window.start < until);
        if windows().next().is_none() {
            continue;
        }
        passes.along_rows(y, stride, &mut block[..(until - y) * stride]);
        for (index, window) in windows().filter(|(_, window)| window.count > 0) {
            let (begin, end) = (window.start.max(y), window.end().min(until));
            let weights = &rows.of_window(window)[begin - window.start..end - window.start];
            let sums = &mut sums[index % slots * stride..][..stride];
            let out = (end == window.end()).then(|| &mut out[index * row..][..stride]);
            passes.along_columns(weights, &block[(begin - y) * stride..], sums, begin == window.start, out);
        }
    }
    out.truncate(rows.windows.len() * row);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::Random;

    /// The formula: sums of products, rounded after each dimension.
    fn reference(pixels: &[u8], (width, channels): (usize, usize), rows: &Filter, columns: &Filter) -> Vec<u8> {
        let mean = |filter: &Filter, index: usize, value: &dyn Fn(usize) -> u8| {
            let window = &filter.windows[index];
            let products =
                (window.start..).zip(filter.of_window(window)).map(|(at, &w)| i64::from(w) * i64::from(value(at)));
            ((products.sum::<i64>() + (1 << 21)) >> 22).clamp(0, 255) as u8
        };
        let (height, row) = (pixels.len() / (width * channels), columns.windows.len() * channels);
        let mut narrow = Vec::new();
        for y in 0..height {
            for i in 0..row {
                narrow.push(mean(columns, i / channels, &|x| pixels[(y * width + x) * channels + i % channels]));
            }
        }
        let outs = (0..rows.windows.len()).flat_map(|y| (0..row).map(move |i| (y, i)));
        outs.map(|(y, i)| mean(rows, y, &|at| narrow[at * row + i])).collect()
    }

    /// A filter from `from` to `to` pixels, or a part of them, with random weights of either sign whose sizes sum to at most one.
    fn filter(random: &mut Random, from: usize, to: usize) -> Filter {
        let mut filter = Filter::default();
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        let skipped = random.below(to);
        for index in skipped..skipped + 1 + random.below(to - skipped) {
            let center = (index as f64 + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let count = ((center + support + 0.5) as usize).min(from) - start;
            let most = (1 << PRECISION) / count;
            let one_only = random.below(8) == 0;
            filter.push(
                start,
                (0..count).map(|at| match (one_only, at) {
                    (false, _) => random.below(most + 1) as i32 * [1, 1, -1][random.below(3)],
                    (true, 0) => 1 << PRECISION,
                    (true, _) => 0,
                }),
            );
        }
        filter
    }

    /// Random sizes from one pixel on, enlarged and reduced, whole and in part, with pixels at the ends of the range.
    #[test]
    fn every_instruction_set_gives_the_bytes_of_the_formula() {
        let mut random = Random(7);
        for round in 0..400 {
            let limit = [3, 20, 90][round % 3];
            let [height, width, to_height, to_width] = [(); 4].map(|()| 1 + random.below(limit));
            let channels = [1, 3][random.below(2)];
            let extremes = random.below(3) == 0;
            let pixel =
                |random: &mut Random| if extremes { [0, 255][random.below(2)] } else { random.below(256) as u8 };
            let pixels: Vec<u8> = (0..height * width * channels).map(|_| pixel(&mut random)).collect();
            let (rows, columns) = (filter(&mut random, height, to_height), filter(&mut random, width, to_width));
            let expected = reference(&pixels, (width, channels), &rows, &columns);
            for isa in Isa::available() {
                let got = resample_on(isa, &pixels, (width, channels), &rows, &columns);
                assert!(got == expected, "{isa}: {height}x{width}x{channels} to {to_height}x{to_width}");
            }
        }
    }

    /// Sums of many weights, whose low halves exceed 32 bits, and which round to more than 255.
    #[test]
    fn long_windows_are_exact() {
        for channels in [1, 3] {
            let count = 65_535;
            let mut columns = Filter::default();
            columns.push(0, (0..count).map(|_| (1 << PRECISION) / count as i32 + 1));
            let mut one = Filter::default();
            one.push(0, [1 << PRECISION]);
            let pixels = vec![255; count * channels];
            for isa in Isa::available() {
                assert_eq!(resample_on(isa, &pixels, (count, channels), &one, &columns), vec![255; channels], "{isa}");
                let tall = resample_on(isa, &pixels, (1, channels), &columns, &one);
                assert_eq!(tall, vec![255; channels], "{isa}");
            }
        }
    }

    /// Few sums are open at a time when reducing; when enlarging, at most all rows of the result.
    #[test]
    fn scratch_memory_is_bounded() {
        let halves = |count: usize| {
            let mut filter = Filter::default();
            (0..count).for_each(|at| filter.push(at * 2, [1 << 20; 4]));
            filter
        };
        assert_eq!(halves(100).max_unfinished(0), 1);
        let mut wide = Filter::default();
        (0..100).for_each(|at| wide.push(at / 50 + 6, [1 << 21; 2]));
        assert_eq!((wide.max_unfinished(0), wide.max_unfinished(6)), (50, 0));
        assert_eq!(Filter::default().max_unfinished(0), 0);
    }

    #[test]
    #[should_panic(expected = "filters are within the photo")]
    fn a_filter_beyond_the_photo_is_refused() {
        let mut filter = Filter::default();
        filter.push(1, [1, 2]);
        resample(&[0; 12], (2, 3), &filter, &filter);
    }
}
