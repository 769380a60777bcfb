//! Back-propagation through time of recurrent layers, sample by sample.
//!
//! A trace has a row for each sample and step, as [`TraceLayout`] says: gradients by the sums that enter the gates, gradients
//! that are summed over samples and steps, and the state before the step.

use crate::kernels::recurrent::recurrent_gradient::TraceLayout;
use crate::plan::steps::gradient::recurrent_gradient::RecurrentLayer;
use crate::plan::steps::sequence::recurrent::{GruStep, LstmStep, Sequence};

fn parts(layer: &RecurrentLayer) -> (&Sequence, TraceLayout) {
    match layer {
        RecurrentLayer::Lstm(LstmStep { sequence, peepholes }) => {
            (sequence, TraceLayout::lstm(sequence.units, *peepholes))
        }
        RecurrentLayer::Gru(GruStep { sequence, hidden_biases }) => {
            (sequence, TraceLayout::gru(sequence.units, *hidden_biases))
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A row vector times a matrix of `columns` columns.
fn times(row: &[f64], matrix: &[f64], columns: usize) -> Vec<f64> {
    let mut product = vec![0.0; columns];
    for (value, weights) in row.iter().zip(matrix.chunks_exact(columns)) {
        product.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
    }
    product
}

/// A row vector times the transpose of a matrix of `row.len()` columns.
fn times_transposed(row: &[f64], matrix: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(row.len()).map(|weights| row.iter().zip(weights).map(|(a, b)| a * b).sum()).collect()
}

/// The trace of a layer: from x, dy and the layer's parameters. Gradients of the gates are clipped to `clip` if not 0.
pub fn trace(layer: &RecurrentLayer, clip: f64, x: &[f64], dy: &[f64], parameters: &[Vec<f64>]) -> Vec<f64> {
    let (sequence, layout) = parts(layer);
    let Sequence { steps, features, units, only_final, backwards } = *sequence;
    let given = if only_final { units } else { steps * units };
    let limit = if clip == 0.0 { f64::INFINITY } else { clip };
    let order: Vec<usize> = (0..steps).map(|step| if backwards { steps - 1 - step } else { step }).collect();
    let mut all = Vec::new();
    for (x, dy) in x.chunks_exact(steps * features).zip(dy.chunks_exact(given)) {
        let mut rows = vec![vec![0.0; layout.width]; steps];
        let rows_of_x: Vec<&[f64]> = order.iter().map(|&step| &x[step * features..][..features]).collect();
        // dy of each step, in the order in which the layer runs.
        let dy_at = |index: usize| match only_final {
            true if index + 1 == steps => dy.to_vec(),
            true => vec![0.0; units],
            false => dy[order[index] * units..][..units].to_vec(),
        };
        let run = Run { units, layout, limit, parameters };
        let traced = match layer {
            RecurrentLayer::Lstm(_) => run.lstm(&rows_of_x, &dy_at),
            RecurrentLayer::Gru(_) => run.gru(&rows_of_x, &dy_at),
        };
        order.iter().zip(traced).for_each(|(&step, row)| rows[step] = row);
        all.extend(rows.concat());
    }
    all
}

/// One sample.
struct Run<'a> {
    units: usize,
    layout: TraceLayout,
    limit: f64,
    parameters: &'a [Vec<f64>],
}

impl Run<'_> {
    fn clamp(&self, gradient: f64) -> f64 {
        gradient.clamp(-self.limit, self.limit)
    }

    /// The rows of the trace of an LSTM, in the order in which it runs.
    fn lstm(&self, x: &[&[f64]], dy: &dyn Fn(usize) -> Vec<f64>) -> Vec<Vec<f64>> {
        struct Step {
            gates: Vec<f64>,
            cell_before: Vec<f64>,
            cell: Vec<f64>,
            hidden_before: Vec<f64>,
        }
        let (units, width) = (self.units, 4 * self.units);
        let [input_weights, hidden_weights, biases, cell_init, hidden_init, peepholes @ ..] = self.parameters else {
            return Vec::new();
        };
        let peephole = |gate: usize, unit: usize| peepholes.get(gate).map_or(0.0, |weights| weights[unit]);
        let (mut cell, mut hidden) = (cell_init.clone(), hidden_init.clone());
        let mut forward = Vec::new();
        for x in x {
            let (by_input, by_state) = (times(x, input_weights, width), times(&hidden, hidden_weights, width));
            let mut gates: Vec<f64> =
                (0..width).map(|index| by_input[index] + by_state[index] + biases[index]).collect();
            let (cell_before, hidden_before) = (cell.clone(), hidden.clone());
            for unit in 0..units {
                gates[unit] = sigmoid(gates[unit] + cell_before[unit] * peephole(0, unit));
                gates[units + unit] = sigmoid(gates[units + unit] + cell_before[unit] * peephole(1, unit));
                gates[2 * units + unit] = gates[2 * units + unit].tanh();
                cell[unit] = gates[units + unit] * cell_before[unit] + gates[unit] * gates[2 * units + unit];
                gates[3 * units + unit] = sigmoid(gates[3 * units + unit] + cell[unit] * peephole(2, unit));
                hidden[unit] = gates[3 * units + unit] * cell[unit].tanh();
            }
            forward.push(Step { gates, cell_before, cell: cell.clone(), hidden_before });
        }
        let (mut d_hidden, mut d_cell) = (vec![0.0; units], vec![0.0; units]);
        let mut rows = vec![Vec::new(); forward.len()];
        for (index, step) in forward.iter().enumerate().rev() {
            d_hidden.iter_mut().zip(dy(index)).for_each(|(sum, dy)| *sum += dy);
            let mut row = vec![0.0; self.layout.width];
            for unit in 0..units {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate: usize| step.gates[gate * units + unit]);
                let (before, squashed) = (step.cell_before[unit], step.cell[unit].tanh());
                let d_out = d_hidden[unit] * squashed * o * (1.0 - o);
                let d = d_cell[unit] + d_hidden[unit] * o * (1.0 - squashed * squashed) + d_out * peephole(2, unit);
                let (d_in, d_forget) = (d * g * i * (1.0 - i), d * before * f * (1.0 - f));
                d_cell[unit] = d * f + d_in * peephole(0, unit) + d_forget * peephole(1, unit);
                let by_gate = [d_in, d_forget, d * i * (1.0 - g * g), d_out];
                by_gate.iter().enumerate().for_each(|(gate, d)| row[gate * units + unit] = self.clamp(*d));
                if !peepholes.is_empty() {
                    let by_peephole = [d_in * before, d_forget * before, d_out * step.cell[unit]];
                    by_peephole.iter().enumerate().for_each(|(gate, d)| row[(6 + gate) * units + unit] = *d);
                }
            }
            row[self.layout.hidden..].copy_from_slice(&step.hidden_before);
            d_hidden = times_transposed(&row[..width], hidden_weights);
            rows[index] = row;
        }
        if let Some(first) = rows.first_mut() {
            first[4 * units..5 * units].copy_from_slice(&d_cell);
            first[5 * units..6 * units].copy_from_slice(&d_hidden);
        }
        rows
    }

    /// The rows of the trace of a GRU, in the order in which it runs.
    fn gru(&self, x: &[&[f64]], dy: &dyn Fn(usize) -> Vec<f64>) -> Vec<Vec<f64>> {
        struct Step {
            reset: Vec<f64>,
            update: Vec<f64>,
            candidate: Vec<f64>,
            /// What the state adds to the candidate, before the reset gate.
            by_state: Vec<f64>,
            hidden_before: Vec<f64>,
        }
        let (units, width) = (self.units, 3 * self.units);
        let [input_weights, hidden_weights, biases, hidden_init, hidden_biases @ ..] = self.parameters else {
            return Vec::new();
        };
        let mut hidden = hidden_init.clone();
        let mut forward = Vec::new();
        for x in x {
            let (mut by_input, mut by_state) = (times(x, input_weights, width), times(&hidden, hidden_weights, width));
            by_state.iter_mut().zip(hidden_biases.iter().flatten()).for_each(|(sum, bias)| *sum += bias);
            by_input.iter_mut().zip(biases).for_each(|(sum, bias)| *sum += bias);
            let gate = |gate: usize| -> Vec<f64> {
                (gate * units..(gate + 1) * units).map(|index| sigmoid(by_input[index] + by_state[index])).collect()
            };
            let (reset, update, by_state) = (gate(0), gate(1), by_state[2 * units..].to_vec());
            let candidate: Vec<f64> =
                (0..units).map(|unit| (by_input[2 * units + unit] + reset[unit] * by_state[unit]).tanh()).collect();
            let hidden_before = hidden.clone();
            for unit in 0..units {
                hidden[unit] -= update[unit] * (hidden[unit] - candidate[unit]);
            }
            forward.push(Step { reset, update, candidate, by_state, hidden_before });
        }
        let mut d_hidden = vec![0.0; units];
        let mut rows = vec![Vec::new(); forward.len()];
        for (index, step) in forward.iter().enumerate().rev() {
            d_hidden.iter_mut().zip(dy(index)).for_each(|(sum, dy)| *sum += dy);
            let mut row = vec![0.0; self.layout.width];
            for unit in 0..units {
                let (r, u, c, d) = (step.reset[unit], step.update[unit], step.candidate[unit], d_hidden[unit]);
                let d_candidate = self.clamp(d * u * (1.0 - c * c));
                let d_update = self.clamp(d * (c - step.hidden_before[unit]) * u * (1.0 - u));
                let d_reset = self.clamp(d_candidate * step.by_state[unit] * r * (1.0 - r));
                let from_state = self.layout.hidden_gates + unit;
                for (gate, d) in [d_reset, d_update, d_candidate].into_iter().enumerate() {
                    row[gate * units + unit] = d;
                }
                for (gate, d) in [d_reset, d_update, self.clamp(d_candidate * r)].into_iter().enumerate() {
                    row[from_state + gate * units] = d;
                }
                d_hidden[unit] = d * (1.0 - u);
            }
            row[self.layout.hidden..].copy_from_slice(&step.hidden_before);
            let through = times_transposed(&row[self.layout.hidden_gates..self.layout.hidden], hidden_weights);
            d_hidden.iter_mut().zip(through).for_each(|(sum, d)| *sum += d);
            rows[index] = row;
        }
        if let Some(first) = rows.first_mut() {
            first[3 * units..4 * units].copy_from_slice(&d_hidden);
        }
        rows
    }
}

