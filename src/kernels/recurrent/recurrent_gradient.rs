//! Gradients of recurrent layers: back-propagation through time, for groups of samples.
//!
//! A *trace* says of each sample and step how the loss depends on what entered the gates there. It is computed by going
//! forward again and then back; the gradients of the input and of all parameters are products and sums over it.

use super::{Gru, Lstm, Recurrence, add_pairs, next_cell, next_hidden};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::gemm;
use crate::kernels::gemm::{Backend, Operand, Product, multiply_serial};
use crate::kernels::norm::batch_norm::{batch_scratch_len, channel_sums};
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, image_groups, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

/// Samples that a task computes together.
const GROUP: usize = 16;
/// What multiplies: a step's products are small, of matrices that change.
const BACKEND: Backend = Backend::Tiles;

/// What a row of a trace holds, in floats: gradients by what the input and the biases give to the gates, then what is
/// summed besides (first states, peepholes), gradients by what the state gives to the gates, and the state before the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Values that enter the gates.
    pub gates: usize,
    /// From the first float on, what is summed over samples and steps: gradients of the biases, the first states and the
    /// peepholes, in the order of the parameters.
    pub sums: usize,
    /// Where the gradients by what the state gives to the gates begin.
    pub from_state: usize,
    /// Where the state before the step begins.
    pub state: usize,
    /// Floats of a row.
    pub width: usize,
}

impl Layout {
    /// Of a long short-term memory: gates, first cell, first state, peepholes; the state before.
    pub fn lstm(units: usize, peepholes: bool) -> Self {
        let sums = if peepholes { 9 } else { 6 } * units;
        Self { gates: 4 * units, sums, from_state: 0, state: sums, width: sums + units }
    }

    /// Of a gated recurrent unit: gates, first state; gates by the state; the state before.
    pub fn gru(units: usize) -> Self {
        Self { gates: 3 * units, sums: 4 * units, from_state: 4 * units, state: 7 * units, width: 8 * units }
    }
}

/// Floats of scratch that [`lstm_trace`] and [`gru_trace`] need for a pool of `workers` threads.
pub fn trace_scratch_len(units: usize, workers: usize) -> usize {
    workers * (2 * GROUP + 1) * units
}

/// Samples of one task, and their rows of the trace.
struct Group<'a> {
    first: usize,
    count: usize,
    trace: &'a mut [f32],
    ld: usize,
    image: usize,
    layout: Layout,
    isa: Isa,
}

impl Group<'_> {
    fn row(&mut self, sample: usize, step: usize) -> &mut [f32] {
        &mut self.trace[sample * self.image + step * self.ld..][..self.layout.width]
    }

    /// The cell after a step forward, as noted in an LSTM's row.
    fn cell(&self, sample: usize, step: usize, units: usize) -> &[f32] {
        &self.trace[sample * self.image + step * self.ld + 4 * units..][..units]
    }

    /// Adds the products of the samples' rows at a step, from column `at` on.
    fn add(&mut self, rows: Operand<'_>, depth: usize, weights: &[f32], step: usize, at: usize) {
        let columns = self.layout.gates;
        let product = Product { rows: self.count, columns, depth, alpha: 1.0, beta: 1.0, backend: BACKEND };
        let weights = Operand { data: weights, ld: columns, transposed: false };
        multiply_serial(
            self.isa,
            &product,
            rows,
            weights,
            &mut self.trace[step * self.ld + at..],
            self.image.max(columns),
        );
    }

    /// The biases and the products of the input, in the first columns.
    fn enter(&mut self, x: &View<'_>, features: usize, biases: &[f32], weights: &[f32], step: usize) {
        for sample in 0..self.count {
            self.row(sample, step)[..biases.len()].copy_from_slice(biases);
        }
        let data = &x.data[self.first * x.image + step * x.ld..];
        self.add(Operand { data, ld: x.image.max(features), transposed: false }, features, weights, step, 0);
    }

    /// The gradient by the state before a step, from those by the gates: `state` = keep * `state` + gates times the
    /// transposed weights.
    fn back(&self, weights: &[f32], step: usize, keep: f32, state: &mut [f32], units: usize) {
        let depth = self.layout.gates;
        let product = Product { rows: self.count, columns: units, depth, alpha: 1.0, beta: keep, backend: BACKEND };
        let data = &self.trace[step * self.ld + self.layout.from_state..];
        let gates = Operand { data, ld: self.image.max(depth), transposed: false };
        multiply_serial(
            self.isa,
            &product,
            gates,
            Operand { data: weights, ld: depth, transposed: true },
            state,
            units,
        );
    }
}

