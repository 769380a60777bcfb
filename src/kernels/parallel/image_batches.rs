//! Walking over batches of images: bands of pixels for tasks, chunks of floats for inner loops.

use serde::{Deserialize, Serialize};

use super::disjoint::{Grid, Scratch, Work, share};
use super::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};

/// Floats that make one task worth starting.
const TASK: usize = 1 << 14;
/// Floats that stay in the first-level cache while several loops go over them.
const CHUNK: usize = 1 << 12;

/// The sizes of a batch: `n` images of `pixels` pixels with `channels` floats each.
/// A batch of plain vectors is a batch of images of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Images {
    pub n: usize,
    pub pixels: usize,
    pub channels: usize,
}

impl Images {
    /// Floats from the first to the last of an image whose pixels are `ld` apart.
    pub(crate) fn span(&self, ld: usize) -> usize {
        span(self.pixels, ld, self.channels)
    }
}

/// Floats from the first to the last of `rows` rows of `width` floats, `ld` apart.
pub(crate) fn span(rows: usize, ld: usize, width: usize) -> usize {
    if rows == 0 { 0 } else { (rows - 1) * ld + width }
}

/// Consecutive pixels of one image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    pub image: usize,
    pub first: usize,
    pub pixels: usize,
}

impl Band {
    /// The band's floats in a view of images of the same size.
    pub fn of<'a>(&self, x: &View<'a>, channels: usize) -> &'a [f32] {
        &x.data[self.image * x.image + self.first * x.ld..][..span(self.pixels, x.ld, channels)]
    }
}

/// Splits a batch into tasks of some thousand floats, each a band of pixels or several whole images, and calls
/// `work(band, the band's floats of y, the worker's floats of scratch)` for the bands.
pub(crate) fn bands(threads: &ThreadPool, y: ViewMut<'_>, size: Images, scratch: Scratch<'_>, work: &Work<'_, Band>) {
    let Images { n, pixels, channels } = size;
    let floats = pixels * channels;
    if n == 0 || floats == 0 {
        return;
    }
    let (ld, stride) = (y.ld, y.image);
    if floats >= TASK {
        let each = (TASK / channels).max(1);
        let inner = pixels.div_ceil(each);
        let last = span(pixels - (inner - 1) * each, ld, channels);
        let len = span(each, ld, channels);
        let grid = Grid { outer: n, outer_stride: stride, inner, inner_stride: each * ld, len, last };
        share(threads, y.data, grid, scratch, &|piece, out, own| {
            let first = piece.inner * each;
            work(Band { image: piece.outer, first, pixels: each.min(pixels - first) }, out, own);
        });
    } else {
        let image = size.span(ld);
        groups(threads, y, n, (TASK / floats).max(1), image, scratch, &|start, out, own| {
            for (i, floats) in out.chunks_mut(stride.max(image)).enumerate() {
                work(Band { image: start + i, first: 0, pixels }, &mut floats[..image], own);
            }
        });
    }
}

/// Splits a batch into tasks of `group` images, `span` floats each: `work(first image, floats, scratch)`.
pub(crate) fn groups(
    threads: &ThreadPool,
    y: ViewMut<'_>,
    n: usize,
    group: usize,
    span: usize,
    scratch: Scratch<'_>,
    work: &Work<'_, usize>,
) {
    if n == 0 {
        return;
    }
    assert!(n == 1 || span <= y.image, "images of {span} floats are only {} apart", y.image);
    let inner = n.div_ceil(group);
    let last = self::span(n - (inner - 1) * group, y.image, span);
    let len = self::span(group.min(n), y.image, span);
    let grid = Grid { outer: 1, outer_stride: 0, inner, inner_stride: group * y.image, len, last };
    share(threads, y.data, grid, scratch, &|piece, out, own| work(piece.inner * group, out, own));
}

/// For kernels that change each pixel by itself: calls `work(band, floats)` with chunks of `y` that hold whole pixels
/// without gaps and stay in the first-level cache. Before that, `x` is copied into them; without an `x`, `y` holds the
/// input already.
pub(crate) fn pointwise(
    threads: &ThreadPool,
    x: Option<View<'_>>,
    y: ViewMut<'_>,
    size: Images,
    work: &(dyn Fn(Band, &mut [f32]) + Sync),
) {
    let channels = size.channels;
    let ld = y.ld;
    let at_once = if ld == channels { (CHUNK / channels.max(1)).max(1) } else { 1 };
    bands(threads, y, size, Scratch::none(), &|band, out, _| {
        for start in (0..band.pixels).step_by(at_once) {
            let pixels = at_once.min(band.pixels - start);
            let part = Band { first: band.first + start, pixels, ..band };
            let chunk = &mut out[start * ld..][..pixels * channels];
            if let Some(x) = &x {
                copy_rows(part.of(x, channels), x.ld, chunk, channels, channels);
            }
            work(part, chunk);
        }
    });
}

/// Copies rows of `width` floats that are `x_ld` apart to rows that are `y_ld` apart, until `y` is full.
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
