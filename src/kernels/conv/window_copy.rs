//! Explicit im2col: copies windows to contiguous rows.

use crate::kernels::tensor_view::{Convolution, View};
use std::ops::Range;

/// Copies columns `values` of the im2col matrix, for the output pixels from `first` on (counted over the batch), to the
/// contiguous rows of `copy`, with zeros for padding. The columns are the taps times the channels of one group, which start
/// at `channel`.
pub fn copy_windows(
    conv: &Convolution,
    x: View<'_>,
    first: usize,
    channel: usize,
    values: Range<usize>,
    copy: &mut [f32],
) {
    let window = &conv.window;
    let in_c = conv.in_c / conv.groups;
    let pixels = window.out_h * window.out_w;
    let is_dense = window.dilation_w == 1 && x.ld == in_c;
    let (mut image, mut out_y, mut out_x) = (first / pixels, first % pixels / window.out_w, first % window.out_w);
    for row in copy.chunks_exact_mut(values.len()) {
        let data = &x.data[image * x.image..];
        let (mut value, mut row) = (values.start, row);
        while !row.is_empty() {
            let (tap, first_channel) = (value / in_c, value % in_c);
            let (tap_y, tap_x) = (tap / window.kernel_w, tap % window.kernel_w);
            // Neighbours in a row of the window are neighbours in the image, unless they are dilated or have gaps.
            let taps = if is_dense { window.kernel_w - tap_x } else { 1 };
            let (channels, remaining) = row.split_at_mut((taps * in_c - first_channel).min(row.len()));
            let in_y = (out_y * window.stride_h + tap_y * window.dilation_h).wrapping_sub(window.pad_top);
            let in_x = out_x * window.stride_w + tap_x * window.dilation_w;
            let before = (window.pad_left.saturating_sub(in_x) * in_c).saturating_sub(first_channel);
            let pixels_left = (window.in_w + window.pad_left).saturating_sub(in_x);
            let end = (pixels_left * in_c).saturating_sub(first_channel).min(channels.len());
            if in_y < window.in_h && before < end {
                let start = (in_y * window.in_w + in_x) * x.ld + channel + first_channel + before;
                let start = start - window.pad_left * x.ld;
                channels[..before].fill(0.0);
                channels[before..end].copy_from_slice(&data[start..start + end - before]);
                channels[end..].fill(0.0);
            } else {
                channels.fill(0.0);
            }
            value += channels.len();
            row = remaining;
        }
        out_x += 1;
        if out_x == window.out_w {
            (out_y, out_x) = (out_y + 1, 0);
            if out_y == window.out_h {
                (image, out_y) = (image + 1, 0);
            }
        }
    }
}
