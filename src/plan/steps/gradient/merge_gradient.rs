//! Gradients of layers that join several tensors.

use crate::kernels::elementwise::combine::Merge;
use crate::kernels::elementwise::combine_gradient::{
    broadcast_gradient, broadcast_other_gradient, elementwise_gradient, gated_average_gate_gradient,
    gated_average_gradient,
};
use crate::kernels::parallel::image_batches::Images;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::merge::word;
use serde::{Deserialize, Serialize};

/// dx of one of several tensors combined value by value: from dy and all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeGradientStep {
    pub pixels: usize,
    pub channels: usize,
    pub merge: Merge,
    /// Which input the gradient is by.
    pub index: usize,
}

impl KernelStep for MergeGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let Some((&dy, inputs)) = call.inputs.split_first() else { return Ok(()) };
        elementwise_gradient(inputs, self.index, dy, call.output, size, self.merge, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through the {} of {}x{} to branch {}", word(self.merge), self.pixels, self.channels, self.index)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Variadic(size), output: size }
    }
}

/// dx of an image, or of the one value per channel, that were combined: from dy, the image and the values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BroadcastGradientStep {
    pub pixels: usize,
    pub channels: usize,
    pub merge: Merge,
    /// Whether it is the gradient by the values per channel.
    pub by_values: bool,
}

impl KernelStep for BroadcastGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let (dy, image, values) = (call.inputs[0], call.inputs[1], call.inputs[2]);
        match self.by_values {
            true => broadcast_other_gradient(image, values, dy, call.output, size, self.merge, call.threads),
            false => broadcast_gradient(image, values, dy, call.output, size, self.merge, call.threads),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let to = if self.by_values { "the values" } else { "the image" };
        format!(
            "back through the {} of {}x{} with one value per channel, to {to}",
            word(self.merge),
            self.pixels,
            self.channels
        )
    }

    fn sizes(&self) -> Sizes {
        let (size, values) = ((self.pixels, self.channels), (1, self.channels));
        Sizes { inputs: Inputs::Fixed(vec![size, size, values]), output: if self.by_values { values } else { size } }
    }
}

/// dx of a branch of a gated sum: from dy and the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatedAverageGradientStep {
    pub pixels: usize,
    pub channels: usize,
    pub branches: usize,
    /// Which branch, the gate not counted.
    pub index: usize,
}

impl KernelStep for GatedAverageGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        gated_average_gradient(call.inputs[1], self.index, call.inputs[0], call.output, size, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through a gated sum of {}x{} to branch {}", self.pixels, self.channels, self.index)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Fixed(vec![size, (1, self.branches)]), output: size }
    }
}

/// dx of the gate of a gated sum: from dy and the branches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateGradientStep {
    pub pixels: usize,
    pub channels: usize,
    pub branches: usize,
}

impl KernelStep for GateGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let Some((&dy, branches)) = call.inputs.split_first() else { return Ok(()) };
        gated_average_gate_gradient(branches, dy, call.output, size, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through a gated sum of {}x{} to its gate", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Fixed(vec![size; self.branches + 1]), output: (1, self.branches) }
    }
}
