//! Sums of two tensors of bytes with scales of their own.

use super::bands::{Size, bands};
use super::lanes::{LANES, Lanes, LanesOp, dispatch};
use super::quantization::Quantization;
use super::tile::padded;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Bytes, BytesMut};

/// The quantisations of both operands and of the sum, which is clamped to the bytes from `low` to `high`.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    pub a: Quantization,
    pub b: Quantization,
    pub output: Quantization,
    pub low: u8,
    pub high: u8,
}

impl Sum {
    /// The factors of the operands, and the number that is added.
    fn factors(&self) -> (f32, f32, f32) {
        let [a, b, output] = [self.a, self.b, self.output].map(|one| (f64::from(one.scale), f64::from(one.zero_point)));
        let bias = output.1 - (a.0 * a.1 + b.0 * b.1) / output.0;
        // Sums are rounded to integers of 32 bits.
        let limit = f64::from(1u32 << 20);
        ((a.0 / output.0).min(limit) as f32, (b.0 / output.0).min(limit) as f32, bias.clamp(-limit, limit) as f32)
    }
}

/// y = a + b
pub fn add(threads: &ThreadPool, a: Bytes<'_>, b: Bytes<'_>, y: BytesMut<'_>, size: Size, sum: Sum) {
    let (ld, channels, dot, factors) = (y.ld, size.channels, threads.byte_dot(), sum.factors());
    bands(threads, y, size, &|band, out| {
        let [a, b] = [a, b].map(|x| Bytes { data: &x.data[band.image * x.image + band.first * x.ld..], ..x });
        let dense = a.ld == channels && b.ld == channels && ld == channels;
        let (pixels, width) = if dense { (1, band.pixels * channels) } else { (band.pixels, channels) };
        for pixel in 0..pixels {
            let (a, b) = (&a.data[pixel * a.ld..][..width], &b.data[pixel * b.ld..][..width]);
            let out = &mut out[pixel * ld..][..width];
            // SAFETY: all rows have the same length; the machine has the pool's instructions.
            unsafe { dispatch(dot, Add { a, b, out, factors, low: sum.low, high: sum.high }) };
        }
    });
}

struct Add<'a> {
    a: &'a [u8],
    b: &'a [u8],
    out: &'a mut [u8],
    factors: (f32, f32, f32),
    low: u8,
    high: u8,
}

impl LanesOp for Add<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: all sixteen values are within the rows, or in arrays.
        unsafe {
            let (of_a, of_b, bias) = (L::splat(self.factors.0), L::splat(self.factors.1), L::splat(self.factors.2));
            let bounds = L::bounds(self.low, self.high);
            let (a, a_rest) = self.a.as_chunks::<LANES>();
            let (b, b_rest) = self.b.as_chunks::<LANES>();
            let (out, out_rest) = self.out.as_chunks_mut::<LANES>();
            for ((a, b), out) in a.iter().zip(b).zip(out) {
                let value = L::mul_add(L::bytes(a.as_ptr()), of_a, bias);
                L::store_bytes(L::mul_add(L::bytes(b.as_ptr()), of_b, value), bounds, out.as_mut_ptr());
            }
            let mut bytes = [0; LANES];
            let (a, b) = (padded(a_rest.as_ptr(), a_rest.len()), padded(b_rest.as_ptr(), b_rest.len()));
            let value = L::mul_add(L::bytes(a.as_ptr()), of_a, bias);
            L::store_bytes(L::mul_add(L::bytes(b.as_ptr()), of_b, value), bounds, bytes.as_mut_ptr());
            out_rest.copy_from_slice(&bytes[..out_rest.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ByteTensor, bytes, rounded};
    use super::*;
    use crate::kernels::simd::isa::ByteDot;

    #[test]
    fn sums_of_different_scales() {
        let sum = Sum { a: bytes(0.02, 3), b: bytes(0.05, 120), output: bytes(0.06, 99), low: 99, high: 240 };
        let (of_a, of_b, bias) = sum.factors();
        for (pixels, channels, gap) in [(1, 1, 0), (7, 16, 0), (5, 37, 3), (300, 64, 0)] {
            let size = Size { images: 2, pixels, channels };
            let a = ByteTensor::random(1, 2, pixels, channels, gap);
            let b = ByteTensor::random(2, 2, pixels, channels, 0);
            for &dot in ByteDot::available() {
                for count in [1, 3] {
                    let mut y = ByteTensor::new(2, pixels, channels, gap);
                    let threads = ThreadPool::with_byte_dot(count, dot);
                    add(&threads, a.view(), b.view(), y.view_mut(), size, sum);
                    y.check(&format!("{dot:?}"), |n, p, c| {
                        let value = f32::from(a.at(n, p, c)).mul_add(of_a, bias);
                        rounded(f32::from(b.at(n, p, c)).mul_add(of_b, value), 99, 240)
                    });
                }
            }
        }
    }
}
