//! Losses, their gradients, sums and norms of gradients, and parameter updates.

use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::kernels::training::loss;
use crate::kernels::training::loss::{Loss, image, images};
use crate::kernels::training::optimizer::{UpdateRule, accumulate, move_average, update};
use crate::kernels::training::regularizer::{Regularizer, penalty, square_sum};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

/// The loss of a batch, from predictions, targets and optional sample weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossStep {
    pub loss: Loss,
    /// Pixels per image that are samples of their own.
    pub pixels: usize,
    pub features: usize,
    pub weighted: bool,
}

/// The sizes of the inputs of a loss: prediction, target and optional weights.
fn input_sizes(pixels: usize, features: usize, weighted: bool) -> Vec<(usize, usize)> {
    let mut list = vec![(pixels, features); 2];
    list.extend(weighted.then_some((1, pixels)));
    list
}

/// The sample weights of a batch, `(batch, pixels)`, which are contiguous.
fn sample_weights<'a>(call: &Call<'a>, weighted: bool, pixels: usize) -> Option<&'a [f32]> {
    call.inputs.get(2).filter(|_| weighted).map(|view| &view.data[..call.batch * pixels])
}

impl KernelStep for LossStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let weights = sample_weights(&call, self.weighted, self.pixels);
        let (y, t) = (call.inputs[0], call.inputs[1]);
        let sizes = (self.pixels, self.features);
        let value = loss::loss_of_images(self.loss, y, t, weights, call.batch, sizes);
        call.output.data[0] = value as f32;
        Ok(())
    }

    fn describe(&self) -> String {
        let weighted = if self.weighted { ", weighted" } else { "" };
        format!("{} of {}x{}{weighted}", self.loss.name(), self.pixels, self.features)
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(input_sizes(self.pixels, self.features, self.weighted)), output: (1, 1) }
    }
}

/// The tensor by which a loss is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GradientBy {
    /// The prediction.
    Prediction,
    /// The logits of the softmax that computes the prediction.
    SoftmaxLogits,
    /// The logits of the sigmoid that computes the prediction.
    SigmoidLogits,
}

/// The gradient of a loss, from predictions, targets and optional sample weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossGradientStep {
    pub loss: Loss,
    pub by: GradientBy,
    /// Pixels per image that are samples of their own.
    pub pixels: usize,
    pub features: usize,
    pub weighted: bool,
    /// The factor of the loss in the sum of a net's losses.
    pub factor: f32,
}

impl LossGradientStep {
    /// The gradient over `n` rows.
    fn compute(
        &self,
        y: View<'_>,
        t: View<'_>,
        weights: Option<&[f32]>,
        out: ViewMut<'_>,
        n: usize,
        threads: &ThreadPool,
    ) {
        match self.by {
            GradientBy::Prediction => loss::loss_gradient(self.loss, y, t, weights, out, n, self.features, threads),
            GradientBy::SoftmaxLogits => {
                loss::softmax_crossentropy_gradient(y, t, weights, out, n, self.features, threads)
            }
            GradientBy::SigmoidLogits => {
                loss::sigmoid_crossentropy_gradient(y, t, weights, out, n, self.features, threads)
            }
        }
    }
}

impl KernelStep for LossGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let weights = sample_weights(&call, self.weighted, self.pixels);
        let (y, t, out, threads) = (call.inputs[0], call.inputs[1], call.output, call.threads);
        if self.pixels == 1 {
            let ViewMut { data, image, .. } = out;
            let rows = ViewMut { data: &mut *data, ld: image, image };
            self.compute(images(&y), images(&t), weights, rows, call.batch, threads);
            scale(data, image, (call.batch, self.features), self.factor);
            return Ok(());
        }
        for index in 0..call.batch {
            let weights = weights.map(|weights| &weights[index * self.pixels..][..self.pixels]);
            let data = &mut out.data[index * out.image..][..(self.pixels - 1) * out.ld + self.features];
            let rows = ViewMut { data: &mut *data, ld: out.ld, image: out.ld };
            self.compute(image(&y, index), image(&t, index), weights, rows, self.pixels, threads);
            scale(data, out.ld, (self.pixels, self.features), self.factor / call.batch as f32);
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let through = match self.by {
            GradientBy::Prediction => "",
            GradientBy::SoftmaxLogits => " through softmax",
            GradientBy::SigmoidLogits => " through sigmoid",
        };
        let factor = if self.factor == 1.0 { String::new() } else { format!(", times {}", self.factor) };
        format!("gradient of {} of {}x{}{through}{factor}", self.loss.name(), self.pixels, self.features)
    }

    fn sizes(&self) -> Sizes {
        let inputs = Inputs::Fixed(input_sizes(self.pixels, self.features, self.weighted));
        Sizes { inputs, output: (self.pixels, self.features) }
    }
}

/// Multiplies `n` rows of `features` values, which are `ld` apart.
fn scale(data: &mut [f32], ld: usize, (n, features): (usize, usize), factor: f32) {
    if factor != 1.0 {
        for row in data.chunks_mut(ld.max(1)).take(n) {
            let len = row.len().min(features);
            row[..len].iter_mut().for_each(|value| *value *= factor);
        }
    }
}

