//! Random augmentation of photos: definitions and order as in torchvision 0.19 on Pillow images (RandomResizedCrop,
//! RandomHorizontalFlip, RandomRotation, ColorJitter).

use super::picture::{Part, Picture, luma};
use crate::data::seeded_rng::SeededRng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The purpose of the random numbers here.
const PURPOSE: u64 = u64::from_le_bytes(*b"augment\0");
/// The range of aspect ratios (width to height) of random crops.
const RATIOS: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// The settings of augmentation. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Half of the photos are flipped horizontally.
    pub flip: bool,
    /// Instead of the resize and crop of the preprocessing, a random part of the photo with at least this share of its area
    /// (0 to 1) and an aspect ratio from 3/4 to 4/3 is resized to the Input.
    pub crop: Option<f64>,
    /// Rotation about the centre by up to this many degrees (0 to 180) in either direction, bilinear; pixels from outside
    /// are black (zeros before the arithmetic of the preprocessing).
    pub rotate: f64,
    /// Brightness is multiplied by a factor from 1-x (at least 0) to 1+x. The three jitters are applied in random order.
    pub brightness: f64,
    /// Likewise, for the distance of each value from the mean luma of the photo.
    pub contrast: f64,
    /// Likewise, for the distance of each value from the luma of its pixel; no effect on gray photos.
    pub saturation: f64,
}

/// A setting that is out of range.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("`{key}` is {value}; it must be from {least} to {most}")]
pub struct AugmentationError {
    /// `crop`, `rotate`, `brightness`, `contrast` or `saturation`.
    pub key: &'static str,
    pub value: f64,
    pub least: f64,
    pub most: f64,
}

/// The random changes to a photo in an epoch.
#[derive(Clone, Debug)]
pub struct Draw {
    augmentation: Augmentation,
    rng: SeededRng,
}

#[derive(Clone, Copy)]
enum Jitter {
    Brightness,
    Contrast,
    Saturation,
}

impl Augmentation {
    /// Checks the ranges of the settings.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn check(&self) -> Result<(), AugmentationError> {
        let settings = [
            ("crop", self.crop.unwrap_or(1.0), 0.001, 1.0),
            ("rotate", self.rotate, 0.0, 180.0),
            ("brightness", self.brightness, 0.0, 10.0),
            ("contrast", self.contrast, 0.0, 10.0),
            ("saturation", self.saturation, 0.0, 10.0),
        ];
        match settings.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((key, value, least, most)) => Err(AugmentationError { key, value, least, most }),
            None => Ok(()),
        }
    }

    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        *self == Augmentation::default()
    }

    /// The changes to the photo with this index in this epoch, deterministically.
    pub fn draw(&self, seed: u64, epoch: u64, index: u64) -> Draw {
        Draw { augmentation: *self, rng: SeededRng::new([PURPOSE, seed, epoch, index]) }
    }
}

impl Draw {
    /// The crop of a photo of this size; `None` leaves it to the preprocessing.
    pub(crate) fn crop(&mut self, height: usize, width: usize) -> Option<Part> {
        let least = self.augmentation.crop?;
        let (tall, wide) = (height as f64, width as f64);
        // As in torchvision: ten attempts, then the largest central crop with an allowed aspect ratio.
        for _ in 0..10 {
            let area = tall * wide * self.rng.between(least, 1.0);
            let ratio = libm::exp(self.rng.between(libm::log(RATIOS.0), libm::log(RATIOS.1)));
            let (part_width, part_height) = (rounded(area * ratio), rounded(area / ratio));
            if (1..=width).contains(&part_width) && (1..=height).contains(&part_height) {
                let top = self.rng.below(height - part_height + 1);
                let left = self.rng.below(width - part_width + 1);
                return Some(Part { top, left, height: part_height, width: part_width });
            }
        }
        let limited = |side: f64| (side.round_ties_even() as usize).max(1);
        let (part_height, part_width) = match wide / tall {
            ratio if ratio < RATIOS.0 => (limited(wide / RATIOS.0).min(height), width),
            ratio if ratio > RATIOS.1 => (height, limited(tall * RATIOS.1).min(width)),
            _ => (height, width),
        };
        let (top, left) = ((height - part_height) / 2, (width - part_width) / 2);
        Some(Part { top, left, height: part_height, width: part_width })
    }

