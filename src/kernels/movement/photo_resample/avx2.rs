//! The passes with AVX2.
//!
//! Along the rows, `vpmaddwd` multiplies and adds two pixels at a time. It takes factors of 16 bits, so a weight is split into
//! two halves of 11 bits, with a sum of products for each; both sums wrap, and so does the total, whose true value fits.

use super::filter::{Filter, PRECISION};
use super::passes::{HALF, Passes};
use super::portable;
use std::arch::x86_64::*;

/// Source pixels whose weights are together in a group.
const TAPS: usize = 4;
/// Rows that are resampled together.
const ROWS: usize = 4;
/// Bits of the lower half of a weight.
const LOW_BITS: u32 = 11;
/// Bytes that may be read beyond a row: a group reaches `TAPS - 1` pixels beyond its window, and is read as 16 bytes.
const PADDING: usize = 16;

/// A window in groups of [`TAPS`] weights, the last of which are zeros.
struct Groups {
    start: usize,
    first: usize,
    count: usize,
}

/// The photo, and the filter along its rows.
pub struct Avx2<'a> {
    pixels: &'a [u8],
    line: usize,
    channels: usize,
    /// The first row that has fewer than [`PADDING`] bytes after it.
    split: usize,
    /// The rows from `split` on, and as many bytes.
    last: Vec<u8>,
    windows: Vec<Groups>,
    /// Pairs of 16 bits: the upper halves of four weights, and the lower halves.
    groups: Vec<[i32; 4]>,
}

impl<'a> Avx2<'a> {
    /// `pixels` has rows of `line` values, which contain all windows of `columns`; AVX2 must have been detected.
    pub fn new(pixels: &'a [u8], line: usize, columns: &Filter, channels: usize) -> Self {
        assert!(is_x86_feature_detected!("avx2") && columns.end() * channels <= line);
        let split = pixels.len().saturating_sub(PADDING) / line;
        let last = [&pixels[split * line..], &[0; PADDING]].concat();
        let mut groups = Vec::with_capacity(columns.weights.len() / TAPS + columns.windows.len());
        let windows = columns.windows.iter().map(|window| {
            let first = groups.len();
            groups.extend(columns.of_window(window).chunks(TAPS).map(|weights| {
                let weight = |at: usize| weights.get(at).copied().unwrap_or(0);
                let pair = |a: i32, b: i32| (a & 0xffff) | (b << 16);
                let high = |at| weight(at) >> LOW_BITS;
                let low = |at| weight(at) & ((1 << LOW_BITS) - 1);
                [pair(high(0), high(1)), pair(high(2), high(3)), pair(low(0), low(1)), pair(low(2), low(3))]
            }));
            Groups { start: window.start, first, count: groups.len() - first }
        });
        let windows = windows.collect();
        Self { pixels, line, channels, split, last, windows, groups }
    }

    /// A row of the photo and [`PADDING`] bytes more.
    fn padded(&self, y: usize) -> &[u8] {
        let (bytes, y) = if y < self.split { (self.pixels, y) } else { (&self.last[..], y - self.split) };
        &bytes[y * self.line..][..self.line + PADDING]
    }
}

impl Passes for Avx2<'_> {
    fn along_rows(&mut self, first: usize, stride: usize, block: &mut [u8]) {
        let count = block.len() / stride;
        let to = block.as_mut_ptr();
        for begin in (0..count).step_by(ROWS) {
            // Fewer than four rows: the last one is repeated.
            let rows: [usize; ROWS] = std::array::from_fn(|k| (begin + k).min(count - 1));
            let lines = rows.map(|row| self.padded(first + row).as_ptr());
            // SAFETY: `stride` is larger than a row of the result, and `block` has `count` of them.
            let out = rows.map(|row| unsafe { to.add(row * stride) });
            // SAFETY: AVX2 was detected. Groups begin within their windows, which end within the row, so 16 bytes from
            // there end within the padding.
            unsafe {
                match self.channels {
                    1 => gray(lines, &self.windows, &self.groups, out),
                    _ => rgb(lines, &self.windows, &self.groups, out),
                }
            }
        }
    }

    fn along_columns(&self, weights: &[i32], rows: &[u8], sums: &mut [i32], begins: bool, out: Option<&mut [u8]>) {
        // SAFETY: AVX2 was detected.
        unsafe { along_columns(weights, rows, sums, begins, out) }
    }
}

/// As [`portable::along_columns`], vectorized by the compiler.
#[target_feature(enable = "avx2")]
fn along_columns(weights: &[i32], rows: &[u8], sums: &mut [i32], begins: bool, out: Option<&mut [u8]>) {
    portable::along_columns(weights, rows, sums, begins, out);
}

