//! Gradients of recurrent layers by backpropagation through time.
//!
//! A *trace* stores for each sample and time step the gradients of the gates' pre-activations. It is computed by a
//! recomputed forward pass and a backward pass, in parallel over groups of samples; the gradients of the input and of all
//! parameters are matrix products and sums over it.

mod products;
mod trace_layout;

pub use products::{input_gradient, input_gradient_scratch_len, parameter_gradients, parameter_gradients_scratch_len};
pub use trace_layout::TraceLayout;

use super::{Gru, Lstm, Recurrence, add_products_elementwise, update_cell, update_hidden};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::gemm::{Operand, Product, multiply_serial};
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{image_groups, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};
use products::BACKEND;

/// Samples of one task.
const TASK_SAMPLES: usize = 16;

/// Floats of scratch that [`lstm_trace`] and [`gru_trace`] need on `workers` threads.
pub fn trace_scratch_len(units: usize, workers: usize) -> usize {
    workers * (2 * TASK_SAMPLES + 1) * units
}

/// The samples of one task and their trace rows.
struct SampleGroup<'a> {
    first: usize,
    count: usize,
    trace: &'a mut [f32],
    ld: usize,
    image: usize,
    layout: TraceLayout,
    isa: Isa,
}

impl SampleGroup<'_> {
    fn row(&mut self, sample: usize, step: usize) -> &mut [f32] {
        &mut self.trace[sample * self.image + step * self.ld..][..self.layout.width]
    }

    /// The cell state that the forward pass of an LSTM stored for a time step.
    fn cell(&self, sample: usize, step: usize, units: usize) -> &[f32] {
        &self.trace[sample * self.image + step * self.ld + 4 * units..][..units]
    }

    /// Adds the product of `rows` `(samples, depth)` and `weights` to the trace rows of a time step, at offset `column`.
    fn add_product(&mut self, rows: Operand<'_>, depth: usize, weights: &[f32], step: usize, column: usize) {
        let columns = self.layout.gates;
        let product = Product { rows: self.count, columns, depth, alpha: 1.0, beta: 1.0, backend: BACKEND };
        let weights = Operand { data: weights, ld: columns, transposed: false };
        multiply_serial(
            self.isa,
            &product,
            rows,
            weights,
            &mut self.trace[step * self.ld + column..],
            self.image.max(columns),
        );
    }

    /// Computes the gates' input terms x W + b of a time step.
    fn compute_input_terms(&mut self, x: &View<'_>, features: usize, biases: &[f32], weights: &[f32], step: usize) {
        for sample in 0..self.count {
            self.row(sample, step)[..biases.len()].copy_from_slice(biases);
        }
        let data = &x.data[self.first * x.image + step * x.ld..];
        self.add_product(Operand { data, ld: x.image.max(features), transposed: false }, features, weights, step, 0);
    }

    /// Propagates the gradients of the gates to the previous hidden state: `hidden` = beta * `hidden` + gates times the
    /// transposed weights.
    fn backpropagate(&self, weights: &[f32], step: usize, beta: f32, hidden: &mut [f32], units: usize) {
        let depth = self.layout.gates;
        let product = Product { rows: self.count, columns: units, depth, alpha: 1.0, beta, backend: BACKEND };
        let data = &self.trace[step * self.ld + self.layout.hidden_gates..];
        let gates = Operand { data, ld: self.image.max(depth), transposed: false };
        multiply_serial(
            self.isa,
            &product,
            gates,
            Operand { data: weights, ld: depth, transposed: true },
            hidden,
            units,
        );
    }
}

