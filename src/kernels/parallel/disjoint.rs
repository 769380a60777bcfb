//! Parallel loops over disjoint chunks of one output.
//!
//! Kernels partition their work by sizes only, so that results do not depend on the number of threads. A [`Partition`] maps
//! tasks to ranges of the output; [`share`] checks that the ranges do not overlap and passes each task its own.

use super::thread_pool::ThreadPool;
use std::ops::Range;

/// A two-level partition of a slice: chunk `(o, i)` starts at float `o * outer_stride + i * inner_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partition {
    pub outer: usize,
    pub outer_stride: usize,
    pub inner: usize,
    pub inner_stride: usize,
    /// Floats of each chunk except the last of an outer step.
    pub len: usize,
    /// Floats of the last chunk of an outer step.
    pub last: usize,
}

impl Partition {
    /// `total` floats in chunks of `len`; the last one may be shorter.
    pub fn chunks(total: usize, len: usize) -> Self {
        let len = len.max(1);
        let inner = total.div_ceil(len);
        let last = total - inner.saturating_sub(1) * len;
        Self { outer: 1, outer_stride: 0, inner, inner_stride: len, len, last }
    }

    /// The floats of a chunk.
    fn range(&self, chunk: Chunk) -> Range<usize> {
        let start = chunk.outer * self.outer_stride + chunk.inner * self.inner_stride;
        start..start + if chunk.inner + 1 == self.inner { self.last } else { self.len }
    }

    /// Whether all chunks lie inside `total` floats and do not overlap.
    fn fits(&self, total: usize) -> bool {
        let row = (self.inner - 1).saturating_mul(self.inner_stride).saturating_add(self.last);
        let all = (self.outer - 1).saturating_mul(self.outer_stride).saturating_add(row);
        (self.inner == 1 || self.len <= self.inner_stride)
            && (self.outer == 1 || row <= self.outer_stride)
            && all <= total
    }
}

/// The index of a chunk of a [`Partition`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub outer: usize,
    pub inner: usize,
}

/// Memory for intermediate results: `per_worker` floats for every worker.
#[derive(Debug)]
pub(crate) struct Scratch<'a> {
    pub data: &'a mut [f32],
    pub per_worker: usize,
}

impl Scratch<'_> {
    /// For kernels that need none.
    pub fn none() -> Self {
        Scratch { data: &mut [], per_worker: 0 }
    }
}

/// The body of a parallel loop: `(index, the output floats of that index, the worker's scratch)`.
pub(crate) type Body<'a, Index> = dyn Fn(Index, &mut [f32], &mut [f32]) + Sync + 'a;

/// The body of a parallel loop over two outputs: `(index, the floats of each of that index, the worker's scratch)`.
pub(crate) type BodyOfTwo<'a> = dyn Fn(Chunk, &mut [f32], &mut [f32], &mut [f32]) + Sync + 'a;

/// A slice that several threads write; accessed only through [`Shared::slice`].
struct Shared {
    start: *mut f32,
    len: usize,
}

// SAFETY: a `Shared` gives access to floats only through `slice`, whose callers guarantee disjoint ranges.
unsafe impl Sync for Shared {}

