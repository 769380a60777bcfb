//! Stochastic regularisation in training: inverted dropout, Gaussian noise and DropBlock.
//!
//! The random number of a value is a function of the key, the image and the index in the image alone: no mask is stored
//! between the forward and the backward pass, and results do not depend on the number of threads.

pub use super::philox::RandomKey;
use super::philox::{GROUP_WORDS, Stream};
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, copy_rows, image_groups, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math;
use crate::kernels::tensor_view::{View, ViewMut};

/// 2^32 times a probability: a value is dropped if its random word is below.
fn threshold(proba: f32) -> u32 {
    (f64::from(proba) * 4_294_967_296.0) as u32
}

/// Inverted dropout (Srivastava et al., 2014): y = 0 with probability `proba`, else x / (1 - proba). All
/// `(n, pixels, channels)`. With the same key it maps dy to dx. Without an `x` it works in place on `y`.
pub fn dropout(x: Option<View<'_>>, y: ViewMut<'_>, size: Images, proba: f32, key: RandomKey, threads: &ThreadPool) {
    pointwise(threads, x, y, size, &|band, values| {
        if proba >= 1.0 {
            values.fill(0.0);
        } else {
            let stream = Stream::new(key, band.image);
            drop_values(values, stream, band.first * size.channels, threshold(proba), 1.0 / (1.0 - proba));
        }
    });
}

/// As [`dropout`], of values of an image of which the first has this index.
pub(crate) fn drop_from(values: &mut [f32], proba: f32, key: RandomKey, image: usize, first: usize) {
    drop_values(values, Stream::new(key, image), first, threshold(proba), 1.0 / (1.0 - proba));
}

multiversion! {
    /// values = 0 where the random word is below `threshold`, else scaled; the first value uses word `first`.
    fn drop_values(values: &mut [f32], stream: Stream, first: usize, threshold: u32, scale: f32) {
        stream.for_groups(first, values, |values, words, skip| {
            for (v, word) in values.iter_mut().zip(&words.as_flattened()[skip..]) {
                *v = if *word < threshold { 0.0 } else { *v * scale };
            }
        });
    }
}

/// y = x + Gaussian noise with mean `mean` and standard deviation `std`; dx = dy. All `(n, pixels, channels)`. Without an
/// `x` it works in place on `y`.
pub fn gaussian_noise(
    x: Option<View<'_>>,
    y: ViewMut<'_>,
    size: Images,
    mean: f32,
    std: f32,
    key: RandomKey,
    threads: &ThreadPool,
) {
    pointwise(threads, x, y, size, &|band, values| {
        add_noise(values, Stream::new(key, band.image), band.first * size.channels, mean, std);
    });
}

multiversion! {
    fn add_noise(values: &mut [f32], stream: Stream, first: usize, mean: f32, std: f32) {
        stream.for_groups(first, values, |values, words, skip| {
            let mut noise = [[0.0; GROUP_WORDS / 4]; 4];
            for pair in [0, 2] {
                for lane in 0..GROUP_WORDS / 4 {
                    let (cosine, sine) = normal_pair(words[pair][lane], words[pair + 1][lane]);
                    noise[pair][lane] = cosine;
                    noise[pair + 1][lane] = sine;
                }
            }
            for (v, noise) in values.iter_mut().zip(&noise.as_flattened()[skip..]) {
                *v += mean + std * noise;
            }
        });
    }
}

/// Two standard normal values (Box and Muller, 1958), of magnitude at most 5.8.
#[inline(always)]
fn normal_pair(radius: u32, angle: u32) -> (f32, f32) {
    const UNIT: f32 = 1.0 / (1 << 24) as f32;
    // From 2^-24 to 1, so that the logarithm is finite. Signed, since SIMD converts only signed integers directly.
    let uniform = ((radius >> 8) as i32 + 1) as f32 * UNIT;
    let radius = (-2.0 * scalar_math::ln(uniform)).sqrt();
    let (sine, cosine) = scalar_math::sin_cos_turns((angle >> 8) as i32 as f32 * UNIT);
    (radius * cosine, radius * sine)
}