/// Calls `body` with every group of samples and scratch: two tensors `(samples, units)` and one `(units)`.
fn sample_groups(
    trace: ViewMut<'_>,
    size: &Recurrence,
    layout: TraceLayout,
    scratch: &mut [f32],
    threads: &ThreadPool,
    body: &(dyn Fn(SampleGroup<'_>, [&mut [f32]; 3]) + Sync),
) {
    let (ld, image, units) = (trace.ld, trace.image, size.units);
    let scratch = Scratch { data: scratch, per_worker: (2 * TASK_SAMPLES + 1) * units };
    let row_span = span(size.steps, ld, layout.width);
    image_groups(threads, trace, size.n, TASK_SAMPLES, row_span, scratch, &|first, trace, scratch| {
        let count = TASK_SAMPLES.min(size.n - first);
        let (a, tail) = scratch.split_at_mut(TASK_SAMPLES * units);
        let (b, c) = tail.split_at_mut(TASK_SAMPLES * units);
        let group = SampleGroup { first, count, trace, ld, image, layout, isa: threads.isa() };
        body(group, [&mut a[..count * units], &mut b[..count * units], c]);
    });
}

/// The output gradient of a sample at a time step; `None` where the layer has no output.
fn output_gradient<'a>(
    dy: &View<'a>,
    size: &Recurrence,
    sample: usize,
    step: usize,
    is_last: bool,
) -> Option<&'a [f32]> {
    let row = if size.only_final { 0 } else { step * dy.ld };
    (is_last || !size.only_final).then(|| &dy.data[sample * dy.image + row..][..size.units])
}

/// The trace `(n, steps, width)` of an LSTM, with the layout of [`TraceLayout::lstm`], from x `(n, steps, features)` and the
/// gradient dy of the output. If `clip` is not 0, the gradients of the gates' pre-activations are clipped to +-`clip`, as
/// in NeuPy.
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
    assert!(
        (layer.gates, layer.cell) == (Activation::Sigmoid, Activation::Tanh),
        "only NeuPy's default activations are supported"
    );
    let (units, limit) = (size.units, if clip == 0.0 { f32::INFINITY } else { clip });
    let layout = TraceLayout::lstm(units, layer.peepholes.is_some());
    sample_groups(trace, size, layout, scratch, threads, &|mut group, [hidden, d_cell, previous_cell]| {
        hidden.chunks_exact_mut(units).for_each(|h| h.copy_from_slice(layer.hidden_init));
        let mut previous_step = None;
        for step in size.time_steps() {
            group.compute_input_terms(&x, size.features, layer.biases, layer.input_weights, step);
            let rows = Operand { data: hidden, ld: units, transposed: false };
            group.add_product(rows, units, layer.hidden_weights, step, 0);
            for (sample, h) in hidden.chunks_exact_mut(units).enumerate() {
                let cell = previous_step.map(|step| group.cell(sample, step, units));
                previous_cell.copy_from_slice(cell.unwrap_or(layer.cell_init));
                let row = group.row(sample, step);
                row[layout.hidden..].copy_from_slice(h);
                lstm_forward(layer, row, previous_cell, h);
            }
            previous_step = Some(step);
        }
        // From here on the buffer holds the gradient of the hidden state.
        let d_hidden = hidden;
        d_hidden.fill(0.0);
        d_cell.fill(0.0);
        let mut is_last = true;
        let mut steps = size.time_steps().rev().peekable();
        while let Some(step) = steps.next() {
            let states = d_hidden.chunks_exact_mut(units).zip(d_cell.chunks_exact_mut(units));
            for (sample, (h, c)) in states.enumerate() {
                if let Some(dy) = output_gradient(&dy, size, group.first + sample, step, is_last) {
                    add(h, dy);
                }
                let cell = steps.peek().map(|&step| group.cell(sample, step, units));
                previous_cell.copy_from_slice(cell.unwrap_or(layer.cell_init));
                lstm_backward(layer, group.row(sample, step), previous_cell, h, c, limit);
            }
            group.backpropagate(layer.hidden_weights, step, 0.0, d_hidden, units);
            if steps.peek().is_none() {
                let states = d_hidden.chunks_exact(units).zip(d_cell.chunks_exact(units));
                for (sample, (h, c)) in states.enumerate() {
                    let row = group.row(sample, step);
                    row[4 * units..5 * units].copy_from_slice(c);
                    row[5 * units..6 * units].copy_from_slice(h);
                }
            }
            is_last = false;
        }
    });
}

