//! Clipping, threads and gaps; the gradients themselves are held against differences in `tests/gradients.rs`.

use super::*;
use crate::kernels::guarded::Floats;
use crate::kernels::testing::{Random, Tensor, check_slice};

/// Trace, gradient by the input, and gradients of the parameters.
fn run(lstm: bool, gap: usize, clip: f32, pool: usize) -> (Tensor, Tensor, Floats, Layout) {
    let size = Recurrence { n: 37, steps: 5, features: 4, units: 3, only_final: false, backwards: false };
    let Recurrence { n, steps, features, units, .. } = size;
    let gates = if lstm { 4 } else { 3 } * units;
    let mut random = Random(41);
    let (input_weights, hidden_weights) = (random.floats(features * gates), random.floats(units * gates));
    let (biases, vectors) = (random.floats(gates), random.floats(5 * units));
    let (x, dy) = (random.floats(n * steps * features), random.floats(n * steps * units));
    let spread = |values: &[f32], channels: usize| {
        Tensor::of(&Tensor::new(n, steps, channels, gap), |n, step, c| {
            f64::from(values[(n * steps + step) * channels + c])
        })
    };
    let (x, dy) = (spread(&x, features), spread(&dy, units));
    let threads = ThreadPool::new(pool);
    let layout = if lstm { Layout::lstm(units, true) } else { Layout::gru(units) };
    let mut trace = Tensor::new(n, steps, layout.width, gap);
    let mut scratch = Floats::filled(f32::NAN, trace_scratch_len(units, pool));
    let (weights, vector) = ((&input_weights, &hidden_weights, &biases), |i: usize| &vectors[i * units..][..units]);
    let (gate, other) = (Activation::Sigmoid, Activation::Tanh);
    if lstm {
        let layer = Lstm {
            input_weights: weights.0,
            hidden_weights: weights.1,
            biases: weights.2,
            cell_init: vector(0),
            hidden_init: vector(1),
            peepholes: Some([vector(2), vector(3), vector(4)]),
            gates: gate,
            cell: other,
        };
        lstm_trace(x.view(), dy.view(), trace.view_mut(), &size, &layer, clip, &mut scratch, &threads);
    } else {
        let layer = Gru {
            input_weights: weights.0,
            hidden_weights: weights.1,
            biases: weights.2,
            hidden_init: vector(1),
            gates: gate,
            hidden: other,
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
fn gradients_are_clipped_where_they_enter_the_gates() {
    for lstm in [false, true] {
        let (free, ..) = run(lstm, 0, 0.0, 1);
        let (bound, _, _, layout) = run(lstm, 0, 0.05, 1);
        let mut clipped = 0;
        for sample in 0..37 {
            for (gate, from) in (0..layout.gates).flat_map(|gate| [(gate, 0), (gate, layout.from_state)]) {
                let most = f64::from(0.05f32);
                // Of a GRU's gates, reset and the state's part of the candidate get what was clipped of the candidate.
                let units = layout.gates / 3;
                let candidate = free.at(sample, 4, 2 * units + gate % units);
                let through = !lstm && gate / units != 1 && candidate != 0.0;
                let share = if through { candidate.clamp(-most, most) / candidate } else { 1.0 };
                let gate = from + gate;
                // What goes back through the last step is the same in both.
                let (free, last) = (free.at(sample, 4, gate) * share, bound.at(sample, 4, gate));
                clipped += usize::from((free / share).abs() > 0.05);
                assert!((last - free.clamp(-most, most)).abs() < 1e-7, "{last} for {free}");
                assert!((0..4).all(|step| bound.at(sample, step, gate).abs() <= most));
            }
        }
        assert!(clipped > 0);
    }
}

#[test]
fn neither_threads_nor_gaps_matter() {
    for lstm in [false, true] {
        let (trace, dx, gradients, _) = run(lstm, 0, 0.0, 1);
        let other = run(lstm, 0, 0.0, 3);
        assert!((&trace.data, &dx.data, &gradients) == (&other.0.data, &other.1.data, &other.2));
        let (_, apart, others, _) = run(lstm, 2, 0.0, 2);
        apart.check(1e-5, |n, step, c| dx.at(n, step, c));
        check_slice(&others, 1e-4, |i| f64::from(gradients[i]));
    }
}
