//! Layers that are identities at inference: identity, dropout and noise.

use super::convolution::window::image_sizes;
use crate::graph::signature::definition::Default;
use crate::graph::training::{Backward, Forward, pixels_channels};
use crate::graph::{
    Argument, AxisRule, Category, Definition, FusionRole, Lowered, Lowering, NodeId, Operation, ShapeError,
};
use crate::plan::kernel::Kernel;
use crate::plan::steps::training::dropout::{Noise, NoiseStep};
use crate::tensor::TensorType;
use ndarray::ArrayD;
use std::any::Any;
use std::sync::Arc;

/// A layer that is an identity at inference.
#[derive(Clone, Debug)]
pub struct Stochastic {
    pub definition: &'static Definition,
    /// The fraction of values that is dropped, or the noise's mean and deviation, under the names of the arguments.
    pub settings: Vec<(&'static str, f64)>,
}

/// `Identity`
pub static IDENTITY: Definition = Definition {
    name: "Identity",
    aliases: &[],
    kind: "Identity",
    category: Category::Shape,
    summary: "The branch that does nothing.",
    arguments: &[],
    details: "`(main | Identity) >> Add` is a residual block. Costs nothing in the plan.",
    example: "Input(32x32x8) >> (Conv(3x3, 8, padding=same) | Identity) >> Add >> Relu",
    build: |_| Ok(Arc::new(Stochastic { definition: &IDENTITY, settings: Vec::new() })),
};

/// `Dropout(0.5)`
pub static DROPOUT: Definition = Definition {
    name: "Dropout",
    aliases: &[],
    kind: "Dropout",
    category: Category::Regulariser,
    summary: "Drops a fraction of the values in training; does nothing at inference.",
    arguments: &[Argument {
        name: "proba",
        takes: "number from 0 to 1",
        default: Default::Required,
        doc: "the fraction that is dropped; the others are divided by 1 - proba",
    }],
    details: "Srivastava et al., 2014, in the inverted form. In NeuPy 0.8 it is active in validation and inactive in training, by a bug; here it is the other way round.",
    example: "Input(784) >> Relu(100) >> Dropout(0.5) >> Softmax(10)",
    build: |arguments| {
        let proba = arguments.number_within("proba", 0.0, 1.0)?;
        if proba >= 1.0 {
            return Err(arguments.wrong("proba", "must be below 1: nothing would be left"));
        }
        Ok(Arc::new(Stochastic { definition: &DROPOUT, settings: vec![("proba", proba)] }))
    },
};

/// `DropBlock(0.9, 5)`
pub static DROP_BLOCK: Definition = Definition {
    name: "DropBlock",
    aliases: &[],
    kind: "DropBlock",
    category: Category::Regulariser,
    summary: "Drops square regions of an image in training; does nothing at inference.",
    arguments: &[
        Argument {
            name: "keep_proba",
            takes: "number from 0 to 1",
            default: Default::Required,
            doc: "the fraction that is kept, unlike Dropout's",
        },
        Argument {
            name: "block_size",
            takes: "integer or pair",
            default: Default::Required,
            doc: "height and width of a region",
        },
    ],
    details: "Ghiasi, Lin and Le, 2018 (arXiv 1810.12890). Takes images.",
    example: "Input(28x28x1) >> Conv(3x3, 16) >> Relu >> DropBlock(0.9, 5) >> Flatten >> Softmax(10)",
    build: |arguments| {
        let keep = arguments.number_within("keep_proba", 0.0, 1.0)?;
        if keep <= 0.0 {
            return Err(arguments.wrong("keep_proba", "must be above 0: nothing would be left"));
        }
        let [height, width] = arguments.required_pair("block_size", 1)?;
        let settings = match height == width {
            true => vec![("keep_proba", keep), ("block_size", height as f64)],
            false => vec![("keep_proba", keep), ("block_height", height as f64), ("block_width", width as f64)],
        };
        Ok(Arc::new(Stochastic { definition: &DROP_BLOCK, settings }))
    },
};

/// `GaussianNoise(mean=0, std=1)`
pub static GAUSSIAN_NOISE: Definition = Definition {
    name: "GaussianNoise",
    aliases: &[],
    kind: "GaussianNoise",
    category: Category::Regulariser,
    summary: "Adds noise in training; does nothing at inference.",
    arguments: &[
        Argument { name: "mean", takes: "number", default: Default::Int(0), doc: "mean of the noise" },
        Argument { name: "std", takes: "number", default: Default::Int(1), doc: "its standard deviation" },
    ],
    details: "The defaults are those of NeuPy's documentation; its code has mean=1, std=0.",
    example: "Input(784) >> GaussianNoise(std=0.1) >> Relu(100) >> Softmax(10)",
    build: |arguments| {
        let settings = vec![("mean", arguments.number("mean")?), ("std", arguments.number_within("std", 0.0, 1e9)?)];
        Ok(Arc::new(Stochastic { definition: &GAUSSIAN_NOISE, settings }))
    },
};

impl Stochastic {
    fn setting(&self, name: &str) -> Option<f64> {
        self.settings.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The noise in training for a tensor of these sizes; `None` for an identity.
    fn noise(&self, sizes: &[usize]) -> Option<Noise> {
        let value = |name: &str| self.setting(name).map(|value| value as f32);
        if let Some(proba) = value("proba") {
            return (proba > 0.0).then_some(Noise::Dropout { proba });
        }
        if let (Some(mean), Some(std)) = (value("mean"), value("std")) {
            return Some(Noise::Gaussian { mean, std });
        }
        let side = |name| self.setting("block_size").or(self.setting(name)).map(|side| side as usize);
        match (sizes, value("keep_proba")) {
            (&[height, width, _], Some(keep_proba)) => {
                let block = [side("block_height")?, side("block_width")?];
                Some(Noise::DropBlock { height, width, keep_proba, block })
            }
            _ => None,
        }
    }
}

impl Operation for Stochastic {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.settings.iter().map(|(name, value)| (*name, value.to_string())).collect()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        if self.definition.name == DROP_BLOCK.name {
            image_sizes(DROP_BLOCK.name, inputs[0])?;
        }
        Ok(inputs[0].clone())
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Pointwise
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        inputs[0].clone()
    }

