//! Normalisation of each image separately: by groups of channels, by neighbouring channels (AlexNet), and to unit length.

pub mod batch_norm;
pub mod layer_norm;

use super::convolution::sequence::sequence_sizes;
use super::convolution::window::{image_sizes, known_channels};
use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::{Backward, pixels_channels, unbatched};
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind, ParameterSpec,
    ShapeError, Supports,
};
use crate::kernels::norm::group_norm::GroupNorm as Groups;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::norm_gradient::{
    GroupNormGradientStep, GroupScaleGradientStep, GroupSumsStep, LocalResponseGradientStep,
};
use crate::plan::steps::gradient::pointwise_gradient::NormalizeGradientStep;
use crate::plan::steps::norm::{GroupNormStep, LocalResponseStep, NormalizeStep};
use crate::tensor::TensorType;
use ndarray::{ArrayD, Axis};
use std::any::Any;
use std::sync::Arc;

/// Local response normalisation across channels.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalResponseNorm {
    pub alpha: f64,
    pub beta: f64,
    pub k: f64,
    pub radius: usize,
}

/// `LocalResponseNorm(depth_radius=2)`
pub static LOCAL_RESPONSE_NORM: Definition = Definition {
    name: "LocalResponseNorm",
    aliases: &["LRN"],
    kind: "LocalResponseNorm",
    category: Category::Norm,
    summary: "Divides each value by the strength of its neighbours in other channels (AlexNet).",
    arguments: &[
        Argument { name: "alpha", takes: "number", default: Default::Float(1e-4), doc: "factor of the sum of squares" },
        Argument { name: "beta", takes: "number", default: Default::Float(0.75), doc: "exponent" },
        Argument { name: "k", takes: "number", default: Default::Int(2), doc: "offset" },
        Argument {
            name: "depth_radius",
            takes: "integer",
            default: Default::Int(5),
            doc: "channels on each side: the window has 2 radius + 1",
        },
    ],
    details: "x / (k + alpha * sum of x^2 over the channels c - radius … c + radius) ^ beta, as TensorFlow counts: alpha is not divided by the window. \
        AlexNet's n = 5 is depth_radius=2.",
    example: "Input(32x32x3) >> Conv(5x5, 32) >> Relu >> LRN(depth_radius=2)",
    build: |arguments| {
        Ok(Arc::new(LocalResponseNorm {
            alpha: arguments.number("alpha")?,
            beta: arguments.number("beta")?,
            k: arguments.number("k")?,
            radius: arguments.integer("depth_radius", 0)?,
        }))
    },
};

