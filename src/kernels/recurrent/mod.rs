//! Recurrent layers: LSTM and GRU as NeuPy defines them, and their gradients.

mod recurrence;
pub mod recurrent_gradient;
mod time_loop;

pub use recurrence::Recurrence;

use super::elementwise::activation::Activation;
use super::gemm::small::{StridedRows, add_products};
use super::parallel::thread_pool::ThreadPool;
use super::simd::isa::Isa;
use super::simd::multiversion::multiversion;
use super::tensor_view::{View, ViewMut};
use time_loop::Cell;

/// Parameters of a long short-term memory. The gates are in NeuPy's order: input, forget, cell, output.
#[derive(Clone, Copy, Debug)]
pub struct Lstm<'a> {
    /// `(features, 4 * units)`
    pub input_weights: &'a [f32],
    /// `(units, 4 * units)`
    pub hidden_weights: &'a [f32],
    /// `(4 * units)`
    pub biases: &'a [f32],
    /// Initial cell state of every sample, `(units)`
    pub cell_init: &'a [f32],
    /// Initial hidden state of every sample, `(units)`
    pub hidden_init: &'a [f32],
    /// Peephole weights from the cell to the input, forget and output gates, `(units)` each.
    pub peepholes: Option<[&'a [f32]; 3]>,
    /// Activation of the three gates; sigmoid by default in NeuPy.
    pub gates: Activation,
    /// Activation of the cell input; tanh by default in NeuPy. That of the cell state is always tanh.
    pub cell: Activation,
}

/// Parameters of a gated recurrent unit. The gates are in NeuPy's order: reset, update, candidate.
#[derive(Clone, Copy, Debug)]
pub struct Gru<'a> {
    /// `(features, 3 * units)`
    pub input_weights: &'a [f32],
    /// `(units, 3 * units)`
    pub hidden_weights: &'a [f32],
    /// `(3 * units)`
    pub biases: &'a [f32],
    /// Initial hidden state of every sample, `(units)`
    pub hidden_init: &'a [f32],
    /// Biases of the hidden terms, `(3 * units)`: the form of Keras 2 (`reset_after`), cuDNN and PyTorch.
    pub hidden_biases: Option<&'a [f32]>,
    /// Activation of the reset and update gates; sigmoid by default in NeuPy.
    pub gates: Activation,
    /// Activation of the candidate state; tanh by default in NeuPy.
    pub hidden: Activation,
}

impl Gru<'_> {
    /// The hidden terms of the gates before the product of the state.
    pub(super) fn start_hidden_terms(&self, terms: &mut [f32]) {
        match self.hidden_biases {
            Some(biases) => terms.copy_from_slice(biases),
            None => terms.fill(0.0),
        }
    }
}

/// Floats of scratch that [`lstm`] needs on `workers` threads.
pub fn lstm_scratch_len(size: &Recurrence, workers: usize) -> usize {
    time_loop::scratch_len::<Lstm<'_>>(size, workers)
}

/// Floats of scratch that [`gru`] needs on `workers` threads.
pub fn gru_scratch_len(size: &Recurrence, workers: usize) -> usize {
    time_loop::scratch_len::<Gru<'_>>(size, workers)
}

/// A long short-term memory (NeuPy's, after Lasagne): x is `(n, steps, features)`, y `(n, units)` or `(n, steps, units)`,
/// see [`Recurrence::only_final`].
///
/// With g = x_t W + b + h U split into in, forget, cell, out (and peepholes added: p_in c, p_forget c, and p_out c'):
/// c' = f(forget) c + f(in) a(cell), h' = f(out) tanh(c').
///
/// # Panics
/// If a slice is too short for `size`.
pub fn lstm(
    x: View<'_>,
    y: ViewMut<'_>,
    size: &Recurrence,
    layer: &Lstm<'_>,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    time_loop::run(layer, x, y, size, scratch, threads);
}

impl Cell for Lstm<'_> {
    const GATES: usize = 4;
    const STATES: usize = 2;
    const SCRATCH: usize = 0;

    fn input_terms(&self) -> (&[f32], &[f32]) {
        (self.input_weights, self.biases)
    }

    fn initial(&self) -> impl Iterator<Item = &[f32]> {
        [self.hidden_init, self.cell_init].into_iter()
    }

    fn step(&self, isa: Isa, gates: &mut [f32], hidden: &mut [f32], cells: &mut [f32], _: &mut [f32]) {
        let units = self.hidden_init.len();
        let (rows, width) = (StridedRows { data: hidden, ld: units, len: units }, 4 * units);
        add_products(isa, rows, self.hidden_weights, width, gates, (hidden.len() / units, width));
        let states = hidden.chunks_exact_mut(units).zip(cells.chunks_exact_mut(units));
        for (gates, (hidden, cell)) in gates.chunks_exact_mut(4 * units).zip(states) {
            lstm_step(self, gates, hidden, cell);
        }
    }
}

