//! What kernels are handed: windows into f32 memory, and the geometry of windows that slide over images.
//!
//! Images stand channels last: a pixel is `channels` consecutive floats, pixels follow each other `ld` floats apart
//! (more than `channels` where the tensor is a slice of a wider one, as a branch that writes straight into its
//! concatenation), images `image` floats apart.

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
        (self.kernel_h.max(1) - 1) * self.dilation_h + 1
    }

    /// Whether it slides: no step of nothing, and no number that overflows.
    pub fn is_possible(&self) -> bool {
        let Window { in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, .. } =
            *self;
        let steps = [kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w];
        let others = [in_h, in_w, out_h, out_w, self.pad_top, self.pad_left];
        steps.iter().all(|&size| size > 0) && steps.iter().chain(&others).all(|&size| size < 1 << 40)
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
    /// Whether its window slides and its groups divide the channels.
    pub fn is_possible(&self) -> bool {
        let divides = |channels: usize| self.groups > 0 && channels.is_multiple_of(self.groups);
        self.window.is_possible() && divides(self.in_c) && divides(self.out_c)
    }
}
