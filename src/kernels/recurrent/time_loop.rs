//! The loop of a recurrent layer over time.
//!
//! The products of the input do not depend on the state: they are computed for a block of time steps, by all threads. Then groups of
//! samples go through the block, step by step.

use super::recurrence::Recurrence;
use crate::kernels::gemm::small::{StridedRows, add_products};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share, share_two};
use crate::kernels::parallel::image_batches::image_partition;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::size::{product, sum};

/// Samples that go through time together.
const TASK_SAMPLES: usize = 4;
/// Rows of the input whose products are one task.
const TASK_ROWS: usize = 16;
/// Floats of the input's products of a block of time steps; at least one step.
const BLOCK_FLOATS: usize = 1 << 20;

/// A recurrent cell with so many units: what happens in a time step. Gates are `(GATES * units)` for each sample.
pub(super) trait Cell: Sync {
    const GATES: usize;
    /// The number of vectors of the state; the first one is the hidden state.
    const STATES: usize;
    /// The number of vectors of gates that a step needs besides.
    const SCRATCH: usize;

    /// `(features, GATES * units)` and `(GATES * units)`
    fn input_terms(&self) -> (&[f32], &[f32]);

    /// The initial vectors of the state, `(units)` each.
    fn initial(&self) -> impl Iterator<Item = &[f32]>;

    /// A time step of some samples: `gates` begins as x W + b; `hidden` and `others` are the vectors of the state, each of all samples.
    fn step(&self, isa: Isa, gates: &mut [f32], hidden: &mut [f32], others: &mut [f32], scratch: &mut [f32]);
}

/// Floats of scratch of [`run`] on `workers` threads.
pub(super) fn scratch_len<C: Cell>(size: &Recurrence, workers: usize) -> usize {
    let terms = product([block_steps::<C>(size), size.n, C::GATES, size.units]);
    let states = product([size.n, C::STATES, size.units]);
    sum([terms, states, product([workers, worker_len::<C>(size)])])
}

fn worker_len<C: Cell>(size: &Recurrence) -> usize {
    product([TASK_SAMPLES, C::GATES, 1 + C::SCRATCH, size.units])
}

/// Time steps of a block.
fn block_steps<C: Cell>(size: &Recurrence) -> usize {
    let row = product([size.n, C::GATES, size.units]);
    (BLOCK_FLOATS / row.max(1)).max(1).min(size.steps)
}

/// Runs a cell over `x`, `(n, steps, features)`, to `y`, `(n, units)` or `(n, steps, units)`.
///
/// # Panics
/// If a slice is too short for `size`.
pub(super) fn run<C: Cell>(
    cell: &C,
    x: View<'_>,
    y: ViewMut<'_>,
    size: &Recurrence,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let Recurrence { n, steps, units, only_final, backwards, .. } = *size;
    let (width, block) = (C::GATES * units, block_steps::<C>(size).max(1));
    if n == 0 {
        return;
    }
    let ViewMut { data, ld, image } = y;
    let (terms, rest) = scratch.split_at_mut(n * block * width);
    let (states, scratch) = rest.split_at_mut(n * C::STATES * units);
    let outputs = image_partition(n, TASK_SAMPLES, size.span(ld), image);
    let groups = Partition::chunks(n * C::STATES * units, TASK_SAMPLES * C::STATES * units);
    for done in (0..steps).step_by(block) {
        let count = block.min(steps - done);
        let first = if backwards { steps - done - count } else { done };
        let terms = &mut terms[..count * n * width];
        multiply_inputs(cell, x, size, first, terms, threads);
        let terms = &*terms;
        let scratch = Scratch { data: &mut *scratch, per_worker: worker_len::<C>(size) };
        share_two(threads, (&mut *data, outputs), (&mut *states, groups), scratch, &|chunk, out, states, scratch| {
            let start = chunk.inner * TASK_SAMPLES;
            let samples = TASK_SAMPLES.min(n - start);
            if done == 0 {
                for (vector, initial) in states.chunks_exact_mut(samples * units).zip(cell.initial()) {
                    vector.chunks_exact_mut(units).for_each(|state| state.copy_from_slice(initial));
                }
            }
            let (hidden, others) = states.split_at_mut(samples * units);
            let (gates, scratch) = scratch.split_at_mut(samples * width);
            for index in 0..count {
                let step = if backwards { count - 1 - index } else { index };
                gates.copy_from_slice(&terms[(step * n + start) * width..][..samples * width]);
                cell.step(threads.isa(), gates, hidden, others, &mut scratch[..samples * C::SCRATCH * width]);
                let is_last = done + index + 1 == steps;
                if !only_final || is_last {
                    let at = if only_final { 0 } else { (first + step) * ld };
                    for (sample, state) in hidden.chunks_exact(units).enumerate() {
                        out[sample * image + at..][..units].copy_from_slice(state);
                    }
                }
            }
        });
    }
}

/// x W + b of the time steps from `first` on, `(steps, n, GATES * units)`.
fn multiply_inputs<C: Cell>(
    cell: &C,
    x: View<'_>,
    size: &Recurrence,
    first: usize,
    terms: &mut [f32],
    threads: &ThreadPool,
) {
    let ((weights, biases), n) = (cell.input_terms(), size.n);
    let width = biases.len();
    let task_steps = TASK_ROWS.div_ceil(n.max(1));
    let tasks = Partition::chunks(terms.len(), task_steps * n * width);
    share(threads, terms, tasks, Scratch::none(), &|chunk, out, _| {
        let step = first + chunk.inner * task_steps;
        out.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(biases));
        let rows = |sample: usize, step: usize, ld: usize| StridedRows {
            data: &x.data[sample * x.image + step * x.ld..],
            ld,
            len: size.features,
        };
        // The rows of a product share a pass over the weights: those of a sample, or of a step.
        let steps = out.len() / (n * width);
        if steps > n {
            for sample in 0..n {
                let (rows, out) = (rows(sample, step, x.ld), &mut out[sample * width..]);
                add_products(threads.isa(), rows, weights, width, out, (steps, n * width));
            }
        } else {
            for (index, out) in out.chunks_exact_mut(n * width).enumerate() {
                add_products(threads.isa(), rows(0, step + index, x.image), weights, width, out, (n, width));
            }
        }
    });
}
