//! Values that are moved, not changed.

use super::pointwise::same;
use crate::kernels::movement::copy::copy;
use crate::kernels::movement::transpose::{Axis, permute};
use crate::kernels::parallel::image_batches::Images;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::product;
use serde::{Deserialize, Serialize};

/// A copy of rows into or out of a wider tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyStep {
    pub pixels: usize,
    pub channels: usize,
}

impl KernelStep for CopyStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        copy(call.inputs[0], call.output, size, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("copy of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        same(self.pixels, self.channels)
    }
}

impl CheckedKernel for CopyStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Axes in another order; both tensors are dense.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransposeStep {
    /// Sizes of the input without the batch.
    pub sizes: Vec<usize>,
    /// Axis i of the output is axis `order[i]` of the input.
    pub order: Vec<usize>,
}

impl KernelStep for TransposeStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let steps = |sizes: &[usize]| {
            let mut steps = vec![1; sizes.len()];
            for axis in (1..sizes.len()).rev() {
                steps[axis - 1] = steps[axis] * sizes[axis];
            }
            steps
        };
        let x_steps = steps(&self.sizes);
        let y_sizes: Vec<usize> = self.order.iter().map(|&axis| self.sizes[axis]).collect();
        let y_steps = steps(&y_sizes);
        let x = call.inputs[0];
        let mut axes = [Axis::default(); MAX_AXES + 1];
        axes[0] = Axis { size: call.batch, x_stride: x.image, y_stride: call.output.image };
        for (place, &axis) in self.order.iter().enumerate() {
            axes[place + 1] = Axis { size: self.sizes[axis], x_stride: x_steps[axis], y_stride: y_steps[place] };
        }
        permute(x.data, call.output.data, &axes[..=self.order.len()], call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("axes {:?} of {:?}", self.order, self.sizes)
    }

    fn sizes(&self) -> Sizes {
        let len = product(self.sizes.iter().copied());
        Sizes { inputs: Inputs::Fixed(vec![(1, len)]), output: (1, len) }
    }
}

/// Axes that are moved at most; the kernel has one more for the batch.
const MAX_AXES: usize = 7;

impl CheckedKernel for TransposeStep {
    fn check(&self) -> Result<(), &'static str> {
        let axes = self.sizes.len();
        let mut order = self.order.clone();
        order.sort_unstable();
        ensure(axes <= MAX_AXES && order.into_iter().eq(0..axes), "order is not one of its axes")
    }
}
