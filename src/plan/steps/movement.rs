//! Strided copies and transposition.

use super::pointwise::unary_sizes;
use crate::kernels::movement::copy::copy;
use crate::kernels::movement::transpose::{Axis, permute};
use crate::kernels::parallel::image_batches::Images;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::product;
use serde::{Deserialize, Serialize};

/// A strided copy, into or out of a wider tensor.
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
        unary_sizes(self.pixels, self.channels)
    }
}

impl CheckedKernel for CopyStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// A permutation of axes; both tensors are contiguous.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransposeStep {
    /// Sizes of the input without the batch.
    pub sizes: Vec<usize>,
    /// Axis i of the output is axis `order[i]` of the input.
    pub order: Vec<usize>,
}

impl TransposeStep {
    /// The permutation back.
    pub fn inverse(&self) -> TransposeStep {
        let mut order = vec![0; self.order.len()];
        for (place, &axis) in self.order.iter().enumerate() {
            order[axis] = place;
        }
        TransposeStep { sizes: self.order.iter().map(|&axis| self.sizes[axis]).collect(), order }
    }
}

impl KernelStep for TransposeStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let strides = |sizes: &[usize]| {
            let mut strides = vec![1; sizes.len()];
            for axis in (1..sizes.len()).rev() {
                strides[axis - 1] = strides[axis] * sizes[axis];
            }
            strides
        };
        let x_strides = strides(&self.sizes);
        let y_sizes: Vec<usize> = self.order.iter().map(|&axis| self.sizes[axis]).collect();
        let y_strides = strides(&y_sizes);
        let x = call.inputs[0];
        let mut axes = [Axis::default(); MAX_AXES + 1];
        axes[0] = Axis { size: call.batch, x_stride: x.image, y_stride: call.output.image };
        for (y_axis, &axis) in self.order.iter().enumerate() {
            axes[y_axis + 1] = Axis { size: self.sizes[axis], x_stride: x_strides[axis], y_stride: y_strides[y_axis] };
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

/// Max number of axes; the kernel has one more for the batch.
const MAX_AXES: usize = 7;

impl CheckedKernel for TransposeStep {
    fn check(&self) -> Result<(), &'static str> {
        let axes = self.sizes.len();
        let mut order = self.order.clone();
        order.sort_unstable();
        ensure(axes <= MAX_AXES && order.into_iter().eq(0..axes), "the order is not a permutation of the axes")
    }
}