impl Operation for LocalResponseNorm {
    fn definition(&self) -> &'static Definition {
        &LOCAL_RESPONSE_NORM
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("alpha", self.alpha.to_string()),
            ("beta", self.beta.to_string()),
            ("k", self.k.to_string()),
            ("depth_radius", self.radius.to_string()),
        ]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        image_sizes("LocalResponseNorm", inputs[0])?;
        Ok(inputs[0].clone())
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let mut y = inputs[0].clone();
        for mut lane in y.lanes_mut(Axis(3)) {
            let x = lane.to_vec();
            for (channel, value) in lane.iter_mut().enumerate() {
                let from = channel.saturating_sub(self.radius);
                let to = (channel + self.radius + 1).min(x.len());
                let sum: f64 = x[from..to].iter().map(|x| x * x).sum();
                *value /= (self.k + self.alpha * sum).powf(self.beta);
            }
        }
        y
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [height, width, channels] = cx.inputs[0][..] else { return Err("its input is not an image".into()) };
        Ok(Lowered::Step(Kernel::LocalResponse(LocalResponseStep {
            pixels: height * width,
            channels,
            alpha: self.alpha as f32,
            beta: self.beta as f32,
            k: self.k as f32,
            radius: self.radius,
        })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (Lowered::Step(Kernel::LocalResponse(layer)) | Lowered::InPlace(Kernel::LocalResponse(layer))) =
            self.lower(&cx.lowering())?
        else {
            return Ok(());
        };
        let step = Kernel::LocalResponseGradient(LocalResponseGradientStep { layer });
        cx.grad_input(0, step, &[cx.layer.inputs[0], cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Normalisation of groups of channels of each image.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNorm {
    pub groups: usize,
    pub epsilon: f64,
    pub beta: Initializer,
    pub gamma: Initializer,
}

/// `GroupNorm(8)`
pub static GROUP_NORM: Definition = Definition {
    name: "GroupNorm",
    aliases: &["GN"],
    kind: "GroupNorm",
    category: Category::Norm,
    summary: "Normalises groups of channels of each image or sequence separately, independent of the batch.",
    arguments: &[
        Argument {
            name: "n_groups",
            takes: "integer",
            default: Default::Required,
            doc: "number of groups, a divisor of the channels",
        },
        Argument { name: "beta", takes: "number or initialiser", default: Default::Int(0), doc: "initial shift" },
        Argument { name: "gamma", takes: "number or initialiser", default: Default::Int(1), doc: "initial scale" },
        Argument { name: "epsilon", takes: "number", default: Default::Float(1e-5), doc: "added to the variance" },
    ],
    details: "gamma * (x - mean) / sqrt(variance + epsilon) + beta, with mean and biased variance over all pixels and the channels of a \
        group (Wu and He, 2018, arXiv 1803.08494); the same in training and at inference. Parameters gamma, beta of shape (1, …, 1, c). On a \
        sequence (?, t, f) over all steps and the features of a group. One group is not a layer normalisation: `LayerNorm` normalises the \
        channels of each pixel.",
    example: "Input(32x32x3) >> Conv(3x3, 16) >> GroupNorm(4) >> Relu",
    build: |arguments| {
        Ok(Arc::new(GroupNorm {
            groups: arguments.integer("n_groups", 1)?,
            epsilon: arguments.number_within("epsilon", 0.0, 1.0)?,
            beta: arguments.initializer("beta", Initializer::Constant(0.0))?,
            gamma: arguments.initializer("gamma", Initializer::Constant(1.0))?,
        }))
    },
};

impl Operation for GroupNorm {
    fn definition(&self) -> &'static Definition {
        &GROUP_NORM
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![("n_groups", self.groups.to_string())];
        if self.epsilon != 1e-5 {
            list.push(("epsilon", self.epsilon.to_string()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        if sequence_sizes(inputs[0]).is_none() {
            image_sizes("GroupNorm", inputs[0])?;
        }
        match inputs[0].channels().known() {
            Some(channels) if channels % self.groups != 0 => Err(ShapeError::new(
                Code::Channels,
                format!("{channels} channels cannot be split into {} groups", self.groups),
                format!("n_groups={} over {}", self.groups, inputs[0]),
            )),
            _ => Ok(inputs[0].clone()),
        }
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let mut shape = vec![1; inputs[0].rank()];
        if let Some(last) = shape.last_mut() {
            *last = known_channels("GroupNorm", inputs[0])?;
        }
        let part = |role, initializer| ParameterSpec::new(role, ParameterKind::Vector, &shape, initializer);
        Ok(vec![part("gamma", self.gamma), part("beta", self.beta)])
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        AxisRule::of_channels(inputs[0])
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let [gamma, beta] = parameters else { return inputs[0].clone() };
        let mut y = inputs[0].clone();
        let each = y.shape().last().map_or(1, |channels| (channels / self.groups).max(1));
        for mut image in y.axis_iter_mut(Axis(0)) {
            let channels = Axis(image.ndim() - 1);
            for mut group in image.axis_chunks_iter_mut(channels, each) {
                let mean = group.mean().unwrap_or(0.0);
                let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / group.len().max(1) as f64;
                group.mapv_inplace(|x| (x - mean) / (variance + self.epsilon).sqrt());
            }
        }
        y * *gamma + *beta
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let (pixels, channels) = pixels_channels(&cx.inputs[0]);
        Ok(Lowered::Step(Kernel::GroupNorm(GroupNormStep {
            pixels,
            channels,
            norm: Groups { groups: self.groups, epsilon: self.epsilon as f32 },
            activation: cx.epilogue.activation,
        })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::GroupNorm(layer)) = self.lower(&cx.lowering())? else { return Ok(()) };
        let (x, dy, parameters) = (cx.layer.inputs[0], cx.gradient, cx.layer.parameters.clone());
        let channels = layer.channels;
        let step = Lowered::Step(Kernel::GroupSums(GroupSumsStep { layer: layer.clone() }));
        let sums = cx.add_step("sums", TensorType::of(&[4 * channels]), step, &[x, dy], &[]);
        let back = Kernel::GroupNormGradient(GroupNormGradientStep { layer: layer.clone() });
        cx.grad_input(0, back, &[x, dy, sums], &parameters);
        let step = Lowered::Step(Kernel::GroupScaleGradient(GroupScaleGradientStep { layer }));
        let scales = cx.add_step("scale", unbatched(&[2 * channels]), step, &[sums], &[]);
        cx.grad_parameter_slice(0, scales, 0);
        cx.grad_parameter_slice(1, scales, channels);
        Ok(())
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, ..Supports::default() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Division by the Euclidean length over the last axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    pub epsilon: f64,
}

/// `Normalize`
pub static NORMALIZE: Definition = Definition {
    name: "Normalize",
    aliases: &["L2Normalize"],
    kind: "Normalize",
    category: Category::Norm,
    summary: "Scales the features to Euclidean length 1: the end of a net whose outputs are compared by distance.",
    arguments: &[Argument {
        name: "epsilon",
        takes: "number",
        default: Default::Float(1e-12),
        doc: "the minimum divisor, so that zeros stay zeros",
    }],
    details: "x / max(||x||, epsilon) over the last axis; the shape stays. As torch.nn.functional.normalize.",
    example: "Input(512) >> Dense(64) >> Normalize",
    build: |arguments| {
        let epsilon = arguments.number_within("epsilon", 0.0, 1.0)?;
        if (epsilon as f32) < f32::MIN_POSITIVE {
            return Err(arguments.wrong("epsilon", "must be positive: zeros would be divided by zero"));
        }
        Ok(Arc::new(Normalize { epsilon }))
    },
};

impl Operation for Normalize {
    fn definition(&self) -> &'static Definition {
        &NORMALIZE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        match self.epsilon == 1e-12 {
            true => Vec::new(),
            false => vec![("epsilon", self.epsilon.to_string())],
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        Ok(inputs[0].clone())
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Channels
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let mut y = inputs[0].clone();
        let last = Axis(y.ndim().saturating_sub(1));
        for mut row in y.lanes_mut(last) {
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(self.epsilon);
            row.mapv_inplace(|x| x / length);
        }
        y
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let channels = cx.inputs[0].last().copied().unwrap_or(1);
        let pixels = cx.inputs[0].iter().product::<usize>() / channels.max(1);
        Ok(Lowered::InPlace(Kernel::Normalize(NormalizeStep { pixels, channels, epsilon: self.epsilon as f32 })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (pixels, channels) = cx.pixels_channels(0);
        let step = NormalizeGradientStep { pixels, channels, epsilon: self.epsilon as f32 };
        cx.grad_input(0, Kernel::NormalizeGradient(step), &[cx.gradient, cx.layer.inputs[0]], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
