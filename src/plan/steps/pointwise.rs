//! Functions of each value, and softmax.

use crate::kernels::elementwise::activate::activate;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::softmax::softmax;
use crate::kernels::parallel::image_batches::Images;
use crate::plan::checked_kernel::CheckedKernel;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

/// An elementwise function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivationStep {
    pub pixels: usize,
    pub channels: usize,
    pub activation: Activation,
}

impl KernelStep for ActivationStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        activate(call.first(), call.output, size, self.activation, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} of {}x{}", self.activation, self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        same(self.pixels, self.channels)
    }
}

impl CheckedKernel for ActivationStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn works_in_place(&self) -> bool {
        true
    }
}

/// A softmax over the channels of each pixel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxStep {
    pub pixels: usize,
    pub channels: usize,
}

impl KernelStep for SoftmaxStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        softmax(call.first(), call.output, size, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("softmax of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        same(self.pixels, self.channels)
    }
}

impl CheckedKernel for SoftmaxStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn works_in_place(&self) -> bool {
        true
    }
}

/// One input and an output of one size.
pub(super) fn same(pixels: usize, channels: usize) -> Sizes {
    Sizes { inputs: Inputs::Fixed(vec![(pixels, channels)]), output: (pixels, channels) }
}
