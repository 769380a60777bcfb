//! Normalisation at inference.

pub mod layer_norm;

use super::pointwise::unary_sizes;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::norm::group_norm::{Affine, GroupNorm, group_norm, group_norm_scratch_len};
use crate::kernels::norm::local_response_norm::{LocalResponseNorm, local_response_norm};
use crate::kernels::norm::scale_shift::scale_shift;
use crate::kernels::parallel::image_batches::Images;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, KernelError, KernelStep, Sizes};
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};

/// Batch normalisation at inference, or a learnt scale, where it could not be folded into the previous layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormStep {
    pub pixels: usize,
    pub channels: usize,
    pub activation: Activation,
}

impl NormStep {
    /// The step on a tensor of these sizes, without the batch; the channels are the last.
    pub fn of_sizes(sizes: &[usize], activation: Activation) -> Self {
        let channels = sizes.last().copied().unwrap_or(1);
        NormStep { pixels: sizes.iter().product::<usize>() / channels.max(1), channels, activation }
    }
}

impl KernelStep for NormStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let (scale, shift) = (call.constants[0], call.constants[1]);
        scale_shift(call.first(), call.output, size, scale, shift, self.activation, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("scale and shift of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        unary_sizes(self.pixels, self.channels)
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.channels; 2]
    }

    fn needs_packing(&self) -> bool {
        true
    }

    /// Folds running_mean, running_inv_std, gamma and beta into scale and shift; gamma alone is the scale.
    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if let [gamma] = &parameters[..] {
            let shift = vec![0.0; gamma.len()];
            return vec![gamma.clone(), shift];
        }
        let [mean, inv_std, gamma, beta] = &parameters[..] else { return parameters };
        let scale: Vec<f64> = gamma.iter().zip(inv_std).map(|(&a, &b)| f64::from(a) * f64::from(b)).collect();
        let shift = beta.iter().zip(mean).zip(&scale).map(|((&b, &m), s)| (f64::from(b) - f64::from(m) * s) as f32);
        vec![scale.iter().map(|&s| s as f32).collect(), shift.collect()]
    }

    fn executed_macs(&self) -> u64 {
        product([self.pixels, self.channels]) as u64
    }
}

impl CheckedKernel for NormStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn works_in_place(&self) -> bool {
        true
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

impl KernelStep for LocalResponseStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let norm = LocalResponseNorm { alpha: self.alpha, beta: self.beta, k: self.k, radius: self.radius };
        local_response_norm(call.inputs[0], call.output, size, &norm, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("local response over {} channels of {}x{}", self.width(), self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        unary_sizes(self.pixels, self.channels)
    }
}

impl LocalResponseStep {
    /// Number of channels of a window.
    fn width(&self) -> usize {
        sum([product([2, self.radius]), 1])
    }
}

impl CheckedKernel for LocalResponseStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn work(&self) -> usize {
        product([self.pixels, self.channels, self.width().min(self.channels)])
    }
}

/// Group normalisation with activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupNormStep {
    pub pixels: usize,
    pub channels: usize,
    pub norm: GroupNorm,
    pub activation: Activation,
}

impl GroupNormStep {
    pub(super) fn images(&self, n: usize) -> Images {
        Images { n, pixels: self.pixels, channels: self.channels }
    }
}

impl KernelStep for GroupNormStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let affine = Affine { gamma: call.constants[0], beta: call.constants[1], activation: self.activation };
        let size = self.images(call.batch);
        group_norm(call.inputs[0], call.output, size, &self.norm, &affine, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let mut text = format!("group norm of {}x{} in {} groups", self.pixels, self.channels, self.norm.groups);
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

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        group_norm_scratch_len(self.images(batch))
    }

    fn executed_macs(&self) -> u64 {
        product([self.pixels, self.channels]) as u64
    }
}

impl CheckedKernel for GroupNormStep {
    fn check(&self) -> Result<(), &'static str> {
        let groups = self.norm.groups;
        ensure(groups > 0 && self.channels.is_multiple_of(groups), "the groups do not divide the channels")
    }
}

/// L2 normalisation over the channels of each pixel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalizeStep {
    pub pixels: usize,
    pub channels: usize,
    /// Lower bound of the norm that is divided by.
    pub epsilon: f32,
}

impl KernelStep for NormalizeStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (x, y) = (call.first(), call.output);
        for image in 0..call.batch {
            for pixel in 0..self.pixels {
                let row = &mut y.data[image * y.image + pixel * y.ld..][..self.channels];
                if let Some(x) = x {
                    row.copy_from_slice(&x.data[image * x.image + pixel * x.ld..][..self.channels]);
                }
                // In f64 no square of an f32 overflows or underflows.
                let squares: f64 = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
                let norm = squares.sqrt().max(f64::from(self.epsilon));
                row.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("unit length of {}x{}", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        unary_sizes(self.pixels, self.channels)
    }
}

impl CheckedKernel for NormalizeStep {
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn works_in_place(&self) -> bool {
        true
    }
}
