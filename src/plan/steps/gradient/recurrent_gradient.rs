//! Gradients of recurrent layers: the trace of backpropagation through time, and the gradients computed from it.

use crate::kernels::recurrent::recurrent_gradient::{
    TraceLayout, gru_trace, input_gradient, input_gradient_scratch_len, lstm_trace, parameter_gradients,
    parameter_gradients_scratch_len, trace_scratch_len,
};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::sequence::recurrent::{GruStep, LstmStep, Sequence};
use serde::{Deserialize, Serialize};

/// The forward layer of a gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RecurrentLayer {
    Lstm(LstmStep),
    Gru(GruStep),
}

impl RecurrentLayer {
    fn sequence(&self) -> &Sequence {
        match self {
            RecurrentLayer::Lstm(step) => &step.sequence,
            RecurrentLayer::Gru(step) => &step.sequence,
        }
    }

    /// The number of time steps, and the floats of a trace row.
    pub fn trace_sizes(&self) -> (usize, usize) {
        (self.sequence().steps, self.layout().width)
    }

    /// Lengths of the parameters, in order.
    pub fn parameters(&self) -> Vec<usize> {
        match self {
            RecurrentLayer::Lstm(step) => step.constants(),
            RecurrentLayer::Gru(step) => step.constants(),
        }
    }

    fn layout(&self) -> TraceLayout {
        match self {
            RecurrentLayer::Lstm(step) => TraceLayout::lstm(step.sequence.units, step.peepholes),
            RecurrentLayer::Gru(step) => TraceLayout::gru(step.sequence.units, step.hidden_biases),
        }
    }

    fn describe(&self) -> String {
        match self {
            RecurrentLayer::Lstm(step) => step.describe(),
            RecurrentLayer::Gru(step) => step.describe(),
        }
    }

    fn input_size(&self) -> (usize, usize) {
        (self.sequence().steps, self.sequence().features)
    }

    fn executed_macs(&self) -> u64 {
        match self {
            RecurrentLayer::Lstm(step) => step.executed_macs(),
            RecurrentLayer::Gru(step) => step.executed_macs(),
        }
    }
}

/// The trace of backpropagation through time, from x and dy: the gradients of the gates at each time step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecurrentGatesStep {
    pub layer: RecurrentLayer,
    /// The gradients of the gates are clipped to plus and minus this; 0 disables clipping.
    pub clip: f32,
}

impl KernelStep for RecurrentGatesStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = self.layer.sequence().recurrence(call.batch);
        let (x, dy) = (call.inputs[0], call.inputs[1]);
        match &self.layer {
            RecurrentLayer::Lstm(step) => {
                let layer = step.layer(call.constants)?;
                lstm_trace(x, dy, call.output, &size, &layer, self.clip, call.scratch, call.threads);
            }
            RecurrentLayer::Gru(step) => {
                let layer = step.layer(call.constants)?;
                gru_trace(x, dy, call.output, &size, &layer, self.clip, call.scratch, call.threads);
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let clip = if self.clip == 0.0 { String::new() } else { format!(", clipped to {}", self.clip) };
        format!("back through the steps of {}{clip}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        let sequence = self.layer.sequence();
        let outputs = if sequence.only_final { 1 } else { sequence.steps };
        let inputs = Inputs::Fixed(vec![self.layer.input_size(), (outputs, sequence.units)]);
        Sizes { inputs, output: self.layer.trace_sizes() }
    }

    fn constants(&self) -> Vec<usize> {
        self.layer.parameters()
    }

    fn uses_gemm(&self) -> bool {
        true
    }

    fn scratch_len(&self, _: usize, workers: usize) -> usize {
        trace_scratch_len(self.layer.sequence().units, workers)
    }

    fn executed_macs(&self) -> u64 {
        2 * self.layer.executed_macs()
    }
}

/// The input gradient of a recurrent layer, from the trace; the input weights are its parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecurrentInputGradientStep {
    pub layer: RecurrentLayer,
}

impl KernelStep for RecurrentInputGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = self.layer.sequence().recurrence(call.batch);
        let (trace, layout) = (call.inputs[0], self.layer.layout());
        input_gradient(trace, call.constants[0], call.output, &size, layout, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back to the input of {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![self.layer.trace_sizes()]), output: self.layer.input_size() }
    }

    fn constants(&self) -> Vec<usize> {
        self.layer.parameters().into_iter().take(1).collect()
    }

    fn uses_gemm(&self) -> bool {
        true
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        input_gradient_scratch_len(&self.layer.sequence().recurrence(batch), self.layer.layout())
    }
}

/// The concatenated gradients of all parameters of a recurrent layer, from x and the trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecurrentGradientStep {
    pub layer: RecurrentLayer,
}

impl KernelStep for RecurrentGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = self.layer.sequence().recurrence(call.batch);
        let (x, trace, layout) = (call.inputs[0], call.inputs[1], self.layer.layout());
        parameter_gradients(x, trace, call.output.data, &size, layout, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gradients of the parameters of {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        let inputs = Inputs::Fixed(vec![self.layer.input_size(), self.layer.trace_sizes()]);
        Sizes { inputs, output: (1, self.layer.parameters().into_iter().sum()) }
    }

    fn uses_gemm(&self) -> bool {
        true
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        parameter_gradients_scratch_len(&self.layer.sequence().recurrence(batch), self.layer.layout())
    }

    fn executed_macs(&self) -> u64 {
        self.layer.executed_macs()
    }
}
