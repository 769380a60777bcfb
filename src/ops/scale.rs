//! `Scale`: a learnt factor for each channel.

use super::convolution::window::known_channels;
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Affine, Argument, AxisRule, Category, Definition, FusionRole, Initializer, Lowered, Lowering, Operation,
    ParameterKind, ParameterSpec, ShapeError, Supports,
};
use crate::kernels::elementwise::activation::Activation;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::norm_gradient::{ChannelProductStep, FixedNormGradientStep};
use crate::plan::steps::norm::NormStep;
use crate::tensor::TensorType;
use ndarray::ArrayD;
use std::any::Any;
use std::sync::Arc;

/// A learnt factor for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub gamma: Initializer,
}

/// `Scale(1e-6)`
pub static SCALE: Definition = Definition {
    name: "Scale",
    aliases: &["LayerScale"],
    kind: "Scale",
    category: Category::Norm,
    summary: "A learnt factor for each channel (layer scale of ConvNeXt and CaiT).",
    arguments: &[Argument {
        name: "gamma",
        takes: "number or initialiser",
        default: Default::Int(1),
        doc: "initial factors; ConvNeXt begins with 1e-6 in each branch",
    }],
    details: "gamma * x along the last axis (Touvron et al., 2021, arXiv 2103.17239); the shape stays. Parameter gamma (c), which \
        weights files may also call layer_scale (torchvision, with the shape (c, 1, 1)), layer_scale_parameter or weight. At inference \
        it is part of the convolution or dense layer before it.",
    example: "Input(32x32x8) >> (Conv(3x3, 8, padding=same) >> Scale(1e-6) | Identity) >> Add",
    build: |arguments| Ok(Arc::new(Scale { gamma: arguments.initializer("gamma", Initializer::Constant(1.0))? })),
};

impl Operation for Scale {
    fn definition(&self) -> &'static Definition {
        &SCALE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        Ok(inputs[0].clone())
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let channels = known_channels("Scale", inputs[0])?;
        Ok(vec![ParameterSpec::new("gamma", ParameterKind::Vector, &[channels], self.gamma)])
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        if inputs[0].image().is_some() { AxisRule::Image } else { AxisRule::Channels }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        match parameters {
            [gamma] => inputs[0] * *gamma,
            _ => inputs[0].clone(),
        }
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::InPlace(Kernel::Norm(NormStep::of_sizes(&cx.inputs[0], cx.epilogue.activation))))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (x, dy, gamma) = (cx.layer.inputs[0], cx.gradient, cx.layer.parameters.clone());
        let (pixels, channels) = cx.pixels_channels(0);
        let layer = NormStep { pixels, channels, activation: Activation::Linear };
        // The gradient by gamma reads dy too, so it is not overwritten.
        cx.grad_input(0, Kernel::FixedNormGradient(FixedNormGradientStep { layer }), &[dy], &gamma);
        cx.grad_parameter(0, Kernel::ChannelProduct(ChannelProductStep { pixels, channels }), &[x, dy]);
        Ok(())
    }

    fn fusion_role(&self) -> FusionRole<'_> {
        FusionRole::Affine(self)
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, ..Supports::default() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Affine for Scale {
    fn scale_shift(&self, parameters: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
        let gamma = parameters.first().cloned().unwrap_or_default();
        let shift = vec![0.0; gamma.len()];
        (gamma, shift)
    }
}