/// Calls `work` with groups of samples, two tensors of `(samples, units)` and one of `(units)`.
fn each_group(
    trace: ViewMut<'_>,
    size: &Recurrence,
    layout: Layout,
    scratch: &mut [f32],
    threads: &ThreadPool,
    work: &(dyn Fn(Group<'_>, [&mut [f32]; 3]) + Sync),
) {
    let (ld, image, units) = (trace.ld, trace.image, size.units);
    let own = Scratch { data: scratch, per_worker: (2 * GROUP + 1) * units };
    image_groups(threads, trace, size.n, GROUP, span(size.steps, ld, layout.width), own, &|first, trace, own| {
        let count = GROUP.min(size.n - first);
        let (a, rest) = own.split_at_mut(GROUP * units);
        let (b, c) = rest.split_at_mut(GROUP * units);
        let group = Group { first, count, trace, ld, image, layout, isa: threads.isa() };
        work(group, [&mut a[..count * units], &mut b[..count * units], c]);
    });
}

/// A sample's gradient by what the layer gives at a step, where it gives something there.
fn given<'a>(dy: &View<'a>, size: &Recurrence, sample: usize, step: usize, last: bool) -> Option<&'a [f32]> {
    let row = if size.only_final { 0 } else { step * dy.ld };
    (last || !size.only_final).then(|| &dy.data[sample * dy.image + row..][..size.units])
}

/// The trace `(n, steps, width)` of an LSTM, as [`Layout::lstm`] says, from x and the gradient dy of what it gives. Where
/// `clip` is not 0, gradients by what input and state give to the gates stay within plus and minus it, as in NeuPy.
///
/// # Panics
/// If a slice is too short, or the layer has other activations than NeuPy's defaults.
#[allow(clippy::too_many_arguments)] // The tensors and parameters are separate borrows of the arena.
pub fn lstm_trace(
    x: View<'_>,
    dy: View<'_>,
    trace: ViewMut<'_>,
    size: &Recurrence,
    layer: &Lstm<'_>,
    clip: f32,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    assert!((layer.gates, layer.cell) == (Activation::Sigmoid, Activation::Tanh), "other activations");
    let (units, most) = (size.units, if clip == 0.0 { f32::INFINITY } else { clip });
    let layout = Layout::lstm(units, layer.peepholes.is_some());
    each_group(trace, size, layout, scratch, threads, &|mut group, [hidden, by_cell, before]| {
        hidden.chunks_exact_mut(units).for_each(|h| h.copy_from_slice(layer.hidden_init));
        let mut previous = None;
        for step in size.order() {
            group.enter(&x, size.features, layer.biases, layer.input_weights, step);
            let rows = Operand { data: hidden, ld: units, transposed: false };
            group.add(rows, units, layer.hidden_weights, step, 0);
            for (sample, h) in hidden.chunks_exact_mut(units).enumerate() {
                let cell = previous.map(|step| group.cell(sample, step, units));
                before.copy_from_slice(cell.unwrap_or(layer.cell_init));
                let row = group.row(sample, step);
                row[layout.state..].copy_from_slice(h);
                lstm_forward(layer, row, before, h);
            }
            previous = Some(step);
        }
        // From here on `hidden` is the gradient by the state.
        hidden.fill(0.0);
        by_cell.fill(0.0);
        let mut last = true;
        let mut steps = size.order().rev().peekable();
        while let Some(step) = steps.next() {
            let states = hidden.chunks_exact_mut(units).zip(by_cell.chunks_exact_mut(units));
            for (sample, (h, c)) in states.enumerate() {
                if let Some(dy) = given(&dy, size, group.first + sample, step, last) {
                    add(h, dy);
                }
                let cell = steps.peek().map(|&step| group.cell(sample, step, units));
                before.copy_from_slice(cell.unwrap_or(layer.cell_init));
                lstm_back(layer, group.row(sample, step), before, h, c, most);
            }
            group.back(layer.hidden_weights, step, 0.0, hidden, units);
            if steps.peek().is_none() {
                let states = hidden.chunks_exact(units).zip(by_cell.chunks_exact(units));
                for (sample, (h, c)) in states.enumerate() {
                    let row = group.row(sample, step);
                    row[4 * units..5 * units].copy_from_slice(c);
                    row[5 * units..6 * units].copy_from_slice(h);
                }
            }
            last = false;
        }
    });
}

