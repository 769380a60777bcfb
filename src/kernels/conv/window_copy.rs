//! Windows copied to rows, for products that want them side by side.

use crate::kernels::tensor_view::{Convolution, View};
use std::ops::Range;

/// Copies `values` of the windows of output pixels, which are counted over the batch, from `first` on: each window's
/// floats follow each other, with zeros where it leaves the image. A window's values are its taps times the channels of a
/// group, which begin at `channel`.
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
    let each = window.out_h * window.out_w;
    let (mut image, mut out_y, mut out_x) = (first / each, first % each / window.out_w, first % window.out_w);
    for line in copy.chunks_exact_mut(values.len()) {
        let data = &x.data[image * x.image..];
        let (mut value, mut line) = (values.start, line);
        while !line.is_empty() {
            let (tap, from) = (value / in_c, value % in_c);
            let (part, rest) = line.split_at_mut((in_c - from).min(line.len()));
            let y = out_y * window.stride_h + tap / window.kernel_w * window.dilation_h;
            let x_at = out_x * window.stride_w + tap % window.kernel_w * window.dilation_w;
            let (y, x_at) = (y.wrapping_sub(window.pad_top), x_at.wrapping_sub(window.pad_left));
            if y < window.in_h && x_at < window.in_w {
                let start = (y * window.in_w + x_at) * x.ld + channel + from;
                part.copy_from_slice(&data[start..start + part.len()]);
            } else {
                part.fill(0.0);
            }
            value += part.len();
            line = rest;
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
