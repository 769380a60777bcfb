//! `Concatenate`: branches joined along an axis.

use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, Arity, AxisRule, Category, Definition, Int8Lowering, Lowered, Lowering, Operation, ShapeError,
};
use crate::plan::Format;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, Axis};
use std::any::Any;
use std::sync::Arc;

/// A concatenation of branches along one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Concatenate {
    /// Counted with the batch; negative from the end.
    pub axis: i64,
}

/// `Concatenate`
pub static CONCATENATE: Definition = Definition {
    name: "Concatenate",
    aliases: &["Concat"],
    kind: "Concatenate",
    category: Category::Merge,
    summary: "Concatenates branches, by default along the channels.",
    arguments: &[Argument {
        name: "axis",
        takes: "integer",
        default: Default::Int(-1),
        doc: "counts the batch as 0; -1 is the last: channels or features",
    }],
    details: "All other sizes must agree. Along the channels it costs nothing in the plan: branches write into it directly.",
    example: "Input(32x32x3) >> (Conv(1x1, 8) | Conv(3x3, 8, padding=same)) >> Concatenate",
    build: |arguments| {
        let axis = match arguments.given("axis") {
            None => -1,
            Some(value) => match value.number() {
                Some(axis) if axis.fract() == 0.0 && axis.abs() < 8.0 => axis as i64,
                _ => return Err(arguments.wrong("axis", "takes an integer")),
            },
        };
        Ok(Arc::new(Concatenate { axis }))
    },
};

impl Concatenate {
    /// The axis among the sizes without the batch, for so many axes with it; `None` if there is no such axis.
    pub fn axis_of(&self, rank: usize) -> Option<usize> {
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        (1..rank as i64).contains(&axis).then(|| axis as usize - 1)
    }
}

impl Operation for Concatenate {
    fn definition(&self) -> &'static Definition {
        &CONCATENATE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        if self.axis == -1 { Vec::new() } else { vec![("axis", self.axis.to_string())] }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let first = inputs[0];
        let Some(axis) = self.axis_of(first.rank()) else {
            return Err(ShapeError::new(
                Code::WrongArgument,
                format!("`Concatenate` cannot join {first} along axis {}", self.axis),
                format!("axes 1 to {} or -1", first.rank() - 1),
            ));
        };
        let mut sizes = first.sizes.clone();
        for (index, input) in inputs.iter().enumerate().skip(1) {
            let fits = input.sizes.len() == sizes.len()
                && (0..sizes.len()).all(|at| at == axis || sizes[at].agrees(input.sizes[at]));
            if !fits {
                return Err(ShapeError::new(
                    Code::MergeMismatch,
                    format!("branches {first} and {input} differ in more than axis {}", axis + 1),
                    "joins branches that differ only along its axis",
                )
                .at_input(index));
            }
            for (at, size) in sizes.iter_mut().enumerate() {
                *size = match (at == axis, *size, input.sizes[at]) {
                    (true, Size::Known(a), Size::Known(b)) => Size::Known(a + b),
                    (true, _, _) => Size::Open,
                    (false, a, b) => a.meet(b),
                };
            }
        }
        Ok(TensorType::batched(sizes))
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        self.axis_of(inputs[0].rank()).map_or(AxisRule::Unknown, |axis| AxisRule::Concatenate { axis })
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let Some(axis) = self.axis_of(inputs[0].ndim()) else { return inputs[0].clone() };
        let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
        ndarray::concatenate(Axis(axis + 1), &views).unwrap_or_else(|_| inputs[0].clone())
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let axis = self.axis_of(cx.inputs[0].len() + 1).ok_or("its input does not have its axis")?;
        Ok(Lowered::Concatenate { rows: cx.inputs[0][..axis].iter().product() })
    }

    /// All inputs have the output's scale, and their parts fill whole words.
    fn lower_int8(&self, cx: &Lowering, formats: &Int8Lowering) -> Option<Lowered> {
        let Ok(Lowered::Concatenate { rows }) = self.lower(cx) else { return None };
        let bytes = formats.output?;
        let same = formats.inputs.iter().all(|input| *input == Some(bytes));
        let is_whole =
            |sizes: &Vec<usize>| (sizes.iter().product::<usize>() / rows).is_multiple_of(Format::U8.per_word());
        (same && rows > 0 && cx.inputs.iter().all(is_whole)).then_some(Lowered::Concatenate { rows })
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let output = cx.output_sizes();
        let axis = self.axis_of(output.len() + 1).ok_or("its input does not have its axis")?;
        let rows: usize = output[..axis].iter().product();
        let row: usize = output[axis..].iter().product();
        let along_channels = axis + 1 == output.len();
        // Along another axis rows are longer than the channels: the gradient is reshaped to such rows and back.
        let gradient = match along_channels {
            true => cx.gradient,
            false => cx.add_step("rows", TensorType::of(&[rows, row]), Lowered::View, &[cx.gradient], &[]),
        };
        let mut from = 0;
        for index in 0..cx.layer.inputs.len() {
            let part = cx.sizes(index)[axis..].iter().product::<usize>();
            if along_channels {
                cx.grad_input_lowered(index, Lowered::Channels(from), &[gradient], &[]);
            } else if cx.needs_grad[index] {
                let part =
                    cx.add_step("rows", TensorType::of(&[rows, part]), Lowered::Channels(from), &[gradient], &[]);
                cx.grad_input_lowered(index, Lowered::View, &[part], &[]);
            }
            from += part;
        }
        Ok(())
    }

    fn arity(&self) -> Arity {
        Arity::Many
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
