//! Permutation of axes.

use crate::kernels::parallel::disjoint::{Grid, Scratch, share};
use crate::kernels::parallel::image_batches::span;
use crate::kernels::parallel::thread_pool::ThreadPool;

/// Most axes a tensor may have.
const AXES: usize = 8;
/// Floats of a task.
const TASK: usize = 1 << 14;
/// Lines and columns of a tile that is read and written while it is in the cache.
const TILE: usize = 16;

/// One axis of a copy: its size, and the floats from one place to the next on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    pub size: usize,
    pub x_step: usize,
    pub y_step: usize,
}

/// y = x with its axes in another order: axis `i` of y is axis `permutation[i]` of x. Both are dense, row-major and
/// have at most 8 axes; the batch is an axis like the others.
pub fn transpose(x: &[f32], y: &mut [f32], shape: &[usize], permutation: &[usize], threads: &ThreadPool) {
    let mut axes = [Axis::default(); AXES];
    let axes = &mut axes[..shape.len()];
    let mut y_step = 1;
    for (axis, &from) in axes.iter_mut().zip(permutation).rev() {
        *axis = Axis { size: shape[from], x_step: shape[from + 1..].iter().product(), y_step };
        y_step *= shape[from];
    }
    permute(x, y, axes, threads);
}

/// `y[sum of i_a * y_step_a] = x[sum of i_a * x_step_a]` for all places of at most 8 axes, those of y from the
/// outermost to the innermost: each `y_step` must be at least the span of the axes behind it.
pub fn permute(x: &[f32], y: &mut [f32], axes: &[Axis], threads: &ThreadPool) {
    if axes.iter().any(|axis| axis.size == 0) {
        return;
    }
    let mut merged = [Axis { size: 1, x_step: 1, y_step: 1 }; AXES];
    let count = merge(axes, &mut merged);
    let axes = &merged[..count.max(1)];
    let behind = |first: usize| axes[first.min(axes.len())..].iter().map(|axis| axis.size).product::<usize>();
    let y_span = |first: usize| 1 + axes[first..].iter().map(|axis| (axis.size - 1) * axis.y_step).sum::<usize>();
    // Where the first axis has few places, tasks are pieces of the second one.
    let split = usize::from(axes.len() > 1 && behind(1) >= 2 * TASK);
    let axis = axes[split];
    let each = (TASK / behind(split + 1)).max(1).next_multiple_of(TILE).min(axis.size);
    let inner = axis.size.div_ceil(each);
    let piece_span = |places: usize| span(places, axis.y_step, y_span(split + 1));
    let grid = Grid {
        outer: if split == 1 { axes[0].size } else { 1 },
        outer_stride: if split == 1 { axes[0].y_step } else { 0 },
        inner,
        inner_stride: each * axis.y_step,
        len: piece_span(each),
        last: piece_span(axis.size - (inner - 1) * each),
    };
    share(threads, y, grid, Scratch::none(), &|piece, out, _| {
        let first = piece.inner * each;
        let mut own = [Axis::default(); AXES];
        let own = &mut own[..axes.len() - split];
        own.copy_from_slice(&axes[split..]);
        own[0].size = each.min(axis.size - first);
        let start = first * axis.x_step + if split == 1 { piece.outer * axes[0].x_step } else { 0 };
        order(own);
        walk(own, &x[start..], out);
    });
}

/// Leaves out axes of one place and joins neighbours that are one axis on both sides; how many are left.
fn merge(axes: &[Axis], out: &mut [Axis; AXES]) -> usize {
    let mut count = 0;
    for axis in axes.iter().filter(|axis| axis.size > 1) {
        if count > 0 {
            let before = &mut out[count - 1];
            if before.x_step == axis.x_step * axis.size && before.y_step == axis.y_step * axis.size {
                *before = Axis { size: before.size * axis.size, ..*axis };
                continue;
            }
        }
        out[count] = *axis;
        count += 1;
    }
    count
}

/// Moves the axis along which x is read most closely beside the last one, along which y is written most closely.
fn order(axes: &mut [Axis]) {
    let Some(last) = axes.len().checked_sub(1) else { return };
    if let Some(nearest) = (0..last).min_by_key(|i| axes[*i].x_step) {
        axes[nearest..last].rotate_left(1);
    }
}

fn walk(axes: &[Axis], x: &[f32], y: &mut [f32]) {
    match axes {
        [] => y[0] = x[0],
        [line] => plane(Axis { size: 1, x_step: 0, y_step: 0 }, *line, x, y),
        [column, line] => plane(*column, *line, x, y),
        [first, rest @ ..] => {
            for i in 0..first.size {
                walk(rest, &x[i * first.x_step..], &mut y[i * first.y_step..]);
            }
        }
    }
}

fn plane(column: Axis, line: Axis, x: &[f32], y: &mut [f32]) {
    if line.x_step == 1 && line.y_step == 1 {
        for i in 0..column.size {
            y[i * column.y_step..][..line.size].copy_from_slice(&x[i * column.x_step..][..line.size]);
        }
        return;
    }
    for i0 in (0..column.size).step_by(TILE) {
        for j0 in (0..line.size).step_by(TILE) {
            for i in i0..column.size.min(i0 + TILE) {
                for j in j0..line.size.min(j0 + TILE) {
                    y[i * column.y_step + j * line.y_step] = x[i * column.x_step + j * line.x_step];
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

    /// The place in x of each place in y, by plain counting.
    fn places(shape: &[usize], permutation: &[usize]) -> Vec<usize> {
        let total = shape.iter().product();
        let steps: Vec<usize> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
        let place = |mut at: usize| {
            permutation.iter().rev().fold(0, |sum, &axis| {
                let i = at % shape[axis];
                at /= shape[axis];
                sum + i * steps[axis]
            })
        };
        (0..total).map(place).collect()
    }

    #[test]
    fn axes_in_any_order() {
        let mut random = Random(20);
        let shapes: [&[usize]; 9] = [
            &[],
            &[5],
            &[3, 17],
            &[2, 5, 3],
            &[2, 9, 11, 5],
            &[1, 20, 1, 33],
            &[2, 3, 4, 5, 2],
            &[2, 3, 1, 4, 3, 5],
            &[3, 200, 210],
        ];
        for shape in shapes {
            for _ in 0..6 {
                let mut permutation: Vec<usize> = (0..shape.len()).collect();
                for i in (1..shape.len()).rev() {
                    permutation.swap(i, random.below(i + 1));
                }
                let x = random.floats(shape.iter().product());
                let expected: Vec<f32> = places(shape, &permutation).into_iter().map(|i| x[i]).collect();
                for count in 1..4 {
                    let mut y = Floats::filled(f32::NAN, x.len());
                    transpose(&x, &mut y, shape, &permutation, &ThreadPool::new(count));
                    assert!(y == expected, "{shape:?} {permutation:?}");
                }
            }
        }
    }

    #[test]
    fn with_gaps_on_both_sides() {
        let x = Random(21).floats(3 * 40);
        let mut y = [9.0; 2 * 50];
        let axes = [Axis { size: 2, x_step: 1, y_step: 50 }, Axis { size: 3, x_step: 40, y_step: 7 }];
        permute(&x, &mut y, &axes, &ThreadPool::new(2));
        for (i, v) in y.iter().enumerate() {
            let (a, b) = (i / 50, i % 50);
            let expected = if b % 7 == 0 && b / 7 < 3 { x[a + b / 7 * 40] } else { 9.0 };
            assert_eq!(*v, expected);
        }
    }
}
