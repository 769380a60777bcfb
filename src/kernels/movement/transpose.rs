//! Transposition: permutation of axes.

use crate::kernels::parallel::disjoint::{Partition, Scratch, share_in_parts};
use crate::kernels::parallel::image_batches::span;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;

/// Max number of axes, with the batch.
const MAX_AXES: usize = 8;
/// Min floats of a task.
const TASK_FLOATS: usize = 1 << 14;
/// Sides of the square tiles that a transposition is blocked into, so that reads and writes stay in the cache.
const TILE: usize = 16;

/// One axis of a strided copy: its size, and its stride in floats in x and in y.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    pub size: usize,
    pub x_stride: usize,
    pub y_stride: usize,
}

/// y = transpose(x): axis `i` of y is axis `permutation[i]` of x. Both are contiguous, row-major and have at most 8 axes;
/// the batch is an axis like the others.
///
/// # Panics
/// If there are more than 8 axes.
pub fn transpose(x: &[f32], y: &mut [f32], shape: &[usize], permutation: &[usize], threads: &ThreadPool) {
    let mut axes = [Axis::default(); MAX_AXES];
    let axes = &mut axes[..shape.len()];
    let mut y_stride = 1;
    for (axis, &from) in axes.iter_mut().zip(permutation).rev() {
        *axis = Axis { size: shape[from], x_stride: shape[from + 1..].iter().product(), y_stride };
        y_stride *= shape[from];
    }
    permute(x, y, axes, threads);
}

/// A strided copy: `y[sum of i_a * y_stride_a] = x[sum of i_a * x_stride_a]` for all indices `i` of at most 8 axes. The
/// axes are ordered from the outermost to the innermost of y: each `y_stride` is at least the span of the axes after it.
///
/// # Panics
/// If there are more than 8 axes, a slice is too short or chunks of y overlap.
pub fn permute(x: &[f32], y: &mut [f32], axes: &[Axis], threads: &ThreadPool) {
    if axes.iter().any(|axis| axis.size == 0) {
        return;
    }
    let mut merged = [Axis { size: 1, x_stride: 1, y_stride: 1 }; MAX_AXES];
    let count = merge_axes(axes, &mut merged);
    let axes = &merged[..count.max(1)];
    let inner_len = |first: usize| axes[first.min(axes.len())..].iter().map(|axis| axis.size).product::<usize>();
    let y_span = |first: usize| 1 + axes[first..].iter().map(|axis| (axis.size - 1) * axis.y_stride).sum::<usize>();
    // Where the axes after the first are large enough for several tasks, the second axis is split too.
    let split = usize::from(axes.len() > 1 && inner_len(1) >= 2 * TASK_FLOATS);
    let axis = axes[split];
    let task_size = (TASK_FLOATS / inner_len(split + 1)).max(1).next_multiple_of(TILE).min(axis.size);
    let inner = axis.size.div_ceil(task_size);
    let task_span = |size: usize| span(size, axis.y_stride, y_span(split + 1));
    let partition = Partition {
        outer: if split == 1 { axes[0].size } else { 1 },
        outer_stride: if split == 1 { axes[0].y_stride } else { 0 },
        inner,
        inner_stride: task_size * axis.y_stride,
        len: task_span(task_size),
        last: task_span(axis.size - (inner - 1) * task_size),
    };
    share_in_parts(threads, y, partition, Scratch::none(), &|chunk, out, _| {
        let first = chunk.inner * task_size;
        let mut task_axes = [Axis::default(); MAX_AXES];
        let task_axes = &mut task_axes[..axes.len() - split];
        task_axes.copy_from_slice(&axes[split..]);
        task_axes[0].size = task_size.min(axis.size - first);
        let start = first * axis.x_stride + if split == 1 { chunk.outer * axes[0].x_stride } else { 0 };
        order_axes(task_axes);
        copy_axes(task_axes, &x[start..], out);
    });
}

