//! Pooling of bytes. Over a window the output has the input's scale: the maximum is that of the bytes, the average their rounded
//! average.

use super::bands::{Band, Size, bands};
use super::quantization::Quantization;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{Bytes, BytesMut, ViewMut, Window};

/// Channels whose sums are kept at once.
const BLOCK: usize = 256;

multiversion! {
    /// The maximum of each channel.
    fn raise(out: &mut [u8], from: &[u8]) {
        out.iter_mut().zip(from).for_each(|(out, &byte)| *out = (*out).max(byte));
    }
}

multiversion! {
    /// Adds to the sum of each channel.
    fn add(sums: &mut [u32], from: &[u8]) {
        sums.iter_mut().zip(from).for_each(|(sum, &byte)| *sum += u32::from(byte));
    }
}

/// Calls `each` with the input pixels under the window of an output pixel.
fn taps(window: &Window, pixel: usize, mut each: impl FnMut(usize)) {
    let (y, x) = (pixel / window.out_w, pixel % window.out_w);
    for tap_y in 0..window.kernel_h {
        let at_y = (y * window.stride_h + tap_y * window.dilation_h).wrapping_sub(window.pad_top);
        if at_y >= window.in_h {
            continue;
        }
        for tap_x in 0..window.kernel_w {
            let at_x = (x * window.stride_w + tap_x * window.dilation_w).wrapping_sub(window.pad_left);
            if at_x < window.in_w {
                each(at_y * window.in_w + at_x);
            }
        }
    }
}

/// The pixels of a band, each with its input image and its bytes.
fn pixels<'a>(
    x: Bytes<'a>,
    band: Band,
    out: &'a mut [u8],
    ld: usize,
    channels: usize,
) -> impl Iterator<Item = (usize, &'a [u8], &'a mut [u8])> {
    let image = &x.data[band.image * x.image..];
    out.chunks_mut(ld).enumerate().map(move |(at, out)| (band.first + at, image, &mut out[..channels]))
}

/// The maximum over windows; the lowest byte where a window has no pixel.
pub fn max_pool(threads: &ThreadPool, x: Bytes<'_>, y: BytesMut<'_>, size: Size, window: &Window) {
    let (ld, channels) = (y.ld, size.channels);
    bands(threads, y, size, &|band, out| {
        for (pixel, image, out) in pixels(x, band, out, ld, channels) {
            out.fill(0);
            taps(window, pixel, |tap| raise(out, &image[tap * x.ld..][..channels]));
        }
    });
}

/// The average over the pixels of windows that are inside the image, rounded half up; `zero_point` where there is none.
pub fn average_pool(
    threads: &ThreadPool,
    x: Bytes<'_>,
    y: BytesMut<'_>,
    size: Size,
    window: &Window,
    zero_point: u8,
) {
    let (ld, channels) = (y.ld, size.channels);
    bands(threads, y, size, &|band, out| {
        for (pixel, image, out) in pixels(x, band, out, ld, channels) {
            for first in (0..channels).step_by(BLOCK) {
                let block = BLOCK.min(channels - first);
                let (mut sums, mut count) = ([0u32; BLOCK], 0u32);
                taps(window, pixel, |tap| {
                    add(&mut sums[..block], &image[tap * x.ld + first..][..block]);
                    count += 1;
                });
                let average = |sum: u32| if count == 0 { zero_point } else { ((2 * sum + count) / (2 * count)) as u8 };
                out[first..first + block].iter_mut().zip(sums).for_each(|(out, sum)| *out = average(sum));
            }
        }
    });
}

/// The average over all pixels: `scale` times the sum, plus `bias`.
#[derive(Clone, Copy, Debug)]
pub struct GlobalAverage {
    pub scale: f32,
    pub bias: f32,
}

impl GlobalAverage {
    /// The average of `pixels` numbers stored by `input`, in units of `output` or in f32.
    pub fn new(pixels: usize, input: Quantization, output: Option<Quantization>) -> Self {
        let (unit, zero) = output.map_or((1.0, 0.0), |output| (f64::from(output.scale), f64::from(output.zero_point)));
        let scale = f64::from(input.scale) / unit;
        let bias = (zero - scale * f64::from(input.zero_point)) as f32;
        GlobalAverage { scale: (scale / pixels as f64) as f32, bias }
    }

    /// Calls `store(index in the range, average)` for a range of channels.
    #[inline]
    fn of(
        self,
        image: &[u8],
        ld: usize,
        pixels: usize,
        channels: std::ops::Range<usize>,
        mut store: impl FnMut(usize, f32),
    ) {
        for first in channels.clone().step_by(BLOCK) {
            let block = BLOCK.min(channels.end - first);
            let mut sums = [0u32; BLOCK];
            for pixel in 0..pixels {
                add(&mut sums[..block], &image[pixel * ld + first..][..block]);
            }
            for (at, &sum) in sums[..block].iter().enumerate() {
                store(first - channels.start + at, sum as f32 * self.scale + self.bias);
            }
        }
    }
}

/// The average over all pixels of each channel, as bytes of another scale: `size` is that of the input.
pub fn global_average(threads: &ThreadPool, x: Bytes<'_>, y: BytesMut<'_>, size: Size, average: GlobalAverage) {
    /// Adding and subtracting it rounds a small number to the nearest integer, ties to even.
    const ROUND: f32 = (3 << 22) as f32;
    bands(threads, y, Size { pixels: 1, ..size }, &|band, out| {
        let image = &x.data[band.image * x.image..];
        let byte = |value: f32| (value.clamp(0.0, 255.0) + ROUND - ROUND) as u8;
        average.of(image, x.ld, size.pixels, 0..size.channels, |at, value| out[at] = byte(value));
    });
}

/// The average over all pixels of each channel, in f32: `size` is that of the input.
pub fn global_average_floats(threads: &ThreadPool, x: Bytes<'_>, y: ViewMut<'_>, size: Size, average: GlobalAverage) {
    if size.images == 0 || size.channels == 0 {
        return;
    }
    let partition = Partition { outer: size.images, outer_stride: y.image, ..Partition::chunks(size.channels, BLOCK) };
    share(threads, y.data, partition, Scratch::none(), &|chunk, out, _| {
        let image = &x.data[chunk.outer * x.image..];
        let first = chunk.inner * BLOCK;
        average.of(image, x.ld, size.pixels, first..first + out.len(), |at, value| out[at] = value);
    });
}
