//! Batch normalisation in training mode, and gradients of normalisations.

use super::pointwise_gradient::binary_sizes;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::norm::batch_norm::{
    BatchNorm, batch_norm, batch_norm_gradient, batch_scratch_len, batch_statistics, channel_gradients,
    channel_products, update_running_inv_std, update_running_mean,
};
use crate::kernels::norm::group_norm_gradient::{
    GroupNormGradient, group_norm_gradient, group_norm_parameter_gradients, group_norm_sums, group_norm_sums_len,
};
use crate::kernels::norm::local_response_gradient::{
    local_response_norm_gradient, local_response_norm_gradient_scratch_len,
};
use crate::kernels::norm::local_response_norm::LocalResponseNorm;
use crate::kernels::parallel::image_batches::Images;
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::plan::steps::norm::{GroupNormStep, LocalResponseStep};
use crate::plan::steps::pointwise::unary_sizes;
use serde::{Deserialize, Serialize};

/// The mean and inverse standard deviation of each channel over the batch, `(2, channels)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchStatisticsStep {
    pub pixels: usize,
    pub channels: usize,
    pub epsilon: f32,
}

impl BatchStatisticsStep {
    fn images(&self, n: usize) -> Images {
        Images { n, pixels: self.pixels, channels: self.channels }
    }
}

impl KernelStep for BatchStatisticsStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let out = &mut call.output.data[..2 * self.channels];
        batch_statistics(call.inputs[0], self.images(call.batch), self.epsilon, out, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("statistics of {} channels over {} pixels and the batch", self.channels, self.pixels)
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(self.pixels, self.channels)]), output: (1, 2 * self.channels) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        batch_scratch_len(self.images(batch))
    }
}

/// Updates the running statistics by those of a batch, see [`update_running_mean`] and [`update_running_inv_std`]; the output is
/// a dummy scalar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningStatsStep {
    pub channels: usize,
    pub alpha: f32,
}

impl KernelStep for RunningStatsStep {
    fn run(&self, mut call: Call<'_>) -> Result<(), KernelError> {
        let statistics = &call.inputs[0].data[..2 * self.channels];
        let (mean, inv_std) = statistics.split_at(self.channels);
        if let [running_mean, running_inv_std] = &mut call.state[..] {
            update_running_mean(running_mean, mean, self.alpha);
            update_running_inv_std(running_inv_std, inv_std, self.alpha);
        }
        call.output.data[0] = 0.0;
        Ok(())
    }

    fn describe(&self) -> String {
        format!("running statistics of {} channels, {} of the batch", self.channels, self.alpha)
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(1, 2 * self.channels)]), output: (1, 1) }
    }

    fn state(&self) -> Vec<usize> {
        vec![self.channels; 2]
    }
}

/// Batch normalisation by the statistics of the batch, from x and the statistics; gamma and beta are its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNormStep {
    pub pixels: usize,
    pub channels: usize,
    pub activation: Activation,
}

impl KernelStep for BatchNormStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let statistics = &call.inputs[1].data[..2 * self.channels];
        let (gamma, beta, activation) = (call.constants[0], call.constants[1], self.activation);
        let norm = BatchNorm { gamma, beta, statistics, activation };
        batch_norm(Some(call.inputs[0]), call.output, size, &norm, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("normalise {}x{} by the batch", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Fixed(vec![size, (1, 2 * self.channels)]), output: size }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.channels; 2]
    }
}

/// The gradients of gamma and beta, `(2, channels)`, from x, dy and the statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaleGradientStep {
    pub pixels: usize,
    pub channels: usize,
}

impl ScaleGradientStep {
    fn images(&self, n: usize) -> Images {
        Images { n, pixels: self.pixels, channels: self.channels }
    }
}

impl KernelStep for ScaleGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (x, dy, statistics) = (call.inputs[0], call.inputs[1], &call.inputs[2].data[..2 * self.channels]);
        let out = &mut call.output.data[..2 * self.channels];
        channel_gradients(x, dy, self.images(call.batch), Some(statistics), out, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gradients of scale and shift of {} channels", self.channels)
    }

    fn sizes(&self) -> Sizes {
        let size = (self.pixels, self.channels);
        Sizes { inputs: Inputs::Fixed(vec![size, size, (1, 2 * self.channels)]), output: (1, 2 * self.channels) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        batch_scratch_len(self.images(batch))
    }
}

/// The input gradient of batch normalisation by the batch, from x, dy, the statistics and the gradients of gamma and beta.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNormGradientStep {
    pub pixels: usize,
    pub channels: usize,
}

impl KernelStep for BatchNormGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let per_channel = |index: usize| &call.inputs[index].data[..2 * self.channels];
        let (gamma, beta, activation) = (call.constants[0], call.constants[1], Activation::Linear);
        let norm = BatchNorm { gamma, beta, statistics: per_channel(2), activation };
        batch_norm_gradient(call.inputs[0], call.inputs[1], call.output, size, &norm, per_channel(3), call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through the normalisation of {}x{} by the batch", self.pixels, self.channels)
    }

    fn sizes(&self) -> Sizes {
        let (size, per_channel) = ((self.pixels, self.channels), (1, 2 * self.channels));
        Sizes { inputs: Inputs::Fixed(vec![size, size, per_channel, per_channel]), output: size }
    }

    fn constants(&self) -> Vec<usize> {
        vec![self.channels; 2]
    }
}

