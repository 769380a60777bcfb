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
use crate::size::{product, round_up, span, sum};

/// Whether a convolution can be computed: its groups have whole panels' groups of inputs, or it is depthwise.
pub fn supports(conv: &Convolution) -> bool {
    conv.groups == 1 || is_depthwise(conv) || (conv.in_c / conv.groups).is_multiple_of(GROUP)
}

/// How the windows of a convolution lie in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
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
        let (reach_h, reach_w) = (
            span(window.kernel_h, window.dilation_h, 1),
            span(window.kernel_w, window.dilation_w, 1),
        );
        let (height, width) =
            (span(window.out_h, window.stride_h, reach_h), span(window.out_w, window.stride_w, reach_w));
        let is_single = (window.kernel_h, window.kernel_w, window.pad_top, window.pad_left) == (1, 1, 0, 0);
        let inside = height <= window.in_h && width <= window.in_w;
        let depthwise = is_depthwise(conv);
        let copied = depthwise || !(is_single && inside && (conv.in_c / conv.groups.max(1)).is_multiple_of(GROUP));
        let pixel = match () {
            () if depthwise => round_up(conv.in_c, LANES),
            () if conv.groups == 1 => round_up(conv.in_c, GROUP),
            () => conv.in_c,
        };
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
        false => product([panels(conv).len(), conv.groups]),
    }
}

/// The number of multipliers and biases: whole panels for each group.
pub fn columns_len(conv: &Convolution) -> usize {
    match is_depthwise(conv) {
        true => round_up(conv.out_c, LANES),
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
    let columns = if is_depthwise(conv) { conv.out_c } else { conv.out_c / conv.groups.max(1) };
    let filled = |group: &[f32]| {
        let mut group = group.to_vec();
        group.resize(columns.next_multiple_of(LANES), 0.0);
        group
    };
    values.chunks(columns.max(1)).flat_map(filled).collect()
}

/// Bytes of scratch for a batch.
pub fn scratch_len(conv: &Convolution, batch: usize) -> usize {
    let layout = Layout::of(conv);
    if !layout.copied {
        return 0;
    }
    // Depthwise tiles read whole vectors.
    sum([product([layout.copy_len(), batch]), LANES])
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
    /// [`scratch_len`] bytes.
    pub scratch: &'a mut [u8],
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
    let (data, image, pixel, width) = match layout.copied {
        true => {
            copy_padded(threads, conv, &layout, batch, input, zero_point, scratch);
            (&*scratch, layout.copy_len(), layout.pixel, layout.width)
        }
        false => (input.data, input.image, input.ld, window.in_w),
    };
    if is_depthwise(conv) {
        depthwise::convolve(threads, conv, &layout, batch, data, weights, rescale, &mut output);
        return;
    }
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
            weights: &weights[group * panels.len()..][..panels.len()],
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