/// One sample's step forward: the row's gates become what they let through, the cell stands behind them.
fn lstm_forward(layer: &Lstm<'_>, row: &mut [f32], before: &[f32], hidden: &mut [f32]) {
    let units = hidden.len();
    let (in_forget, rest) = row.split_at_mut(2 * units);
    let (input, rest) = rest.split_at_mut(units);
    let (out, cell) = rest.split_at_mut(units);
    let cell = &mut cell[..units];
    if let Some([to_in, to_forget, _]) = layer.peepholes {
        add_pairs(&mut in_forget[..units], before, to_in);
        add_pairs(&mut in_forget[units..], before, to_forget);
    }
    layer.gates.apply(in_forget);
    layer.cell.apply(input);
    let (ingate, forget) = in_forget.split_at(units);
    cell.copy_from_slice(before);
    next_cell(cell, forget, ingate, input);
    if let Some([_, _, to_out]) = layer.peepholes {
        add_pairs(out, cell, to_out);
    }
    layer.gates.apply(out);
    hidden.copy_from_slice(cell);
    Activation::Tanh.apply(hidden);
    hidden.iter_mut().zip(out).for_each(|(h, o)| *h *= *o);
}

/// One sample's step back: the row's gates become the gradients by what entered them, `by_cell` that by the cell before.
fn lstm_back(layer: &Lstm<'_>, row: &mut [f32], before: &[f32], by_state: &[f32], by_cell: &mut [f32], most: f32) {
    let units = before.len();
    let (gates, rest) = row.split_at_mut(4 * units);
    let (ingate, gates) = gates.split_at_mut(units);
    let (forget, gates) = gates.split_at_mut(units);
    let (input, out) = gates.split_at_mut(units);
    let (cell, rest) = rest.split_at_mut(units);
    let (first, peepholes) = rest.split_at_mut(units);
    for j in 0..units {
        let squashed = Activation::Tanh.of(cell[j]);
        let (i, f, g, o) = (ingate[j], forget[j], input[j], out[j]);
        let peephole = |index: usize| layer.peepholes.map_or(0.0, |weights| weights[index][j]);
        let by_out = by_state[j] * squashed * o * (1.0 - o);
        let by = by_cell[j] + by_state[j] * o * (1.0 - squashed * squashed) + by_out * peephole(2);
        let (by_in, by_forget) = (by * g * i * (1.0 - i), by * before[j] * f * (1.0 - f));
        by_cell[j] = by * f + by_in * peephole(0) + by_forget * peephole(1);
        ingate[j] = by_in.clamp(-most, most);
        forget[j] = by_forget.clamp(-most, most);
        input[j] = (by * i * (1.0 - g * g)).clamp(-most, most);
        out[j] = by_out.clamp(-most, most);
        if layer.peepholes.is_some() {
            peepholes[j] = by_in * before[j];
            peepholes[units + j] = by_forget * before[j];
            peepholes[2 * units + j] = by_out * cell[j];
        }
        (cell[j], first[j]) = (0.0, 0.0);
    }
}