/// dx from a trace and the input weights `(features, gates)`.
pub fn input_gradient(layer: &RecurrentLayer, trace: &[f64], input_weights: &[f64]) -> Vec<f64> {
    let (_, layout) = parts(layer);
    trace.chunks_exact(layout.width).flat_map(|row| times_transposed(&row[..layout.gates], input_weights)).collect()
}

/// The gradients of all parameters in order: from x and a trace.
pub fn parameter_gradients(layer: &RecurrentLayer, x: &[f64], trace: &[f64]) -> Vec<f64> {
    let (sequence, layout) = parts(layer);
    let (mut by_input, mut by_state) =
        (vec![0.0; sequence.features * layout.gates], vec![0.0; sequence.units * layout.gates]);
    let mut sums = vec![0.0; layout.sums];
    let add_outer = |to: &mut [f64], left: &[f64], right: &[f64]| {
        for (to, left) in to.chunks_exact_mut(right.len()).zip(left) {
            to.iter_mut().zip(right).for_each(|(to, right)| *to += left * right);
        }
    };
    for (x, row) in x.chunks_exact(sequence.features).zip(trace.chunks_exact(layout.width)) {
        add_outer(&mut by_input, x, &row[..layout.gates]);
        add_outer(&mut by_state, &row[layout.hidden..], &row[layout.hidden_gates..][..layout.gates]);
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    [by_input, by_state, sums].concat()
}
