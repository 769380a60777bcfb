//! Learnt values beside those of a sequence.

use crate::kernels::movement::tokens::{add_positions, prepend_token};
use crate::kernels::parallel::image_batches::Images;
use crate::plan::checked_kernel::CheckedKernel;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::pointwise::unary_sizes;
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};

/// A learnt token, its parameter, in front of a sequence of so many steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrependTokenStep {
    pub steps: usize,
    pub features: usize,
}

impl KernelStep for PrependTokenStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.steps, channels: self.features };
        prepend_token(call.inputs[0], call.output, size, call.constants[0], call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("token before {}x{}", self.steps, self.features)
    }

    fn sizes(&self) -> Sizes {
        let inputs = Inputs::Fixed(vec![(self.steps, self.features)]);
        Sizes { inputs, output: (sum([self.steps, 1]), self.features) }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.features]
    }
}

impl CheckedKernel for PrependTokenStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Learnt values, its parameter, added to each step of a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddPositionsStep {
    pub steps: usize,
    pub features: usize,
}

impl KernelStep for AddPositionsStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.steps, channels: self.features };
        add_positions(call.first(), call.output, size, call.constants[0], call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("add values of {} positions to {}x{}", self.steps, self.steps, self.features)
    }

    fn sizes(&self) -> Sizes {
        unary_sizes(self.steps, self.features)
    }

    fn constants(&self) -> Vec<usize> {
        vec![product([self.steps, self.features])]
    }
}

impl CheckedKernel for AddPositionsStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn works_in_place(&self) -> bool {
        true
    }
}
