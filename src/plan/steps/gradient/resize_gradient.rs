//! Gradients of interpolation and of borders made of the image's own pixels.

use super::pool_gradient::gradient_sizes;
use crate::kernels::movement::border::extend_gradient;
use crate::kernels::movement::resample::{resize_gradient, resize_gradient_scratch_len};
use crate::plan::kernel_step::{Call, KernelError, KernelStep, Sizes};
use crate::plan::steps::resize::{PadStep, ResizeStep};
use serde::{Deserialize, Serialize};

/// The gradient of interpolation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResizeGradientStep {
    pub forward: ResizeStep,
}

impl KernelStep for ResizeGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { inputs, output, batch, scratch, threads, .. } = call;
        resize_gradient(inputs[0], output, batch, &self.forward.resize, scratch, threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.forward.describe())
    }

    fn sizes(&self) -> Sizes {
        gradient_sizes(self.forward.sizes(), false)
    }

    fn scratch_len(&self, _: usize, workers: usize) -> usize {
        resize_gradient_scratch_len(&self.forward.resize, workers)
    }
}

/// The gradient of a border that is not of zeros; that of zeros is a crop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PadGradientStep {
    pub forward: PadStep,
}

impl KernelStep for PadGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let PadStep { geometry, border } = &self.forward;
        extend_gradient(call.inputs[0], call.output, call.batch, geometry, *border, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.forward.describe())
    }

    fn sizes(&self) -> Sizes {
        gradient_sizes(self.forward.sizes(), false)
    }
}
