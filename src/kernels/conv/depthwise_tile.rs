//! Depthwise convolution over vectors of channels.

// Loops over registers count with plain indices, which unroll; iterators over nested arrays do not always.
#![allow(clippy::needless_range_loop)]

use crate::kernels::epilogue::EpiloguePtrs;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::vector::{SimdOp, Vector};
use crate::kernels::simd::vector_math::activate_row;

/// Addresses of the pixels that a strip's windows see, at most.
pub const ADDRESSES: usize = 128;
/// Output pixels of a strip, at most.
pub const STRIP: usize = 7;

/// Some neighbouring output pixels of a row, all channels; `K` by `K` windows `S` pixels apart.
pub(crate) struct Strip<'a, const K: usize, const S: usize> {
    /// For each kernel row the `(pixels - 1) * S + K` pixels that the windows see.
    pub addresses: &'a [*const f32; ADDRESSES],
    /// 1, 2, 4 or 7.
    pub pixels: usize,
    pub channels: usize,
    /// For each 16 channels their weights of all taps.
    pub weights: *const f32,
    pub epilogue: &'a EpiloguePtrs<'a>,
    /// The first pixel's residual, or null.
    pub residual: *const f32,
    pub to: *mut f32,
    pub to_ld: usize,
}

impl<const K: usize, const S: usize> SimdOp for Strip<'_, K, S> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the maker's promise that all addresses are valid.
        unsafe {
            match self.pixels {
                1 => self.pixels::<V, 1>(),
                2 => self.pixels::<V, 2>(),
                4 => self.pixels::<V, 4>(),
                STRIP => self.pixels::<V, STRIP>(),
                _ => unreachable!("a strip has 1, 2, 4 or {STRIP} pixels"),
            }
            let rest = self.channels % V::LANES;
            if rest > 0 {
                for pixel in 0..self.pixels {
                    self.last_channels::<V>(pixel, self.channels - rest, rest);
                }
            }
            if !self.epilogue.clips {
                for pixel in 0..self.pixels {
                    activate_row::<V>(self.epilogue.activation, self.to.add(pixel * self.to_ld), self.channels);
                }
            }
        }
    }
}

impl<const K: usize, const S: usize> Strip<'_, K, S> {
    /// The vectors of channels that are full.
    #[inline(always)]
    unsafe fn pixels<V: Vector, const T: usize>(&self) {
        let seen = (T - 1) * S + K;
        let mut channel = 0;
        while channel + V::LANES <= self.channels {
            // SAFETY: channels stay below their count; packed weights exist for whole panels.
            unsafe {
                let weights = self.weights.add(channel / PANEL * K * K * PANEL + channel % PANEL);
                let mut sums = [V::splat(0.0); T];
                for row in 0..K {
                    let mut w = [V::splat(0.0); K];
                    for tap in 0..K {
                        w[tap] = V::load(weights.add((row * K + tap) * PANEL));
                    }
                    for at in 0..seen {
                        let x = V::load(self.addresses[row * seen + at].add(channel));
                        for pixel in 0..T {
                            if at >= pixel * S && at - pixel * S < K {
                                sums[pixel] = x.mul_add(w[at - pixel * S], sums[pixel]);
                            }
                        }
                    }
                }
                let (residual, to) = (self.residual, self.to);
                apply_and_store::<V, T, true>(sums, self.epilogue, channel, V::LANES, residual, to, self.to_ld);
            }
            channel += V::LANES;
        }
    }

    /// One pixel's channels behind the last full vector.
    #[inline(always)]
    unsafe fn last_channels<V: Vector>(&self, pixel: usize, channel: usize, lanes: usize) {
        let seen = (self.pixels - 1) * S + K;
        // SAFETY: only lanes that exist are touched; packed weights exist for whole panels.
        unsafe {
            let weights = self.weights.add(channel / PANEL * K * K * PANEL + channel % PANEL);
            let mut sum = V::splat(0.0);
            for tap in 0..K * K {
                let from = self.addresses[tap / K * seen + pixel * S + tap % K].add(channel);
                let w = V::load(weights.add(tap * PANEL));
                sum = V::load_partial(from, lanes).mul_add(w, sum);
            }
            let mut residual = self.residual;
            if !residual.is_null() {
                residual = residual.add(pixel * self.epilogue.residual_ld);
            }
            let to = self.to.add(pixel * self.to_ld);
            apply_and_store::<V, 1, false>([sum], self.epilogue, channel, lanes, residual, to, 0);
        }
    }
}

