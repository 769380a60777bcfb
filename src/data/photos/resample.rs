//! Resizing 8-bit pictures with a triangle filter, which is widened by the scale when shrinking.
//!
//! Bit-identical to Pillow's `Image.resize(..., BILINEAR)` (`libImaging/Resample.c`): weights in f64, normalised, then in
//! 22-bit fixed point; first along the rows, rounded to u8, then along the columns, rounded to u8. (For some sizes, Pillow 13
//! resizes the columns first, which changes values by at most one level.)

use super::picture::Picture;

/// The fraction bits of a weight: 32, less 8 for the pixel and 2 of headroom for the sum (as in Pillow).
const PRECISION: u32 = 32 - 8 - 2;

/// One dimension of the resize: from `from` to `to` pixels, of which only `start .. start + count` are needed.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    pub from: usize,
    pub to: u64,
    pub start: u64,
    pub count: usize,
}

/// The cropped part of the resized picture, (rows.count, columns.count, channels) in u8.
///
/// Only that part is computed, and source rows are accumulated one by one: besides the result, it needs four bytes for each
/// of its values, whatever the size of the picture.
pub fn resample(picture: &Picture, rows: Side, columns: Side) -> Vec<u8> {
    match picture.channels {
        1 => resample_channels::<1>(picture, rows, columns),
        _ => resample_channels::<3>(picture, rows, columns),
    }
}

fn resample_channels<const C: usize>(picture: &Picture, rows: Side, columns: Side) -> Vec<u8> {
    let (vertical, horizontal) = (Weights::of(rows), Weights::of(columns));
    let row_length = columns.count * C;
    let mut sums = vec![1i32 << (PRECISION - 1); rows.count * row_length];
    let mut row = vec![0u8; row_length];
    // Windows start and end in ascending order, so those that contain row y are a range that only moves forward.
    let mut first = 0;
    let needed = vertical.windows.first().map_or(0, |w| w.start)..vertical.windows.last().map_or(0, |w| w.end());
    for y in needed {
        while vertical.windows.get(first).is_some_and(|w| w.end() <= y) {
            first += 1;
        }
        let containing = vertical.windows[first..].iter().take_while(|w| w.start <= y);
        let mut unread = true;
        for (window, sums) in containing.zip(sums[first * row_length..].chunks_exact_mut(row_length)) {
            if unread {
                let line = picture.width * C;
                resize_row::<C>(&picture.pixels[y * line..(y + 1) * line], &horizontal, &mut row);
                unread = false;
            }
            let weight = vertical.of_window(window)[y - window.start];
            for (sum, &value) in sums.iter_mut().zip(&row) {
                *sum += weight * i32::from(value);
            }
        }
    }
    sums.into_iter().map(to_pixel).collect()
}

/// Resizes a row of the picture.
fn resize_row<const C: usize>(line: &[u8], weights: &Weights, row: &mut [u8]) {
    let (line, _) = line.as_chunks::<C>();
    let (row, _) = row.as_chunks_mut::<C>();
    for (out, window) in row.iter_mut().zip(&weights.windows) {
        let mut sums = [1i32 << (PRECISION - 1); C];
        for (pixel, weight) in line[window.start..window.end()].iter().zip(weights.of_window(window)) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += weight * i32::from(value);
            }
        }
        *out = sums.map(to_pixel);
    }
}

fn to_pixel(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The source pixels of a pixel of the result, and the index of their weights.
struct Window {
    start: usize,
    count: usize,
    weights: usize,
}

impl Window {
    fn end(&self) -> usize {
        self.start + self.count
    }
}

/// The windows of the needed pixels along a dimension, in order, and their weights.
struct Weights {
    windows: Vec<Window>,
    weights: Vec<i32>,
}

impl Weights {
    fn of(side: Side) -> Self {
        let scale = side.from as f64 / side.to as f64;
        // When enlarging, the triangle extends one source pixel to each side.
        let support = scale.max(1.0);
        let mut weights = Vec::new();
        let windows = (0..side.count)
            .map(|i| {
                let center = (side.start as f64 + i as f64 + 0.5) * scale;
                let start = (center - support + 0.5).max(0.0) as usize;
                let end = ((center + support + 0.5) as usize).min(side.from);
                let offsets = (start..end).map(|x| (x as f64 - center + 0.5) * (1.0 / support));
                let triangle: Vec<f64> = offsets.map(|offset| (1.0 - offset.abs()).max(0.0)).collect();
                let total: f64 = triangle.iter().sum();
                let first = weights.len();
                let unit = f64::from(1u32 << PRECISION);
                weights.extend(triangle.iter().map(|w| (w / total * unit + 0.5) as i32));
                Window { start, count: end.saturating_sub(start), weights: first }
            })
            .collect();
        Self { windows, weights }
    }

    fn of_window(&self, window: &Window) -> &[i32] {
        &self.weights[window.weights..window.weights + window.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, height: usize, pixel: impl Fn(usize, usize) -> u8) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
        Picture { width, height, channels: 1, pixels }
    }

    fn side(from: usize, to: u64, start: u64, count: usize) -> Side {
        Side { from, to, start, count }
    }

    /// Pillow 12's `Image.fromarray(a).resize((3, 2), BILINEAR)` and `(7, 1)` of a[y, x] = (x * 37 + y * 91) % 256.
    #[test]
    fn as_pillow() {
        let picture = gray(5, 4, |x, y| ((x * 37 + y * 91) % 256) as u8);
        let small = resample(&picture, side(4, 2, 0, 2), side(5, 3, 0, 3));
        assert_eq!(small, [81, 111, 160, 114, 87, 121]);
        let wide = resample(&picture, side(4, 1, 0, 1), side(5, 7, 0, 7));
        assert_eq!(wide, [83, 104, 110, 83, 109, 136, 157]);
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let picture = gray(17, 9, |x, y| (x * 31 + y * 77) as u8);
        assert_eq!(resample(&picture, side(9, 9, 0, 9), side(17, 17, 0, 17)), picture.pixels);
    }

    #[test]
    fn a_crop_equals_that_part_of_the_whole() {
        let picture = gray(50, 40, |x, y| (x * x + y * 7) as u8);
        let whole = resample(&picture, side(40, 24, 0, 24), side(50, 30, 0, 30));
        let part = resample(&picture, side(40, 24, 4, 11), side(50, 30, 9, 13));
        for y in 0..11 {
            assert_eq!(part[y * 13..(y + 1) * 13], whole[(y + 4) * 30 + 9..][..13]);
        }
    }

    #[test]
    fn a_flat_picture_stays_flat_at_any_scale() {
        for (from, to) in [(1usize, 300u64), (65_535, 1), (65_535, 3), (2, 100_000_000), (3, 2)] {
            let picture = gray(from, 1, |_, _| 255);
            let count = to.min(10) as usize;
            let result = resample(&picture, side(1, 1, 0, 1), side(from, to, to / 2 - count as u64 / 2, count));
            assert!(result.iter().all(|&x| x >= 254), "{from} to {to}: {result:?}");
        }
    }
}
