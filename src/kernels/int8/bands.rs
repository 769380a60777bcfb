//! Parallel loops over bands of pixels of a tensor of bytes.

use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::BytesMut;

/// Min bytes of a task, so that its work outweighs the cost of starting it.
const TASK_BYTES: usize = 1 << 14;

/// The shape of a batch of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub images: usize,
    pub pixels: usize,
    pub channels: usize,
}

/// Consecutive pixels of one image, from pixel `first` on.
#[derive(Clone, Copy, Debug)]
pub struct Band {
    pub image: usize,
    pub first: usize,
    pub pixels: usize,
}

/// A slice that several threads write, each a part of its own.
struct Shared {
    start: *mut u8,
    len: usize,
}

// SAFETY: tasks take disjoint parts.
unsafe impl Sync for Shared {}

/// Calls `body(band, its bytes of y)` for bands of pixels that cover `y`. The bytes end with the channels of the band's last pixel.
///
/// # Panics
/// If `y` is too short, or pixels or images overlap.
pub fn bands(threads: &ThreadPool, y: BytesMut<'_>, size: Size, body: &(dyn Fn(Band, &mut [u8]) + Sync)) {
    let Size { images, pixels, channels } = size;
    if images == 0 || pixels == 0 || channels == 0 {
        return;
    }
    let (ld, image) = (y.ld, y.image);
    let span = |pixels: usize| (pixels - 1) * ld + channels;
    assert!(channels <= ld || pixels == 1, "pixels overlap");
    assert!(images == 1 || span(pixels) <= image, "images overlap");
    assert!((images - 1) * image + span(pixels) <= y.data.len(), "the output is too short");
    let per_task = TASK_BYTES.div_ceil(channels).min(pixels);
    let tasks = pixels.div_ceil(per_task);
    let shared = Shared { start: y.data.as_mut_ptr(), len: y.data.len() };
    threads.run_in_parts(images * tasks, &|task, _| {
        let shared = &shared;
        let (index, first) = (task / tasks, task % tasks * per_task);
        let band = Band { image: index, first, pixels: per_task.min(pixels - first) };
        let (start, len) = (index * image + first * ld, span(band.pixels));
        assert!(start + len <= shared.len);
        // SAFETY: in bounds by the assertion; bands of different tasks do not overlap, as pixels and images do not.
        body(band, unsafe { std::slice::from_raw_parts_mut(shared.start.add(start), len) });
    });
}
