//! The micro-kernels of depthwise convolutions and of those in small groups, over vectors of channels.

// Loops over registers use indices, which always unroll; iterators over nested arrays do not.
#![allow(clippy::needless_range_loop)]

use crate::kernels::epilogue::EpiloguePtrs;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::simd::vector::{SimdOp, Vector};
use crate::kernels::simd::vector_math::activate_row;

/// Maximum input pixels in the receptive field of a strip.
pub const ADDRESSES: usize = 128;
/// Maximum output pixels of a strip.
pub const STRIP: usize = 7;

/// A strip of neighbouring output pixels of a row, over all channels; `K` by `K` windows of stride `S`, in groups of `G` channels.
pub(crate) struct Strip<'a, const K: usize, const S: usize, const G: usize> {
    /// The receptive field: `(pixels - 1) * S + K` input pixels for each kernel row.
    pub addresses: &'a [*const f32; ADDRESSES],
    /// 1, 2, 4 or 7.
    pub pixels: usize,
    pub channels: usize,
    /// Panels of 16 channels: each has a row of weights per tap and input channel of the group.
    pub weights: *const f32,
    pub epilogue: &'a EpiloguePtrs<'a>,
    /// The first pixel's residual, or null.
    pub residual: *const f32,
    pub to: *mut f32,
    pub to_ld: usize,
}

impl<const K: usize, const S: usize, const G: usize> SimdOp for Strip<'_, K, S, G> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the constructor's promise that all addresses are valid.
        unsafe {
            match self.pixels {
                1 => self.pixels::<V, 1>(),
                2 => self.pixels::<V, 2>(),
                4 => self.pixels::<V, 4>(),
                STRIP => self.pixels::<V, STRIP>(),
                _ => unreachable!("a strip has 1, 2, 4 or {STRIP} pixels"),
            }
            let remainder = self.channels % V::LANES;
            if remainder > 0 {
                for pixel in 0..self.pixels {
                    self.last_channels::<V>(pixel, self.channels - remainder, remainder);
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

impl<const K: usize, const S: usize, const G: usize> Strip<'_, K, S, G> {
    /// `T` pixels, for the channels in full vectors.
    #[inline(always)]
    unsafe fn pixels<V: Vector, const T: usize>(&self) {
        let columns = (T - 1) * S + K;
        let mut channel = 0;
        while channel + V::LANES <= self.channels {
            // SAFETY: channels are below the count; packed weights are padded to whole panels.
            unsafe {
                let weights = self.weights.add(channel / PANEL * K * K * G * PANEL + channel % PANEL);
                let mut acc = [V::splat(0.0); T];
                for row in 0..K {
                    for member in 0..G {
                        let mut w = [V::splat(0.0); K];
                        for tap in 0..K {
                            w[tap] = V::load(weights.add(((row * K + tap) * G + member) * PANEL));
                        }
                        for column in 0..columns {
                            let x = input::<V, G>(self.addresses[row * columns + column], channel, member, V::LANES);
                            for pixel in 0..T {
                                if column >= pixel * S && column - pixel * S < K {
                                    acc[pixel] = x.mul_add(w[column - pixel * S], acc[pixel]);
                                }
                            }
                        }
                    }
                }
                let (residual, to) = (self.residual, self.to);
                apply_and_store::<V, T, true>(acc, self.epilogue, channel, V::LANES, residual, to, self.to_ld);
            }
            channel += V::LANES;
        }
    }

    /// One pixel, for the remainder of the channels after the last full vector.
    #[inline(always)]
    unsafe fn last_channels<V: Vector>(&self, pixel: usize, channel: usize, lanes: usize) {
        let columns = (self.pixels - 1) * S + K;
        // SAFETY: only the channels' lanes are accessed; packed weights are padded to whole panels.
        unsafe {
            let weights = self.weights.add(channel / PANEL * K * K * G * PANEL + channel % PANEL);
            let mut acc = V::splat(0.0);
            for row in 0..K {
                for member in 0..G {
                    for tap in 0..K {
                        let from = self.addresses[row * columns + pixel * S + tap];
                        let w = V::load(weights.add(((row * K + tap) * G + member) * PANEL));
                        acc = input::<V, G>(from, channel, member, lanes).mul_add(w, acc);
                    }
                }
            }
            let mut residual = self.residual;
            if !residual.is_null() {
                residual = residual.add(pixel * self.epilogue.residual_ld);
            }
            let to = self.to.add(pixel * self.to_ld);
            apply_and_store::<V, 1, false>([acc], self.epilogue, channel, lanes, residual, to, 0);
        }
    }
}

/// The input channel with this index in its group, of `G` channels, for `lanes` output channels from `channel` on.
#[inline(always)]
unsafe fn input<V: Vector, const G: usize>(pixel: *const f32, channel: usize, member: usize, lanes: usize) -> V {
    // SAFETY: only the pixel's channels are read: `lanes` of them, or one of the group.
    unsafe {
        if G > 1 && G >= V::LANES {
            return V::splat(*pixel.add(channel / G * G + member));
        }
        let full = lanes == V::LANES;
        let x = if full { V::load(pixel.add(channel)) } else { V::load_partial(pixel.add(channel), lanes) };
        if G == 1 { x } else { x.repeat_in_groups::<G>(member) }
    }
}

/// One output pixel of any window, over a range of its taps.
pub(crate) struct Pixel<'a> {
    pub addresses: &'a [*const f32],
    /// The number of taps of the window.
    pub taps: usize,
    /// The first tap of this pass.
    pub first_tap: usize,
    /// Output channels per input channel.
    pub multiplier: usize,
    pub channels: usize,
    pub weights: *const f32,
    /// Given to the last pass.
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
            // SAFETY: only the channels' lanes are accessed; packed weights are padded to whole panels.
            unsafe {
                let weights = self.weights.add(channel / PANEL * self.taps * PANEL + channel % PANEL);
                let to = self.to.add(channel);
                let mut acc = if self.first_tap == 0 { V::splat(0.0) } else { V::load_partial(to, lanes) };
                for (tap, &address) in self.addresses.iter().enumerate() {
                    let x = if self.multiplier == 1 {
                        V::load_partial(address.add(channel), lanes)
                    } else {
                        let mut x = [0.0f32; 16];
                        for lane in 0..lanes {
                            x[lane] = *address.add((channel + lane) / self.multiplier);
                        }
                        V::load(x.as_ptr())
                    };
                    let w = V::load(weights.add((self.first_tap + tap) * PANEL));
                    acc = x.mul_add(w, acc);
                }
                match self.epilogue {
                    None => acc.store_partial(to, lanes),
                    Some(epilogue) => {
                        apply_and_store::<V, 1, false>([acc], epilogue, channel, lanes, self.residual, self.to, 0);
                    }
                }
            }
            channel += lanes;
        }
        if let Some(epilogue) = self.epilogue
            && !epilogue.clips
        {
            // SAFETY: the pixel has `channels` floats.
            unsafe { activate_row::<V>(epilogue.activation, self.to, self.channels) }
        }
    }
}

