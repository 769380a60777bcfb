//! Global pooling: a reduction over all pixels of an image.

use serde::{Deserialize, Serialize};

use crate::kernels::elementwise::column_reduce::{Columns, maxima, sums};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share, share_in_parts};
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::size::product;

/// The reduction over the pixels of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GlobalPool {
    Average,
    Max,
    Sum,
}

/// Channels of one task, where one task reads all pixels.
const BLOCK_CHANNELS: usize = 128;
/// The least floats of an image that a task reads, and the most tasks of an image.
const TASK_FLOATS: usize = 1 << 13;
const MAX_TASKS: usize = 16;

impl GlobalPool {
    /// out = the reduction of the columns, where an average is a sum still.
    fn reduce(self, columns: Columns<'_>, out: &mut [f32]) {
        match self {
            GlobalPool::Max => maxima(columns, out),
            GlobalPool::Sum | GlobalPool::Average => sums(columns, out),
        }
    }

    fn finish(self, pixels: usize, out: &mut [f32]) {
        if self == GlobalPool::Average {
            out.iter_mut().for_each(|v| *v /= pixels as f32);
        }
    }
}

/// Into how many parts of consecutive pixels an image is cut: large ones, so that each thread reads the part that is in its own
/// cache, as it has written it.
fn parts(pixels: usize, channels: usize) -> usize {
    (pixels.saturating_mul(channels) / TASK_FLOATS).clamp(1, MAX_TASKS).min(pixels.max(1))
}

/// Scratch floats of [`global_pool`] for a batch: the reductions of the parts of each image.
pub fn scratch_len(size: Images) -> usize {
    match parts(size.pixels, size.channels) {
        1 => 0,
        parts => product([size.n, parts, size.channels]),
    }
}

/// y = average, maximum or sum over the pixels of each channel: x is `(n, pixels, channels)`, y `(n, channels)` with row
/// stride `y.image`. `scratch` has [`scratch_len`] floats.
pub fn global_pool(
    x: View<'_>,
    y: ViewMut<'_>,
    size: Images,
    pool: GlobalPool,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let Images { n, pixels, channels } = size;
    if n == 0 || channels == 0 {
        return;
    }
    let image = |index: usize| &x.data[index * x.image..][..size.span(x.ld)];
    let parts = parts(pixels, channels);
    let blocks = Partition { outer: n, outer_stride: y.image, ..Partition::chunks(channels, BLOCK_CHANNELS) };
    if parts == 1 {
        share(threads, y.data, blocks, Scratch::none(), &|chunk, out, _| {
            let first = chunk.inner * BLOCK_CHANNELS;
            pool.reduce(Columns { x: image(chunk.outer), ld: x.ld, rows: pixels, first }, out);
            pool.finish(pixels, out);
        });
        return;
    }
    let scratch = &mut scratch[..scratch_len(size)];
    let start = |part: usize| part * pixels / parts;
    let rows = Partition {
        outer: n,
        outer_stride: parts * channels,
        inner: parts,
        inner_stride: channels,
        len: channels,
        last: channels,
    };
    share_in_parts(threads, scratch, rows, Scratch::none(), &|chunk, out, _| {
        let (from, to) = (start(chunk.inner), start(chunk.inner + 1));
        let x = Columns { x: &image(chunk.outer)[from * x.ld..], ld: x.ld, rows: to - from, first: 0 };
        pool.reduce(x, out);
    });
    for (index, partial) in scratch.chunks_exact(parts * channels).enumerate() {
        let out = &mut y.data[index * y.image..][..channels];
        pool.reduce(Columns { x: partial, ld: channels, rows: parts, first: 0 }, out);
        pool.finish(pixels, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn reduces_over_all_pixels() {
        let mut random = Random(4);
        for (i, pixels) in [1, 2, 17, 49, 100, 3000].into_iter().enumerate() {
            for channels in [1, 5, 8, 33, 130, 300] {
                let (n, gap) = (1 + i % 3, i % 2 * 3);
                let x = Tensor::random(&mut random, n, pixels, channels, gap);
                let empty = Tensor::new(n, 1, channels, gap);
                let run = |pool| {
                    empty.filled(|y, threads| {
                        let mut scratch = vec![f32::NAN; scratch_len(x.size)];
                        global_pool(x.view(), y, x.size, pool, &mut scratch, threads);
                    })
                };
                let all = |n: usize, c: usize| (0..pixels).map(|p| x.at(n, p, c)).collect::<Vec<f64>>();
                let sum = |n: usize, c: usize| all(n, c).iter().sum::<f64>();
                run(GlobalPool::Sum).check(1e-5, |n, _, c| sum(n, c));
                run(GlobalPool::Average).check(1e-6, |n, _, c| sum(n, c) / pixels as f64);
                run(GlobalPool::Max).check(0.0, |n, _, c| all(n, c).into_iter().fold(f64::NEG_INFINITY, f64::max));
            }
        }
    }
}
