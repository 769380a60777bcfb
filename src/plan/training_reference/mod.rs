//! The kernels of training in f64, by plain loops: what compiled training steps are measured against.
//!
//! Values are row-major without gaps: a batch of images of `(pixels, channels)`, or a tensor without a batch. Formulas are
//! those of the kernels' documentation.

mod attention;
mod elementwise;
mod images;
mod linear;
mod norm;
mod recurrence;
mod update;

use crate::kernels::movement::border::Border;
use crate::kernels::parallel::image_batches::Images;
use crate::plan::kernel::Kernel;
use crate::plan::kernel_step::Inputs;
use crate::plan::steps::convolution::ConvolutionStep;
use ndarray::ArrayD;

/// Whether [`evaluate`] computes a kernel. Of the kernels of training, it does not compute [`Kernel::Repack`] (which is
/// added when a graph is lowered), and random numbers of [`Kernel::Noise`].
pub fn has_reference(kernel: &Kernel) -> bool {
    match kernel {
        Kernel::Unbatched(step) => has_reference(&step.kernel),
        Kernel::Convolution(step) => !step.bias && step.epilogue.is_empty(),
        Kernel::Merge(_) | Kernel::Transpose(_) | Kernel::Crop(_) => true,
        Kernel::Pad(step) => step.border == Border::Zero,
        Kernel::Noise(_) | Kernel::AttentionDropout(_) | Kernel::Repack(_) => false,
        Kernel::AttentionGradient(step) => step.dropout.is_none(),
        other => other.is_training_only(),
    }
}

