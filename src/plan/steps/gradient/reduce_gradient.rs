//! Gradients of reductions along axes, and of a softmax along an axis of the pixels.

use super::pointwise_gradient::binary_sizes;
use super::pool_gradient::gradient_sizes;
use crate::kernels::reduce::gradient::{maximum_gradient, spread_gradient};
use crate::kernels::reduce::softmax::softmax_along_gradient;
use crate::plan::kernel_step::{Call, KernelError, KernelStep, Sizes};
use crate::plan::steps::pool::Reduction;
use crate::plan::steps::reduce::{ReduceStep, SoftmaxAlongStep};
use serde::{Deserialize, Serialize};

/// The gradient of a reduction along axes, from dy, and for a maximum from x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReduceGradientStep {
    /// The forward step.
    pub layer: ReduceStep,
}

impl ReduceGradientStep {
    /// What each value gets of dy, unless the reduction chooses one.
    pub fn factor(&self) -> f64 {
        if self.layer.reduction == Reduction::Average { 1.0 / self.layer.axes.count() as f64 } else { 1.0 }
    }
}

impl KernelStep for ReduceGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (dy, axes) = (call.inputs[0], &self.layer.axes);
        match call.inputs.get(1) {
            Some(&x) => maximum_gradient(x, dy, call.output, call.batch, axes, call.threads),
            None => spread_gradient(dy, call.output, call.batch, axes, self.factor() as f32, call.threads),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        gradient_sizes(self.layer.sizes(), self.layer.reduction.gradient_needs_input())
    }
}

/// The gradient of a softmax along an axis of the pixels, from dy and its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxAlongGradientStep {
    /// The forward step.
    pub layer: SoftmaxAlongStep,
}

impl KernelStep for SoftmaxAlongGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (dy, Some(&y)) = (call.first(), call.inputs.last()) else { return Ok(()) };
        softmax_along_gradient(y, dy, call.output, call.batch, &self.layer.axes, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("slope of {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        binary_sizes(self.layer.axes.pixels(), self.layer.axes.channels)
    }
}
