//! Conversion between f32 and bytes, and copies of bytes.

use super::bands::{Size, bands};
use super::lanes::{LANES, Lanes, LanesOp, dispatch};
use super::quantization::Quantization;
use super::tile::padded;
use crate::kernels::parallel::image_batches::{Images, bands as float_bands};
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Bytes, BytesMut, View, ViewMut};

/// Rounds f32 to bytes; numbers out of range are clamped, NaN becomes the lowest.
pub fn quantize(threads: &ThreadPool, x: View<'_>, y: BytesMut<'_>, size: Size, to: Quantization) {
    let (ld, channels, dot) = (y.ld, size.channels, threads.isa().byte_dot());
    bands(threads, y, size, &|band, out| {
        let from = &x.data[band.image * x.image + band.first * x.ld..];
        // Pixels without gaps are one long row.
        let (pixels, width) =
            if x.ld == channels && ld == channels { (1, band.pixels * channels) } else { (band.pixels, channels) };
        for pixel in 0..pixels {
            let (from, out) = (&from[pixel * x.ld..][..width], &mut out[pixel * ld..][..width]);
            // SAFETY: both rows have the same length; the machine has the pool's instructions.
            unsafe { dispatch(dot, Quantize { from, out, to }) };
        }
    });
}

struct Quantize<'a> {
    from: &'a [f32],
    out: &'a mut [u8],
    to: Quantization,
}

impl LanesOp for Quantize<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: all sixteen values are within the rows, or in arrays.
        unsafe {
            let (scale, zero) = (L::splat(1.0 / self.to.scale), L::splat(f32::from(self.to.zero_point)));
            let (low, high, bounds) = (L::splat(0.0), L::splat(255.0), L::bounds(0, 255));
            let (from, from_rest) = self.from.as_chunks::<LANES>();
            let (out, out_rest) = self.out.as_chunks_mut::<LANES>();
            for (from, out) in from.iter().zip(out) {
                let values = L::mul_add(L::load(from.as_ptr()), scale, zero);
                L::store_bytes(L::clamp(values, low, high), bounds, out.as_mut_ptr());
            }
            let (mut rest, mut bytes) = ([0.0; LANES], [0; LANES]);
            rest[..from_rest.len()].copy_from_slice(from_rest);
            let values = L::mul_add(L::load(rest.as_ptr()), scale, zero);
            L::store_bytes(L::clamp(values, low, high), bounds, bytes.as_mut_ptr());
            out_rest.copy_from_slice(&bytes[..out_rest.len()]);
        }
    }
}

/// Converts bytes to the f32 that they stand for.
pub fn dequantize(threads: &ThreadPool, x: Bytes<'_>, y: ViewMut<'_>, size: Size, from: Quantization) {
    let (ld, channels, dot) = (y.ld, size.channels, threads.isa().byte_dot());
    let images = Images { n: size.images, pixels: size.pixels, channels };
    float_bands(threads, y, images, Scratch::none(), &|band, out, _| {
        let bytes = &x.data[band.image * x.image + band.first * x.ld..];
        let (pixels, width) =
            if x.ld == channels && ld == channels { (1, band.pixels * channels) } else { (band.pixels, channels) };
        for pixel in 0..pixels {
            let (bytes, out) = (&bytes[pixel * x.ld..][..width], &mut out[pixel * ld..][..width]);
            // SAFETY: both rows have the same length; the machine has the pool's instructions.
            unsafe { dispatch(dot, Dequantize { bytes, out, from }) };
        }
    });
}

struct Dequantize<'a> {
    bytes: &'a [u8],
    out: &'a mut [f32],
    from: Quantization,
}

impl LanesOp for Dequantize<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Quantization { scale, zero_point } = self.from;
        // SAFETY: all sixteen values are within the rows, or in arrays.
        unsafe {
            let (factor, offset) = (L::splat(scale), L::splat(-scale * f32::from(zero_point)));
            let (bytes, rest) = self.bytes.as_chunks::<LANES>();
            let (out, out_rest) = self.out.as_chunks_mut::<LANES>();
            for (bytes, out) in bytes.iter().zip(out) {
                L::store(L::mul_add(L::bytes(bytes.as_ptr()), factor, offset), out.as_mut_ptr());
            }
            let mut values = [0.0; LANES];
            let rest = padded(rest.as_ptr(), rest.len());
            L::store(L::mul_add(L::bytes(rest.as_ptr()), factor, offset), values.as_mut_ptr());
            out_rest.copy_from_slice(&values[..out_rest.len()]);
        }
    }
}

/// Copies bytes.
pub fn copy(threads: &ThreadPool, x: Bytes<'_>, y: BytesMut<'_>, size: Size) {
    let ld = y.ld;
    bands(threads, y, size, &|band, out| {
        let from = &x.data[band.image * x.image + band.first * x.ld..];
        for pixel in 0..band.pixels {
            let from = &from[pixel * x.ld..][..size.channels];
            out[pixel * ld..][..size.channels].copy_from_slice(from);
        }
    });
}