/// The forward pass of one sample and time step: activates the gates in the trace row, stores the cell state after them and
/// updates `hidden`.
fn lstm_forward(layer: &Lstm<'_>, row: &mut [f32], previous_cell: &[f32], hidden: &mut [f32]) {
    let units = hidden.len();
    let (in_forget, tail) = row.split_at_mut(2 * units);
    let (input, tail) = tail.split_at_mut(units);
    let (out, cell) = tail.split_at_mut(units);
    let cell = &mut cell[..units];
    if let Some([to_in, to_forget, _]) = layer.peepholes {
        add_products_elementwise(&mut in_forget[..units], previous_cell, to_in);
        add_products_elementwise(&mut in_forget[units..], previous_cell, to_forget);
    }
    layer.gates.apply(in_forget);
    layer.cell.apply(input);
    let (input_gate, forget) = in_forget.split_at(units);
    cell.copy_from_slice(previous_cell);
    update_cell(cell, forget, input_gate, input);
    if let Some([_, _, to_out]) = layer.peepholes {
        add_products_elementwise(out, cell, to_out);
    }
    layer.gates.apply(out);
    hidden.copy_from_slice(cell);
    Activation::Tanh.apply(hidden);
    hidden.iter_mut().zip(out).for_each(|(h, o)| *h *= *o);
}

/// The backward pass of one sample and time step: replaces the gates in the trace row by the gradients of their
/// pre-activations, and `d_cell` by the gradient of the previous cell state.
fn lstm_backward(
    layer: &Lstm<'_>,
    row: &mut [f32],
    previous_cell: &[f32],
    d_hidden: &[f32],
    d_cell: &mut [f32],
    limit: f32,
) {
    let units = previous_cell.len();
    let (gates, tail) = row.split_at_mut(4 * units);
    let (input_gate, gates) = gates.split_at_mut(units);
    let (forget, gates) = gates.split_at_mut(units);
    let (input, out) = gates.split_at_mut(units);
    let (cell, tail) = tail.split_at_mut(units);
    let (d_hidden_init, peepholes) = tail.split_at_mut(units);
    for j in 0..units {
        let squashed = Activation::Tanh.of(cell[j]);
        let (i, f, g, o) = (input_gate[j], forget[j], input[j], out[j]);
        let peephole = |index: usize| layer.peepholes.map_or(0.0, |weights| weights[index][j]);
        let d_out = d_hidden[j] * squashed * o * (1.0 - o);
        let dc = d_cell[j] + d_hidden[j] * o * (1.0 - squashed * squashed) + d_out * peephole(2);
        let (d_in, d_forget) = (dc * g * i * (1.0 - i), dc * previous_cell[j] * f * (1.0 - f));
        d_cell[j] = dc * f + d_in * peephole(0) + d_forget * peephole(1);
        input_gate[j] = d_in.clamp(-limit, limit);
        forget[j] = d_forget.clamp(-limit, limit);
        input[j] = (dc * i * (1.0 - g * g)).clamp(-limit, limit);
        out[j] = d_out.clamp(-limit, limit);
        if layer.peepholes.is_some() {
            peepholes[j] = d_in * previous_cell[j];
            peepholes[units + j] = d_forget * previous_cell[j];
            peepholes[2 * units + j] = d_out * cell[j];
        }
        (cell[j], d_hidden_init[j]) = (0.0, 0.0);
    }
}

