//! Learnt values beside those of a sequence: a token in front of it, and one for each position (Dosovitskiy et al., 2021).

use super::sequence_sizes;
use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind, ParameterSpec,
    ShapeError,
};
use crate::ops::convolution::window::known_channels;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::dense_gradient::BiasGradientStep;
use crate::plan::steps::sequence::tokens::{AddPositionsStep, PrependTokenStep};
use crate::size::{product, sum};
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, Axis, concatenate};
use std::any::Any;
use std::sync::Arc;

/// A learnt step in front of a sequence.
#[derive(Clone, Debug)]
pub struct ClassToken {
    pub weight: Initializer,
}

/// `ClassToken`
pub static CLASS_TOKEN: Definition = Definition {
    name: "ClassToken",
    aliases: &[],
    kind: "ClassToken",
    category: Category::Dense,
    summary: "Puts a learnt step in front of a sequence: the token that a transformer classifies by.",
    arguments: &[Argument {
        name: "weight",
        takes: "number or initialiser",
        default: Default::Int(0),
        doc: "initial values of the step",
    }],
    details: "(?, t, f) -> (?, t + 1, f) (Devlin et al., 2019; Dosovitskiy et al., 2021, arXiv 2010.11929). Parameter weight (1, 1, f), as timm's \
        cls_token and torchvision's class_token, which bind to a layer of their name. `Flatten >> Slice(0, f)` takes the token out again.",
    example: "Input(16x32) >> ClassToken >> PositionEmbedding >> Attention(4) >> Flatten >> Slice(0, 32) >> Softmax(10)",
    build: |arguments| {
        Ok(Arc::new(ClassToken { weight: arguments.initializer("weight", Initializer::Constant(0.0))? }))
    },
};

impl Operation for ClassToken {
    fn definition(&self) -> &'static Definition {
        &CLASS_TOKEN
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (steps, features) = sequence_sizes("ClassToken", inputs[0], "its input")?;
        Ok(TensorType::batched([steps.map(|steps| sum([steps, 1])), features]))
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let shape = [1, 1, known_channels("ClassToken", inputs[0])?];
        Ok(vec![ParameterSpec::new("weight", ParameterKind::Values, &shape, self.weight)])
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Steps
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0];
        let [token, ..] = parameters else { return x.clone() };
        let token = token.broadcast([x.shape()[0], 1, x.shape()[2]]).map(|token| token.into_dyn());
        let joined = token.and_then(|token| concatenate(Axis(1), &[token, x.view()]).ok());
        joined.unwrap_or_else(|| x.clone())
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [steps, features] = cx.inputs[0][..] else { return Err("its input is not a sequence".into()) };
        Ok(Lowered::Step(Kernel::PrependToken(PrependTokenStep { steps, features })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (steps, features) = cx.pixels_channels(0);
        // All steps as one row, of which the token is the first part.
        let all = TensorType::of(&[product([sum([steps, 1]), features])]);
        let row = cx.add_step("row", all, Lowered::View, &[cx.gradient], &[]);
        if cx.needs_grad[0] {
            let others = TensorType::of(&[product([steps, features])]);
            let others = cx.add_step("steps", others, Lowered::Channels(features), &[row], &[]);
            cx.grad_input_lowered(0, Lowered::View, &[others], &[]);
        }
        let token = cx.add_step("token", TensorType::of(&[features]), Lowered::Channels(0), &[row], &[]);
        cx.grad_parameter(0, Kernel::BiasGradient(BiasGradientStep { pixels: 1, channels: features }), &[token]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Learnt values that are added to each step of a sequence.
#[derive(Clone, Debug)]
pub struct PositionEmbedding {
    pub weight: Initializer,
}

/// `PositionEmbedding`
pub static POSITION_EMBEDDING: Definition = Definition {
    name: "PositionEmbedding",
    aliases: &[],
    kind: "PositionEmbedding",
    category: Category::Dense,
    summary: "Adds learnt values to each step of a sequence, which tell a transformer where the step is.",
    arguments: &[Argument {
        name: "weight",
        takes: "number or initialiser",
        default: Default::Absent("Normal(std=0.02)"),
        doc: "initial values",
    }],
    details: "(?, t, f) -> (?, t, f): x + weight (Dosovitskiy et al., 2021, arXiv 2010.11929). Parameter weight (1, t, f), as timm's pos_embed and \
        torchvision's pos_embedding, which bind to a layer of their name; the number of steps is fixed. Of a longer table of an embedding layer, \
        as BERT's position_embeddings, the first t rows are taken.",
    example: "Input(16x32) >> PositionEmbedding >> Attention(4) >> Flatten >> Softmax(10)",
    build: |arguments| {
        let normal = Initializer::Normal { mean: 0.0, std: 0.02 };
        Ok(Arc::new(PositionEmbedding { weight: arguments.initializer("weight", normal)? }))
    },
};

impl Operation for PositionEmbedding {
    fn definition(&self) -> &'static Definition {
        &POSITION_EMBEDDING
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        sequence_sizes("PositionEmbedding", inputs[0], "its input")?;
        Ok(inputs[0].clone())
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let features = known_channels("PositionEmbedding", inputs[0])?;
        let Some(Size::Known(steps)) = inputs[0].sizes.first().copied() else {
            return Err(ShapeError::new(
                Code::OpenSize,
                "`PositionEmbedding` must know the number of steps",
                format!("it has values for each of them, and its input is {}", inputs[0]),
            )
            .help("give the size a number in `Input`"));
        };
        let shape = [1, steps, features];
        Ok(vec![ParameterSpec::new("weight", ParameterKind::Values, &shape, self.weight)])
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::StepsInPlace
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        parameters.first().map_or_else(|| inputs[0].clone(), |weight| inputs[0] + *weight)
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [steps, features] = cx.inputs[0][..] else { return Err("its input is not a sequence".into()) };
        Ok(Lowered::InPlace(Kernel::AddPositions(AddPositionsStep { steps, features })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        cx.set_grad_input(0, cx.gradient);
        let (steps, features) = cx.pixels_channels(0);
        let values = product([steps, features]);
        let row = cx.add_step("row", TensorType::of(&[values]), Lowered::View, &[cx.gradient], &[]);
        cx.grad_parameter(0, Kernel::BiasGradient(BiasGradientStep { pixels: 1, channels: values }), &[row]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