/// Removes axes of size 1 and merges adjacent axes that are contiguous in both tensors; returns the number of axes left.
fn merge_axes(axes: &[Axis], out: &mut [Axis; MAX_AXES]) -> usize {
    let mut count = 0;
    for axis in axes.iter().filter(|axis| axis.size > 1) {
        if count > 0 {
            let previous = &mut out[count - 1];
            if previous.x_stride == axis.x_stride * axis.size && previous.y_stride == axis.y_stride * axis.size {
                *previous = Axis { size: previous.size * axis.size, ..*axis };
                continue;
            }
        }
        out[count] = *axis;
        count += 1;
    }
    count
}

/// Moves the axis with the smallest stride in x to the second-innermost position; the innermost has the smallest in y.
fn order_axes(axes: &mut [Axis]) {
    let Some(last) = axes.len().checked_sub(1) else { return };
    if let Some(nearest) = (0..last).min_by_key(|i| axes[*i].x_stride) {
        axes[nearest..last].rotate_left(1);
    }
}

fn copy_axes(axes: &[Axis], x: &[f32], y: &mut [f32]) {
    const ONE: Axis = Axis { size: 1, x_stride: 0, y_stride: 0 };
    match axes {
        [] => y[0] = x[0],
        [inner] => copy_planes(ONE, ONE, *inner, x, y),
        [outer, inner] => copy_planes(ONE, *outer, *inner, x, y),
        [planes, outer, inner] => copy_planes(*planes, *outer, *inner, x, y),
        [first, others @ ..] => {
            for i in 0..first.size {
                copy_axes(others, &x[i * first.x_stride..], &mut y[i * first.y_stride..]);
            }
        }
    }
}

/// The most lists that are interleaved by loops of their own: a shuffle of channels has two groups, or three.
const MAX_LISTS: usize = 4;

/// Copies `planes.size` planes of `outer.size` by `inner.size` floats.
fn copy_planes(planes: Axis, outer: Axis, inner: Axis, x: &[f32], y: &mut [f32]) {
    // Lists side by side become one in which they take turns, or the reverse.
    let interleaves = (outer.x_stride, outer.y_stride, inner.y_stride) == (1, inner.size, 1);
    let separates = (outer.x_stride, inner.x_stride, inner.y_stride) == (1, outer.size, 1);
    match () {
        _ if interleaves && (2..=MAX_LISTS).contains(&inner.size) => interleave(planes, outer, inner, x, y),
        _ if separates && (2..=MAX_LISTS).contains(&outer.size) => separate(planes, outer, inner, x, y),
        _ => {
            for i in 0..planes.size {
                copy_plane(outer, inner, &x[i * planes.x_stride..], &mut y[i * planes.y_stride..]);
            }
        }
    }
}

multiversion! {
    /// y = the `inner.size` lists of each plane of x in turn: `a0 b0 a1 b1` of `a0 a1 b0 b1`.
    fn interleave(planes: Axis, outer: Axis, inner: Axis, x: &[f32], y: &mut [f32]) {
        match inner.size {
            2 => interleave_lists::<2>(planes, outer, inner, x, y),
            3 => interleave_lists::<3>(planes, outer, inner, x, y),
            _ => interleave_lists::<4>(planes, outer, inner, x, y),
        }
    }
}

#[inline(always)]
fn interleave_lists<const LISTS: usize>(planes: Axis, outer: Axis, inner: Axis, x: &[f32], y: &mut [f32]) {
    for plane in 0..planes.size {
        let x = &x[plane * planes.x_stride..];
        let lists: [&[f32]; LISTS] = std::array::from_fn(|list| &x[list * inner.x_stride..][..outer.size]);
        let y = &mut y[plane * planes.y_stride..][..outer.size * LISTS];
        for (i, turn) in y.as_chunks_mut::<LISTS>().0.iter_mut().enumerate() {
            for (value, list) in turn.iter_mut().zip(lists) {
                *value = list[i];
            }
        }
    }
}