    /// Flips, rotates and colours the picture.
    pub(crate) fn change(mut self, picture: &mut Picture) {
        let Augmentation { flip, rotate, brightness, contrast, saturation, .. } = self.augmentation;
        if flip && self.rng.unit() < 0.5 {
            picture.mirror();
        }
        if rotate > 0.0 {
            rotate_picture(picture, self.rng.between(-rotate, rotate));
        }
        let mut jitters =
            [(Jitter::Brightness, brightness), (Jitter::Contrast, contrast), (Jitter::Saturation, saturation)];
        self.rng.shuffle(&mut jitters);
        for (jitter, range) in jitters {
            if range > 0.0 {
                let factor = self.rng.between((1.0 - range).max(0.0), 1.0 + range);
                colour(picture, jitter, factor as f32);
            }
        }
    }
}

/// The side of a square of this area, to the nearest pixel.
fn rounded(area: f64) -> usize {
    area.sqrt().round_ties_even() as usize
}

/// Rotates the picture counter-clockwise about its centre. A pixel whose centre comes from outside the picture is zero; at
/// the border, the outermost pixels extend by half a pixel, as in Pillow.
fn rotate_picture(picture: &mut Picture, degrees: f64) {
    let radians = degrees.to_radians();
    // To 15 digits, as in Pillow, so that right angles are exact.
    let [sin, cos] = [libm::sin(radians), libm::cos(radians)].map(|value| (value * 1e15).round() / 1e15);
    let (height, width, channels) = (picture.height, picture.width, picture.channels);
    let (middle_x, middle_y) = (width as f64 / 2.0, height as f64 / 2.0);
    let mut rotated = vec![0u8; picture.pixels.len()];
    for (at, pixel) in rotated.chunks_exact_mut(channels).enumerate() {
        let (x, y) = ((at % width) as f64 + 0.5 - middle_x, (at / width) as f64 + 0.5 - middle_y);
        let from = (cos * x - sin * y + middle_x, sin * x + cos * y + middle_y);
        if from.0 < 0.0 || from.0 >= width as f64 || from.1 < 0.0 || from.1 >= height as f64 {
            continue;
        }
        let (left, right, across) = neighbours(from.0, width);
        let (above, below, down) = neighbours(from.1, height);
        for (channel, value) in pixel.iter_mut().enumerate() {
            let of = |y: usize, x: usize| f64::from(picture.pixels[(y * width + x) * channels + channel]);
            let mixed = |y: usize| of(y, left) + (of(y, right) - of(y, left)) * across;
            let (upper, lower) = (mixed(above), mixed(below));
            // Truncated, not rounded, as in Pillow.
            *value = (upper + (lower - upper) * down) as u8;
        }
    }
    picture.pixels = rotated;
}

/// The pixels before and after a coordinate, and the weight of the second.
fn neighbours(coordinate: f64, count: usize) -> (usize, usize, f64) {
    let from = coordinate - 0.5;
    let before = from.floor();
    let limited = |pixel: f64| pixel.clamp(0.0, (count - 1) as f64) as usize;
    (limited(before), limited(before + 1.0), from - before)
}

/// Applies a jitter: interpolates or extrapolates between the picture without the property and the picture.
fn colour(picture: &mut Picture, jitter: Jitter, factor: f32) {
    let channels = picture.channels;
    match jitter {
        Jitter::Brightness => blend(&mut picture.pixels, 0, factor),
        Jitter::Contrast => {
            let sum: u64 = picture.pixels.chunks_exact(channels).map(|pixel| u64::from(luma(pixel))).sum();
            let count = (picture.pixels.len() / channels).max(1);
            blend(&mut picture.pixels, (sum as f64 / count as f64 + 0.5) as u8, factor);
        }
        Jitter::Saturation if channels == 3 => {
            for pixel in picture.pixels.chunks_exact_mut(3) {
                let gray = luma(pixel);
                blend(pixel, gray, factor);
            }
        }
        Jitter::Saturation => {}
    }
}

