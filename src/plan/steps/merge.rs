//! Elementwise merges, broadcasts and gated averages.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::combine::{Merge, broadcast, elementwise, elementwise_in_place, gated_average};
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::tensor_view::View;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The name of a merge in the text of a plan.
pub(super) fn merge_name(merge: Merge) -> &'static str {
    match merge {
        Merge::Add => "sum",
        Merge::Multiply => "product",
        Merge::Average => "mean",
        Merge::Maximum => "maximum",
        Merge::Minimum => "minimum",
        Merge::Subtract | Merge::SubtractFrom => "difference",
        Merge::Divide | Merge::DivideInto => "quotient",
    }
}

/// An elementwise merge of tensors of the same size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeStep {
    pub pixels: usize,
    pub channels: usize,
    pub merge: Merge,
    pub activation: Activation,
}

impl KernelStep for MergeStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        match call.in_place {
            true => elementwise_in_place(call.inputs, call.output, size, self.merge, self.activation, call.threads),
            false => elementwise(call.inputs, call.output, size, self.merge, self.activation, call.threads),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} of {}x{}", merge_name(self.merge), self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Variadic(size), output: size }
    }
}

impl CheckedKernel for MergeStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn works_in_place(&self) -> bool {
        true
    }
}

/// A merge of an image with a tensor of one value per channel, broadcast over the pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BroadcastStep {
    pub pixels: usize,
    pub channels: usize,
    /// The index of the input with one value per channel, 0 or 1.
    pub broadcast_index: usize,
    pub merge: Merge,
    pub activation: Activation,
}

impl KernelStep for BroadcastStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let (image, values) = match call.in_place {
            true => (None, call.inputs[0]),
            false => (Some(call.inputs[1 - self.broadcast_index]), call.inputs[self.broadcast_index]),
        };
        broadcast(image, values, call.output, size, self.merge, self.activation, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} of {}x{} with one value per channel", merge_name(self.merge), self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        let mut inputs = vec![(self.pixels, self.channels); 2];
        inputs[self.broadcast_index.min(1)] = (1, self.channels);
        Sizes { inputs: Inputs::Fixed(inputs), output: (self.pixels, self.channels) }
    }
}

impl CheckedKernel for BroadcastStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.broadcast_index < 2, "the broadcast operand is missing")
    }

    fn works_in_place(&self) -> bool {
        self.broadcast_index == 1
    }
}

/// A sum of tensors weighted by a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatedAverageStep {
    pub pixels: usize,
    pub channels: usize,
    /// The index of the gate among the inputs.
    pub gate: usize,
}

impl KernelStep for GatedAverageStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let gate = call.inputs[self.gate];
        let others: SmallVec<[View<'_>; 8]> =
            call.inputs[..self.gate].iter().chain(&call.inputs[self.gate + 1..]).copied().collect();
        gated_average(gate, &others, call.output, size, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gated sum of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Gated(self.gate, size), output: size }
    }
}

impl CheckedKernel for GatedAverageStep {
    fn check(&self) -> Result<(), &'static str> {
        // The plan's verification checks the index of the gate.
        Ok(())
    }
}
