//! The phases of the output: its pixels with equal coordinates modulo the stride.

use crate::kernels::tensor_view::{Convolution, Window};
use crate::size::product;

/// One axis of the windows.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    kernel: usize,
    pub(super) stride: usize,
    dilation: usize,
    pad: usize,
}

/// One axis of a phase.
#[derive(Clone, Copy)]
pub(super) struct AxisPhase {
    /// The first tap that reaches its pixels; further ones follow by the stride.
    tap: usize,
    taps: usize,
    /// The padding of its convolution.
    pad: usize,
}

impl Axis {
    pub(super) fn rows(w: &Window) -> Axis {
        Axis { kernel: w.kernel_h, stride: w.stride_h, dilation: w.dilation_h, pad: w.pad_top }
    }

    pub(super) fn columns(w: &Window) -> Axis {
        Axis { kernel: w.kernel_w, stride: w.stride_w, dilation: w.dilation_w, pad: w.pad_left }
    }

    /// The phase whose first pixel is `first`; none if no tap reaches it, its windows begin within the input, or its taps are not
    /// evenly spaced.
    pub(super) fn phase(&self, first: usize) -> Option<AxisPhase> {
        if self.stride > 1 && self.dilation > 1 {
            return None;
        }
        let shift = first + self.pad;
        let tap = shift % self.stride;
        let taps = self.kernel.checked_sub(tap)?.div_ceil(self.stride);
        let pad = (taps.checked_sub(1)? * self.dilation).checked_sub(shift / self.stride)?;
        Some(AxisPhase { tap, taps, pad })
    }
}

/// A phase of the output.
#[derive(Clone, Copy)]
pub(super) struct Phase {
    /// Its first row and column.
    pub(super) first: (usize, usize),
    /// The taps of the whole window that are its first ones.
    pub(super) tap: (usize, usize),
    pub(super) conv: Convolution,
}

/// The phases, by rows.
pub(super) fn phases(forward: &Convolution) -> impl Iterator<Item = Phase> + Clone + use<> {
    let forward = *forward;
    let w = forward.window;
    let firsts = (0..w.stride_h.min(w.in_h)).flat_map(move |y| (0..w.stride_w.min(w.in_w)).map(move |x| (y, x)));
    firsts.filter_map(move |first| {
        let (rows, columns) = (Axis::rows(&w).phase(first.0)?, Axis::columns(&w).phase(first.1)?);
        let window = Window {
            in_h: w.out_h,
            in_w: w.out_w,
            out_h: (w.in_h - first.0).div_ceil(w.stride_h),
            out_w: (w.in_w - first.1).div_ceil(w.stride_w),
            kernel_h: rows.taps,
            kernel_w: columns.taps,
            stride_h: 1,
            stride_w: 1,
            pad_top: rows.pad,
            pad_left: columns.pad,
            ..w
        };
        let conv = Convolution { window, in_c: forward.out_c, out_c: forward.in_c, groups: 1 };
        Some(Phase { first, tap: (rows.tap, columns.tap), conv })
    })
}

impl Phase {
    /// The weights `(kernel_h, kernel_w, in_c, out_c)` of its convolution, whose taps are in the opposite order.
    pub(super) fn weights(&self, forward: &Convolution, weight: &[f32], out: &mut [f32]) {
        let (w, own) = (&forward.window, &self.conv.window);
        let (outputs, inputs) = (forward.in_c, forward.out_c);
        for (index, to) in out.chunks_exact_mut(outputs * inputs).enumerate() {
            let (row, column) = (index / own.kernel_w, index % own.kernel_w);
            let tap_row = self.tap.0 + (own.kernel_h - 1 - row) * w.stride_h;
            let tap_column = self.tap.1 + (own.kernel_w - 1 - column) * w.stride_w;
            let from = &weight[(tap_row * w.kernel_w + tap_column) * outputs * inputs..][..outputs * inputs];
            transpose(from, outputs, to);
        }
    }

    /// Floats of its part of an image.
    pub(super) fn image(&self) -> usize {
        product([self.conv.window.out_h, self.conv.window.out_w, self.conv.out_c])
    }
}

/// Transposes `rows` rows.
pub(super) fn transpose(from: &[f32], rows: usize, to: &mut [f32]) {
    let columns = from.len() / rows;
    for column in 0..columns {
        for row in 0..rows {
            to[column * rows + row] = from[row * columns + column];
        }
    }
}
