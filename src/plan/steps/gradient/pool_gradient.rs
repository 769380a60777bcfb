//! Gradients of pooling and upscaling.

use crate::kernels::parallel::image_batches::Images;
use crate::kernels::pool::pool_gradient::{
    average_pool_gradient, global_pool_gradient, max_pool_gradient, upscale_gradient,
};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::pool::{GlobalPoolStep, PoolStep, Reduction};
use crate::plan::steps::resize::UpscaleStep;
use serde::{Deserialize, Serialize};

/// The sizes of the gradient of a kernel with one input: from dy, and x if `needs_input`, to dx.
pub(super) fn gradient_sizes(forward: Sizes, needs_input: bool) -> Sizes {
    let input = match forward.inputs {
        Inputs::Fixed(list) => list.first().copied().unwrap_or((0, 0)),
        Inputs::Variadic(size) | Inputs::Gated(_, size) => size,
    };
    let mut inputs = vec![forward.output];
    inputs.extend(needs_input.then_some(input));
    Sizes { inputs: Inputs::Fixed(inputs), output: input }
}

/// The gradient of pooling, from dy, and for a maximum from x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolGradientStep {
    pub pool: PoolStep,
}

impl KernelStep for PoolGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (dy, window, channels) = (call.inputs[0], &self.pool.window, self.pool.channels);
        match (self.pool.reduction, call.inputs.get(1)) {
            (Reduction::Maximum, Some(&x)) => {
                max_pool_gradient(x, dy, call.output, call.batch, channels, window, call.threads);
            }
            _ => average_pool_gradient(dy, call.output, call.batch, channels, window, false, call.threads),
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.pool.describe())
    }

    fn sizes(&self) -> Sizes {
        gradient_sizes(self.pool.sizes(), self.pool.reduction.gradient_needs_input())
    }
}

/// The gradient of global pooling, from dy, and for a maximum from x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GlobalPoolGradientStep {
    pub pool: GlobalPoolStep,
}

impl KernelStep for GlobalPoolGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pool.pixels, channels: self.pool.channels };
        let kind = self.pool.reduction.global();
        global_pool_gradient(call.inputs.get(1).copied(), call.inputs[0], call.output, size, kind, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.pool.describe())
    }

    fn sizes(&self) -> Sizes {
        gradient_sizes(self.pool.sizes(), self.pool.reduction.gradient_needs_input())
    }
}

/// The gradient of upscaling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpscaleGradientStep {
    pub upscale: UpscaleStep,
}

impl KernelStep for UpscaleGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        upscale_gradient(call.inputs[0], call.output, call.batch, &self.upscale.repeat, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.upscale.describe())
    }

    fn sizes(&self) -> Sizes {
        gradient_sizes(self.upscale.sizes(), false)
    }
}
