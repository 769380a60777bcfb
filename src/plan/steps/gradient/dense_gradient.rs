//! Gradients of products and biases.

use crate::kernels::dense::few_outputs::is_narrow;
use crate::kernels::dense::few_outputs_gradient::weight_gradient;
use crate::kernels::gemm::{self, Backend, Operand, Product, Shape};
use crate::kernels::norm::batch_norm::{batch_scratch_len, channel_sums};
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

/// dx = dy times the transposed weights of a dense layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenseInputGradientStep {
    pub inputs: usize,
    pub outputs: usize,
    #[serde(default, skip_serializing_if = "Backend::is_default")]
    pub backend: Backend,
}

impl DenseInputGradientStep {
    fn product(&self, batch: usize) -> Product {
        Product { rows: batch, columns: self.inputs, depth: self.outputs, alpha: 1.0, beta: 0.0, backend: self.backend }
    }
}

impl KernelStep for DenseInputGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let dy = Operand { data: call.inputs[0].data, ld: call.inputs[0].image, transposed: false };
        let weights = Operand { data: call.constants[0], ld: self.outputs, transposed: true };
        let out = ViewMut { ld: call.output.image, ..call.output };
        gemm::multiply(call.threads, &self.product(call.batch), dy, weights, out, call.scratch);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("dense {} back to {}{}", self.outputs, self.inputs, self.backend.note())
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(1, self.outputs)]), output: (1, self.inputs) }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.inputs * self.outputs]
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        self.product(batch).scratch_len()
    }

    fn gemm_shape(&self, batch: usize) -> Option<Shape> {
        let (columns, depth) = (self.inputs, self.outputs);
        Some(Shape { rows: batch, columns, depth, transposed: (false, true), count: 1 })
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    fn executed_macs(&self) -> u64 {
        (self.inputs * self.outputs) as u64
    }
}

/// The gradient of a dense layer's weights: the transposed x times dy, summed over the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenseWeightGradientStep {
    pub inputs: usize,
    pub outputs: usize,
    #[serde(default, skip_serializing_if = "Backend::is_default")]
    pub backend: Backend,
}

impl DenseWeightGradientStep {
    fn product(&self, batch: usize) -> Product {
        Product { rows: self.inputs, columns: self.outputs, depth: batch, alpha: 1.0, beta: 0.0, backend: self.backend }
    }
}

impl KernelStep for DenseWeightGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        if is_narrow(self.outputs) {
            let [x, dy] = [0, 1].map(|index: usize| View { ld: call.inputs[index].image, ..call.inputs[index] });
            weight_gradient(call.threads, (call.batch, self.inputs, self.outputs), x, dy, call.output.data);
            return Ok(());
        }
        let x = Operand { data: call.inputs[0].data, ld: call.inputs[0].image, transposed: true };
        let dy = Operand { data: call.inputs[1].data, ld: call.inputs[1].image, transposed: false };
        let out = ViewMut { data: call.output.data, ld: self.outputs, image: self.inputs * self.outputs };
        gemm::multiply(call.threads, &self.product(call.batch), x, dy, out, call.scratch);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gradient of {}x{} weights{}", self.inputs, self.outputs, self.backend.note())
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            inputs: Inputs::Fixed(vec![(1, self.inputs), (1, self.outputs)]),
            output: (1, self.inputs * self.outputs),
        }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        if is_narrow(self.outputs) { 0 } else { self.product(batch).scratch_len() }
    }

    fn gemm_shape(&self, batch: usize) -> Option<Shape> {
        let (rows, columns) = (self.inputs, self.outputs);
        (!is_narrow(columns)).then_some(Shape { rows, columns, depth: batch, transposed: (true, false), count: 1 })
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    fn executed_macs(&self) -> u64 {
        (self.inputs * self.outputs) as u64
    }
}

/// The sum of each channel over all pixels and the batch: the gradient of a bias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BiasGradientStep {
    pub pixels: usize,
    pub channels: usize,
}

impl BiasGradientStep {
    fn images(&self, n: usize) -> Images {
        Images { n, pixels: self.pixels, channels: self.channels }
    }
}

impl KernelStep for BiasGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let out = &mut call.output.data[..self.channels];
        channel_sums(call.inputs[0], self.images(call.batch), out, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("sum of {} channels over {} pixels and the batch", self.channels, self.pixels)
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(self.pixels, self.channels)]), output: (1, self.channels) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        batch_scratch_len(self.images(batch))
    }
}
