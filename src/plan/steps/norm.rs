//! Normalisations.

use super::pointwise::same;
use crate::kernels::activation::Activation;
use crate::kernels::images::Images;
use crate::kernels::local_response_norm::{LocalResponseNorm, local_response_norm};
use crate::kernels::scale_shift::scale_shift;
use crate::plan::kernel::{Call, RunFault, Sizes, StepKernel};
use serde::{Deserialize, Serialize};

/// Batch normalisation at inference that could not be folded into a layer before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormStep {
    pub pixels: usize,
    pub channels: usize,
    pub activation: Activation,
}

impl StepKernel for NormStep {
    fn run(&self, call: Call<'_>) -> Result<(), RunFault> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let (scale, shift) = (call.constants[0], call.constants[1]);
        scale_shift(call.first(), call.output, size, scale, shift, self.activation, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("scale and shift of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        same(self.pixels, self.channels)
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.channels; 2]
    }

    /// From running_mean, running_inv_std, gamma and beta to scale and shift.
    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let [mean, inv_std, gamma, beta] = &parameters[..] else { return parameters };
        let scale: Vec<f64> = gamma.iter().zip(inv_std).map(|(&a, &b)| f64::from(a) * f64::from(b)).collect();
        let shift = beta.iter().zip(mean).zip(&scale).map(|((&b, &m), s)| (f64::from(b) - f64::from(m) * s) as f32);
        vec![scale.iter().map(|&s| s as f32).collect(), shift.collect()]
    }

    fn arithmetic(&self) -> u64 {
        (self.pixels * self.channels) as u64
    }
}

/// Local response normalisation across channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalResponseStep {
    pub pixels: usize,
    pub channels: usize,
    pub alpha: f32,
    pub beta: f32,
    pub k: f32,
    pub radius: usize,
}

impl StepKernel for LocalResponseStep {
    fn run(&self, call: Call<'_>) -> Result<(), RunFault> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let norm = LocalResponseNorm { alpha: self.alpha, beta: self.beta, k: self.k, radius: self.radius };
        local_response_norm(call.inputs[0], call.output, size, &norm, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("local response over {} channels of {}x{}", 2 * self.radius + 1, self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        same(self.pixels, self.channels)
    }
}
