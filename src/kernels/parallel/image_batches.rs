//! Iteration over batches of images: bands of pixels for tasks, cache-sized chunks for inner loops.

use serde::{Deserialize, Serialize};

use super::disjoint::{Body, Partition, Scratch, share, share_in_parts};
use super::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};

/// Min floats of a task, so that its work outweighs the cost of starting it.
const TASK_FLOATS: usize = 1 << 13;
/// Floats that stay in the L1 cache while several loops go over them.
const CHUNK_FLOATS: usize = 1 << 12;

/// The shape of a batch: `n` images of `pixels` pixels with `channels` floats each.
/// A batch of vectors is a batch of images of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Images {
    pub n: usize,
    pub pixels: usize,
    pub channels: usize,
}

impl Images {
    /// Floats from the first to the last of an image with row stride `ld`.
    pub(crate) fn span(&self, ld: usize) -> usize {
        span(self.pixels, ld, self.channels)
    }
}

/// Floats from the first to the last of `rows` rows of `width` floats with row stride `ld`.
pub(crate) fn span(rows: usize, ld: usize, width: usize) -> usize {
    if rows == 0 { 0 } else { (rows - 1) * ld + width }
}

/// Consecutive pixels of one image, from pixel `first` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    pub image: usize,
    pub first: usize,
    pub pixels: usize,
}

impl Band {
    /// The band's floats in a view of images of the same shape.
    pub fn of<'a>(&self, x: &View<'a>, channels: usize) -> &'a [f32] {
        &x.data[self.image * x.image + self.first * x.ld..][..span(self.pixels, x.ld, channels)]
    }
}

/// Splits a batch into tasks of about [`TASK_FLOATS`] floats, each a band of pixels or several complete images, and calls
/// `body(band, the band's floats of y, the worker's floats of scratch)` for every band.
pub(crate) fn bands(threads: &ThreadPool, y: ViewMut<'_>, size: Images, scratch: Scratch<'_>, body: &Body<'_, Band>) {
    let Images { n, pixels, channels } = size;
    let floats = pixels * channels;
    if n == 0 || floats == 0 {
        return;
    }
    let (ld, stride) = (y.ld, y.image);
    if floats >= TASK_FLOATS {
        let band_pixels = (TASK_FLOATS / channels).max(1);
        let inner = pixels.div_ceil(band_pixels);
        let last = span(pixels - (inner - 1) * band_pixels, ld, channels);
        let len = span(band_pixels, ld, channels);
        let partition = Partition { outer: n, outer_stride: stride, inner, inner_stride: band_pixels * ld, len, last };
        share_in_parts(threads, y.data, partition, scratch, &|chunk, out, scratch| {
            let first = chunk.inner * band_pixels;
            let band = Band { image: chunk.outer, first, pixels: band_pixels.min(pixels - first) };
            body(band, out, scratch);
        });
    } else {
        let image = size.span(ld);
        image_groups(threads, y, n, (TASK_FLOATS / floats).max(1), image, scratch, &|start, out, scratch| {
            for (i, floats) in out.chunks_mut(stride.max(image)).enumerate() {
                body(Band { image: start + i, first: 0, pixels }, &mut floats[..image], scratch);
            }
        });
    }
}

/// Splits a batch into tasks of `group` images, `span` floats each: `body(first image, floats, scratch)`.
///
/// # Panics
/// If the images of `y` overlap.
pub(crate) fn image_groups(
    threads: &ThreadPool,
    y: ViewMut<'_>,
    n: usize,
    group: usize,
    span: usize,
    scratch: Scratch<'_>,
    body: &Body<'_, usize>,
) {
    if n == 0 {
        return;
    }
    assert!(n == 1 || span <= y.image, "images of {span} floats with an image stride of only {}", y.image);
    let partition = image_partition(n, group, span, y.image);
    share(threads, y.data, partition, scratch, &|chunk, out, scratch| body(chunk.inner * group, out, scratch));
}

/// The partition of `n` images, at least one, of `span` floats each, `image` floats apart, into groups.
pub(crate) fn image_partition(n: usize, group: usize, span: usize, image: usize) -> Partition {
    let inner = n.div_ceil(group);
    let last = self::span(n - (inner - 1) * group, image, span);
    let len = self::span(group.min(n), image, span);
    Partition { outer: 1, outer_stride: 0, inner, inner_stride: group * image, len, last }
}

/// For kernels that map every pixel independently: calls `body(band, floats)` with contiguous chunks of `y` that are
/// complete pixels and stay in the L1 cache. `x` is copied into each chunk first; without an `x` the kernel runs in place
/// and `y` is the input.
pub(crate) fn pointwise(
    threads: &ThreadPool,
    x: Option<View<'_>>,
    y: ViewMut<'_>,
    size: Images,
    body: &(dyn Fn(Band, &mut [f32]) + Sync),
) {
    let channels = size.channels;
    let ld = y.ld;
    let chunk_pixels = if ld == channels { (CHUNK_FLOATS / channels.max(1)).max(1) } else { 1 };
    bands(threads, y, size, Scratch::none(), &|band, out, _| {
        for start in (0..band.pixels).step_by(chunk_pixels) {
            let pixels = chunk_pixels.min(band.pixels - start);
            let chunk_band = Band { first: band.first + start, pixels, ..band };
            let chunk = &mut out[start * ld..][..pixels * channels];
            if let Some(x) = &x {
                copy_rows(chunk_band.of(x, channels), x.ld, chunk, channels, channels);
            }
            body(chunk_band, chunk);
        }
    });
}

/// Copies rows of `width` floats with row stride `x_ld` to rows with row stride `y_ld`, until `y` is full.
#[inline]
pub(crate) fn copy_rows(x: &[f32], x_ld: usize, y: &mut [f32], y_ld: usize, width: usize) {
    if x_ld == width && y_ld == width || y.len() <= width {
        y.copy_from_slice(&x[..y.len()]);
    } else {
        for (from, to) in x.chunks(x_ld).zip(y.chunks_mut(y_ld)) {
            to[..width].copy_from_slice(&from[..width]);
        }
    }
}
