//! The average, maximum or sum along axes.

use super::Axes;
use crate::kernels::elementwise::column_reduce::{Columns, maxima, sums};
use crate::kernels::elementwise::softmax::{lane_max, lane_sum};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::span;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::pool::global_pool::GlobalPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// Floats of the input that a task reads, at least.
const TASK_FLOATS: usize = 1 << 14;
/// Channels of a task, where there is one pixel.
const BLOCK_CHANNELS: usize = 128;

/// y = the average, maximum or sum of x along `axes`: x is `(n, outer, len, inner, channels)`, y
/// `(n, outer, inner, channels)`, with one channel if they are reduced too.
pub fn reduce(x: View<'_>, y: ViewMut<'_>, n: usize, axes: &Axes, reduction: GlobalPool, threads: &ThreadPool) {
    if n == 0 || !axes.is_possible() {
        return;
    }
    let (axes, x_ld, y_ld) = match x.ld == axes.channels && y.ld == axes.reduced().1 {
        true => (axes.merged(), axes.merged().channels, axes.merged().reduced().1),
        false => (*axes, x.ld, y.ld),
    };
    let (pixels, channels) = axes.reduced();
    let in_blocks = pixels == 1 && !axes.over_channels;
    let task = if in_blocks { BLOCK_CHANNELS } else { (TASK_FLOATS / (channels * axes.count())).max(1) };
    let partition = match in_blocks {
        true => Partition { outer: n, outer_stride: y.image, ..Partition::chunks(channels, task) },
        false => {
            let inner = pixels.div_ceil(task);
            let (len, last) = (span(task, y_ld, channels), span(pixels - (inner - 1) * task, y_ld, channels));
            Partition { outer: n, outer_stride: y.image, inner, inner_stride: task * y_ld, len, last }
        }
    };
    share(threads, y.data, partition, Scratch::none(), &|chunk, out, _| {
        let image = &x.data[chunk.outer * x.image..];
        let (first, width) = if in_blocks { (chunk.inner * task, out.len()) } else { (0, channels) };
        let start = if in_blocks { 0 } else { chunk.inner * task };
        for (index, out) in out.chunks_mut(y_ld).enumerate() {
            let (outer, inner) = ((start + index) / axes.inner, (start + index) % axes.inner);
            let from = &image[(outer * axes.len * axes.inner + inner) * x_ld..];
            let columns = Columns { x: from, ld: axes.inner * x_ld, rows: axes.len, first };
            let out = &mut out[..width];
            match (axes.over_channels, reduction) {
                (false, GlobalPool::Max) => maxima(columns, out),
                (false, _) => sums(columns, out),
                (true, GlobalPool::Max) => max_of_rows(columns, axes.channels, out),
                (true, _) => sum_of_rows(columns, axes.channels, out),
            }
            if reduction == GlobalPool::Average {
                out.iter_mut().for_each(|v| *v /= axes.count() as f32);
            }
        }
    });
}

multiversion! {
    /// out = (the sum of all values)
    fn sum_of_rows(x: Columns<'_>, channels: usize, out: &mut [f32]) {
        out[0] = (0..x.rows).map(|row| lane_sum(&x.x[row * x.ld..][..channels])).sum();
    }
}

multiversion! {
    /// out = (the maximum of all values)
    fn max_of_rows(x: Columns<'_>, channels: usize, out: &mut [f32]) {
        let rows = (0..x.rows).map(|row| lane_max(&x.x[row * x.ld..][..channels]));
        out[0] = rows.fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor};

    /// Axes of all forms, with sizes that are no multiple of anything.
    pub(in crate::kernels::reduce) fn cases() -> Vec<Axes> {
        let sizes =
            [(1, 1, 1, 1), (1, 7, 1, 5), (1, 5, 3, 4), (6, 4, 1, 17), (3, 2, 2, 33), (1, 9, 1, 300), (40, 50, 1, 9)];
        let of = |(outer, len, inner, channels), over_channels| Axes { outer, len, inner, channels, over_channels };
        sizes.into_iter().flat_map(|size| [of(size, false), of(size, true)]).collect()
    }

    #[test]
    fn reductions_match_their_definitions() {
        let mut random = Random(61);
        for (case, axes) in cases().into_iter().enumerate() {
            let (n, gap) = (1 + case % 3, case / 2 % 2 * 3);
            let x = Tensor::random(&mut random, n, axes.pixels(), axes.channels, gap);
            let (pixels, channels) = axes.reduced();
            let empty = Tensor::new(n, pixels, channels, gap);
            let values = |n: usize, p: usize, c: usize| -> Vec<f64> {
                let (outer, inner) = (p / axes.inner, p % axes.inner);
                let channels = if axes.over_channels { 0..axes.channels } else { c..c + 1 };
                let pixel = |at: usize| (outer * axes.len + at) * axes.inner + inner;
                (0..axes.len)
                    .flat_map(|at| channels.clone().map(move |c| (pixel(at), c)))
                    .map(|(p, c)| x.at(n, p, c))
                    .collect()
            };
            let run = |reduction| empty.filled(|y, t| reduce(x.view(), y, n, &axes, reduction, t));
            let sum = |n, p, c| values(n, p, c).iter().sum::<f64>();
            run(GlobalPool::Sum).check(1e-5, sum);
            run(GlobalPool::Average).check(1e-6, |n, p, c| sum(n, p, c) / axes.count() as f64);
            run(GlobalPool::Max).check(0.0, |n, p, c| values(n, p, c).into_iter().fold(f64::NEG_INFINITY, f64::max));
        }
    }
}
