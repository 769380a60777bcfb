//! Parameters that change are brought into the order of a kernel before it runs.

use crate::plan::CONSTANT_ALIGNMENT;
use crate::plan::kernel::{Call, Inputs, Kernel, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

/// Packs the parameters of a kernel: see [`KernelStep::pack_into`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepackStep {
    kernel: Box<Kernel>,
    /// Lengths of the parameters as training changes them.
    parameters: Vec<usize>,
}

impl RepackStep {
    /// Packs parameters of these lengths for a kernel.
    pub fn new(kernel: Kernel, parameters: Vec<usize>) -> Self {
        Self { kernel: Box::new(kernel), parameters }
    }

    /// Floats of what comes out.
    pub fn floats(&self) -> usize {
        self.kernel.constants().into_iter().map(|len| len.next_multiple_of(CONSTANT_ALIGNMENT)).sum()
    }
}

impl KernelStep for RepackStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        self.kernel.pack_into(call.constants, call.output.data, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("pack {} floats for {}", self.parameters.iter().sum::<usize>(), self.kernel.describe())
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Each(Vec::new()), output: (1, self.floats()) }
    }

    fn constants(&self) -> Vec<usize> {
        self.parameters.clone()
    }

    fn scratch_len(&self, _: usize, _: usize) -> usize {
        self.kernel.pack_scratch_len()
    }
}