/// Applies the epilogue to the accumulators of neighbouring pixels and stores them.
#[inline(always)]
unsafe fn apply_and_store<V: Vector, const T: usize, const FULL: bool>(
    mut acc: [V; T],
    epilogue: &EpiloguePtrs,
    channel: usize,
    lanes: usize,
    residual: *const f32,
    to: *mut f32,
    to_ld: usize,
) {
    // SAFETY: only the channels' lanes are accessed.
    unsafe {
        if !epilogue.bias.is_null() {
            let bias = load_lanes::<V, FULL>(epilogue.bias.add(channel), lanes);
            for acc in &mut acc {
                *acc = acc.add(bias);
            }
        }
        if !residual.is_null() {
            for (pixel, acc) in acc.iter_mut().enumerate() {
                *acc = acc.add(load_lanes::<V, FULL>(residual.add(pixel * epilogue.residual_ld + channel), lanes));
            }
        }
        let (low, high) = (V::splat(epilogue.low), V::splat(epilogue.high));
        for (pixel, acc) in acc.iter().enumerate() {
            let value = acc.max(low).min(high);
            let to = to.add(pixel * to_ld + channel);
            if FULL {
                value.store(to);
            } else {
                value.store_partial(to, lanes);
            }
        }
    }
}

/// Loads a full vector if `FULL`, else its first `lanes` lanes.
#[inline(always)]
unsafe fn load_lanes<V: Vector, const FULL: bool>(from: *const f32, lanes: usize) -> V {
    // SAFETY: the caller promises the instruction set and the floats.
    unsafe { if FULL { V::load(from) } else { V::load_partial(from, lanes) } }
}
