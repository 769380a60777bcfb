//! Resizing 8-bit pictures with a filter that is widened by the scale when shrinking.
//!
//! Bit-identical to Pillow's `Image.resize(..., BILINEAR or BICUBIC)` (`libImaging/Resample.c`): weights in f64, normalised, then in
//! 22-bit fixed point; first along the rows, rounded to u8, then along the columns, rounded to u8. (For some sizes, Pillow 13
//! resizes the columns first, which changes values by at most one level.)

use super::picture::Picture;
use crate::kernels::movement::photo_resample::{self, Filter, PRECISION};
use crate::ops::input::preprocessing::Interpolation;

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
pub fn resample(picture: &Picture, rows: Side, columns: Side, interpolation: Interpolation) -> Vec<u8> {
    let (rows, columns) = (filter(rows, interpolation), filter(columns, interpolation));
    photo_resample::resample(&picture.pixels, (picture.width, picture.channels), &rows, &columns)
}

/// How far a filter reaches in source pixels when enlarging, and its value at a distance.
fn kernel(interpolation: Interpolation) -> (f64, fn(f64) -> f64) {
    /// Keys' parameter.
    const A: f64 = -0.5;
    match interpolation {
        Interpolation::Bilinear => (1.0, |x| (1.0 - x.abs()).max(0.0)),
        Interpolation::Bicubic => (2.0, |x| match x.abs() {
            x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }),
    }
}

/// The windows and weights of the needed pixels along a dimension.
fn filter(side: Side, interpolation: Interpolation) -> Filter {
    let (reach, kernel) = kernel(interpolation);
    let scale = side.from as f64 / side.to as f64;
    let widening = scale.max(1.0);
    let support = reach * widening;
    let mut filter = Filter::default();
    let mut values: Vec<f64> = Vec::new();
    for i in 0..side.count {
        let center = (side.start as f64 + i as f64 + 0.5) * scale;
        let start = ((center - support + 0.5).max(0.0) as usize).min(side.from);
        let end = ((center + support + 0.5) as usize).min(side.from);
        values.clear();
        values.extend((start..end).map(|x| kernel((x as f64 - center + 0.5) * (1.0 / widening))));
        let total: f64 = values.iter().sum();
        let unit = f64::from(1u32 << PRECISION);
        // Rounded half away from zero.
        filter.push(start, values.iter().map(|value| (value / total * unit + 0.5f64.copysign(*value)) as i32));
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::Interpolation::{Bicubic, Bilinear};
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
        let small = resample(&picture, side(4, 2, 0, 2), side(5, 3, 0, 3), Bilinear);
        assert_eq!(small, [81, 111, 160, 114, 87, 121]);
        let wide = resample(&picture, side(4, 1, 0, 1), side(5, 7, 0, 7), Bilinear);
        assert_eq!(wide, [83, 104, 110, 83, 109, 136, 157]);
    }

    /// Pillow 13's `resize((3, 2), BICUBIC)` and `(9, 6)` of the same pixels; the latter's filters have negative weights.
    #[test]
    fn bicubic_as_pillow() {
        let picture = gray(5, 4, |x, y| ((x * 37 + y * 91) % 256) as u8);
        let small = resample(&picture, side(4, 2, 0, 2), side(5, 3, 0, 3), Bicubic);
        assert_eq!(small, [77, 113, 166, 119, 84, 116]);
        let large = resample(&picture, side(4, 6, 0, 6), side(5, 9, 0, 9), Bicubic);
        let expected = [
            [0, 3, 27, 47, 68, 89, 109, 133, 145],
            [36, 46, 70, 97, 127, 148, 168, 192, 204],
            [106, 119, 144, 148, 149, 169, 190, 214, 226],
            [179, 199, 225, 132, 16, 24, 57, 81, 93],
            [97, 114, 139, 95, 38, 52, 79, 103, 115],
            [3, 15, 38, 66, 97, 119, 138, 162, 174],
        ];
        assert_eq!(large, expected.concat());
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let picture = gray(17, 9, |x, y| (x * 31 + y * 77) as u8);
        for interpolation in [Bilinear, Bicubic] {
            assert_eq!(resample(&picture, side(9, 9, 0, 9), side(17, 17, 0, 17), interpolation), picture.pixels);
        }
    }

    #[test]
    fn a_crop_equals_that_part_of_the_whole() {
        let picture = gray(50, 40, |x, y| (x * x + y * 7) as u8);
        let whole = resample(&picture, side(40, 24, 0, 24), side(50, 30, 0, 30), Bilinear);
        let part = resample(&picture, side(40, 24, 4, 11), side(50, 30, 9, 13), Bilinear);
        for y in 0..11 {
            assert_eq!(part[y * 13..(y + 1) * 13], whole[(y + 4) * 30 + 9..][..13]);
        }
    }

    #[test]
    fn a_flat_picture_stays_flat_at_any_scale() {
        for (from, to) in [(1usize, 300u64), (65_535, 1), (65_535, 3), (2, 100_000_000), (3, 2)] {
            let picture = gray(from, 1, |_, _| 255);
            let count = to.min(10) as usize;
            for interpolation in [Bilinear, Bicubic] {
                let columns = side(from, to, to / 2 - count as u64 / 2, count);
                let result = resample(&picture, side(1, 1, 0, 1), columns, interpolation);
                assert!(result.iter().all(|&x| x >= 254), "{from} to {to}, {interpolation}: {result:?}");
            }
        }
    }
}