/// One output pixel of any window, some of its taps.
pub(crate) struct Pixel<'a> {
    pub addresses: &'a [*const f32],
    /// All taps of the window, and the first of these.
    pub taps: usize,
    pub first_tap: usize,
    /// Output channels for each input channel.
    pub multiplier: usize,
    pub channels: usize,
    pub weights: *const f32,
    pub epilogue: Option<&'a EpiloguePtrs<'a>>,
    pub residual: *const f32,
    pub to: *mut f32,
}

impl SimdOp for Pixel<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let mut channel = 0;
        while channel < self.channels {
            let lanes = V::LANES.min(self.channels - channel);
            // SAFETY: only lanes that exist are touched; packed weights exist for whole panels.
            unsafe {
                let weights = self.weights.add(channel / PANEL * self.taps * PANEL + channel % PANEL);
                let to = self.to.add(channel);
                let mut sum = if self.first_tap == 0 { V::splat(0.0) } else { V::load_partial(to, lanes) };
                for (tap, &address) in self.addresses.iter().enumerate() {
                    let mut x = [0.0f32; 16];
                    for lane in 0..lanes {
                        x[lane] = *address.add((channel + lane) / self.multiplier);
                    }
                    let w = V::load(weights.add((self.first_tap + tap) * PANEL));
                    sum = V::load(x.as_ptr()).mul_add(w, sum);
                }
                match self.epilogue {
                    None => sum.store_partial(to, lanes),
                    Some(epilogue) => {
                        apply_and_store::<V, 1, false>([sum], epilogue, channel, lanes, self.residual, self.to, 0);
                    }
                }
            }
            channel += lanes;
        }
        if let Some(epilogue) = self.epilogue
            && !epilogue.clips
        {
            // SAFETY: the pixel has its channels.
            unsafe { activate_row::<V>(epilogue.activation, self.to, self.channels) }
        }
    }
}

/// Adds bias and residual, clips, and stores the sums of neighbouring pixels.
#[inline(always)]
unsafe fn apply_and_store<V: Vector, const T: usize, const FULL: bool>(
    mut sums: [V; T],
    epilogue: &EpiloguePtrs,
    channel: usize,
    lanes: usize,
    residual: *const f32,
    to: *mut f32,
    to_ld: usize,
) {
    // SAFETY: only lanes that exist are touched.
    unsafe {
        if !epilogue.bias.is_null() {
            let bias = part::<V, FULL>(epilogue.bias.add(channel), lanes);
            for sum in &mut sums {
                *sum = sum.add(bias);
            }
        }
        if !residual.is_null() {
            for (pixel, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(part::<V, FULL>(residual.add(pixel * epilogue.residual_ld + channel), lanes));
            }
        }
        let (low, high) = (V::splat(epilogue.low), V::splat(epilogue.high));
        for (pixel, sum) in sums.iter().enumerate() {
            let value = sum.max(low).min(high);
            let to = to.add(pixel * to_ld + channel);
            if FULL {
                value.store(to);
            } else {
                value.store_partial(to, lanes);
            }
        }
    }
}

/// A whole vector where `FULL`, else its first `lanes`.
#[inline(always)]
unsafe fn part<V: Vector, const FULL: bool>(from: *const f32, lanes: usize) -> V {
    // SAFETY: the caller promises the instruction set and as many floats.
    unsafe { if FULL { V::load(from) } else { V::load_partial(from, lanes) } }
}
