//! Disjoint pieces of one output, written by several threads.
//!
//! Kernels split their work by sizes only, so that results do not depend on how many threads there are. A `Grid`
//! says which floats belong to which task; `share` checks that no two pieces meet and hands each task its own.

use super::thread_pool::ThreadPool;

/// Pieces of a slice on a grid: piece `(o, i)` starts at float `o * outer_stride + i * inner_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub outer: usize,
    pub outer_stride: usize,
    pub inner: usize,
    pub inner_stride: usize,
    /// Floats of each piece but the last of an outer step.
    pub len: usize,
    /// Floats of the last piece of an outer step.
    pub last: usize,
}

impl Grid {
    /// `total` floats in pieces of `len`; the last one may be shorter.
    pub fn chunks(total: usize, len: usize) -> Self {
        let len = len.max(1);
        let inner = total.div_ceil(len);
        let last = total - inner.saturating_sub(1) * len;
        Self { outer: 1, outer_stride: 0, inner, inner_stride: len, len, last }
    }

    /// Are all pieces inside `total` floats, and apart from each other?
    fn fits(&self, total: usize) -> bool {
        let row = (self.inner - 1).saturating_mul(self.inner_stride).saturating_add(self.last);
        let all = (self.outer - 1).saturating_mul(self.outer_stride).saturating_add(row);
        (self.inner == 1 || self.len <= self.inner_stride)
            && (self.outer == 1 || row <= self.outer_stride)
            && all <= total
    }
}

/// Which piece a task is to write, and as which worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub outer: usize,
    pub inner: usize,
}

/// Memory for intermediate results: `each` floats for every worker.
#[derive(Debug)]
pub(crate) struct Scratch<'a> {
    pub data: &'a mut [f32],
    pub each: usize,
}

impl Scratch<'_> {
    /// For kernels that need none.
    pub fn none() -> Self {
        Scratch { data: &mut [], each: 0 }
    }
}

/// What a task does with its part of the work: `(part, the output's floats of it, the worker's scratch)`.
pub(crate) type Work<'a, Part> = dyn Fn(Part, &mut [f32], &mut [f32]) + Sync + 'a;

/// The start of a slice that several threads write; only [`Shared::piece`] reads it.
struct Shared {
    start: *mut f32,
    len: usize,
}

// SAFETY: a `Shared` gives access to floats only through `piece`, whose callers keep the pieces apart.
unsafe impl Sync for Shared {}

impl Shared {
    fn new(data: &mut [f32]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len() }
    }

    /// Floats `start..start + len`; panics if they are not inside.
    ///
    /// # Safety
    /// The slice this was made of is still borrowed, and no float of the piece is in another living piece.
    #[allow(clippy::mut_from_ref)]
    unsafe fn piece(&self, start: usize, len: usize) -> &mut [f32] {
        assert!(start <= self.len && len <= self.len - start, "piece {start}+{len} of {} floats", self.len);
        // SAFETY: inside the slice by the line above; unshared and alive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// Runs one task for each piece of `grid`: `work(piece, its floats of data, the worker's floats of scratch)`.
///
/// # Panics
/// If pieces overlap or leave `data`, or `scratch` is too small for the pool.
pub(crate) fn share(threads: &ThreadPool, data: &mut [f32], grid: Grid, scratch: Scratch<'_>, work: &Work<'_, Piece>) {
    if grid.outer == 0 || grid.inner == 0 {
        return;
    }
    assert!(grid.fits(data.len()), "{grid:?} does not fit {} floats", data.len());
    let each = scratch.each;
    assert!(each.saturating_mul(threads.count()) <= scratch.data.len(), "scratch of {} floats", scratch.data.len());
    let (data, scratch) = (Shared::new(data), Shared::new(scratch.data));
    threads.run(grid.outer * grid.inner, &|task, worker| {
        let piece = Piece { outer: task / grid.inner, inner: task % grid.inner };
        let len = if piece.inner + 1 == grid.inner { grid.last } else { grid.len };
        let start = piece.outer * grid.outer_stride + piece.inner * grid.inner_stride;
        // SAFETY: both slices stay borrowed until `run` returns. Each task runs once and `fits` has shown that pieces
        // of different tasks do not meet; no two tasks with the same worker run at once, and workers' parts of the
        // scratch do not meet.
        let (floats, own) = unsafe { (data.piece(start, len), scratch.piece(worker * each, each)) };
        work(piece, floats, own);
    });
}

/// Cuts several slices of the same length into the same pieces of `len` floats, the last one maybe shorter, and runs
/// one task for each: `work(its first float, its floats of each slice)`.
///
/// # Panics
/// If the slices differ in length.
pub(crate) fn share_all<const N: usize>(
    threads: &ThreadPool,
    data: [&mut [f32]; N],
    len: usize,
    work: &(dyn Fn(usize, [&mut [f32]; N]) + Sync),
) {
    let total = data.first().map_or(0, |slice| slice.len());
    assert!(data.iter().all(|slice| slice.len() == total), "slices of different lengths");
    let len = len.max(1);
    let data = data.map(Shared::new);
    threads.run(total.div_ceil(len), &|task, _| {
        let start = task * len;
        let count = len.min(total - start);
        // SAFETY: the slices stay borrowed until `run` returns; each task runs once, and pieces of different tasks do
        // not meet.
        work(start, std::array::from_fn(|i| unsafe { data[i].piece(start, count) }));
    });
}

/// The same floats of each of several equal parts of a slice, which belong to one task.
pub(crate) struct Stripe<'a> {
    data: &'a Shared,
    stride: usize,
    start: usize,
    len: usize,
}

