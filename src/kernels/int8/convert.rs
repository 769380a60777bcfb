//! Conversion between f32 and bytes, and copies of bytes.

use super::bands::{Size, bands};
use super::lanes::{LANES, Lanes, LanesOp, dispatch};
use super::quantization::Quantization;
use super::tile::padded;
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands as float_bands};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Bytes, BytesMut, View, ViewMut};

/// Rounds f32 to bytes; numbers out of range are clamped, NaN becomes the lowest.
pub fn quantize(threads: &ThreadPool, x: View<'_>, y: BytesMut<'_>, size: Size, to: Quantization) {
    let (ld, channels, dot) = (y.ld, size.channels, threads.byte_dot());
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
    let (ld, channels, dot) = (y.ld, size.channels, threads.byte_dot());
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

#[cfg(test)]
mod tests {
    use super::super::testing::{ByteTensor, bytes, floats};
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::simd::isa::ByteDot;

    #[test]
    fn there_and_back() {
        let format = bytes(0.007, 101);
        for (pixels, channels, gap) in [(1, 1, 0), (7, 16, 0), (5, 37, 3), (300, 64, 0)] {
            let size = Size { images: 2, pixels, channels };
            let mut numbers = Floats::from(floats(8, 2 * pixels * channels));
            numbers[0] = f32::NAN;
            let x = View { data: &numbers, ld: channels, image: pixels * channels };
            for &dot in ByteDot::available() {
                let threads = ThreadPool::with_byte_dot(2, dot);
                let mut y = ByteTensor::new(2, pixels, channels, gap);
                quantize(&threads, x, y.view_mut(), size, format);
                let number = |n: usize, p: usize, c: usize| numbers[(n * pixels + p) * channels + c];
                y.check(&format!("{dot:?}"), |n, p, c| {
                    let value = number(n, p, c).mul_add(1.0 / format.scale, 101.0);
                    if value.is_nan() { 0 } else { value.clamp(0.0, 255.0).round_ties_even() as u8 }
                });
                let mut copied = ByteTensor::new(2, pixels, channels, 2);
                copy(&threads, y.view(), copied.view_mut(), size);
                copied.check("copy", |n, p, c| y.at(n, p, c));
                let mut back = Floats::filled(0.0, numbers.len());
                let to = ViewMut { data: &mut back, ld: channels, image: pixels * channels };
                dequantize(&threads, y.view(), to, size, format);
                for (at, found) in back.iter().enumerate() {
                    let (pixel, c) = (at / channels, at % channels);
                    let byte = f32::from(y.at(pixel / pixels, pixel % pixels, c));
                    let wanted = byte.mul_add(format.scale, -format.scale * 101.0);
                    assert_eq!(found.to_bits(), wanted.to_bits(), "{dot:?} {at}");
                }
            }
        }
    }
}