multiversion! {
    /// y = the `outer.size` lists that take turns in each plane of x: `a0 a1 b0 b1` of `a0 b0 a1 b1`.
    fn separate(planes: Axis, outer: Axis, inner: Axis, x: &[f32], y: &mut [f32]) {
        match outer.size {
            2 => separate_lists::<2>(planes, outer, inner, x, y),
            3 => separate_lists::<3>(planes, outer, inner, x, y),
            _ => separate_lists::<4>(planes, outer, inner, x, y),
        }
    }
}

#[inline(always)]
fn separate_lists<const LISTS: usize>(planes: Axis, outer: Axis, inner: Axis, x: &[f32], y: &mut [f32]) {
    for plane in 0..planes.size {
        let turns = x[plane * planes.x_stride..][..inner.size * LISTS].as_chunks::<LISTS>().0;
        let y = &mut y[plane * planes.y_stride..];
        for list in 0..LISTS {
            for (value, turn) in y[list * outer.y_stride..][..inner.size].iter_mut().zip(turns) {
                *value = turn[list];
            }
        }
    }
}

fn copy_plane(outer: Axis, inner: Axis, x: &[f32], y: &mut [f32]) {
    if inner.x_stride == 1 && inner.y_stride == 1 {
        for i in 0..outer.size {
            y[i * outer.y_stride..][..inner.size].copy_from_slice(&x[i * outer.x_stride..][..inner.size]);
        }
        return;
    }
    for i0 in (0..outer.size).step_by(TILE) {
        for j0 in (0..inner.size).step_by(TILE) {
            for i in i0..outer.size.min(i0 + TILE) {
                for j in j0..inner.size.min(j0 + TILE) {
                    y[i * outer.y_stride + j * inner.y_stride] = x[i * outer.x_stride + j * inner.x_stride];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::Random;

    /// The offset in x of each element of y, element by element.
    fn reference_offsets(shape: &[usize], permutation: &[usize]) -> Vec<usize> {
        let total = shape.iter().product();
        let strides: Vec<usize> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
        let offset = |mut index: usize| {
            permutation.iter().rev().fold(0, |sum, &axis| {
                let i = index % shape[axis];
                index /= shape[axis];
                sum + i * strides[axis]
            })
        };
        (0..total).map(offset).collect()
    }

    #[test]
    fn any_permutation_of_axes() {
        let mut random = Random(20);
        let shapes: [&[usize]; 15] = [
            &[],
            &[5],
            &[3, 17],
            &[2, 5, 3],
            &[2, 9, 11, 5],
            &[1, 20, 1, 33],
            &[2, 3, 4, 5, 2],
            &[2, 3, 1, 4, 3, 5],
            &[3, 200, 210],
            &[7, 2, 58],
            &[5, 3, 11],
            &[130, 4, 40],
            &[9, 29, 2],
            &[6, 37, 3],
            &[2, 4, 50, 4],
        ];
        for shape in shapes {
            for _ in 0..6 {
                let mut permutation: Vec<usize> = (0..shape.len()).collect();
                for i in (1..shape.len()).rev() {
                    permutation.swap(i, random.below(i + 1));
                }
                let x = random.floats(shape.iter().product());
                let expected: Vec<f32> = reference_offsets(shape, &permutation).into_iter().map(|i| x[i]).collect();
                for count in 1..4 {
                    let mut y = Floats::filled(f32::NAN, x.len());
                    transpose(&x, &mut y, shape, &permutation, &ThreadPool::new(count));
                    assert!(y == expected, "{shape:?} {permutation:?}");
                }
            }
        }
    }

    #[test]
    fn strided_copies_leave_gaps_untouched() {
        let x = Random(21).floats(3 * 40);
        let mut y = [9.0; 2 * 50];
        let axes = [Axis { size: 2, x_stride: 1, y_stride: 50 }, Axis { size: 3, x_stride: 40, y_stride: 7 }];
        permute(&x, &mut y, &axes, &ThreadPool::new(2));
        for (i, v) in y.iter().enumerate() {
            let (a, b) = (i / 50, i % 50);
            let expected = if b % 7 == 0 && b / 7 < 3 { x[a + b / 7 * 40] } else { 9.0 };
            assert_eq!(*v, expected);
        }
    }
}
