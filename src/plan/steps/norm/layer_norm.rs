//! Layer normalisation, and its gradients.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::norm::layer_norm::{
    LayerNorm, layer_norm, layer_norm_gradient, layer_norm_parameter_gradients, layer_norm_scratch_len,
};
use crate::kernels::parallel::image_batches::Images;
use crate::plan::checked_kernel::CheckedKernel;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::pointwise::unary_sizes;
use crate::size::product;
use serde::{Deserialize, Serialize};

/// Layer normalisation with activation; gamma and beta are its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerNormStep {
    pub pixels: usize,
    pub channels: usize,
    pub epsilon: f32,
    pub activation: Activation,
}

impl LayerNormStep {
    fn images(&self, n: usize) -> Images {
        Images { n, pixels: self.pixels, channels: self.channels }
    }
}

impl KernelStep for LayerNormStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let norm = LayerNorm { gamma: call.constants[0], beta: call.constants[1], epsilon: self.epsilon };
        layer_norm(call.first(), call.output, self.images(call.batch), &norm, self.activation, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let mut text = format!("layer norm of {}x{}", self.pixels, self.channels);
        if self.activation != Default::default() {
            text += &format!(", {}", self.activation);
        }
        text
    }

    fn sizes(&self) -> Sizes {
        unary_sizes(self.pixels, self.channels)
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.channels; 2]
    }

    fn executed_macs(&self) -> u64 {
        product([2, self.pixels, self.channels]) as u64
    }
}

impl CheckedKernel for LayerNormStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn works_in_place(&self) -> bool {
        true
    }
}

/// The input gradient of a layer normalisation, from x and dy; gamma is its parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerNormGradientStep {
    pub layer: LayerNormStep,
}

impl KernelStep for LayerNormGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (x, dy, size) = (call.inputs[0], call.inputs[1], self.layer.images(call.batch));
        layer_norm_gradient(x, dy, call.output, size, call.constants[0], self.layer.epsilon, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        let size = (self.layer.pixels, self.layer.channels);
        Sizes { inputs: Inputs::Fixed(vec![size; 2]), output: size }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.layer.channels]
    }
}

/// The gradients of gamma and beta of a layer normalisation, `(2, channels)`, from x and dy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerScaleGradientStep {
    pub layer: LayerNormStep,
}

impl KernelStep for LayerScaleGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (x, dy, size) = (call.inputs[0], call.inputs[1], self.layer.images(call.batch));
        let out = &mut call.output.data[..2 * self.layer.channels];
        layer_norm_parameter_gradients(x, dy, size, self.layer.epsilon, out, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gradients of scale and shift of {} channels", self.layer.channels)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.layer.pixels, self.layer.channels);
        Sizes { inputs: Inputs::Fixed(vec![size; 2]), output: (1, 2 * self.layer.channels) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        layer_norm_scratch_len(self.layer.images(batch))
    }
}
