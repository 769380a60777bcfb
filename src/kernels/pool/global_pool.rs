//! Pooling over all pixels of an image.

use serde::{Deserialize, Serialize};

use crate::kernels::elementwise::column_reduce::{Columns, maxima, sums};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};

/// What becomes of a channel's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GlobalPool {
    Average,
    Max,
    Sum,
}

/// Channels of one task.
const BLOCK: usize = 128;

/// y = average, maximum or sum over the pixels of each channel: x is `(n, pixels, channels)`, y `(n, channels)`,
/// rows of y being `y.image` floats apart.
pub fn global_pool(x: View<'_>, y: ViewMut<'_>, size: Images, pool: GlobalPool, threads: &ThreadPool) {
    let Images { n, pixels, channels } = size;
    if n == 0 || channels == 0 {
        return;
    }
    let partition = Partition { outer: n, outer_stride: y.image, ..Partition::chunks(channels, BLOCK) };
    share(threads, y.data, partition, Scratch::none(), &|piece, out, _| {
        let image = &x.data[piece.outer * x.image..][..size.span(x.ld)];
        let columns = Columns { x: image, ld: x.ld, rows: pixels, first: piece.inner * BLOCK };
        match pool {
            GlobalPool::Max => maxima(columns, out),
            GlobalPool::Sum => sums(columns, out),
            GlobalPool::Average => {
                sums(columns, out);
                out.iter_mut().for_each(|v| *v /= pixels as f32);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    #[test]
    fn over_all_pixels() {
        let mut random = Random(4);
        for (i, pixels) in [1, 2, 17, 49, 100].into_iter().enumerate() {
            for channels in [1, 5, 8, 33, 130, 300] {
                let (n, gap) = (1 + i % 3, i % 2 * 3);
                let x = Tensor::random(&mut random, n, pixels, channels, gap);
                let empty = Tensor::new(n, 1, channels, gap);
                let run = |pool| empty.filled(|y, threads| global_pool(x.view(), y, x.size, pool, threads));
                let all = |n: usize, c: usize| (0..pixels).map(|p| x.at(n, p, c)).collect::<Vec<f64>>();
                let sum = |n: usize, c: usize| all(n, c).iter().sum::<f64>();
                run(GlobalPool::Sum).check(1e-5, |n, _, c| sum(n, c));
                run(GlobalPool::Average).check(1e-6, |n, _, c| sum(n, c) / pixels as f64);
                run(GlobalPool::Max).check(0.0, |n, _, c| all(n, c).into_iter().fold(f64::NEG_INFINITY, f64::max));
            }
        }
    }
}
