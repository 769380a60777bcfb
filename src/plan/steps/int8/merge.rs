//! Sums of bytes.

use super::clamped;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::int8::add::{Sum, add};
use crate::kernels::int8::bands::Size;
use crate::kernels::int8::quantization::Quantization;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

/// The sum of two tensors of bytes, each with its scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Int8AddStep {
    pub pixels: usize,
    pub channels: usize,
    pub activation: Activation,
    pub inputs: [Quantization; 2],
    pub output: Quantization,
}

impl KernelStep for Int8AddStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Size { images: call.batch, pixels: self.pixels, channels: self.channels };
        let [a, b] = self.inputs;
        let (low, high) = clamped(self.activation, self.output).unwrap_or((0, 255));
        let sum = Sum { a, b, output: self.output, low, high };
        add(call.threads, call.inputs[0].bytes(), call.inputs[1].bytes(), call.output.bytes(), size, sum);
        Ok(())
    }

    fn describe(&self) -> String {
        let activation = match self.activation {
            Activation::Linear => String::new(),
            activation => format!(", {activation}"),
        };
        let [a, b] = self.inputs;
        format!("int8 sum of {}x{}{activation}, {a} and {b} to {}", self.pixels, self.channels, self.output)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Fixed(vec![size; 2]), output: size }
    }

    fn input_quantization(&self, index: usize) -> Option<Quantization> {
        self.inputs.get(index).copied()
    }

    fn output_quantization(&self) -> Option<Quantization> {
        Some(self.output)
    }
}

impl CheckedKernel for Int8AddStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(clamped(self.activation, self.output).is_some(), "the activation of a sum of bytes is unsupported")?;
        let mut all = self.inputs.into_iter().chain([self.output]);
        ensure(all.all(Quantization::is_valid), "a scale is invalid")
    }
}
