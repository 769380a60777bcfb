//! Conversion between f32 and bytes, which a pass of int8 builds inserts; no spec can write it.

use crate::graph::Definition as LayerDefinition;
use crate::graph::{Category, Int8Lowering, Lowered, Lowering, Operation, ShapeError};
use crate::plan::kernel::Kernel;
use crate::plan::steps::int8::convert::{Conversion, ConvertStep};
use crate::tensor::TensorType;
use ndarray::ArrayD;
use std::any::Any;

/// A conversion of its input to the other number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convert {
    /// From f32 to bytes.
    Quantize,
    /// From bytes to f32.
    Dequantize,
}

static QUANTIZE: LayerDefinition = definition("Quantize");
static DEQUANTIZE: LayerDefinition = definition("Dequantize");

const fn definition(name: &'static str) -> LayerDefinition {
    LayerDefinition {
        name,
        aliases: &[],
        kind: name,
        category: Category::Shape,
        summary: "A conversion of the number format.",
        arguments: &[],
        details: "",
        example: "",
        build: |arguments| Err(arguments.wrong("Quantize", "a spec cannot write it")),
    }
}

impl Operation for Convert {
    fn definition(&self) -> &'static LayerDefinition {
        match self {
            Convert::Quantize => &QUANTIZE,
            Convert::Dequantize => &DEQUANTIZE,
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        Ok(inputs[0].clone())
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        inputs[0].clone()
    }

    fn lower(&self, _: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::View)
    }

    fn lower_int8(&self, cx: &Lowering, formats: &Int8Lowering) -> Option<Lowered> {
        let channels = cx.inputs[0].last().copied().unwrap_or(1);
        let pixels = cx.inputs[0].iter().product::<usize>() / channels.max(1);
        let (conversion, bytes) = match self {
            Convert::Quantize => (Conversion::Quantize, formats.output?),
            Convert::Dequantize => (Conversion::Dequantize, *formats.inputs.first()?.as_ref()?),
        };
        Some(Lowered::Step(Kernel::Convert(ConvertStep { pixels, channels, conversion, bytes })))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
