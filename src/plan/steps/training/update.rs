//! Losses, their gradients, and updates of parameters.

use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::kernels::training::loss;
use crate::kernels::training::loss::{Loss, image, images};
use crate::kernels::training::optimizer::{UpdateRule, update};
use crate::kernels::training::regularizer::{Regularizer, square_sum};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use serde::{Deserialize, Serialize};

/// The loss of a batch: from predictions, targets, and weights of rows where there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossStep {
    pub loss: Loss,
    /// Rows of an image that count alone.
    pub pixels: usize,
    pub features: usize,
    pub weighted: bool,
}

/// The sizes of what a loss is computed from.
fn tensors(pixels: usize, features: usize, weighted: bool) -> Vec<(usize, usize)> {
    let mut list = vec![(pixels, features); 2];
    list.extend(weighted.then_some((1, pixels)));
    list
}

/// The weights of the rows of a batch, which the caller gives without gaps.
fn weights<'a>(call: &Call<'a>, weighted: bool, pixels: usize) -> Option<&'a [f32]> {
    call.inputs.get(2).filter(|_| weighted).map(|view| &view.data[..call.batch * pixels])
}

impl KernelStep for LossStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let weights = weights(&call, self.weighted, self.pixels);
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
        Sizes { inputs: Inputs::Fixed(tensors(self.pixels, self.features, self.weighted)), output: (1, 1) }
    }
}

/// What a loss is differentiated by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Through {
    /// The prediction.
    Nothing,
    /// The logits of a softmax that gave it.
    Softmax,
    /// The logits of a sigmoid that gave it.
    Sigmoid,
}

/// The gradient of a loss: from predictions, targets, and weights of rows where there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossGradientStep {
    pub loss: Loss,
    pub through: Through,
    /// Rows of an image that count alone.
    pub pixels: usize,
    pub features: usize,
    pub weighted: bool,
}

impl LossGradientStep {
    fn rows(
        &self,
        y: View<'_>,
        t: View<'_>,
        weights: Option<&[f32]>,
        out: ViewMut<'_>,
        n: usize,
        threads: &ThreadPool,
    ) {
        match self.through {
            Through::Nothing => loss::loss_gradient(self.loss, y, t, weights, out, n, self.features, threads),
            Through::Softmax => loss::softmax_crossentropy_gradient(y, t, weights, out, n, self.features, threads),
            Through::Sigmoid => loss::sigmoid_crossentropy_gradient(y, t, weights, out, n, self.features, threads),
        }
    }
}

impl KernelStep for LossGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let weights = weights(&call, self.weighted, self.pixels);
        let (y, t, out, threads) = (call.inputs[0], call.inputs[1], call.output, call.threads);
        if self.pixels == 1 {
            let out = ViewMut { ld: out.image, ..out };
            self.rows(images(&y), images(&t), weights, out, call.batch, threads);
            return Ok(());
        }
        for index in 0..call.batch {
            let weights = weights.map(|weights| &weights[index * self.pixels..][..self.pixels]);
            let share = 1.0 / call.batch as f32;
            let data = &mut out.data[index * out.image..][..(self.pixels - 1) * out.ld + self.features];
            let rows = ViewMut { data: &mut *data, ld: out.ld, image: out.ld };
            self.rows(image(&y, index), image(&t, index), weights, rows, self.pixels, threads);
            for row in data.chunks_mut(out.ld) {
                row[..self.features].iter_mut().for_each(|value| *value *= share);
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let through = match self.through {
            Through::Nothing => "",
            Through::Softmax => " through softmax",
            Through::Sigmoid => " through sigmoid",
        };
        format!("gradient of {} of {}x{}{through}", self.loss.name(), self.pixels, self.features)
    }

    fn sizes(&self) -> Sizes {
        let inputs = Inputs::Fixed(tensors(self.pixels, self.features, self.weighted));
        Sizes { inputs, output: (self.pixels, self.features) }
    }
}

/// The Euclidean norm of several tensors together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradientNormStep {
    pub lengths: Vec<usize>,
}

impl KernelStep for GradientNormStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let each = call.inputs.iter().zip(&self.lengths);
        let sum: f64 = each.map(|(view, &len)| square_sum(&view.data[..len], call.threads)).sum();
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

/// Changes a parameter by its gradient, and by the norm of all gradients where that is clipped. It gives the penalty that
/// the parameter adds to the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateStep {
    pub len: usize,
    pub rule: UpdateRule,
    pub penalty: Option<Regularizer>,
    /// Each value of the gradient stays within plus and minus this.
    pub clip: Option<f32>,
    /// The norm of all gradients together stays within this.
    pub norm: Option<f32>,
}

impl KernelStep for UpdateStep {
    fn run(&self, mut call: Call<'_>) -> Result<(), KernelError> {
        let (step, count) = (call.constants[0][0], call.constants[1][0].to_bits());
        let scale = match (self.norm, call.inputs.get(1)) {
            (Some(most), Some(norm)) if norm.data[0] > most => most / norm.data[0],
            _ => 1.0,
        };
        let gradient = &call.inputs[0].data[..self.len];
        let Some((values, slots)) = call.state.split_first_mut() else { return Ok(()) };
        let count = u64::from(count);
        let penalty =
            update(&self.rule, step, count, scale, self.clip, self.penalty, values, gradient, slots, call.threads);
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
        text
    }

    fn sizes(&self) -> Sizes {
        let mut inputs = vec![(1, self.len)];
        inputs.extend(self.norm.map(|_| (1, 1)));
        Sizes { inputs: Inputs::Fixed(inputs), output: (1, 1) }
    }

    fn constants(&self) -> Vec<usize> {
        vec![1, 1]
    }

    fn state(&self) -> Vec<usize> {
        vec![self.len; 1 + self.rule.slots()]
    }
}