/// The trace `(n, steps, width)` of a GRU, as [`Layout::gru`] says; as [`lstm_trace`].
///
/// # Panics
/// If a slice is too short, or the layer has other activations than NeuPy's defaults.
#[allow(clippy::too_many_arguments)] // The tensors and parameters are separate borrows of the arena.
pub fn gru_trace(
    x: View<'_>,
    dy: View<'_>,
    trace: ViewMut<'_>,
    size: &Recurrence,
    layer: &Gru<'_>,
    clip: f32,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    assert!((layer.gates, layer.hidden) == (Activation::Sigmoid, Activation::Tanh), "other activations");
    let (units, most) = (size.units, if clip == 0.0 { f32::INFINITY } else { clip });
    let layout = Layout::gru(units);
    each_group(trace, size, layout, scratch, threads, &|mut group, [hidden, _, _]| {
        hidden.chunks_exact_mut(units).for_each(|h| h.copy_from_slice(layer.hidden_init));
        for step in size.order() {
            group.enter(&x, size.features, layer.biases, layer.input_weights, step);
            for sample in 0..group.count {
                group.row(sample, step)[layout.from_state..layout.state].fill(0.0);
            }
            let rows = Operand { data: hidden, ld: units, transposed: false };
            group.add(rows, units, layer.hidden_weights, step, layout.from_state);
            for (sample, h) in hidden.chunks_exact_mut(units).enumerate() {
                gru_forward(layer, group.row(sample, step), h);
            }
        }
        // From here on `hidden` is the gradient by the state.
        hidden.fill(0.0);
        let mut last = true;
        let mut steps = size.order().rev().peekable();
        while let Some(step) = steps.next() {
            for (sample, h) in hidden.chunks_exact_mut(units).enumerate() {
                if let Some(dy) = given(&dy, size, group.first + sample, step, last) {
                    add(h, dy);
                }
                gru_back(group.row(sample, step), h, most);
            }
            group.back(layer.hidden_weights, step, 1.0, hidden, units);
            if steps.peek().is_none() {
                for (sample, h) in hidden.chunks_exact(units).enumerate() {
                    group.row(sample, step)[3 * units..4 * units].copy_from_slice(h);
                }
            }
            last = false;
        }
    });
}

/// One sample's step forward: the row's gates become what they let through, and the state is noted in it.
fn gru_forward(layer: &Gru<'_>, row: &mut [f32], hidden: &mut [f32]) {
    let units = hidden.len();
    let (inputs, rest) = row.split_at_mut(3 * units);
    let (sums, state) = rest[units..].split_at_mut(3 * units);
    state.copy_from_slice(hidden);
    let (gates, candidate) = inputs.split_at_mut(2 * units);
    add(gates, sums);
    layer.gates.apply(gates);
    let (reset, update) = gates.split_at(units);
    add_pairs(candidate, reset, &sums[2 * units..]);
    layer.hidden.apply(candidate);
    next_hidden(hidden, update, candidate);
}

/// One sample's step back: the row's gates become the gradients by what entered them, from input and state; `by_state`
/// becomes what goes to the state before past the gates.
fn gru_back(row: &mut [f32], by_state: &mut [f32], most: f32) {
    let units = by_state.len();
    let (inputs, rest) = row.split_at_mut(3 * units);
    let (reset, inputs) = inputs.split_at_mut(units);
    let (update, candidate) = inputs.split_at_mut(units);
    let (first, rest) = rest.split_at_mut(units);
    let (sums, before) = rest.split_at_mut(3 * units);
    for j in 0..units {
        let (r, u, c, by) = (reset[j], update[j], candidate[j], by_state[j]);
        // NeuPy clips what goes on to the reset gate and the state too.
        let by_candidate = (by * u * (1.0 - c * c)).clamp(-most, most);
        let by_update = by * (c - before[j]) * u * (1.0 - u);
        let by_reset = by_candidate * sums[2 * units + j] * r * (1.0 - r);
        by_state[j] = by * (1.0 - u);
        reset[j] = by_reset.clamp(-most, most);
        update[j] = by_update.clamp(-most, most);
        candidate[j] = by_candidate;
        (sums[j], sums[units + j]) = (reset[j], update[j]);
        sums[2 * units + j] = (by_candidate * r).clamp(-most, most);
        first[j] = 0.0;
    }
}

multiversion! {
    /// out += a
    fn add(out: &mut [f32], a: &[f32]) {
        out.iter_mut().zip(a).for_each(|(o, a)| *o += a);
    }
}

