//! The rows of images that a convolution reads: of a whole image, or of one that is in the making, of which only the
//! last rows are held.

use crate::kernels::tensor_view::View;

/// Rows of pixels, found through their addresses.
#[derive(Clone, Copy)]
pub(crate) struct ImageRows {
    data: *const f32,
    /// Floats from one image to the next.
    image: usize,
    /// Floats from one row to the next.
    row: usize,
    /// Floats from one pixel to the next.
    pub ld: usize,
    /// Rows that are held; a row stands where the one so many rows before it stood.
    held: usize,
}

// SAFETY: only addresses are shared; who reads them promises that they are valid.
unsafe impl Sync for ImageRows {}

impl ImageRows {
    /// The rows of whole images of this height and width.
    pub fn of(view: &View, height: usize, width: usize) -> Self {
        Self { data: view.data.as_ptr(), image: view.image, row: width * view.ld, ld: view.ld, held: height.max(1) }
    }

    /// The last `held` rows of one image, whose pixels of `channels` floats follow each other from `data` on.
    pub fn last(data: *const f32, held: usize, width: usize, channels: usize) -> Self {
        Self { data, image: 0, row: width * channels, ld: channels, held: held.max(1) }
    }

    /// The address of a row of an image.
    #[inline(always)]
    pub fn row(&self, image: usize, row: usize) -> *const f32 {
        self.data.wrapping_add(image * self.image + row % self.held * self.row)
    }
}