/// The geometry of DropBlock: rectangles of pixels that are dropped together, independently per channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropBlock {
    pub height: usize,
    pub width: usize,
    /// The expected fraction of values that are kept.
    pub keep_proba: f32,
    pub block_height: usize,
    pub block_width: usize,
}

impl DropBlock {
    /// The size of a block, clamped to that of the image.
    fn block_size(&self) -> (usize, usize) {
        (self.block_height.clamp(1, self.height.max(1)), self.block_width.clamp(1, self.width.max(1)))
    }

    /// The probability that a block starts at a position where it fits: the paper's gamma.
    fn start_proba(&self) -> f32 {
        let (block_h, block_w) = self.block_size();
        let positions =
            (self.height + 1 - block_h.min(self.height + 1)) * (self.width + 1 - block_w.min(self.width + 1));
        let ratio = (self.height * self.width) as f32 / (block_h * block_w * positions.max(1)) as f32;
        ((1.0 - self.keep_proba) * ratio).clamp(0.0, 1.0)
    }
}

/// Floats of scratch that [`drop_block`] needs on `workers` threads.
pub fn drop_block_scratch_len(size: Images, workers: usize) -> usize {
    size.pixels * size.channels * workers
}

/// DropBlock (Ghiasi, Lin and Le, 2018): y = x with random blocks set to 0, scaled by values / kept values of the image.
/// All `(n, height * width, channels)`. With the same key it maps dy to dx. Without an `x` it works in place on `y`.
///
/// # Panics
/// If `size` and `block` have different numbers of pixels.
pub fn drop_block(
    x: Option<View<'_>>,
    y: ViewMut<'_>,
    size: Images,
    block: &DropBlock,
    key: RandomKey,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let Images { n, pixels, channels } = size;
    assert_eq!(pixels, block.height * block.width, "pixels of the batch and of the DropBlock");
    if pixels * channels == 0 {
        return;
    }
    let ld = y.ld;
    let scratch = Scratch { data: scratch, per_worker: pixels * channels };
    image_groups(threads, y, n, 1, size.span(ld), scratch, &|image, y, mask| {
        let kept = draw_blocks(mask, Stream::new(key, image), block, channels);
        let scale = if kept == 0 { 0.0 } else { mask.len() as f32 / kept as f32 };
        if let Some(x) = &x {
            copy_rows(&x.data[image * x.image..][..size.span(x.ld)], x.ld, y, ld, channels);
        }
        if ld == channels {
            apply_mask(y, mask, scale);
        } else {
            y.chunks_mut(ld)
                .zip(mask.chunks_exact(channels))
                .for_each(|(y, mask)| apply_mask(&mut y[..channels], mask, scale));
        }
    });
}

/// Draws the mask of an image, 1 for kept values and 0 for dropped ones; returns the number of kept values.
fn draw_blocks(mask: &mut [f32], stream: Stream, block: &DropBlock, channels: usize) -> usize {
    let (block_h, block_w) = block.block_size();
    let row = block.width * channels;
    let threshold = threshold(block.start_proba());
    let is_certain = block.start_proba() >= 1.0;
    mask.fill(1.0);
    for y in 0..=block.height - block_h {
        let mut offset = 0;
        let end = (block.width + 1 - block_w) * channels;
        while offset < end {
            let word = y * row + offset;
            let skip = word % GROUP_WORDS;
            let count = (GROUP_WORDS - skip).min(end - offset);
            let words = stream.group((word / GROUP_WORDS) as u64);
            for (start, word) in (offset..offset + count).zip(&words.as_flattened()[skip..]) {
                if is_certain || *word < threshold {
                    for line in mask[y * row..].chunks_mut(row).take(block_h) {
                        (0..block_w).for_each(|x| line[start + x * channels] = 0.0);
                    }
                }
            }
            offset += count;
        }
    }
    mask.iter().filter(|kept| **kept != 0.0).count()
}