/// How many products go over a batch's rows, and of how many rows: one where all rows are as far apart as those of a sample.
fn products(size: &Recurrence, views: [(usize, usize); 2]) -> (usize, usize) {
    let even = views.iter().all(|&(ld, image)| image == size.steps * ld);
    if even { (1, size.n * size.steps) } else { (size.n, size.steps) }
}

fn by_input_product(size: &Recurrence, layout: Layout, rows: usize) -> Product {
    Product { rows, columns: size.features, depth: layout.gates, alpha: 1.0, beta: 0.0, backend: BACKEND }
}

/// Floats of scratch that [`input_gradient`] needs.
pub fn input_gradient_scratch_len(size: &Recurrence, layout: Layout) -> usize {
    [size.steps, size.n * size.steps].map(|rows| by_input_product(size, layout, rows).scratch_len()).into_iter().sum()
}

/// dx `(n, steps, features)` from a trace and the input weights `(features, gates)`.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn input_gradient(
    trace: View<'_>,
    weights: &[f32],
    dx: ViewMut<'_>,
    size: &Recurrence,
    layout: Layout,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (count, rows) = products(size, [(trace.ld, trace.image), (dx.ld, dx.image)]);
    let product = by_input_product(size, layout, rows);
    for sample in 0..count {
        let gates = Operand { data: &trace.data[sample * trace.image..], ld: trace.ld, transposed: false };
        let weights = Operand { data: weights, ld: layout.gates, transposed: true };
        let to = ViewMut { data: &mut dx.data[sample * dx.image..], ld: dx.ld, image: dx.image };
        gemm::multiply(threads, &product, gates, weights, to, scratch);
    }
}

fn by_weights_product(size: &Recurrence, layout: Layout, rows: usize, depth: usize) -> Product {
    debug_assert!(rows == size.features || rows == size.units);
    Product { rows, columns: layout.gates, depth, alpha: 1.0, beta: 0.0, backend: BACKEND }
}

fn trace_images(size: &Recurrence, layout: Layout) -> Images {
    Images { n: size.n, pixels: size.steps, channels: layout.sums }
}

/// Floats of scratch that [`parameter_gradients`] needs.
pub fn parameter_gradients_scratch_len(size: &Recurrence, layout: Layout) -> usize {
    let depths = [size.steps, size.n * size.steps];
    let products = depths.iter().flat_map(|&depth| {
        [size.features, size.units].map(|rows| by_weights_product(size, layout, rows, depth).scratch_len())
    });
    products.max().unwrap_or(0).max(batch_scratch_len(trace_images(size, layout)))
}

/// The gradients of all parameters, one behind the other in the order of the layer: from x and a trace.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn parameter_gradients(
    x: View<'_>,
    trace: View<'_>,
    gradients: &mut [f32],
    size: &Recurrence,
    layout: Layout,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (by_input, rest) = gradients.split_at_mut(size.features * layout.gates);
    let (by_state, sums) = rest.split_at_mut(size.units * layout.gates);
    let column = |at: usize| View { data: &trace.data[at..], ..trace };
    let pairs = [
        (x, column(0), size.features, by_input),
        (column(layout.state), column(layout.from_state), size.units, by_state),
    ];
    for (left, gates, rows, to) in pairs {
        let (count, depth) = products(size, [(left.ld, left.image), (gates.ld, gates.image)]);
        for sample in 0..count {
            let beta = if sample > 0 { 1.0 } else { 0.0 };
            let product = Product { beta, ..by_weights_product(size, layout, rows, depth) };
            let left = Operand { data: &left.data[sample * left.image..], ld: left.ld, transposed: true };
            let gates = Operand { data: &gates.data[sample * gates.image..], ld: gates.ld, transposed: false };
            let to = ViewMut { data: &mut *to, ld: layout.gates, image: rows * layout.gates };
            gemm::multiply(threads, &product, left, gates, to, scratch);
        }
    }
    channel_sums(trace, trace_images(size, layout), &mut sums[..layout.sums], scratch, threads);
}

#[cfg(test)]
mod tests;