/// The total of both halves' sums, rounded to pixels of 32 bits.
#[target_feature(enable = "avx2")]
fn pixels_of(high: __m256i, low: __m256i) -> __m256i {
    let sum = _mm256_add_epi32(_mm256_slli_epi32::<{ LOW_BITS as i32 }>(high), low);
    _mm256_srai_epi32::<{ PRECISION as i32 }>(sum)
}

/// # Safety
/// AVX2; 16 bytes are readable from each group's first pixel in each of `lines`, and a byte more than a row is writable in each
/// of `out`.
#[target_feature(enable = "avx2")]
unsafe fn rgb(lines: [*const u8; ROWS], windows: &[Groups], groups: &[[i32; 4]], out: [*mut u8; ROWS]) {
    // The channels of two pixels next to each other, widened to 16 bits: of the first two pixels, and of the next two.
    let pair = |at: i8| {
        let [a, b, c] = [at, at + 1, at + 2];
        let half = _mm_setr_epi8(a, -1, a + 3, -1, b, -1, b + 3, -1, c, -1, c + 3, -1, -1, -1, -1, -1);
        _mm256_broadcastsi128_si256(half)
    };
    let (first, second) = (pair(0), pair(6));
    let zero = _mm256_setzero_si256();
    for (index, window) in windows.iter().enumerate() {
        // Two rows in each.
        let (mut high, mut low) = ([zero; 2], [_mm256_set1_epi32(HALF); 2]);
        for (group, &weights) in groups[window.first..][..window.count].iter().enumerate() {
            let at = (window.start + group * TAPS) * 3;
            let [high_first, high_second, low_first, low_second] = weights.map(|pair| _mm256_set1_epi32(pair));
            for rows in 0..2 {
                // SAFETY: the caller's promise.
                let four =
                    unsafe { _mm256_loadu2_m128i(lines[2 * rows + 1].add(at).cast(), lines[2 * rows].add(at).cast()) };
                let (a, b) = (_mm256_shuffle_epi8(four, first), _mm256_shuffle_epi8(four, second));
                let products = |x, y| _mm256_add_epi32(_mm256_madd_epi16(a, x), _mm256_madd_epi16(b, y));
                high[rows] = _mm256_add_epi32(high[rows], products(high_first, high_second));
                low[rows] = _mm256_add_epi32(low[rows], products(low_first, low_second));
            }
        }
        let pixels = _mm256_packus_epi32(pixels_of(high[0], low[0]), pixels_of(high[1], low[1]));
        let bytes = _mm256_packus_epi16(pixels, pixels);
        let even = _mm_cvtsi128_si64(_mm256_castsi256_si128(bytes));
        let odd = _mm_cvtsi128_si64(_mm256_extracti128_si256::<1>(bytes));
        // Rows 0 and 2 are in the low half, 1 and 3 in the other. The fourth byte is overwritten by the next pixel.
        let rows = [even as u32, odd as u32, (even >> 32) as u32, (odd >> 32) as u32];
        for (out, pixel) in out.iter().zip(rows) {
            // SAFETY: the caller's promise.
            unsafe { out.add(index * 3).cast::<u32>().write_unaligned(pixel) };
        }
    }
}

/// # Safety
/// As of [`rgb`].
#[target_feature(enable = "avx2")]
unsafe fn gray(lines: [*const u8; ROWS], windows: &[Groups], groups: &[[i32; 4]], out: [*mut u8; ROWS]) {
    for (index, window) in windows.iter().enumerate() {
        // Each row has two sums, of every second pair of pixels.
        let (mut high, mut low) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for (group, weights) in groups[window.first..][..window.count].iter().enumerate() {
            let at = window.start + group * TAPS;
            // SAFETY: the caller's promise.
            let four = lines.map(|line| unsafe { line.add(at).cast::<i32>().read_unaligned() });
            let pixels = _mm256_cvtepu8_epi16(_mm_setr_epi32(four[0], four[1], four[2], four[3]));
            let four = |a: i32, b: i32| _mm256_set1_epi64x(i64::from(a as u32) | (i64::from(b) << 32));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, four(weights[0], weights[1])));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, four(weights[2], weights[3])));
        }
        let (high, low) = (_mm256_hadd_epi32(high, high), _mm256_hadd_epi32(low, low));
        let pixels = pixels_of(high, _mm256_add_epi32(low, _mm256_set1_epi32(HALF)));
        let bytes = _mm256_packus_epi16(_mm256_packus_epi32(pixels, pixels), pixels);
        let (upper, lower) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
        let (upper, lower) = (_mm_cvtsi128_si32(upper).to_le_bytes(), _mm_cvtsi128_si32(lower).to_le_bytes());
        for (out, pixel) in out.iter().zip([upper[0], upper[1], lower[0], lower[1]]) {
            // SAFETY: the caller's promise.
            unsafe { out.add(index).write(pixel) };
        }
    }
}