    fn lower(&self, _: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::View)
    }

    /// Adds the noise, except for a frozen layer.
    fn train(&self, cx: &mut Forward<'_>) -> Result<NodeId, String> {
        let sizes = cx.sizes(0);
        let Some(noise) = self.noise(&sizes).filter(|_| !cx.frozen) else { return cx.add_unchanged() };
        let (pixels, channels) = pixels_channels(&sizes);
        let step = NoiseStep { pixels, channels, noise, seed: cx.seed, layer: cx.layer_index };
        let output = cx.graph.node(cx.inputs[0]).output.clone();
        let (input, update) = (cx.inputs[0], cx.update);
        let node = cx.add_step("", output, Lowered::Step(Kernel::Noise(step)), &[input], &[update], 0);
        Ok(cx.record(node, vec![node]))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let acted = cx.layer.saved.first().map(|&node| &cx.graph.node(node).operation);
        let step = acted.and_then(|operation| operation.lower(&cx.lowering()).ok());
        match step {
            Some(Lowered::Step(kernel @ Kernel::Noise(NoiseStep { noise, .. })))
                if !matches!(noise, Noise::Gaussian { .. }) =>
            {
                cx.grad_input_in_place(0, kernel, &[cx.gradient], &[cx.update]);
            }
            // Added noise does not depend on the input.
            _ => cx.set_grad_input(0, cx.gradient),
        }
        Ok(())
    }

    fn is_stochastic(&self) -> bool {
        !self.settings.is_empty()
    }

    fn fusion_role(&self) -> FusionRole<'_> {
        FusionRole::Identity
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