/// One time step of one sample: the new cell and hidden state from the pre-activations of the gates.
fn lstm_step(layer: &Lstm<'_>, gates: &mut [f32], hidden: &mut [f32], cell: &mut [f32]) {
    let units = hidden.len();
    let (in_forget, cell_out) = gates.split_at_mut(2 * units);
    let (input, out) = cell_out.split_at_mut(units);
    if let Some([to_in, to_forget, _]) = layer.peepholes {
        add_products_elementwise(&mut in_forget[..units], cell, to_in);
        add_products_elementwise(&mut in_forget[units..], cell, to_forget);
    }
    layer.gates.apply(in_forget);
    layer.cell.apply(input);
    let (input_gate, forget) = in_forget.split_at_mut(units);
    update_cell(cell, forget, input_gate, input);
    if let Some([_, _, to_out]) = layer.peepholes {
        add_products_elementwise(out, cell, to_out);
    }
    layer.gates.apply(out);
    hidden.copy_from_slice(cell);
    Activation::Tanh.apply(hidden);
    hidden.iter_mut().zip(out).for_each(|(h, o)| *h *= *o);
}

multiversion! {
    /// out += a * b
    pub(super) fn add_products_elementwise(out: &mut [f32], a: &[f32], b: &[f32]) {
        out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (a, b))| *o += a * b);
    }
}

multiversion! {
    /// cell = forget * cell + input_gate * input
    pub(super) fn update_cell(cell: &mut [f32], forget: &[f32], input_gate: &[f32], input: &[f32]) {
        let gated_input = input_gate.iter().zip(input);
        cell.iter_mut().zip(forget).zip(gated_input).for_each(|((c, f), (i, x))| *c = f * *c + i * x);
    }
}

/// A gated recurrent unit (NeuPy's, after Lasagne): x is `(n, steps, features)`, y `(n, units)` or `(n, steps, units)`,
/// see [`Recurrence::only_final`].
///
/// With i = x_t W + b and s = h U (+ [`Gru::hidden_biases`]), both split into reset, update, hidden: r = f(i_r + s_r),
/// u = f(i_u + s_u), c = a(i_h + r s_h), h' = h - u (h - c).
///
/// # Panics
/// If a slice is too short for `size`.
pub fn gru(x: View<'_>, y: ViewMut<'_>, size: &Recurrence, layer: &Gru<'_>, scratch: &mut [f32], threads: &ThreadPool) {
    time_loop::run(layer, x, y, size, scratch, threads);
}

impl Cell for Gru<'_> {
    const GATES: usize = 3;
    const STATES: usize = 1;
    const SCRATCH: usize = 1;

    fn input_terms(&self) -> (&[f32], &[f32]) {
        (self.input_weights, self.biases)
    }

    fn initial(&self) -> impl Iterator<Item = &[f32]> {
        std::iter::once(self.hidden_init)
    }

    fn step(&self, isa: Isa, gates: &mut [f32], hidden: &mut [f32], _: &mut [f32], from_hidden: &mut [f32]) {
        let units = self.hidden_init.len();
        let width = 3 * units;
        from_hidden.chunks_exact_mut(width).for_each(|terms| self.start_hidden_terms(terms));
        let rows = StridedRows { data: hidden, ld: units, len: units };
        add_products(isa, rows, self.hidden_weights, width, from_hidden, (hidden.len() / units, width));
        let terms = gates.chunks_exact_mut(width).zip(from_hidden.chunks_exact(width));
        for (hidden, (gates, from_hidden)) in hidden.chunks_exact_mut(units).zip(terms) {
            gru_step(self, gates, from_hidden, hidden);
        }
    }
}

