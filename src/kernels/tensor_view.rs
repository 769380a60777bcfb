//! What kernels are handed: windows into f32 memory, and the geometry of windows that slide over images.
//!
//! Images stand channels last: a pixel is `channels` consecutive floats, pixels follow each other `ld` floats apart
//! (more than `channels` where the tensor is a slice of a wider one, as a branch that writes straight into its
//! concatenation), images `image` floats apart.

use crate::size::{MAX_TENSOR_VALUES, is_tensor, product, span, sum};
use serde::{Deserialize, Serialize};

/// A read-only batch of images or rows.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The floats, starting at the first one of the first image.
    pub data: &'a [f32],
    /// Floats from one pixel (or row) to the next.
    pub ld: usize,
    /// Floats from one image to the next.
    pub image: usize,
}

/// A batch of images or rows that a kernel writes; see [`View`].
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// The floats, starting at the first one of the first image.
    pub data: &'a mut [f32],
    /// Floats from one pixel (or row) to the next.
    pub ld: usize,
    /// Floats from one image to the next.
    pub image: usize,
}

/// A window that slides over an image with zero (or, for maxima, minus infinity) padding.
/// Sizes in pixels; `out_h`, `out_w` are resolved, so what lies behind the last window is implied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    pub in_h: usize,
    pub in_w: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub kernel_h: usize,
    pub kernel_w: usize,
    pub stride_h: usize,
    pub stride_w: usize,
    pub dilation_h: usize,
    pub dilation_w: usize,
    pub pad_top: usize,
    pub pad_left: usize,
}

impl Window {
    /// The rows from its first to behind its last.
    pub fn reach_h(&self) -> usize {
        span(self.kernel_h.max(1), self.dilation_h, 1)
    }

    /// Whether it slides: no step of nothing, and no place that a window sees, from the padded corner on, beyond
    /// [`MAX_TENSOR_VALUES`].
    #[deny(clippy::arithmetic_side_effects)]
    pub fn is_possible(&self) -> bool {
        let along = |size: usize, out: usize, kernel: usize, stride: usize, dilation: usize, pad: usize| {
            let seen = span(out, stride, span(kernel, dilation, 1));
            let sizes = [size, out, kernel, stride, dilation, sum([pad, size]), seen];
            sizes.iter().all(|size| (1..=MAX_TENSOR_VALUES).contains(size))
        };
        along(self.in_h, self.out_h, self.kernel_h, self.stride_h, self.dilation_h, self.pad_top)
            && along(self.in_w, self.out_w, self.kernel_w, self.stride_w, self.dilation_w, self.pad_left)
    }
}

/// A convolution: its window and its channels. Weights are `(kernel_h, kernel_w, in_c / groups, out_c)` row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Convolution {
    pub window: Window,
    pub in_c: usize,
    pub out_c: usize,
    pub groups: usize,
}

impl Convolution {
    /// Whether its window slides, its groups divide the channels, and images and weights are tensors.
    #[deny(clippy::arithmetic_side_effects)]
    pub fn is_possible(&self) -> bool {
        let Convolution { window, in_c, out_c, groups } = *self;
        let divides = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
        window.is_possible()
            && divides(in_c)
            && divides(out_c)
            && is_tensor(&[window.in_h, window.in_w, in_c])
            && is_tensor(&[window.out_h, window.out_w, out_c])
            && (1..=MAX_TENSOR_VALUES).contains(&self.weights())
    }

    /// Whether its windows are the pixels as they stand: 1x1 without stride and padding.
    pub fn is_pixelwise(&self) -> bool {
        let window = &self.window;
        (window.kernel_h, window.kernel_w, window.stride_h, window.stride_w) == (1, 1, 1, 1)
            && (window.pad_top, window.pad_left) == (0, 0)
            && (window.out_h, window.out_w) == (window.in_h, window.in_w)
    }

    /// The floats of its weights.
    pub fn weights(&self) -> usize {
        product([self.window.kernel_h, self.window.kernel_w, self.in_c / self.groups.max(1), self.out_c])
    }

    /// Multiply-adds for an image, computed directly.
    pub fn macs(&self) -> usize {
        product([self.window.out_h, self.window.out_w, self.weights()])
    }
}
