//! LSTM and GRU layers.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::recurrent::{Gru, Lstm, Recurrence, gru, gru_scratch_len, lstm, lstm_scratch_len};
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::{is_tensor, product, sum};
use serde::{Deserialize, Serialize};

/// The shape of a recurrent layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    pub steps: usize,
    pub features: usize,
    pub units: usize,
    /// Whether only the last hidden state is returned, else all.
    pub only_final: bool,
    /// Whether time runs from the last step to the first.
    pub backwards: bool,
}

impl Sequence {
    pub(crate) fn recurrence(&self, n: usize) -> Recurrence {
        let Sequence { steps, features, units, only_final, backwards } = *self;
        Recurrence { n, steps, features, units, only_final, backwards }
    }

    fn describe(&self, name: &str) -> String {
        let Sequence { steps, features, units, .. } = self;
        let order = if self.backwards { ", backwards" } else { "" };
        let kept = if self.only_final { "the last state" } else { "all states" };
        format!("{name} {features} to {units} over {steps} steps{order}, {kept}")
    }

    fn sizes(&self) -> Sizes {
        let output = if self.only_final { 1 } else { self.steps };
        Sizes { inputs: Inputs::Fixed(vec![(self.steps, self.features)]), output: (output, self.units) }
    }

    /// Checks the number of time steps and the shape of the weights.
    fn check(&self) -> Result<(), &'static str> {
        // A layer has at most four gates.
        let weights = is_tensor(&[4, self.features, self.units]) && is_tensor(&[4, self.units, self.units]);
        ensure(self.steps > 0 && weights, "the sequence length or the weight shape is invalid")
    }

    /// Lengths of input weights, hidden weights and biases.
    fn weights(&self, gates: usize) -> Vec<usize> {
        let width = product([gates, self.units]);
        vec![product([self.features, width]), product([self.units, width]), width]
    }

    fn executed_macs(&self, gates: usize) -> u64 {
        product([self.steps, sum([self.features, self.units]), gates, self.units]) as u64
    }
}

/// A long short-term memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LstmStep {
    pub sequence: Sequence,
    pub peepholes: bool,
}

impl LstmStep {
    /// The layer with these parameters.
    pub(crate) fn layer<'a>(&self, constants: &[&'a [f32]]) -> Result<Lstm<'a>, KernelError> {
        let &[input_weights, hidden_weights, biases, cell_init, hidden_init, ref peepholes @ ..] = constants else {
            return Err(KernelError("a parameter of a recurrent layer is missing".into()));
        };
        let peepholes = match *peepholes {
            [to_in, to_forget, to_out] => Some([to_in, to_forget, to_out]),
            _ => None,
        };
        let (gates, cell) = (Activation::Sigmoid, Activation::Tanh);
        Ok(Lstm { input_weights, hidden_weights, biases, cell_init, hidden_init, peepholes, gates, cell })
    }
}

impl KernelStep for LstmStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (size, layer) = (self.sequence.recurrence(call.batch), self.layer(call.constants)?);
        lstm(call.inputs[0], call.output, &size, &layer, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let text = self.sequence.describe("lstm");
        if self.peepholes { text + ", peepholes" } else { text }
    }

    fn sizes(&self) -> Sizes {
        self.sequence.sizes()
    }

    fn constants(&self) -> Vec<usize> {
        let mut list = self.sequence.weights(4);
        list.extend(vec![self.sequence.units; if self.peepholes { 5 } else { 2 }]);
        list
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        lstm_scratch_len(&self.sequence.recurrence(batch), workers)
    }

    fn executed_macs(&self) -> u64 {
        self.sequence.executed_macs(4)
    }
}

impl CheckedKernel for LstmStep {
    fn check(&self) -> Result<(), &'static str> {
        self.sequence.check()
    }
}

/// A gated recurrent unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GruStep {
    pub sequence: Sequence,
    /// Whether the hidden terms have biases, which are then its last parameter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden_biases: bool,
}

impl GruStep {
    /// The layer with these parameters.
    pub(crate) fn layer<'a>(&self, constants: &[&'a [f32]]) -> Result<Gru<'a>, KernelError> {
        let &[input_weights, hidden_weights, biases, hidden_init, ref others @ ..] = constants else {
            return Err(KernelError("a parameter of a recurrent layer is missing".into()));
        };
        let hidden_biases = others.first().copied();
        let (gates, hidden) = (Activation::Sigmoid, Activation::Tanh);
        Ok(Gru { input_weights, hidden_weights, biases, hidden_init, hidden_biases, gates, hidden })
    }
}

impl KernelStep for GruStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (size, layer) = (self.sequence.recurrence(call.batch), self.layer(call.constants)?);
        gru(call.inputs[0], call.output, &size, &layer, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let text = self.sequence.describe("gru");
        if self.hidden_biases { text + ", biases of the state" } else { text }
    }

    fn sizes(&self) -> Sizes {
        self.sequence.sizes()
    }

    fn constants(&self) -> Vec<usize> {
        let mut list = self.sequence.weights(3);
        list.push(self.sequence.units);
        list.extend(self.hidden_biases.then_some(product([3, self.sequence.units])));
        list
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        gru_scratch_len(&self.sequence.recurrence(batch), workers)
    }

    fn executed_macs(&self) -> u64 {
        self.sequence.executed_macs(3)
    }
}

impl CheckedKernel for GruStep {
    fn check(&self) -> Result<(), &'static str> {
        self.sequence.check()
    }
}
