//! Test fixtures: bytes between guard pages, and plain integer loops.

use super::quantization::Quantization;
use crate::kernels::guarded::Floats;
use crate::kernels::tensor_view::{Bytes, BytesMut};
use std::ops::{Deref, DerefMut};

/// Bytes whose end is adjacent to a guard page.
#[derive(Clone)]
pub struct GuardedBytes {
    words: Floats,
    skip: usize,
}

impl GuardedBytes {
    pub fn filled(byte: u8, len: usize) -> Self {
        let words = Floats::filled(0.0, len.div_ceil(4));
        let mut bytes = GuardedBytes { skip: words.len() * 4 - len, words };
        bytes.fill(byte);
        bytes
    }
}

impl Deref for GuardedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[self.skip..]
    }
}

impl DerefMut for GuardedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[self.skip..]
    }
}

/// The byte in gaps of outputs, which kernels must not overwrite.
const GAP: u8 = 123;

/// A batch of images of bytes with gaps between pixels and images.
#[derive(Clone)]
pub struct ByteTensor {
    pub data: GuardedBytes,
    pub images: usize,
    pub pixels: usize,
    pub channels: usize,
    pub ld: usize,
    pub image: usize,
}

impl ByteTensor {
    pub fn new(images: usize, pixels: usize, channels: usize, gap: usize) -> Self {
        let ld = channels + gap;
        let image = pixels * ld + 2 * gap;
        let len = images * image - 3 * gap;
        ByteTensor { data: GuardedBytes::filled(GAP, len), images, pixels, channels, ld, image }
    }

    /// Pseudo-random bytes, 0 and 255 among them; the gaps are filled too.
    pub fn random(seed: u64, images: usize, pixels: usize, channels: usize, gap: usize) -> Self {
        let mut tensor = Self::new(images, pixels, channels, gap);
        tensor.data.iter_mut().enumerate().for_each(|(at, byte)| *byte = noise(seed, at));
        tensor
    }

    pub fn at(&self, image: usize, pixel: usize, channel: usize) -> u8 {
        self.data[image * self.image + pixel * self.ld + channel]
    }

    pub fn view(&self) -> Bytes<'_> {
        Bytes { data: &self.data, ld: self.ld, image: self.image }
    }

    pub fn view_mut(&mut self) -> BytesMut<'_> {
        BytesMut { ld: self.ld, image: self.image, data: &mut self.data }
    }

    /// Compares every byte, and checks that the gaps are untouched.
    pub fn check(&self, what: &str, expected: impl Fn(usize, usize, usize) -> u8) {
        let mut gaps = self.clone();
        for image in 0..self.images {
            for pixel in 0..self.pixels {
                for channel in 0..self.channels {
                    let (found, wanted) = (self.at(image, pixel, channel), expected(image, pixel, channel));
                    assert_eq!(found, wanted, "{what}: image {image} pixel {pixel} channel {channel}");
                    gaps.data[image * self.image + pixel * self.ld + channel] = GAP;
                }
            }
        }
        assert!(gaps.data.iter().all(|byte| *byte == GAP), "{what}: a gap was written");
    }
}

/// A pseudo-random byte (Steele's splitmix64), sometimes 0 or 255.
pub fn noise(seed: u64, at: usize) -> u8 {
    let z = (seed ^ at as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    match (z >> 8) % 16 {
        0 => 0,
        1 => 255,
        _ => z as u8,
    }
}

/// Pseudo-random floats from -1 to 1.
pub fn floats(seed: u64, count: usize) -> Vec<f32> {
    (0..count).map(|at| (f32::from(noise(seed, at)) - 127.5) / 127.5).collect()
}

/// Rounds a rescaled sum and clamps it.
pub fn rounded(value: f32, low: u8, high: u8) -> u8 {
    (value.round_ties_even() as i32).clamp(i32::from(low), i32::from(high)) as u8
}

pub const fn bytes(scale: f32, zero_point: u8) -> Quantization {
    Quantization { scale, zero_point }
}