/// The sums per image that the gradients of a group normalisation share, from x and dy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSumsStep {
    pub layer: GroupNormStep,
}

impl KernelStep for GroupSumsStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = self.layer.images(call.batch);
        // The kernel writes contiguous images; the output may have another image stride.
        let (sums, image_len) = (call.scratch, 4 * self.layer.channels);
        group_norm_sums(call.inputs[0], call.inputs[1], size, &self.layer.norm, sums, call.threads);
        for (image, sums) in sums.chunks_exact(image_len.max(1)).take(call.batch).enumerate() {
            call.output.data[image * call.output.image..][..image_len].copy_from_slice(sums);
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("sums for the gradients of {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        let size = (self.layer.pixels, self.layer.channels);
        Sizes { inputs: Inputs::Fixed(vec![size; 2]), output: (1, 4 * self.layer.channels) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        group_norm_sums_len(self.layer.images(batch))
    }
}

/// Copies the images of a tensor to contiguous memory.
fn gather<'a>(
    view: &crate::kernels::tensor_view::View<'_>,
    batch: usize,
    image_len: usize,
    scratch: &'a mut [f32],
) -> &'a [f32] {
    for image in 0..batch {
        scratch[image * image_len..][..image_len].copy_from_slice(&view.data[image * view.image..][..image_len]);
    }
    &scratch[..batch * image_len]
}

/// The input gradient of a group normalisation, from x, dy and the sums; gamma and beta are its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupNormGradientStep {
    pub layer: GroupNormStep,
}

impl KernelStep for GroupNormGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let sums = gather(&call.inputs[2], call.batch, 4 * self.layer.channels, call.scratch);
        let from = GroupNormGradient { groups: self.layer.norm.groups, gamma: call.constants[0], sums };
        let size = self.layer.images(call.batch);
        group_norm_gradient(call.inputs[0], call.inputs[1], call.output, size, &from, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        let size = (self.layer.pixels, self.layer.channels);
        Sizes { inputs: Inputs::Fixed(vec![size, size, (1, 4 * self.layer.channels)]), output: size }
    }

    fn constants(&self) -> Vec<usize> {
        self.layer.constants()
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        group_norm_sums_len(self.layer.images(batch))
    }
}

/// The gradients of gamma and beta of a group normalisation, `(2, channels)`, from the sums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupScaleGradientStep {
    pub layer: GroupNormStep,
}

impl KernelStep for GroupScaleGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let channels = self.layer.channels;
        let sums = gather(&call.inputs[0], call.batch, 4 * channels, call.scratch);
        let out = &mut call.output.data[..2 * channels];
        group_norm_parameter_gradients(sums, self.layer.images(call.batch), out, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gradients of scale and shift of {} channels", self.layer.channels)
    }

    fn sizes(&self) -> Sizes {
        let channels = self.layer.channels;
        Sizes { inputs: Inputs::Fixed(vec![(1, 4 * channels)]), output: (1, 2 * channels) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        group_norm_sums_len(self.layer.images(batch))
    }
}

/// The gradient of local response normalisation, from x and dy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalResponseGradientStep {
    pub layer: LocalResponseStep,
}

impl KernelStep for LocalResponseGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let LocalResponseStep { pixels, channels, alpha, beta, k, radius } = self.layer;
        let size = Images { n: call.batch, pixels, channels };
        let norm = LocalResponseNorm { alpha, beta, k, radius };
        let (x, dy) = (call.inputs[0], call.inputs[1]);
        local_response_norm_gradient(x, dy, call.output, size, &norm, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("back through {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        binary_sizes(self.layer.pixels, self.layer.channels)
    }

    fn scratch_len(&self, _: usize, workers: usize) -> usize {
        local_response_norm_gradient_scratch_len(self.layer.channels, workers)
    }
}

/// The gradient of a scale per channel, from x and dy: the sum of their products over the batch and its pixels, `(channels)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelProductStep {
    pub pixels: usize,
    pub channels: usize,
}

impl KernelStep for ChannelProductStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let size = Images { n: call.batch, pixels: self.pixels, channels: self.channels };
        let out = &mut call.output.data[..self.channels];
        channel_products(call.inputs[0], call.inputs[1], size, out, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("gradient of the scale of {} channels over {} pixels and the batch", self.channels, self.pixels)
    }

    fn sizes(&self) -> Sizes {
        Sizes { output: (1, self.channels), ..binary_sizes(self.pixels, self.channels) }
    }

    fn scratch_len(&self, batch: usize, _: usize) -> usize {
        batch_scratch_len(Images { n: batch, pixels: self.pixels, channels: self.channels })
    }
}

/// The input gradient of batch normalisation by fixed statistics, or of a learnt scale: dy times the scale of each channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixedNormGradientStep {
    pub layer: crate::plan::steps::norm::NormStep,
}

impl KernelStep for FixedNormGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        self.layer.run(call)
    }

    fn describe(&self) -> String {
        format!("back through {}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        unary_sizes(self.layer.pixels, self.layer.channels)
    }

    fn constants(&self) -> Vec<usize> {
        self.layer.constants()
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let mut packed = self.layer.pack(parameters);
        if let Some(shift) = packed.get_mut(1) {
            shift.fill(0.0);
        }
        packed
    }
}
