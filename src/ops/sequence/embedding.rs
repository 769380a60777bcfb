//! `Embedding`: lookup of rows of a table by index.

use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind, ParameterSpec,
    ShapeError,
};
use crate::plan::kernel::Kernel;
use crate::plan::steps::sequence::embedding::{EmbeddingGradientStep, EmbeddingStep};
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, Dimension, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A lookup table of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Rows of the table.
    pub rows: usize,
    /// Features of a row.
    pub features: usize,
    pub weight: Initializer,
}

/// `Embedding(5000, 64)`
pub static EMBEDDING: Definition = Definition {
    name: "Embedding",
    aliases: &[],
    kind: "Embedding",
    category: Category::Dense,
    summary: "Looks up the row of a learnt table for each index: words and categories become features.",
    arguments: &[
        Argument {
            name: "input_size",
            takes: "integer",
            default: Default::Required,
            doc: "number of different indices",
        },
        Argument { name: "output_size", takes: "integer", default: Default::Required, doc: "features of each" },
        Argument {
            name: "weight",
            takes: "initialiser",
            default: Default::Absent("HeNormal(gain=1)"),
            doc: "initial table",
        },
    ],
    details: "(?, n) -> (?, n, output_size): y[i] = weight[x[i]]. Indices count from 0 and are truncated to integers, as NeuPy does; \
        one that is not below input_size ends the run with an error. Weight (input_size, output_size).",
    example: "Input(40) >> Embedding(5000, 64) >> LSTM(32) >> Sigmoid(1)",
    build: |arguments| {
        Ok(Arc::new(Embedding {
            rows: arguments.integer("input_size", 1)?,
            features: arguments.integer("output_size", 1)?,
            weight: arguments.initializer("weight", Initializer::HeNormal { gain: 1.0 })?,
        }))
    },
};

impl Operation for Embedding {
    fn definition(&self) -> &'static Definition {
        &EMBEDDING
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("input_size", self.rows.to_string()), ("output_size", self.features.to_string())]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let mut sizes = inputs[0].sizes.clone();
        sizes.push(Size::Known(self.features));
        Ok(TensorType::batched(sizes))
    }

    fn parameters(&self, _: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        Ok(vec![ParameterSpec::new("weight", ParameterKind::Table, &[self.rows, self.features], self.weight)])
    }

    /// An invalid index gives NaN.
    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Sequence
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let (x, weight) = (inputs[0], parameters[0]);
        let shape: Vec<usize> = x.shape().iter().copied().chain([self.features]).collect();
        ArrayD::from_shape_fn(IxDyn(&shape), |at| {
            let index = x[IxDyn(&at.slice()[..x.ndim()])];
            let row = if index > -1.0 { index as usize } else { usize::MAX };
            weight.get(IxDyn(&[row, at[x.ndim()]])).copied().unwrap_or(f64::NAN)
        })
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let places = cx.inputs[0].iter().product();
        Ok(Lowered::Step(Kernel::Embedding(EmbeddingStep {
            positions: places,
            rows: self.rows,
            features: self.features,
        })))
    }

    /// Indices have no gradient.
    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::Embedding(layer)) = self.lower(&cx.lowering())? else { return Ok(()) };
        let step = Kernel::EmbeddingGradient(EmbeddingGradientStep { layer });
        cx.grad_parameter(0, step, &[cx.layer.inputs[0], cx.gradient]);
        Ok(())
    }

    fn index_bound(&self) -> Option<usize> {
        Some(self.rows)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
