//! Resizing 8-bit pictures with a triangle filter, which is widened by the scale when shrinking.
//!
//! Bit-identical to Pillow's `Image.resize(..., BILINEAR)` (`libImaging/Resample.c`): weights in f64, normalised, then in
//! 22-bit fixed point; first along the rows, rounded to u8, then along the columns, rounded to u8. (For some sizes, Pillow 13
//! resizes the columns first, which changes values by at most one level.)

use super::picture::Picture;
use crate::kernels::movement::photo_resample::{self, Filter, PRECISION};

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
/// Only that part is computed: besides the result, it needs at most four bytes for each of its values and a few rows, whatever
/// the size of the picture.
pub fn resample(picture: &Picture, rows: Side, columns: Side) -> Vec<u8> {
    photo_resample::resample(&picture.pixels, (picture.width, picture.channels), &filter(rows), &filter(columns))
}

/// The windows and weights of the needed pixels along a dimension.
fn filter(side: Side) -> Filter {
    let scale = side.from as f64 / side.to as f64;
    // When enlarging, the triangle extends one source pixel to each side.
    let support = scale.max(1.0);
    let mut filter = Filter::default();
    let mut triangle: Vec<f64> = Vec::new();
    for i in 0..side.count {
        let center = (side.start as f64 + i as f64 + 0.5) * scale;
        let start = ((center - support + 0.5).max(0.0) as usize).min(side.from);
        let end = ((center + support + 0.5) as usize).min(side.from);
        let offsets = (start..end).map(|x| (x as f64 - center + 0.5) * (1.0 / support));
        triangle.clear();
        triangle.extend(offsets.map(|offset| (1.0 - offset.abs()).max(0.0)));
        let total: f64 = triangle.iter().sum();
        let unit = f64::from(1u32 << PRECISION);
        filter.push(start, triangle.iter().map(|w| (w / total * unit + 0.5) as i32));
    }
    filter
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