/// Pillow's `Image.blend(base, values, factor)`: truncated to integers, not rounded, and clamped to 0..=255.
fn blend(values: &mut [u8], base: u8, factor: f32) {
    let base = f32::from(base);
    for value in values {
        *value = (base + factor * (f32::from(*value) - base)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picture(height: usize, width: usize, channels: usize) -> Picture {
        let pixels = (0..height * width * channels).map(|at| (at * 37 + at / 7 * 91) as u8).collect();
        Picture { width, height, channels, pixels }
    }

    fn everything() -> Augmentation {
        Augmentation { flip: true, crop: Some(0.3), rotate: 30.0, brightness: 0.4, contrast: 0.4, saturation: 0.4 }
    }

    #[test]
    fn settings_have_ranges() {
        everything().check().unwrap();
        let wrong = Augmentation { crop: Some(0.0), ..everything() };
        assert_eq!(wrong.check().unwrap_err().to_string(), "`crop` is 0; it must be from 0.001 to 1");
        let wrong = Augmentation { contrast: f64::NAN, ..everything() };
        assert_eq!(wrong.check().unwrap_err().key, "contrast");
        assert!(Augmentation { rotate: -1.0, ..everything() }.check().is_err());
    }

    #[test]
    fn rotation_by_right_angles_is_exact() {
        let whole = picture(5, 5, 3);
        let mut rotated = picture(5, 5, 3);
        rotate_picture(&mut rotated, 90.0);
        for y in 0..5 {
            for x in 0..5 {
                let from = (x * 5 + (4 - y)) * 3;
                assert_eq!(rotated.pixels[(y * 5 + x) * 3..][..3], whole.pixels[from..][..3], "{y}, {x}");
            }
        }
        rotate_picture(&mut rotated, 180.0);
        rotate_picture(&mut rotated, 90.0);
        assert_eq!(rotated.pixels, whole.pixels);
    }

    /// Pillow 13's `Image.rotate(30, BILINEAR)` and `rotate(-75, BILINEAR)` of the same pixels.
    #[test]
    fn rotation_as_in_pillow() {
        for (degrees, expected) in [
            (30.0, [0, 69, 105, 147, 172, 31, 120, 98, 101, 181, 173, 226, 80, 54, 99, 200, 195, 49, 47, 0]),
            (-75.0, [217, 211, 207, 56, 0, 6, 128, 145, 88, 0, 0, 43, 67, 114, 111, 0, 86, 120, 155, 146]),
        ] {
            let mut rotated = picture(4, 5, 1);
            rotate_picture(&mut rotated, degrees);
            assert_eq!(rotated.pixels, expected);
        }
    }

    #[test]
    fn corners_from_outside_are_black() {
        let mut white = Picture { width: 40, height: 40, channels: 1, pixels: vec![255; 1600] };
        rotate_picture(&mut white, 45.0);
        let black = white.pixels.iter().filter(|&&value| value == 0).count();
        assert!([0, 39, 1560, 1599].iter().all(|&corner| white.pixels[corner] == 0));
        // A square rotated by 45 degrees about its centre keeps 2 (sqrt 2 - 1) of its area.
        assert!((black as f64 / 1600.0 - (1.0 - 2.0 * (2f64.sqrt() - 1.0))).abs() < 0.02, "{black}");
        assert_eq!(white.pixels[20 * 40 + 20], 255);
    }

    #[test]
    fn colours_as_in_pillow() {
        // ImageEnhance of the pixels (200, 100, 50) and (10, 20, 30): their luma is 124 and 18, the mean 71.
        let of = |jitter, factor| {
            let mut two = Picture { width: 2, height: 1, channels: 3, pixels: vec![200, 100, 50, 10, 20, 30] };
            colour(&mut two, jitter, factor);
            two.pixels
        };
        assert_eq!(of(Jitter::Brightness, 0.5), [100, 50, 25, 5, 10, 15]);
        assert_eq!(of(Jitter::Brightness, 1.5), [255, 150, 75, 15, 30, 45]);
        assert_eq!(of(Jitter::Contrast, 0.5), [135, 85, 60, 40, 45, 50]);
        assert_eq!(of(Jitter::Contrast, 2.0), [255, 129, 29, 0, 0, 0]);
        assert_eq!(of(Jitter::Saturation, 0.0), [124, 124, 124, 18, 18, 18]);
        assert_eq!(of(Jitter::Saturation, 2.0), [255, 76, 0, 2, 22, 42]);
    }

    #[test]
    fn half_of_the_photos_are_flipped() {
        let flip = Augmentation { flip: true, ..Augmentation::default() };
        let mirrored = (0..1000).filter(|&index| {
            let (before, mut after) = (picture(2, 3, 3), picture(2, 3, 3));
            flip.draw(1, 2, index).change(&mut after);
            let changed = before.pixels != after.pixels;
            if changed {
                after.mirror();
                assert_eq!(before.pixels, after.pixels);
            }
            changed
        });
        assert!((450..550).contains(&mirrored.count()));
    }

    #[test]
    fn draws_are_reproducible() {
        let digest = |seed, epoch, index| {
            let mut draw = everything().draw(seed, epoch, index);
            let part = draw.crop(60, 50).unwrap();
            let mut picture = picture(60, 50, 3).cut(part);
            draw.change(&mut picture);
            blake3::hash(&picture.pixels).to_hex()[..16].to_owned()
        };
        assert_ne!(digest(0, 0, 0), digest(1, 0, 0));
        assert_ne!(digest(0, 0, 0), digest(0, 1, 0));
        assert_ne!(digest(0, 0, 0), digest(0, 0, 1));
        insta::assert_snapshot!(digest(0, 0, 0), @"8626e6e729964bb6");
        insta::assert_snapshot!(digest(7, 3, 11), @"b9f113ba799c502f");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn crops_are_within_the_photo(height in 1usize..300, width in 1usize..300, least in 0.01..1.0, seed: u64) {
            let augmentation = Augmentation { crop: Some(least), ..Augmentation::default() };
            let part = augmentation.draw(seed, 0, 0).crop(height, width).unwrap();
            prop_assert!(part.height >= 1 && part.width >= 1);
            prop_assert!(part.top + part.height <= height && part.left + part.width <= width);
        }

        #[test]
        fn the_identity_changes_nothing(height in 1usize..9, width in 1usize..9, gray: bool, seed: u64, index: u64) {
            let nothing = Augmentation::default();
            let channels = if gray { 1 } else { 3 };
            let (before, mut after) = (picture(height, width, channels), picture(height, width, channels));
            let mut draw = nothing.draw(seed, 0, index);
            prop_assert_eq!(draw.crop(height, width), None);
            draw.change(&mut after);
            prop_assert_eq!(&before.pixels, &after.pixels);
            // Neither do the operations with neutral parameters.
            rotate_picture(&mut after, 0.0);
            for jitter in [Jitter::Brightness, Jitter::Contrast, Jitter::Saturation] {
                colour(&mut after, jitter, 1.0);
            }
            prop_assert_eq!(before.pixels, after.pixels);
        }

        #[test]
        fn any_photo_can_be_augmented(height in 1usize..40, width in 1usize..40, gray: bool, seed: u64) {
            let channels = if gray { 1 } else { 3 };
            let mut draw = everything().draw(seed, 1, 2);
            let part = draw.crop(height, width).unwrap();
            let mut picture = picture(height, width, channels).cut(part);
            draw.change(&mut picture);
            prop_assert_eq!(picture.pixels.len(), part.height * part.width * channels);
        }
    }
}