/// One time step of one sample: the new hidden state from the gates' pre-activations, `from_input` = x W + b and
/// `from_hidden` = h U.
fn gru_step(layer: &Gru<'_>, from_input: &mut [f32], from_hidden: &[f32], hidden: &mut [f32]) {
    let units = hidden.len();
    let (gates, candidate) = from_input.split_at_mut(2 * units);
    gates.iter_mut().zip(from_hidden).for_each(|(g, s)| *g += s);
    layer.gates.apply(gates);
    let (reset, update) = gates.split_at(units);
    add_products_elementwise(candidate, reset, &from_hidden[2 * units..]);
    layer.hidden.apply(candidate);
    update_hidden(hidden, update, candidate);
}

multiversion! {
    /// hidden -= update * (hidden - candidate)
    pub(super) fn update_hidden(hidden: &mut [f32], update: &[f32], candidate: &[f32]) {
        hidden.iter_mut().zip(update.iter().zip(candidate)).for_each(|(h, (u, c))| *h -= u * (*h - c));
    }
}

#[cfg(test)]
mod tests {
    use super::super::guarded::Floats;
    use super::*;
    use crate::kernels::testing::{Random, Tensor, close};

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// x W for one column of W.
    fn column(x: &[f64], w: &[f32], width: usize, column: usize) -> f64 {
        x.iter().enumerate().map(|(k, x)| x * f64::from(w[k * width + column])).sum()
    }

    /// The hidden states of one sample at all time steps, from the formulas in f64.
    fn states(x: &Tensor, n: usize, size: &Recurrence, layer: &Reference<'_>) -> Vec<Vec<f64>> {
        let Recurrence { steps, features, units, .. } = *size;
        let float = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let [w, u, b] = layer.weights;
        let (mut h, mut c) = (float(layer.init[0]), float(layer.init[1]));
        let mut all = vec![Vec::new(); steps];
        for step in size.time_steps() {
            let x: Vec<f64> = (0..features).map(|k| x.at(n, step, k)).collect();
            let width = b.len();
            let from_x: Vec<f64> = (0..width).map(|j| column(&x, w, width, j) + f64::from(b[j])).collect();
            let hidden_bias = |j: usize| layer.hidden_biases.map_or(0.0, |biases| f64::from(biases[j]));
            let from_h: Vec<f64> = (0..width).map(|j| column(&h, u, width, j) + hidden_bias(j)).collect();
            for j in 0..units {
                let sum = |gate: usize| from_x[gate * units + j] + from_h[gate * units + j];
                if width == 3 * units {
                    let candidate = (from_x[2 * units + j] + sigmoid(sum(0)) * from_h[2 * units + j]).tanh();
                    h[j] -= sigmoid(sum(1)) * (h[j] - candidate);
                } else {
                    let peep = |i: usize| layer.peepholes.map_or(0.0, |p| f64::from(p[i][j]));
                    let forget = sigmoid(sum(1) + c[j] * peep(1));
                    c[j] = forget * c[j] + sigmoid(sum(0) + c[j] * peep(0)) * sum(2).tanh();
                    h[j] = sigmoid(sum(3) + c[j] * peep(2)) * c[j].tanh();
                }
            }
            all[step] = h.clone();
        }
        all
    }

