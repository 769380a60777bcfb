//! Convolutions of bytes: products of the pixels under each tap with the weights. Windows that reach beyond the image read a
//! padded copy, which is a quarter of what it would be in f32.

use super::bands::{Size, bands};
use super::depthwise::{self, is_depthwise};
use super::lanes::{GROUP, LANES};
pub use super::product::{Output, Rescale};
use super::product::{Product, Rows};
use super::weights::{Columns, Panels};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Bytes, BytesMut, Convolution};
use crate::size::{product, round_up, span};

/// Whether a convolution can be computed: its groups have whole panels' groups of inputs, or it is depthwise.
pub fn supports(conv: &Convolution) -> bool {
    conv.groups == 1 || is_depthwise(conv) || (conv.in_c / conv.groups).is_multiple_of(GROUP)
}

/// How the windows of a convolution lie in memory.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Whether the image is copied first.
    pub copied: bool,
    /// Rows and columns of the copy.
    pub height: usize,
    pub width: usize,
    /// Bytes of a pixel of the copy.
    pub pixel: usize,
    /// Whether neighbouring taps of a row are one contiguous tap.
    pub merged: bool,
}

impl Layout {
    pub fn of(conv: &Convolution) -> Self {
        let window = &conv.window;
        let (reach_h, reach_w) =
            (span(window.kernel_h, window.dilation_h, 1), span(window.kernel_w, window.dilation_w, 1));
        let (height, width) =
            (span(window.out_h, window.stride_h, reach_h), span(window.out_w, window.stride_w, reach_w));
        let is_single = (window.kernel_h, window.kernel_w, window.pad_top, window.pad_left) == (1, 1, 0, 0);
        let inside = height <= window.in_h && width <= window.in_w;
        let copied = !(is_single && inside && (conv.in_c / conv.groups.max(1)).is_multiple_of(GROUP));
        let pixel = if conv.groups == 1 { round_up(conv.in_c, GROUP) } else { conv.in_c };
        Layout { copied, height, width, pixel, merged: conv.groups == 1 && window.dilation_w == 1 }
    }

    /// Bytes of the copy of an image.
    pub fn copy_len(&self) -> usize {
        product([self.height, self.width, self.pixel])
    }
}

/// The panels of one group.
fn panels(conv: &Convolution) -> Panels {
    let (layout, window, groups) = (Layout::of(conv), &conv.window, conv.groups.max(1));
    let columns = conv.out_c / groups;
    let depth = if groups == 1 { layout.pixel } else { conv.in_c / groups };
    match layout.merged {
        true => Panels { taps: window.kernel_h, depth: product([window.kernel_w, depth]), columns },
        false => Panels { taps: product([window.kernel_h, window.kernel_w]), depth, columns },
    }
}

/// Bytes of the packed weights.
pub fn packed_len(conv: &Convolution) -> usize {
    match is_depthwise(conv) {
        true => depthwise::packed_len(conv),
        false => product([panels(conv).bytes(), conv.groups]),
    }
}

/// The number of multipliers and biases: whole panels for each group.
pub fn columns_len(conv: &Convolution) -> usize {
    match is_depthwise(conv) {
        true => depthwise::columns_len(conv),
        false => product([round_up(conv.out_c / conv.groups.max(1), LANES), conv.groups]),
    }
}

/// Packs quantised weights (height, width, in_c / groups, out_c).
pub fn pack(conv: &Convolution, weights: &Columns) -> Vec<i8> {
    if is_depthwise(conv) {
        return depthwise::pack(conv, weights);
    }
    let (panels, layout) = (panels(conv), Layout::of(conv));
    let (depth, kernel_w) = (conv.in_c / conv.groups, conv.window.kernel_w);
    let group = |group: usize| {
        panels.pack(|tap, row, column| {
            let (tap, channel) = match layout.merged {
                true => (tap * kernel_w + row / layout.pixel, row % layout.pixel),
                false => (tap, row),
            };
            let column = group * panels.columns + column;
            if channel < depth { weights.bytes[(tap * depth + channel) * conv.out_c + column] } else { 0 }
        })
    };
    (0..conv.groups).flat_map(group).collect()
}

/// Values of output channels in the order of the panels: each group filled up to whole panels.
pub fn in_panels(conv: &Convolution, values: &[f32]) -> Vec<f32> {
    let groups = if is_depthwise(conv) { 1 } else { conv.groups.max(1) };
    let filled = |group: &[f32]| {
        let mut group = group.to_vec();
        group.resize(columns_len(conv) / groups, 0.0);
        group
    };
    values.chunks((conv.out_c / groups).max(1)).flat_map(filled).collect()
}