/// The output of a kernel; `None` without a reference.
pub fn evaluate(kernel: &Kernel, inputs: &[Vec<f64>], parameters: &[Vec<f64>]) -> Option<Vec<f64>> {
    let first = inputs.first().map_or(&[][..], Vec::as_slice);
    let (pixels, channels) = match kernel.sizes().inputs {
        Inputs::Fixed(list) => list.first().copied()?,
        Inputs::Variadic(size) | Inputs::Gated(_, size) => size,
    };
    let size = Images { n: first.len() / (pixels * channels).max(1), pixels, channels };
    let n = size.n;
    Some(match (kernel, inputs) {
        (Kernel::Unbatched(step), _) => return evaluate(&step.kernel, inputs, parameters),
        (Kernel::Merge(step), _) => elementwise::merge(step, inputs),
        (Kernel::Transpose(step), [x]) => images::transpose(step, x, n),
        (Kernel::Convolution(step), [x]) if has_reference(kernel) => match step {
            ConvolutionStep { input_gradient_of: Some(forward), .. } => {
                linear::input_gradient(forward, x, &parameters[0], n)
            }
            _ => linear::convolution(&step.geometry, x, &parameters[0], n),
        },
        (Kernel::InputGradient(step), [dy]) => linear::input_gradient(&step.geometry, dy, &parameters[0], n),
        (Kernel::WeightGradient(step), [x, dy]) => linear::weight_gradient(&step.geometry, x, dy, n),
        (Kernel::DenseInputGradient(step), [dy]) => linear::dense_input_gradient(dy, &parameters[0], step.outputs),
        (Kernel::DenseWeightGradient(step), [x, dy]) => linear::dense_weight_gradient(x, dy, step.inputs, step.outputs),
        (Kernel::BiasGradient(step), [dy]) => linear::channel_sums(dy, step.channels),
        (Kernel::EmbeddingGradient(step), [indices, dy]) => linear::embedding_gradient(&step.layer, indices, dy),
        (Kernel::ActivationGradient(step), [dy, known]) => elementwise::activation_gradient(step.activation, dy, known),
        (Kernel::SoftmaxGradient(step), [dy, y]) => elementwise::softmax_gradient(dy, y, step.channels),
        (Kernel::PReluGradient(step), [dy, x]) => elementwise::prelu_gradient(&step.layer, dy, x, &parameters[0]),
        (Kernel::PReluSlope(step), [x, dy]) => elementwise::prelu_slope_gradient(&step.layer, x, dy),
        (Kernel::NormalizeGradient(step), [dy, x]) => elementwise::normalize_gradient(step, dy, x),
        (Kernel::MergeGradient(step), [dy, xs @ ..]) => elementwise::merge_gradient(step.merge, step.index, dy, xs),
        (Kernel::BroadcastGradient(step), [dy, image, values]) => {
            elementwise::broadcast_gradient(step, dy, image, values)
        }
        (Kernel::GatedAverageGradient(step), [dy, gate]) => elementwise::gated_average_gradient(step, dy, gate),
        (Kernel::GateGradient(step), [dy, branches @ ..]) => elementwise::gate_gradient(step, dy, branches),
        (Kernel::ScatterSlice(step), [dy]) => images::scatter_slice(step, dy),
        (Kernel::PoolGradient(step), [dy, rest @ ..]) => {
            images::pool_gradient(&step.pool, dy, rest.first().map(Vec::as_slice), n)
        }
        (Kernel::GlobalPoolGradient(step), [dy, rest @ ..]) => {
            images::global_pool_gradient(&step.pool, dy, rest.first().map(Vec::as_slice), n)
        }
        (Kernel::ReduceGradient(step), [dy, rest @ ..]) => {
            images::reduce_gradient(step, dy, rest.first().map(Vec::as_slice))
        }
        (Kernel::SoftmaxAlongGradient(step), [dy, y]) => images::softmax_along_gradient(&step.layer.axes, dy, y),
        (Kernel::UpscaleGradient(step), [dy]) => images::upscale_gradient(&step.upscale.repeat, dy, n),
        (Kernel::ResizeGradient(step), [dy]) => images::resize_gradient(&step.forward.resize, dy, n),
        (Kernel::PadGradient(step), [dy]) => images::pad_gradient(&step.forward, dy, n),
        (Kernel::Crop(step), [x]) => images::crop(&step.geometry, x, n),
        (Kernel::Pad(step), [x]) if has_reference(kernel) => images::zero_pad(&step.geometry, x, n),
        (Kernel::BatchStatistics(step), [x]) => norm::batch_statistics(x, step.channels, f64::from(step.epsilon)),
        (Kernel::RunningStats(_), _) => vec![0.0],
        (Kernel::BatchNorm(_), [x, statistics]) => norm::batch_norm(x, statistics, &parameters[0], &parameters[1]),
        (Kernel::ScaleGradient(_), [x, dy, statistics]) => norm::scale_gradient(x, dy, statistics),
        (Kernel::BatchNormGradient(_), [x, dy, statistics, scales]) => {
            norm::batch_norm_gradient(x, dy, statistics, scales, &parameters[0])
        }
        (Kernel::FixedNormGradient(_), [dy]) => match parameters {
            [gamma] => norm::scaled(dy, gamma),
            _ => norm::fixed_norm_gradient(dy, &parameters[1], &parameters[2]),
        },
        (Kernel::ChannelProduct(step), [x, dy]) => norm::channel_products(x, dy, step.channels),
        (Kernel::GroupSums(step), [x, dy]) => norm::group_sums(&step.layer, x, dy),
        (Kernel::GroupNormGradient(step), [x, dy, sums]) => {
            norm::group_norm_gradient(&step.layer, x, dy, sums, &parameters[0])
        }
        (Kernel::GroupScaleGradient(step), [sums]) => norm::group_scale_gradient(sums, step.layer.channels),
        (Kernel::LayerNormGradient(step), [x, dy]) => norm::layer_norm_gradient(&step.layer, x, dy, &parameters[0]),
        (Kernel::LayerScaleGradient(step), [x, dy]) => norm::layer_scale_gradient(&step.layer, x, dy),
        (Kernel::LocalResponseGradient(step), [x, dy]) => norm::local_response_gradient(&step.layer, x, dy),
        (Kernel::AttentionGradient(step), _) if has_reference(kernel) => {
            attention::gradient(&step.layer, step.by, inputs)
        }
        (Kernel::RecurrentGates(step), [x, dy]) => {
            recurrence::trace(&step.layer, f64::from(step.clip), x, dy, parameters)
        }
        (Kernel::RecurrentInputGradient(step), [trace]) => {
            recurrence::input_gradient(&step.layer, trace, &parameters[0])
        }
        (Kernel::RecurrentGradient(step), [x, trace]) => recurrence::parameter_gradients(&step.layer, x, trace),
        (Kernel::Loss(step), [y, t, weights @ ..]) => {
            let rows = update::Rows { pixels: step.pixels, features: step.features, weights: weights.first() };
            vec![update::loss(step.loss, y, t, &rows)]
        }
        (Kernel::LossGradient(step), [y, t, weights @ ..]) => {
            let rows = update::Rows { pixels: step.pixels, features: step.features, weights: weights.first() };
            update::loss_gradient(step, y, t, &rows)
        }
        (Kernel::Accumulate(_), [gradient]) => update::accumulated(gradient, parameters),
        (Kernel::GradientNorm(_), _) => vec![inputs.iter().flatten().map(|value| value * value).sum::<f64>().sqrt()],
        (Kernel::Update(step), _) => {
            vec![step.penalty.map_or(0.0, |penalty| update::penalty(penalty, &parameters[0]))]
        }
        _ => return None,
    })
}

/// Changes the parameters that a kernel changes: running statistics, and updates by gradients.
pub fn apply_changes(kernel: &Kernel, inputs: &[Vec<f64>], parameters: &mut [ArrayD<f64>]) {
    match kernel {
        Kernel::RunningStats(step) => norm::update_running_stats(f64::from(step.alpha), &inputs[0], parameters),
        Kernel::Accumulate(_) => {
            let values: Vec<Vec<f64>> = parameters.iter().map(|array| array.iter().copied().collect()).collect();
            let sum = update::accumulated(&inputs[0], &values);
            parameters[0].iter_mut().zip(sum).for_each(|(to, value)| *to = value);
        }
        Kernel::Update(step) => {
            let norm = inputs.get(1).and_then(|norm| norm.first().copied());
            update::update(step, &inputs[0], norm, parameters);
        }
        _ => {}
    }
}