impl Stripe<'_> {
    /// The stripe's floats of a part.
    pub fn part(&mut self, part: usize) -> &mut [f32] {
        assert!(self.start + self.len <= self.stride);
        // SAFETY: `share_stripes` keeps the slice borrowed and gives these floats of every part to this stripe alone,
        // of which one piece at a time is borrowed.
        unsafe { self.data.piece(part * self.stride + self.start, self.len) }
    }
}

/// Cuts each of `parts` equal parts of `data` into the same pieces of `len` floats, the last one maybe shorter, and
/// runs one task for each: `work(its first float in a part, its pieces of all parts)`.
pub(crate) fn share_stripes(
    threads: &ThreadPool,
    data: &mut [f32],
    parts: usize,
    len: usize,
    work: &(dyn Fn(usize, Stripe<'_>) + Sync),
) {
    let stride = data.len() / parts.max(1);
    let len = len.max(1);
    let data = Shared::new(data);
    threads.run(stride.div_ceil(len), &|task, _| {
        let start = task * len;
        work(start, Stripe { data: &data, stride, start, len: len.min(stride - start) });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_and_several_slices() {
        let mut data = vec![0.0; 3 * 10];
        share_stripes(&ThreadPool::new(2), &mut data, 3, 4, &|start, mut stripe| {
            for part in 0..3 {
                stripe.part(part).iter_mut().enumerate().for_each(|(i, v)| *v += (100 * part + start + i) as f32);
            }
        });
        assert!(data.iter().enumerate().all(|(i, v)| *v == (i / 10 * 100 + i % 10) as f32));
        let (mut a, mut b) = (vec![0.0; 11], vec![1.0; 11]);
        share_all(&ThreadPool::new(2), [&mut a, &mut b], 4, &|start, [a, b]| {
            a.iter_mut().zip(b).enumerate().for_each(|(i, (a, b))| *a = *b + (start + i) as f32);
        });
        assert!(a.iter().enumerate().all(|(i, v)| *v == i as f32 + 1.0));
    }

    #[test]
    fn every_float_belongs_to_one_task() {
        for (total, len) in [(0, 3), (1, 3), (10, 3), (12, 3), (5, 100)] {
            let mut data = vec![0.0; total];
            let mut scratch = vec![0.0; 4];
            let grid = Grid::chunks(total, len);
            let own = Scratch { data: &mut scratch, each: 2 };
            share(&ThreadPool::new(2), &mut data, grid, own, &|piece, floats, own| {
                assert_eq!(own.len(), 2);
                floats.iter_mut().for_each(|v| *v += 1.0 + piece.inner as f32);
            });
            for (i, v) in data.iter().enumerate() {
                assert_eq!(*v, 1.0 + (i / len) as f32);
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn overlapping_pieces_are_refused() {
        let grid = Grid { outer: 2, outer_stride: 5, inner: 2, inner_stride: 3, len: 3, last: 3 };
        share(&ThreadPool::new(1), &mut [0.0; 20], grid, Scratch::none(), &|_, _, _| ());
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn pieces_outside_are_refused() {
        let grid = Grid { outer: 2, outer_stride: 6, inner: 2, inner_stride: 3, len: 3, last: 3 };
        share(&ThreadPool::new(1), &mut [0.0; 11], grid, Scratch::none(), &|_, _, _| ());
    }
}