/// The weighted sum of a parameter's gradients over several batches, which the state holds: its output, for which the constants
/// are the batch's weight, 1 for the first batch and 1 for the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccumulateStep {
    pub len: usize,
}

impl KernelStep for AccumulateStep {
    fn run(&self, mut call: Call<'_>) -> Result<(), KernelError> {
        let (weight, is_first) = (call.constants[0][0], call.constants[0][1] != 0.0);
        let Some(sum) = call.state.first_mut() else { return Ok(()) };
        if is_first {
            sum.fill(0.0);
        }
        accumulate(sum, &call.inputs[0].data[..self.len], weight, call.threads);
        call.output.data[..self.len].copy_from_slice(sum);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("add {} gradients to those of the batches before", self.len)
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(vec![(1, self.len)]), output: (1, self.len) }
    }

    fn constants(&self) -> Vec<usize> {
        vec![ACCUMULATION]
    }

    fn state(&self) -> Vec<usize> {
        vec![self.len]
    }
}

/// The number of constants by which gradients are accumulated: see [`AccumulateStep`].
pub const ACCUMULATION: usize = 3;

/// The global L2 norm of several gradients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradientNormStep {
    pub lengths: Vec<usize>,
}

impl KernelStep for GradientNormStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let gradients = call.inputs.iter().zip(&self.lengths);
        let sum: f64 = gradients.map(|(view, &len)| square_sum(&view.data[..len], call.threads)).sum();
        call.output.data[0] = sum.sqrt() as f32;
        Ok(())
    }

    fn describe(&self) -> String {
        format!("norm of {} gradients", self.lengths.len())
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(self.lengths.iter().map(|&len| (1, len)).collect()), output: (1, 1) }
    }
}

/// Updates a parameter by its gradient, and by the global norm of the gradients if that is clipped. Its output is the
/// penalty that the parameter adds to the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateStep {
    pub len: usize,
    pub rule: UpdateRule,
    pub penalty: Option<Regularizer>,
    /// Each value of the gradient is clipped to plus and minus this.
    pub clip: Option<f32>,
    /// The gradients are scaled so that their global norm does not exceed this.
    pub norm: Option<f32>,
    /// The factor of the learning rate.
    pub rate: f32,
    /// Whether only the last of several batches updates: see [`AccumulateStep`].
    pub accumulated: bool,
    /// The decay rate of the moving average of the parameter, which is the last tensor of the state; the first update sets it
    /// (PyTorch's `AveragedModel`).
    pub average: Option<f32>,
    /// The number of updates before the first one of this parameter.
    pub begun: u64,
}

impl KernelStep for UpdateStep {
    fn run(&self, mut call: Call<'_>) -> Result<(), KernelError> {
        let (step, count) = (call.constants[0][0] * self.rate, call.constants[1][0].to_bits());
        let Some((values, slots)) = call.state.split_first_mut() else { return Ok(()) };
        if self.accumulated && call.constants[2][2] == 0.0 {
            call.output.data[0] = self.penalty.map_or(0.0, |kind| penalty(kind, values, call.threads));
            return Ok(());
        }
        let scale = match (self.norm, call.inputs.get(1)) {
            (Some(limit), Some(norm)) if norm.data[0] > limit => limit / norm.data[0],
            _ => 1.0,
        };
        let gradient = &call.inputs[0].data[..self.len];
        let count = u64::from(count).saturating_sub(self.begun);
        let (slots, average) = slots.split_at_mut(self.rule.slots());
        let penalty =
            update(&self.rule, step, count, scale, self.clip, self.penalty, values, gradient, slots, call.threads);
        if let (Some(decay), Some(average)) = (self.average, average.first_mut()) {
            move_average(average, values, if count == 0 { 0.0 } else { decay }, call.threads);
        }
        call.output.data[0] = penalty;
        Ok(())
    }

    fn describe(&self) -> String {
        let mut text = format!("update {} values by {}", self.len, self.rule);
        if let Some(penalty) = &self.penalty {
            text += &format!(", {penalty}");
        }
        if let Some(clip) = self.clip {
            text += &format!(", clipped to {clip}");
        }
        if let Some(norm) = self.norm {
            text += &format!(", norm to {norm}");
        }
        if self.rate != 1.0 {
            text += &format!(", rate times {}", self.rate);
        }
        if self.accumulated {
            text += ", accumulated";
        }
        if let Some(decay) = self.average {
            text += &format!(", averaged with {decay}");
        }
        if self.begun > 0 {
            text += &format!(", from update {}", self.begun);
        }
        text
    }

    fn sizes(&self) -> Sizes {
        let mut inputs = vec![(1, self.len)];
        inputs.extend(self.norm.map(|_| (1, 1)));
        Sizes { inputs: Inputs::Fixed(inputs), output: (1, 1) }
    }

    fn constants(&self) -> Vec<usize> {
        let mut constants = vec![1, 1];
        constants.extend(self.accumulated.then_some(ACCUMULATION));
        constants
    }

    fn state(&self) -> Vec<usize> {
        vec![self.len; 1 + self.rule.slots() + usize::from(self.average.is_some())]
    }
}