/// Floats (words) of scratch for a batch on this number of threads.
pub fn scratch_len(conv: &Convolution, batch: usize, workers: usize) -> usize {
    let layout = Layout::of(conv);
    match () {
        () if is_depthwise(conv) => depthwise::scratch_len(conv, workers),
        () if layout.copied => product([layout.copy_len(), batch]).div_ceil(size_of::<f32>()),
        () => 0,
    }
}

/// The operands of a convolution.
#[derive(Debug)]
pub struct ConvCall<'a> {
    pub threads: &'a ThreadPool,
    pub conv: &'a Convolution,
    pub batch: usize,
    pub input: Bytes<'a>,
    /// The byte that stands for zero in the input.
    pub zero_point: u8,
    /// Packed by [`pack`].
    pub weights: &'a [i8],
    /// In the order of [`in_panels`].
    pub rescale: Rescale<'a>,
    /// [`scratch_len`] floats.
    pub scratch: &'a mut [f32],
    pub output: Output<'a>,
}

/// Computes a convolution.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn convolve(call: ConvCall<'_>) {
    let ConvCall { threads, conv, batch, input, zero_point, weights, rescale, scratch, mut output } = call;
    let (layout, window) = (Layout::of(conv), &conv.window);
    if batch == 0 {
        return;
    }
    if is_depthwise(conv) {
        depthwise::convolve(threads, conv, batch, input, zero_point, weights, rescale, scratch, &mut output);
        return;
    }
    let scratch: &mut [u8] = bytemuck::cast_slice_mut(scratch);
    let (data, image, pixel, width) = match layout.copied {
        true => {
            copy_padded(threads, conv, &layout, batch, input, zero_point, scratch);
            (&*scratch, layout.copy_len(), layout.pixel, layout.width)
        }
        false => (input.data, input.image, input.ld, window.in_w),
    };
    let rows = Rows {
        data,
        images: batch,
        image,
        runs: window.out_h,
        run: window.stride_h * width * pixel,
        len: window.out_w,
        step: window.stride_w * pixel,
    };
    let rows = if conv.is_pixelwise() && !layout.copied { joined(rows, &rescale, &output) } else { rows };
    let panels = panels(conv);
    let taps: smallvec::SmallVec<[usize; 32]> = match layout.merged {
        true => (0..window.kernel_h).map(|y| y * window.dilation_h * width * pixel).collect(),
        false => (0..window.kernel_h * window.kernel_w)
            .map(|tap| {
                let (y, x) = (tap / window.kernel_w, tap % window.kernel_w);
                (y * window.dilation_h * width + x * window.dilation_w) * pixel
            })
            .collect(),
    };
    let padded = panels.columns.next_multiple_of(LANES);
    for group in 0..conv.groups {
        let depth = if conv.groups == 1 { 0 } else { group * panels.depth };
        let part = Product {
            rows: Rows { data: &rows.data[depth..], ..rows },
            taps: &taps,
            panels,
            weights: &weights[group * panels.bytes()..][..panels.bytes()],
            rescale: Rescale {
                multipliers: &rescale.multipliers[group * padded..],
                biases: &rescale.biases[group * padded..],
                ..rescale
            },
            first_column: group * panels.columns,
        };
        part.run(threads, &mut output);
    }
}

/// The rows of a 1x1 convolution as one run for each image, or one for all images where they follow each other.
fn joined<'a>(rows: Rows<'a>, rescale: &Rescale<'_>, output: &Output<'_>) -> Rows<'a> {
    let pixels = rows.runs * rows.len;
    let rows = Rows { runs: 1, run: 0, len: pixels, ..rows };
    let (ld, image) = match output {
        Output::Bytes { to, .. } => (to.ld, to.image),
        Output::Floats(to) => (to.ld, to.image),
    };
    let follow = |ld: usize, image: usize| image == pixels * ld;
    let residual = rescale.residual.is_none_or(|(from, _)| follow(from.ld, from.image));
    if follow(rows.step, rows.image) && follow(ld, image) && residual {
        return Rows { images: 1, image: 0, len: pixels * rows.images, ..rows };
    }
    rows
}

