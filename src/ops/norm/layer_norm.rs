//! Normalisation of each pixel, step or vector of features over its last axis.

use crate::graph::signature::definition::Default;
use crate::graph::training::{Backward, unbatched};
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind, ParameterSpec,
    ShapeError, Supports,
};
use crate::ops::convolution::window::known_channels;
use crate::plan::kernel::Kernel;
use crate::plan::steps::norm::layer_norm::{LayerNormGradientStep, LayerNormStep, LayerScaleGradientStep};
use crate::tensor::TensorType;
use ndarray::{ArrayD, Axis};
use std::any::Any;
use std::sync::Arc;

/// Layer normalisation over the last axis.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    pub epsilon: f64,
    pub beta: Initializer,
    pub gamma: Initializer,
}

/// The default epsilon, PyTorch's.
const EPSILON: f64 = 1e-5;

/// `LayerNorm`
pub static LAYER_NORM: Definition = Definition {
    name: "LayerNorm",
    aliases: &[],
    kind: "LayerNorm",
    category: Category::Norm,
    summary: "Normalises the channels of each pixel, or the features of each step, by themselves (transformers, ConvNeXt).",
    arguments: &[
        Argument { name: "epsilon", takes: "number", default: Default::Float(EPSILON), doc: "added to the variance" },
        Argument { name: "beta", takes: "number or initialiser", default: Default::Int(0), doc: "initial shift" },
        Argument { name: "gamma", takes: "number or initialiser", default: Default::Int(1), doc: "initial scale" },
    ],
    details: "gamma * (x - mean) / sqrt(variance + epsilon) + beta over the last axis of an image, a sequence or features, with the biased \
        variance (Ba et al., 2016, arXiv 1607.06450); the same in training and at inference. Parameters gamma, beta (c). It is torch.nn.LayerNorm \
        of the last axis (epsilon 1e-5), torchvision's and timm's LayerNorm2d (timm's epsilon is 1e-6) and Keras' LayerNormalization (1e-3). \
        `GroupNorm(1)` is another function: its mean is over all pixels of an image.",
    example: "Input(16x32) >> Dense(64) >> LayerNorm >> Gelu >> Flatten >> Softmax(10)",
    build: |arguments| {
        Ok(Arc::new(LayerNorm {
            epsilon: arguments.number_within("epsilon", 0.0, 1.0)?,
            beta: arguments.initializer("beta", Initializer::Constant(0.0))?,
            gamma: arguments.initializer("gamma", Initializer::Constant(1.0))?,
        }))
    },
};

impl LayerNorm {
    fn step(&self, cx: &Lowering) -> LayerNormStep {
        let channels = cx.inputs[0].last().copied().unwrap_or(1);
        let pixels = cx.inputs[0].iter().product::<usize>() / channels.max(1);
        LayerNormStep { pixels, channels, epsilon: self.epsilon as f32, activation: cx.epilogue.activation }
    }
}

impl Operation for LayerNorm {
    fn definition(&self) -> &'static Definition {
        &LAYER_NORM
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        match self.epsilon == EPSILON {
            true => Vec::new(),
            false => vec![("epsilon", self.epsilon.to_string())],
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        Ok(inputs[0].clone())
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let shape = [known_channels("LayerNorm", inputs[0])?];
        let part = |role, initializer| ParameterSpec::new(role, ParameterKind::Vector, &shape, initializer);
        Ok(vec![part("gamma", self.gamma), part("beta", self.beta)])
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        if inputs[0].sizes.len() == 2 { AxisRule::StepsInPlace } else { AxisRule::Channels }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let [gamma, beta] = parameters else { return inputs[0].clone() };
        let mut y = inputs[0].clone();
        let last = Axis(y.ndim().saturating_sub(1));
        for mut row in y.lanes_mut(last) {
            let mean = row.mean().unwrap_or(0.0);
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len().max(1) as f64;
            row.mapv_inplace(|x| (x - mean) / (variance + self.epsilon).sqrt());
        }
        y * *gamma + *beta
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::InPlace(Kernel::LayerNorm(self.step(cx))))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let layer = self.step(&cx.lowering());
        let (x, dy, gamma) = (cx.layer.inputs[0], cx.gradient, cx.layer.parameters[..1].to_vec());
        let channels = layer.channels;
        cx.grad_input(0, Kernel::LayerNormGradient(LayerNormGradientStep { layer: layer.clone() }), &[x, dy], &gamma);
        if cx.needs_parameter_grad.contains(&true) {
            let step = Lowered::Step(Kernel::LayerScaleGradient(LayerScaleGradientStep { layer }));
            let scales = cx.add_step("scale", unbatched(&[2 * channels]), step, &[x, dy], &[]);
            cx.grad_parameter_slice(0, scales, 0);
            cx.grad_parameter_slice(1, scales, channels);
        }
        Ok(())
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, ..Supports::default() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
