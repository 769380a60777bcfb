//! Pooling of bytes. Over a window the output has the input's scale: the maximum is that of the bytes, the average their rounded
//! average.

use super::bands::{Band, Size, bands};
use super::quantization::Quantization;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{Bytes, BytesMut, ViewMut, Window};
use std::ops::Range;

/// Channels whose sums are kept at once.
const BLOCK: usize = 256;

/// Channels whose maxima are kept in registers.
const VECTOR: usize = 64;

multiversion! {
    /// The maximum over the windows of pixels, from pixel `first` on.
    fn max_pixels(window: &Window, image: &[u8], ld: usize, first: usize, out: &mut [u8], out_ld: usize, channels: usize) {
        for (at, out) in out.chunks_mut(out_ld).enumerate() {
            let (rows, columns) = (inside(window, first + at, false), inside(window, first + at, true));
            for (block, out) in out[..channels].chunks_mut(VECTOR).enumerate() {
                let mut max = [0u8; VECTOR];
                for row in rows.clone().step_by(window.dilation_h) {
                    for column in columns.clone().step_by(window.dilation_w) {
                        let from = &image[(row * window.in_w + column) * ld + block * VECTOR..];
                        match from.first_chunk::<VECTOR>() {
                            Some(from) => max.iter_mut().zip(from).for_each(|(max, &byte)| *max = (*max).max(byte)),
                            None => max.iter_mut().zip(from).for_each(|(max, &byte)| *max = (*max).max(byte)),
                        }
                    }
                }
                out.copy_from_slice(&max[..out.len()]);
            }
        }
    }
}

/// The rows, or the columns, of the image from the first to the last under an output pixel's window, a dilation apart.
#[inline(always)]
fn inside(window: &Window, pixel: usize, columns: bool) -> Range<usize> {
    let (at, stride, kernel, dilation, pad, size) = match columns {
        false => {
            (pixel / window.out_w, window.stride_h, window.kernel_h, window.dilation_h, window.pad_top, window.in_h)
        }
        true => {
            (pixel % window.out_w, window.stride_w, window.kernel_w, window.dilation_w, window.pad_left, window.in_w)
        }
    };
    let begin = at * stride;
    // Taps before the image.
    let before = pad.saturating_sub(begin).div_ceil(dilation);
    begin + before * dilation - pad..(begin + (kernel - 1) * dilation + 1).saturating_sub(pad).min(size)
}

multiversion! {
    /// Adds to the sum of each channel.
    fn add(sums: &mut [u32], from: &[u8]) {
        sums.iter_mut().zip(from).for_each(|(sum, &byte)| *sum += u32::from(byte));
    }
}

/// The input pixels under the window of an output pixel.
fn taps(window: &Window, pixel: usize) -> impl Iterator<Item = usize> {
    let (rows, columns) = (inside(window, pixel, false), inside(window, pixel, true));
    let (width, step) = (window.in_w, window.dilation_w);
    rows.step_by(window.dilation_h)
        .flat_map(move |row| columns.clone().step_by(step).map(move |column| row * width + column))
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
        max_pixels(window, &x.data[band.image * x.image..], x.ld, band.first, out, ld, channels);
    });
}

/// The average over the pixels of windows that are inside the image, rounded half up; `zero_point` where there is none.
pub fn average_pool(threads: &ThreadPool, x: Bytes<'_>, y: BytesMut<'_>, size: Size, window: &Window, zero_point: u8) {
    let (ld, channels) = (y.ld, size.channels);
    bands(threads, y, size, &|band, out| {
        for (pixel, image, out) in pixels(x, band, out, ld, channels) {
            for first in (0..channels).step_by(BLOCK) {
                let block = BLOCK.min(channels - first);
                let (mut sums, mut count) = ([0u32; BLOCK], 0u32);
                for tap in taps(window, pixel) {
                    add(&mut sums[..block], &image[tap * x.ld + first..][..block]);
                    count += 1;
                }
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

#[cfg(test)]
mod tests {
    use super::super::testing::{ByteTensor, bytes, rounded};
    use super::*;

    /// Calls `each` with the input pixels under the window of an output pixel, tap by tap.
    fn each_tap(window: &Window, pixel: usize, mut each: impl FnMut(usize)) {
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

    #[test]
    fn windows_and_whole_images() {
        for (kernel, stride, pad, channels, gap) in [(2, 2, 0, 16, 0), (3, 2, 1, 33, 4), (3, 1, 1, 300, 0)] {
            let window = Window::square(9, kernel, stride, pad);
            let out = window.out_h;
            let (x, size) =
                (ByteTensor::random(5, 2, 81, channels, gap), Size { images: 2, pixels: out * out, channels });
            let under = |n: usize, pixel: usize, c: usize| {
                let mut list = Vec::new();
                each_tap(&window, pixel, |tap| list.push(u32::from(x.at(n, tap, c))));
                list
            };
            for count in [1, 3] {
                let threads = ThreadPool::new(count);
                let mut y = ByteTensor::new(2, out * out, channels, gap);
                max_pool(&threads, x.view(), y.view_mut(), size, &window);
                y.check("max", |n, p, c| under(n, p, c).into_iter().max().unwrap_or(0) as u8);
                let mut y = ByteTensor::new(2, out * out, channels, gap);
                average_pool(&threads, x.view(), y.view_mut(), size, &window, 9);
                y.check("average", |n, p, c| {
                    let list = under(n, p, c);
                    (f64::from(list.iter().sum::<u32>()) / list.len() as f64 + 0.5).floor() as u8
                });
                let all = Size { images: 2, pixels: 81, channels };
                let (input, output) = (bytes(0.02, 7), bytes(0.01, 30));
                let average = GlobalAverage::new(81, input, Some(output));
                let total = |n: usize, c: usize| (0..81).map(|p| u32::from(x.at(n, p, c))).sum::<u32>() as f32;
                let mut y = ByteTensor::new(2, 1, channels, gap);
                global_average(&threads, x.view(), y.view_mut(), all, average);
                y.check("global", |n, _, c| rounded(total(n, c) * average.scale + average.bias, 0, 255));
                let average = GlobalAverage::new(81, input, None);
                let mut numbers = vec![0.0; 2 * channels];
                let to = ViewMut { data: &mut numbers, ld: channels, image: channels };
                global_average_floats(&threads, x.view(), to, all, average);
                for (at, found) in numbers.iter().enumerate() {
                    let mean = f64::from(total(at / channels, at % channels)) / 81.0;
                    let wanted = f64::from(input.scale) * (mean - f64::from(input.zero_point));
                    assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} {wanted}");
                }
            }
        }
    }
}
