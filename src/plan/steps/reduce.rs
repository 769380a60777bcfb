//! Reductions along axes, and softmax along an axis of the pixels.

use super::pointwise::unary_sizes;
use super::pool::Reduction;
use crate::kernels::reduce::Axes;
use crate::kernels::reduce::reduction::reduce;
use crate::kernels::reduce::softmax::softmax_along;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

/// The average, maximum or sum along axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReduceStep {
    pub axes: Axes,
    pub reduction: Reduction,
}

impl KernelStep for ReduceStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        reduce(call.inputs[0], call.output, call.batch, &self.axes, self.reduction.global(), call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} over {}", self.reduction.name(), describe(&self.axes))
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(self.axes.pixels(), self.axes.channels)]), output: self.axes.reduced() }
    }
}

/// Axes in the text of a plan: `5 of 4x5x7 pixels of 8 channels`.
fn describe(axes: &Axes) -> String {
    let Axes { outer, len, inner, channels, over_channels } = axes;
    let all = if *over_channels { "all " } else { "" };
    format!("{len} of {outer}x{len}x{inner} pixels of {all}{channels} channels")
}

impl CheckedKernel for ReduceStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.axes.is_possible(), "a reduced axis is empty")
    }
}

/// A softmax along an axis of the pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxAlongStep {
    pub axes: Axes,
}

impl KernelStep for SoftmaxAlongStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        softmax_along(call.first(), call.output, call.batch, &self.axes, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("softmax over {}", describe(&self.axes))
    }

    fn sizes(&self) -> Sizes {
        unary_sizes(self.axes.pixels(), self.axes.channels)
    }
}

impl CheckedKernel for SoftmaxAlongStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.axes.is_possible(), "the axis of a softmax is empty")
    }

    fn works_in_place(&self) -> bool {
        true
    }
}