/// Copies images into the middle of the zero point; bytes that fill up a pixel are any.
fn copy_padded(
    threads: &ThreadPool,
    conv: &Convolution,
    layout: &Layout,
    batch: usize,
    input: Bytes<'_>,
    zero_point: u8,
    copy: &mut [u8],
) {
    let window = &conv.window;
    let size = Size { images: batch, pixels: layout.height, channels: layout.width * layout.pixel };
    let to = BytesMut { data: copy, ld: size.channels, image: layout.copy_len() };
    let columns = window.in_w.min(layout.width.saturating_sub(window.pad_left));
    bands(threads, to, size, &|band, out| {
        for (at, row) in out.chunks_exact_mut(size.channels).enumerate() {
            let y = (band.first + at).wrapping_sub(window.pad_top);
            if y >= window.in_h {
                row.fill(zero_point);
                continue;
            }
            let (left, rest) = row.split_at_mut(window.pad_left.min(layout.width) * layout.pixel);
            let (middle, right) = rest.split_at_mut(columns * layout.pixel);
            left.fill(zero_point);
            right.fill(zero_point);
            let from = &input.data[band.image * input.image + y * window.in_w * input.ld..];
            if input.ld == layout.pixel && conv.in_c == layout.pixel {
                middle.copy_from_slice(&from[..middle.len()]);
            } else {
                for (to, from) in middle.chunks_exact_mut(layout.pixel).zip(from.chunks(input.ld)) {
                    to[..conv.in_c].copy_from_slice(&from[..conv.in_c]);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::quantization::Quantization;
    use super::super::testing::{ByteTensor, bytes, floats, rounded};
    use super::super::weights::Rescaling;
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::simd::isa::ByteDot;
    use crate::kernels::tensor_view::{ViewMut, Window};

    fn geometry(
        (height, width): (usize, usize),
        (in_c, out_c, groups): (usize, usize, usize),
        (kernel_h, kernel_w): (usize, usize),
        (stride, dilation, pad): (usize, usize, usize),
    ) -> Convolution {
        let out = |size: usize, kernel: usize| (size + 2 * pad - ((kernel - 1) * dilation + 1)) / stride + 1;
        let window = Window {
            in_h: height,
            in_w: width,
            out_h: out(height, kernel_h),
            out_w: out(width, kernel_w),
            kernel_h,
            kernel_w,
            stride_h: stride,
            stride_w: stride,
            dilation_h: dilation,
            dilation_w: dilation,
            pad_top: pad,
            pad_left: pad,
        };
        Convolution { window, in_c, out_c, groups }
    }

    /// The sum of an output by plain integers.
    fn sum(conv: &Convolution, x: &ByteTensor, zero: u8, weights: &[i8], at: (usize, usize, usize)) -> i32 {
        let (window, (image, pixel, column)) = (&conv.window, at);
        let (y, x_of) = (pixel / window.out_w, pixel % window.out_w);
        let (depth, group) = (conv.in_c / conv.groups, column / (conv.out_c / conv.groups));
        let mut sum = 0;
        for tap in 0..window.kernel_h * window.kernel_w {
            let (tap_y, tap_x) = (tap / window.kernel_w, tap % window.kernel_w);
            let at_y = (y * window.stride_h + tap_y * window.dilation_h).wrapping_sub(window.pad_top);
            let at_x = (x_of * window.stride_w + tap_x * window.dilation_w).wrapping_sub(window.pad_left);
            for channel in 0..depth {
                let is_inside = at_y < window.in_h && at_x < window.in_w;
                let byte = match is_inside {
                    true => x.at(image, at_y * window.in_w + at_x, group * depth + channel),
                    false => zero,
                };
                sum += i32::from(byte) * i32::from(weights[(tap * depth + channel) * conv.out_c + column]);
            }
        }
        sum
    }

    fn check(conv: &Convolution, batch: usize, gap: usize, residual: Option<Quantization>, zero: u8) {
        let window = &conv.window;
        let (pixels, out_pixels) = (window.in_h * window.in_w, window.out_h * window.out_w);
        let x = ByteTensor::random(1, batch, pixels, conv.in_c, gap);
        let added = ByteTensor::random(2, batch, out_pixels, conv.out_c, gap);
        let columns = Columns::of(&floats(3, conv.weights()), conv.out_c);
        let terms = (conv.weights() / conv.out_c) as f32;
        let output = bytes(0.02 * terms.sqrt(), 90);
        let bias = floats(4, conv.out_c);
        let weights: Vec<i8> = pack(conv, &columns);
        assert_eq!(weights.len(), packed_len(conv));
        for output_bytes in [Some(output), None] {
            let rescaling = Rescaling { input: bytes(0.02, zero), output: output_bytes, residual };
            let (multipliers, biases) = rescaling.of_columns(&columns, Some(&bias));
            let scale = rescaling.residual_scale();
            let value = |image, pixel, column| {
                let sum = sum(conv, &x, zero, &columns.bytes, (image, pixel, column));
                let value = (sum as f32).mul_add(multipliers[column], biases[column]);
                let added = f32::from(added.at(image, pixel, column));
                if residual.is_some() { added.mul_add(scale, value) } else { value }
            };
            let (packed_multipliers, packed_biases) =
                (Floats::from(in_panels(conv, &multipliers)), Floats::from(in_panels(conv, &biases)));
            assert_eq!(packed_biases.len(), columns_len(conv));
            for &dot in ByteDot::available() {
                for count in [1, 3] {
                    let threads = ThreadPool::with_byte_dot(count, dot);
                    let mut y = ByteTensor::new(batch, out_pixels, conv.out_c, gap);
                    let mut numbers = Floats::filled(-7.0, batch * out_pixels * conv.out_c);
                    let mut scratch = Floats::filled(f32::NAN, scratch_len(conv, batch, count));
                    convolve(ConvCall {
                        threads: &threads,
                        conv,
                        batch,
                        input: x.view(),
                        zero_point: zero,
                        weights: &weights,
                        rescale: Rescale {
                            multipliers: &packed_multipliers,
                            biases: &packed_biases,
                            residual: residual.map(|_| (added.view(), scale)),
                        },
                        scratch: &mut scratch,
                        output: match output_bytes {
                            Some(_) => Output::Bytes { to: y.view_mut(), low: 3, high: 250 },
                            None => Output::Floats(ViewMut {
                                data: &mut numbers,
                                ld: conv.out_c,
                                image: out_pixels * conv.out_c,
                            }),
                        },
                    });
                    let what = format!("{dot:?} {count} threads {conv:?}");
                    match output_bytes {
                        Some(_) => y.check(&what, |n, p, c| rounded(value(n, p, c), 3, 250)),
                        None => numbers.iter().enumerate().for_each(|(at, number)| {
                            let (pixel, column) = (at / conv.out_c, at % conv.out_c);
                            let wanted = value(pixel / out_pixels, pixel % out_pixels, column);
                            assert_eq!(number.to_bits(), wanted.to_bits(), "{what} {at}");
                        }),
                    }
                }
            }
        }
    }

    #[test]
    fn products_of_pixels() {
        for (channels, size) in
            [((4, 1, 1), (1, 1)), ((20, 70, 1), (3, 5)), ((64, 48, 1), (4, 7)), ((6, 33, 1), (2, 3))]
        {
            for (batch, gap) in [(1, 0), (3, 0), (2, 5)] {
                check(&geometry(size, channels, (1, 1), (1, 1, 0)), batch, gap, None, 0);
                check(&geometry(size, channels, (1, 1), (1, 1, 0)), batch, gap, Some(bytes(0.03, 11)), 77);
            }
        }
        check(&geometry((7, 9), (8, 20, 1), (1, 1), (2, 1, 0)), 2, 3, None, 5);
    }

    #[test]
    fn windows_with_padding_strides_and_dilation() {
        for zero in [0, 77] {
            check(&geometry((6, 5), (3, 20, 1), (3, 3), (2, 1, 1)), 2, 0, None, zero);
            check(&geometry((9, 16), (8, 130, 1), (3, 3), (1, 1, 1)), 1, 3, Some(bytes(0.1, 3)), zero);
            check(&geometry((7, 8), (5, 7, 1), (5, 3), (1, 2, 3)), 1, 1, None, zero);
            check(&geometry((11, 11), (3, 64, 1), (7, 7), (2, 1, 3)), 1, 0, None, zero);
        }
    }

    #[test]
    fn groups_and_depthwise() {
        for zero in [0, 77] {
            check(&geometry((5, 6), (16, 40, 2), (3, 3), (1, 1, 1)), 2, 2, Some(bytes(0.1, 3)), zero);
            check(&geometry((5, 6), (8, 8, 2), (1, 1), (1, 1, 0)), 2, 0, None, zero);
            for (channels, kernel, stride) in [(3, (3, 3), 1), (64, (3, 3), 1), (70, (3, 3), 2), (130, (5, 5), 1)] {
                let channels = (channels, channels, channels);
                check(&geometry((13, 9), channels, kernel, (stride, 1, 1)), 2, 3, None, zero);
            }
            check(&geometry((12, 12), (18, 18, 18), (5, 2), (2, 2, 2)), 1, 0, Some(bytes(0.1, 3)), zero);
        }
    }
}