impl Shared {
    fn new(data: &mut [f32]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len() }
    }

    /// Floats `start..start + len`; panics if they are out of bounds.
    ///
    /// # Safety
    /// The slice this was created from is still borrowed, and no other live slice overlaps this range.
    #[allow(clippy::mut_from_ref)]
    unsafe fn slice(&self, start: usize, len: usize) -> &mut [f32] {
        assert!(start <= self.len && len <= self.len - start, "range {start}+{len} of {} floats", self.len);
        // SAFETY: in bounds by the assertion above; unaliased and alive by the caller's guarantee.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// Runs one task per chunk of `partition`: `body(chunk, its floats of data, the worker's floats of scratch)`.
///
/// # Panics
/// If chunks overlap or exceed `data`, or `scratch` is too small for the pool.
pub(crate) fn share(
    threads: &ThreadPool,
    data: &mut [f32],
    partition: Partition,
    scratch: Scratch<'_>,
    body: &Body<'_, Chunk>,
) {
    run_chunks(
        ThreadPool::run,
        threads,
        (data, partition),
        nothing(&partition),
        scratch,
        &|chunk, floats, _, scratch| {
            body(chunk, floats, scratch);
        },
    );
}

/// As [`share`], where each worker begins with the same part of the chunks in every call: see [`ThreadPool::run_in_parts`].
///
/// # Panics
/// As [`share`].
pub(crate) fn share_in_parts(
    threads: &ThreadPool,
    data: &mut [f32],
    partition: Partition,
    scratch: Scratch<'_>,
    body: &Body<'_, Chunk>,
) {
    let run = ThreadPool::run_in_parts;
    run_chunks(run, threads, (data, partition), nothing(&partition), scratch, &|chunk, floats, _, scratch| {
        body(chunk, floats, scratch);
    });
}

/// As many chunks of no floats.
fn nothing(partition: &Partition) -> (&'static mut [f32], Partition) {
    (&mut [], Partition { outer_stride: 0, inner_stride: 0, len: 0, last: 0, ..*partition })
}

/// As [`share`], with a chunk of each of two slices, whose partitions have as many: `body(chunk, its floats of the first, of the
/// second, the worker's floats of scratch)`.
///
/// # Panics
/// As [`share`], and if one partition has more chunks than the other.
pub(crate) fn share_two(
    threads: &ThreadPool,
    first: (&mut [f32], Partition),
    second: (&mut [f32], Partition),
    scratch: Scratch<'_>,
    body: &BodyOfTwo<'_>,
) {
    run_chunks(ThreadPool::run, threads, first, second, scratch, body);
}

/// [`ThreadPool::run`] or [`ThreadPool::run_in_parts`].
type Run = fn(&ThreadPool, usize, &(dyn Fn(usize, usize) + Sync));

fn run_chunks(
    run: Run,
    threads: &ThreadPool,
    (first, of_first): (&mut [f32], Partition),
    (second, of_second): (&mut [f32], Partition),
    scratch: Scratch<'_>,
    body: &BodyOfTwo<'_>,
) {
    if of_first.outer == 0 || of_first.inner == 0 {
        return;
    }
    assert_eq!((of_first.outer, of_first.inner), (of_second.outer, of_second.inner), "chunks");
    for (partition, len) in [(of_first, first.len()), (of_second, second.len())] {
        assert!(partition.fits(len), "{partition:?} does not fit {len} floats");
    }
    let per_worker = scratch.per_worker;
    assert!(
        per_worker.saturating_mul(threads.count()) <= scratch.data.len(),
        "scratch of {} floats",
        scratch.data.len()
    );
    let (first, second, scratch) = (Shared::new(first), Shared::new(second), Shared::new(scratch.data));
    run(threads, of_first.outer * of_first.inner, &|task, worker| {
        let chunk = Chunk { outer: task / of_first.inner, inner: task % of_first.inner };
        let (first_range, second_range) = (of_first.range(chunk), of_second.range(chunk));
        // SAFETY: the slices stay borrowed until `run` returns. Each task runs once, and `fits` has proven that chunks
        // of different tasks do not overlap; no two tasks with the same worker run concurrently, and the scratch ranges
        // of different workers do not overlap.
        let (first, second, scratch) = unsafe {
            (
                first.slice(first_range.start, first_range.len()),
                second.slice(second_range.start, second_range.len()),
                scratch.slice(worker * per_worker, per_worker),
            )
        };
        body(chunk, first, second, scratch);
    });
}

/// Splits several slices of the same length into the same chunks of `len` floats, the last one possibly shorter, and
/// runs one task per chunk: `body(offset of the chunk, its floats of each slice)`.
///
/// # Panics
/// If the slices differ in length.
pub(crate) fn share_all<const N: usize>(
    threads: &ThreadPool,
    data: [&mut [f32]; N],
    len: usize,
    body: &(dyn Fn(usize, [&mut [f32]; N]) + Sync),
) {
    let total = data.first().map_or(0, |slice| slice.len());
    assert!(data.iter().all(|slice| slice.len() == total), "slices of different lengths");
    let len = len.max(1);
    let data = data.map(Shared::new);
    threads.run(total.div_ceil(len), &|task, _| {
        let start = task * len;
        let count = len.min(total - start);
        // SAFETY: the slices stay borrowed until `run` returns; each task runs once, and chunks of different tasks do
        // not overlap.
        body(start, std::array::from_fn(|i| unsafe { data[i].slice(start, count) }));
    });
}

/// The same range of each of several equally long segments of a slice; owned by one task.
pub(crate) struct Stripe<'a> {
    data: &'a Shared,
    stride: usize,
    start: usize,
    len: usize,
}

impl Stripe<'_> {
    /// The stripe's range of one segment.
    pub fn segment(&mut self, index: usize) -> &mut [f32] {
        assert!(self.start + self.len <= self.stride);
        // SAFETY: `share_stripes` keeps the slice borrowed and assigns this range of every segment to this stripe
        // alone, of which one segment at a time is borrowed.
        unsafe { self.data.slice(index * self.stride + self.start, self.len) }
    }
}

/// Splits each of `segments` equally long segments of `data` into the same chunks of `len` floats, the last one possibly
/// shorter, and runs one task per chunk: `body(offset of the chunk in a segment, that chunk of every segment)`.
pub(crate) fn share_stripes(
    threads: &ThreadPool,
    data: &mut [f32],
    segments: usize,
    len: usize,
    body: &(dyn Fn(usize, Stripe<'_>) + Sync),
) {
    let stride = data.len() / segments.max(1);
    let len = len.max(1);
    let data = Shared::new(data);
    threads.run(stride.div_ceil(len), &|task, _| {
        let start = task * len;
        body(start, Stripe { data: &data, stride, start, len: len.min(stride - start) });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_and_multiple_slices() {
        let mut data = vec![0.0; 3 * 10];
        share_stripes(&ThreadPool::new(2), &mut data, 3, 4, &|start, mut stripe| {
            for segment in 0..3 {
                stripe
                    .segment(segment)
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, v)| *v += (100 * segment + start + i) as f32);
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
            let partition = Partition::chunks(total, len);
            let scratch = Scratch { data: &mut scratch, per_worker: 2 };
            share(&ThreadPool::new(2), &mut data, partition, scratch, &|chunk, floats, scratch| {
                assert_eq!(scratch.len(), 2);
                floats.iter_mut().for_each(|v| *v += 1.0 + chunk.inner as f32);
            });
            for (i, v) in data.iter().enumerate() {
                assert_eq!(*v, 1.0 + (i / len) as f32);
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn overlapping_chunks_are_rejected() {
        let partition = Partition { outer: 2, outer_stride: 5, inner: 2, inner_stride: 3, len: 3, last: 3 };
        share(&ThreadPool::new(1), &mut [0.0; 20], partition, Scratch::none(), &|_, _, _| ());
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn chunks_out_of_bounds_are_rejected() {
        let partition = Partition { outer: 2, outer_stride: 6, inner: 2, inner_stride: 3, len: 3, last: 3 };
        share(&ThreadPool::new(1), &mut [0.0; 11], partition, Scratch::none(), &|_, _, _| ());
    }
}
