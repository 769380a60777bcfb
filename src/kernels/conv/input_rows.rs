//! The input rows of a convolution: of complete images, or of a ring buffer of the last rows of an image in progress.

use crate::kernels::tensor_view::View;

/// Addressing of image rows: row y is in slot `y % slots`.
#[derive(Clone, Copy)]
pub(crate) struct ImageRows {
    data: *const f32,
    /// Floats from one image to the next.
    image: usize,
    /// Floats from one row to the next.
    row: usize,
    /// Floats from one pixel to the next.
    pub ld: usize,
    /// Rows of an image, or of the ring buffer.
    slots: usize,
}

// SAFETY: only addresses are shared; readers promise that they are valid.
unsafe impl Sync for ImageRows {}

impl ImageRows {
    /// The rows of complete images of this height and width.
    pub fn of(view: &View, height: usize, width: usize) -> Self {
        Self { data: view.data.as_ptr(), image: view.image, row: width * view.ld, ld: view.ld, slots: height.max(1) }
    }

    /// A ring buffer at `data` of `slots` rows of one image, contiguous, `(slots, width, channels)`.
    pub fn ring(data: *const f32, slots: usize, width: usize, channels: usize) -> Self {
        Self { data, image: 0, row: width * channels, ld: channels, slots: slots.max(1) }
    }

    /// The address of row `row` of an image.
    #[inline(always)]
    pub fn row(&self, image: usize, row: usize) -> *const f32 {
        self.data.wrapping_add(image * self.image + row % self.slots * self.row)
    }
}