multiversion! {
    /// y = y * scale where the mask is not 0, else 0
    fn apply_mask(y: &mut [f32], mask: &[f32], scale: f32) {
        y.iter_mut().zip(mask).for_each(|(y, mask)| *y = if *mask == 0.0 { 0.0 } else { *y * scale });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor, close};

    const KEY: RandomKey = RandomKey { seed: 7, update: 3, layer: 2 };

    /// A batch of ones.
    fn ones(n: usize, pixels: usize, channels: usize) -> Tensor {
        Tensor::of(&Tensor::new(n, pixels, channels, 0), |_, _, _| 1.0)
    }

    #[test]
    fn values_are_dropped_or_scaled() {
        let mut random = Random(61);
        for (n, pixels, channels, gap) in [(1, 1, 1, 0), (5, 1, 37, 2), (2, 9, 5, 1), (2, 700, 33, 0)] {
            let x = Tensor::random(&mut random, n, pixels, channels, gap);
            let y = Tensor::new(n, pixels, channels, 1);
            let y = y.filled(|y, threads| dropout(Some(x.view()), y, x.size, 0.25, KEY, threads));
            y.check(
                0.0,
                |n, p, c| if y.at(n, p, c) == 0.0 { 0.0 } else { f64::from(x.at(n, p, c) as f32 * (1.0 / 0.75)) },
            );
            // The same values are dropped in place and with other strides.
            let again = x.filled(|y, threads| dropout(None, y, x.size, 0.25, KEY, threads));
            again.check(0.0, |n, p, c| y.at(n, p, c));
            x.filled(|y, threads| dropout(None, y, x.size, 0.0, KEY, threads)).check(0.0, |n, p, c| x.at(n, p, c));
            x.filled(|y, threads| dropout(None, y, x.size, 1.0, KEY, threads)).check(0.0, |_, _, _| 0.0);
        }
    }

    #[test]
    fn fraction_of_dropped_values() {
        let x = ones(4, 100, 250);
        for proba in [0.1, 0.5, 0.9f32] {
            let y = x.filled(|y, threads| dropout(None, y, x.size, proba, KEY, threads));
            let fraction = |values: &[f32]| values.iter().filter(|v| **v == 0.0).count() as f64 / values.len() as f64;
            close(fraction(&y.data), f64::from(proba), 0.005, "of all");
            // Images, and adjacent values, are independent.
            y.data.chunks(25_000).for_each(|image| close(fraction(image), f64::from(proba), 0.01, "of an image"));
            let both = y.data.windows(2).filter(|pair| pair == &[0.0, 0.0]).count() as f64 / y.data.len() as f64;
            close(both, f64::from(proba * proba), 0.01, "of adjacent values");
            let next = x.filled(|y, threads| {
                dropout(None, y, x.size, proba, RandomKey { update: 4, ..KEY }, threads);
            });
            let both = y.data.iter().zip(&next.data).filter(|(a, b)| **a == 0.0 && **b == 0.0).count() as f64;
            close(both / y.data.len() as f64, f64::from(proba * proba), 0.01, "at two updates");
        }
    }

    #[test]
    fn noise_is_normal() {
        let x = ones(2, 250, 200);
        let (mean, std) = (0.5, 2.0);
        let y = x.filled(|y, threads| gaussian_noise(None, y, x.size, mean, std, KEY, threads));
        let other = Tensor::new(2, 250, 200, 3);
        let other = other.filled(|y, threads| gaussian_noise(Some(x.view()), y, x.size, mean, std, KEY, threads));
        other.check(0.0, |n, p, c| y.at(n, p, c));
        let normal: Vec<f64> = y.data.iter().map(|v| (f64::from(*v) - 1.5) / 2.0).collect();
        let count = normal.len() as f64;
        let moment = |power: i32| normal.iter().map(|v| v.powi(power)).sum::<f64>() / count;
        for (power, expected, tolerance) in [(1, 0.0, 0.01), (2, 1.0, 0.02), (3, 0.0, 0.03), (4, 3.0, 0.05)] {
            close(moment(power), expected, tolerance, &format!("moment {power}"));
        }
        for (bound, expected) in [(-2.0, 0.022_75), (-1.0, 0.158_66), (0.0, 0.5), (1.5, 0.933_19), (3.0, 0.998_65)] {
            let below = normal.iter().filter(|v| **v < bound).count() as f64 / count;
            close(below, expected, 0.005, &format!("below {bound}"));
        }
        let pairs =
            normal.windows(GROUP_WORDS / 4 + 1).map(|pair| pair[0] * pair[GROUP_WORDS / 4]).sum::<f64>() / count;
        close(pairs, 0.0, 0.01, "correlation of a pair");
    }

    /// Asserts that every dropped value belongs to a block that is dropped entirely.
    fn assert_blocks(y: &Tensor, block: &DropBlock) {
        let (height, width) = block.block_size();
        for n in 0..y.size.n {
            for c in 0..y.size.channels {
                let dropped = |y_at: usize, x_at: usize| y.at(n, y_at * block.width + x_at, c) == 0.0;
                let is_block = |top: usize, left: usize| {
                    top + height <= block.height
                        && left + width <= block.width
                        && (0..height * width).all(|i| dropped(top + i / width, left + i % width))
                };
                for pixel in 0..y.size.pixels {
                    let (row, column) = (pixel / block.width, pixel % block.width);
                    let tops = (row + 1).saturating_sub(height)..=row;
                    let in_block =
                        || tops.clone().any(|t| ((column + 1).saturating_sub(width)..=column).any(|l| is_block(t, l)));
                    assert!(!dropped(row, column) || in_block(), "a dropped value outside of any block");
                }
            }
        }
    }

    #[test]
    fn blocks_are_dropped() {
        let mut random = Random(62);
        for (height, width, channels, block_size, keep_proba) in [
            (1, 1, 3, 1, 0.5),
            (9, 7, 5, 3, 0.8),
            (4, 12, 2, 7, 0.6),
            (28, 28, 17, 5, 0.9),
            (5, 5, 2, 2, 1.0),
            (3, 3, 2, 3, 0.0),
        ] {
            let block = DropBlock { height, width, keep_proba, block_height: block_size, block_width: block_size };
            let x = Tensor::random(&mut random, 3, height * width, channels, 1);
            let run = |x: Option<View<'_>>, y: ViewMut<'_>, size, threads: &ThreadPool| {
                let mut scratch = Floats::filled(f32::NAN, drop_block_scratch_len(size, threads.count()));
                drop_block(x, y, size, &block, KEY, &mut scratch, threads);
            };
            let y = Tensor::new(3, height * width, channels, 2);
            let y = y.filled(|y, threads| run(Some(x.view()), y, x.size, threads));
            assert_blocks(&y, &block);
            x.filled(|y, threads| run(None, y, x.size, threads)).check(0.0, |n, p, c| y.at(n, p, c));
            for n in 0..3 {
                let all = || (0..height * width * channels).map(|i| (i / channels, i % channels));
                let kept = all().filter(|(p, c)| y.at(n, *p, *c) != 0.0).count();
                let scale = (height * width * channels) as f32 / kept.max(1) as f32;
                for (p, c) in all().filter(|(p, c)| y.at(n, *p, *c) != 0.0) {
                    close(y.at(n, p, c), f64::from(x.at(n, p, c) as f32 * scale), 1e-6, "kept");
                }
                assert!(keep_proba < 1.0 || kept == height * width * channels, "nothing is dropped");
                assert!(keep_proba > 0.0 || kept == 0, "everything is dropped");
            }
        }
    }

    #[test]
    fn fraction_of_dropped_blocks() {
        let block = DropBlock { height: 20, width: 20, keep_proba: 0.9, block_height: 5, block_width: 5 };
        let x = ones(20, 400, 16);
        let y = x.filled(|y, threads| {
            let mut scratch = Floats::filled(0.0, drop_block_scratch_len(x.size, threads.count()));
            drop_block(None, y, x.size, &block, KEY, &mut scratch, threads);
        });
        let fraction = y.data.iter().filter(|v| **v == 0.0).count() as f64 / y.data.len() as f64;
        // Blocks may overlap, so slightly less than the requested fraction is dropped.
        assert!(fraction > 0.085 && fraction < 0.102, "{fraction}");
        close(
            y.data.iter().map(|v| f64::from(*v)).sum::<f64>() / y.data.len() as f64,
            1.0,
            1e-6,
            "the mean is preserved",
        );
    }
}