    struct Reference<'a> {
        weights: [&'a [f32]; 3],
        init: [&'a [f32]; 2],
        peepholes: Option<[&'a [f32]; 3]>,
        /// Of a GRU.
        hidden_biases: Option<&'a [f32]>,
    }

    const DEFAULTS: (Activation, Activation) = (Activation::Sigmoid, Activation::Tanh);

    fn run(size: &Recurrence, x: &Tensor, y: ViewMut<'_>, layer: &Reference<'_>, threads: &ThreadPool) {
        let ([input_weights, hidden_weights, biases], [hidden_init, cell_init]) = (layer.weights, layer.init);
        let (gates, cell) = DEFAULTS;
        if biases.len() == 3 * size.units {
            let hidden_biases = layer.hidden_biases;
            let layer = Gru { input_weights, hidden_weights, biases, hidden_init, hidden_biases, gates, hidden: cell };
            let mut scratch = Floats::filled(f32::NAN, gru_scratch_len(size, threads.count()));
            gru(x.view(), y, size, &layer, &mut scratch, threads);
        } else {
            let peepholes = layer.peepholes;
            let layer = Lstm { input_weights, hidden_weights, biases, cell_init, hidden_init, peepholes, gates, cell };
            let mut scratch = Floats::filled(f32::NAN, lstm_scratch_len(size, threads.count()));
            lstm(x.view(), y, size, &layer, &mut scratch, threads);
        }
    }

    #[test]
    fn all_options_match_the_reference() {
        let mut random = Random(24);
        // The last one has more than a block of time steps.
        for (i, (n, steps, features, units)) in
            [(1, 1, 1, 1), (3, 5, 4, 3), (9, 4, 17, 6), (6, 3, 2, 13), (2, 40, 3, 4), (1200, 5, 2, 64)]
                .into_iter()
                .enumerate()
        {
            for options in (0..16).step_by(if n == 1200 { 5 } else { 1 }) {
                let (only_final, backwards) = (options & 1 == 0, options & 2 == 0);
                let width = units * if options & 4 == 0 { 3 } else { 4 };
                let size = Recurrence { n, steps, features, units, only_final, backwards };
                let mut floats = |count: usize| random.floats(count);
                let parameters = [floats(features * width), floats(units * width), floats(width)];
                let hidden_biases = floats(width);
                let vectors: [Floats; 5] = std::array::from_fn(|_| floats(units));
                let [h, c, peep_in, peep_forget, peep_out] = vectors.each_ref().map(|floats| &floats[..]);
                let layer = Reference {
                    weights: parameters.each_ref().map(|floats| &floats[..]),
                    init: [h, c],
                    peepholes: (options & 8 == 0).then_some([peep_in, peep_forget, peep_out]),
                    hidden_biases: (options & 12 == 8).then_some(&hidden_biases),
                };
                let x = Tensor::random(&mut random, n, steps, features, i % 2 * 3);
                let y = Tensor::new(n, if only_final { 1 } else { steps }, units, 2);
                let y = y.filled(|y, threads| run(&size, &x, y, &layer, threads));
                let expected: Vec<_> = (0..n).map(|n| states(&x, n, &size, &layer)).collect();
                let last = if backwards { 0 } else { steps - 1 };
                y.check(if n == 1200 { 2e-5 } else { 2e-6 }, |n, step, j| {
                    expected[n][if only_final { last } else { step }][j]
                });
            }
        }
    }

    /// `Input((5, 4)) >> LSTM(3) >> Softmax(2)` in NeuPy 0.8.2: the first sample and its prediction.
    #[test]
    fn lstm_matches_neupy() {
        const INPUT_WEIGHTS: &str = "\
            0.78644663 -0.8773431 -1.083498 -0.28840378 -0.2589209 1.2897102 0.74208707 -1.5133194 \
            -0.45554006 -0.15221606 0.077374056 -0.9743149 -0.053907778 -0.76434827 -0.2863272 1.0449436 \
            0.8811182 -0.14812008 0.42953995 0.4511281 1.0733428 0.21902598 0.5364903 -0.32145295 0.5524568 \
            -0.54137814 0.4554785 -0.11647267 0.32579586 0.027792322 1.2820818 0.8855917 0.19025753 \
            0.15230836 -0.6480901 1.0993524 1.3178415 1.5669734 -0.4131527 -0.713788 -0.28382286 \
            -0.21833293 -0.22055681 1.4100753 0.6722862 0.85460556 0.18134482 -0.35627496";
        const HIDDEN_WEIGHTS: &str = "\
            -0.114905976 0.8226299 0.91617674 -0.9853724 -2.057902 -0.5072174 0.27292362 -0.16674653 \
            -0.32247168 -0.26010096 0.78132576 -0.058733404 0.48739368 1.2252719 0.07363462 -0.5274141 \
            1.7858267 -0.48618358 0.8176103 0.65105534 -0.5139199 0.32233983 -1.216957 -0.5990681 \
            0.08475314 -0.7465916 -0.17612454 -1.5173136 0.14314996 0.6394898 0.59380203 -0.19541232 \
            -0.31714523 -1.6267087 -0.31658697 -0.043244306";
        const BIASES: &str = "\
            -0.016659563 -0.13271615 0.046359748 -0.07036488 -0.03241796 -0.13579167 -0.23853624 -0.0287915 \
            0.030516384 -0.029787594 0.24383219 0.06469699";
        const CELL_INIT: &str = "0.11106552 0.5377008 -0.07374244";
        const HIDDEN_INIT: &str = "-0.25090814 0.07749336 -0.15186197";
        const HEAD: &str = "-0.7729638 -1.2750655 0.30027935 0.09893716 -0.12494851 1.6479394";
        const HEAD_BIAS: &str = "0.16408001 0.26223135";
        const X: &str = "\
            0.15267076 0.38345808 0.58967775 0.9563287 -1.0253502 -0.6288405 0.5115353 0.15603296 \
            -0.7721168 -0.6518268 -0.9256487 0.5212076 1.2349595 -1.4569793 0.23304723 2.40677 -0.19413273 \
            -0.738045 -0.04198468 -0.9223221";
        const Y: &str = "0.6526322 0.34736773";
        check_case([INPUT_WEIGHTS, HIDDEN_WEIGHTS, BIASES], [HIDDEN_INIT, CELL_INIT], [HEAD, HEAD_BIAS], X, Y);
    }

    /// `Input((5, 4)) >> GRU(3) >> Softmax(2)` in NeuPy 0.8.2: the first sample and its prediction.
    #[test]
    fn gru_matches_neupy() {
        const INPUT_WEIGHTS: &str = "\
            -0.29161346 0.2980993 0.95823157 -0.2766068 2.0257192 -1.1884681 1.1592108 1.4259362 \
            -0.007072108 -0.41314927 -1.2141366 0.16996506 -0.29709733 -0.14539401 1.0496179 -0.29240158 \
            -0.84003824 -0.8436203 1.4077759 0.4329935 0.62210155 0.3509719 1.1806874 0.5119036 -1.1493942 \
            0.57790625 -0.3736658 -1.155203 -1.0652831 -0.03847376 -0.9972852 -0.15236554 1.0132757 \
            0.07981794 -0.44933084 1.391147";
        const HIDDEN_WEIGHTS: &str = "\
            0.9707803 -0.33580166 -0.10590656 -0.041211244 -0.230554 0.0973435 0.3797448 -0.71453196 \
            -0.10798948 1.4210291 0.6392657 -1.2321105 -1.0497602 0.1438452 0.39632782 0.39005458 \
            0.12950745 -0.81000376 0.07409443 0.6861717 -1.2871773 -0.86072284 0.9286891 0.90885216 \
            1.0430663 0.8538892 0.7453976";
        const BIASES: &str = "\
            0.07368673 0.09152207 -0.14856322 -0.37215048 -0.14224124 -0.36459702 -0.05030344 -0.22817802 \
            -0.1229432";
        const HIDDEN_INIT: &str = "0.275985 -0.3385832 0.0021253128";
        const HEAD: &str = "-0.39872137 -0.010221444 0.41087857 0.26669276 0.17022233 -0.3147829";
        const HEAD_BIAS: &str = "-0.19375841 -0.14810924";
        const X: &str = "\
            1.2540876 -0.41890916 -0.97354585 -1.8902167 -0.5952777 0.07454716 -1.4661733 -0.22574067 \
            -0.8607828 0.44967186 0.32817626 0.25692335 -0.54090834 0.18660192 1.0850364 0.6512564 \
            -1.1882962 -2.2679799 -0.6340707 0.19931862";
        const Y: &str = "0.5020415 0.49795848";
        check_case([INPUT_WEIGHTS, HIDDEN_WEIGHTS, BIASES], [HIDDEN_INIT, HIDDEN_INIT], [HEAD, HEAD_BIAS], X, Y);
    }

    fn numbers(text: &str) -> Vec<f32> {
        text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
    }

    /// Checks the final hidden state of a sequence of five steps, followed by a dense softmax layer with two classes.
    fn check_case(weights: [&str; 3], init: [&str; 2], head: [&str; 2], x: &str, y: &str) {
        let (weights, init, [head, bias]) = (weights.map(numbers), init.map(numbers), head.map(numbers));
        let (weights, init) = (weights.each_ref().map(|floats| &floats[..]), init.each_ref().map(|floats| &floats[..]));
        let (x, y) = (numbers(x), numbers(y));
        let layer = Reference { weights, init, peepholes: None, hidden_biases: None };
        let size = Recurrence { n: 1, steps: 5, features: 4, units: 3, only_final: true, backwards: false };
        let x = Tensor::of(&Tensor::new(1, 5, 4, 0), |_, p, c| f64::from(x[p * 4 + c]));
        let state = Tensor::new(1, 1, 3, 0).filled(|y, threads| run(&size, &x, y, &layer, threads));
        let sum =
            |i: usize| f64::from(bias[i]) + (0..3).map(|j| state.at(0, 0, j) * f64::from(head[j * 2 + i])).sum::<f64>();
        let probability = sigmoid(sum(0) - sum(1));
        close(probability, f64::from(y[0]), 1e-6, "first class");
        close(1.0 - probability, f64::from(y[1]), 1e-6, "second class");
    }
}
