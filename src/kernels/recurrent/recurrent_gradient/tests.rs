//! Clipping, threads and strides; `tests/gradients.rs` compares the gradients themselves with finite differences.

use super::*;
use crate::kernels::guarded::Floats;
use crate::kernels::testing::{Random, Tensor, check_slice};

/// Computes the trace, the input gradient and the parameter gradients.
fn run(lstm: bool, gap: usize, clip: f32, pool: usize) -> (Tensor, Tensor, Floats, TraceLayout) {
    let size = Recurrence { n: 37, steps: 5, features: 4, units: 3, only_final: false, backwards: false };
    let Recurrence { n, steps, features, units, .. } = size;
    let gates = if lstm { 4 } else { 3 } * units;
    let mut random = Random(41);
    let (input_weights, hidden_weights) = (random.floats(features * gates), random.floats(units * gates));
    let (biases, vectors) = (random.floats(gates), random.floats(5 * units));
    let (x, dy) = (random.floats(n * steps * features), random.floats(n * steps * units));
    let hidden_biases = random.floats(gates);
    let strided = |values: &[f32], channels: usize| {
        Tensor::of(&Tensor::new(n, steps, channels, gap), |n, step, c| {
            f64::from(values[(n * steps + step) * channels + c])
        })
    };
    let (x, dy) = (strided(&x, features), strided(&dy, units));
    let threads = ThreadPool::new(pool);
    let layout = if lstm { TraceLayout::lstm(units, true) } else { TraceLayout::gru(units, true) };
    let mut trace = Tensor::new(n, steps, layout.width, gap);
    let mut scratch = Floats::filled(f32::NAN, trace_scratch_len(units, pool));
    let (weights, vector) = ((&input_weights, &hidden_weights, &biases), |i: usize| &vectors[i * units..][..units]);
    let (gate_activation, cell_activation) = (Activation::Sigmoid, Activation::Tanh);
    if lstm {
        let layer = Lstm {
            input_weights: weights.0,
            hidden_weights: weights.1,
            biases: weights.2,
            cell_init: vector(0),
            hidden_init: vector(1),
            peepholes: Some([vector(2), vector(3), vector(4)]),
            gates: gate_activation,
            cell: cell_activation,
        };
        lstm_trace(x.view(), dy.view(), trace.view_mut(), &size, &layer, clip, &mut scratch, &threads);
    } else {
        let layer = Gru {
            input_weights: weights.0,
            hidden_weights: weights.1,
            biases: weights.2,
            hidden_init: vector(1),
            hidden_biases: Some(&hidden_biases),
            gates: gate_activation,
            hidden: cell_activation,
        };
        gru_trace(x.view(), dy.view(), trace.view_mut(), &size, &layer, clip, &mut scratch, &threads);
    }
    let mut dx = Tensor::new(n, steps, features, gap);
    let mut scratch = Floats::filled(f32::NAN, input_gradient_scratch_len(&size, layout));
    input_gradient(trace.view(), &input_weights, dx.view_mut(), &size, layout, &mut scratch, &threads);
    let mut gradients = Floats::filled(f32::NAN, (features + units) * gates + layout.sums);
    let mut scratch = Floats::filled(f32::NAN, parameter_gradients_scratch_len(&size, layout));
    parameter_gradients(x.view(), trace.view(), &mut gradients, &size, layout, &mut scratch, &threads);
    (trace, dx, gradients, layout)
}

#[test]
fn gradients_of_the_gates_are_clipped() {
    for lstm in [false, true] {
        let (unclipped, ..) = run(lstm, 0, 0.0, 1);
        let (clipped, _, _, layout) = run(lstm, 0, 0.05, 1);
        let mut clipped_count = 0;
        for sample in 0..37 {
            for (gate, from) in (0..layout.gates).flat_map(|gate| [(gate, 0), (gate, layout.hidden_gates)]) {
                let limit = f64::from(0.05f32);
                // In a GRU, the clipped gradient of the candidate propagates to the reset gate and to the hidden term.
                let units = layout.gates / 3;
                let candidate = unclipped.at(sample, 4, 2 * units + gate % units);
                let is_scaled = !lstm && gate / units != 1 && candidate != 0.0;
                let scale = if is_scaled { candidate.clamp(-limit, limit) / candidate } else { 1.0 };
                let gate = from + gate;
                // The gradients that arrive at the last time step are the same in both.
                let (full, last) = (unclipped.at(sample, 4, gate) * scale, clipped.at(sample, 4, gate));
                clipped_count += usize::from((full / scale).abs() > 0.05);
                assert!((last - full.clamp(-limit, limit)).abs() < 1e-7, "{last} for {full}");
                assert!((0..4).all(|step| clipped.at(sample, step, gate).abs() <= limit));
            }
        }
        assert!(clipped_count > 0);
    }
}

#[test]
fn threads_and_strides_do_not_change_gradients() {
    for lstm in [false, true] {
        let (trace, dx, gradients, _) = run(lstm, 0, 0.0, 1);
        let other = run(lstm, 0, 0.0, 3);
        assert!((&trace.data, &dx.data, &gradients) == (&other.0.data, &other.1.data, &other.2));
        let (_, strided_dx, strided_gradients, _) = run(lstm, 2, 0.0, 2);
        strided_dx.check(1e-5, |n, step, c| dx.at(n, step, c));
        check_slice(&strided_gradients, 1e-4, |i| f64::from(gradients[i]));
    }
}