/// The trace `(n, steps, width)` of a GRU, with the layout of [`TraceLayout::gru`]; see [`lstm_trace`].
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
    assert!(
        (layer.gates, layer.hidden) == (Activation::Sigmoid, Activation::Tanh),
        "only NeuPy's default activations are supported"
    );
    let (units, limit) = (size.units, if clip == 0.0 { f32::INFINITY } else { clip });
    let layout = TraceLayout::gru(units, layer.hidden_biases.is_some());
    sample_groups(trace, size, layout, scratch, threads, &|mut group, [hidden, _, _]| {
        hidden.chunks_exact_mut(units).for_each(|h| h.copy_from_slice(layer.hidden_init));
        for step in size.time_steps() {
            group.compute_input_terms(&x, size.features, layer.biases, layer.input_weights, step);
            for sample in 0..group.count {
                layer.start_hidden_terms(&mut group.row(sample, step)[layout.hidden_gates..layout.hidden]);
            }
            let rows = Operand { data: hidden, ld: units, transposed: false };
            group.add_product(rows, units, layer.hidden_weights, step, layout.hidden_gates);
            for (sample, h) in hidden.chunks_exact_mut(units).enumerate() {
                gru_forward(layer, group.row(sample, step), h);
            }
        }
        // From here on the buffer holds the gradient of the hidden state.
        let d_hidden = hidden;
        d_hidden.fill(0.0);
        let mut is_last = true;
        let mut steps = size.time_steps().rev().peekable();
        while let Some(step) = steps.next() {
            for (sample, h) in d_hidden.chunks_exact_mut(units).enumerate() {
                if let Some(dy) = output_gradient(&dy, size, group.first + sample, step, is_last) {
                    add(h, dy);
                }
                gru_backward(group.row(sample, step), h, limit);
            }
            group.backpropagate(layer.hidden_weights, step, 1.0, d_hidden, units);
            if steps.peek().is_none() {
                for (sample, h) in d_hidden.chunks_exact(units).enumerate() {
                    group.row(sample, step)[3 * units..4 * units].copy_from_slice(h);
                }
            }
            is_last = false;
        }
    });
}

/// The forward pass of one sample and time step: activates the gates in the trace row, stores the previous hidden state in
/// it and updates `hidden`.
fn gru_forward(layer: &Gru<'_>, row: &mut [f32], hidden: &mut [f32]) {
    let units = hidden.len();
    let (from_input, tail) = row.split_at_mut(3 * units);
    let (from_hidden, previous_hidden) = tail[units..].split_at_mut(3 * units);
    previous_hidden.copy_from_slice(hidden);
    let (gates, candidate) = from_input.split_at_mut(2 * units);
    add(gates, from_hidden);
    layer.gates.apply(gates);
    let (reset, update) = gates.split_at(units);
    add_products_elementwise(candidate, reset, &from_hidden[2 * units..]);
    layer.hidden.apply(candidate);
    update_hidden(hidden, update, candidate);
}

/// The backward pass of one sample and time step: replaces the gates in the trace row by the gradients of their input and
/// hidden terms, and `d_hidden` by the gradient of the previous hidden state that bypasses the gates.
fn gru_backward(row: &mut [f32], d_hidden: &mut [f32], limit: f32) {
    let units = d_hidden.len();
    let (from_input, tail) = row.split_at_mut(3 * units);
    let (reset, from_input) = from_input.split_at_mut(units);
    let (update, candidate) = from_input.split_at_mut(units);
    let (d_hidden_init, tail) = tail.split_at_mut(units);
    let (from_hidden, previous_hidden) = tail.split_at_mut(3 * units);
    for j in 0..units {
        let (r, u, c, dh) = (reset[j], update[j], candidate[j], d_hidden[j]);
        // As in NeuPy, the clipped gradient of the candidate is the one propagated to the reset gate and the hidden state.
        let d_candidate = (dh * u * (1.0 - c * c)).clamp(-limit, limit);
        let d_update = dh * (c - previous_hidden[j]) * u * (1.0 - u);
        let d_reset = d_candidate * from_hidden[2 * units + j] * r * (1.0 - r);
        d_hidden[j] = dh * (1.0 - u);
        reset[j] = d_reset.clamp(-limit, limit);
        update[j] = d_update.clamp(-limit, limit);
        candidate[j] = d_candidate;
        (from_hidden[j], from_hidden[units + j]) = (reset[j], update[j]);
        from_hidden[2 * units + j] = (d_candidate * r).clamp(-limit, limit);
        d_hidden_init[j] = 0.0;
    }
}

multiversion! {
    /// out += a
    fn add(out: &mut [f32], a: &[f32]) {
        out.iter_mut().zip(a).for_each(|(o, a)| *o += a);
    }
}

#[cfg(test)]
mod tests;
