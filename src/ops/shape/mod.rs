//! Layers that move or select values, without arithmetic.

pub mod pad;
pub mod rearrange;
pub mod resize;

use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{Argument, AxisRule, Category, Definition, Lowered, Lowering, Operation, ShapeError, ValueKind};
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::pointwise_gradient::ScatterSliceStep;
use crate::plan::steps::movement::TransposeStep;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, Axis, IxDyn, Slice as Range};
use std::any::Any;
use std::sync::Arc;

/// The same values in another shape.
#[derive(Clone, Debug)]
pub struct Reshape {
    pub definition: &'static Definition,
    /// Sizes without the batch; one may be open.
    pub sizes: Vec<Option<usize>>,
}

/// `Reshape(11x?)`
pub static RESHAPE: Definition = Definition {
    name: "Reshape",
    aliases: &[],
    kind: "Reshape",
    category: Category::Shape,
    summary: "The same values in another shape.",
    arguments: &[Argument {
        name: "shape",
        takes: "sizes",
        default: Default::Int(-1),
        doc: "without the batch; one size may be open (`?` or -1)",
    }],
    details: "Row-major: an image is flattened as (height, width, channels). Costs nothing in the plan.",
    example: "Input(9x11x5) >> Reshape(11x?) >> Flatten >> Softmax(4)",
    build: |arguments| {
        let sizes = match arguments.given("shape") {
            None => Some(vec![None]),
            Some(value) => value.sizes(),
        };
        let sizes: Option<Vec<Option<usize>>> = sizes.map(|sizes| {
            sizes
                .into_iter()
                .map(|size| size.filter(|&size| size != -1))
                .map(|size| size.map(|size| size.max(0) as usize))
                .collect()
        });
        match sizes {
            Some(sizes) if !sizes.contains(&Some(0)) && sizes.iter().filter(|size| size.is_none()).count() <= 1 => {
                Ok(Arc::new(Reshape { definition: &RESHAPE, sizes }))
            }
            _ => Err(arguments.wrong("shape", "takes positive sizes such as `11x?`, one of them open at most")),
        }
    },
};

/// `Flatten`
pub static FLATTEN: Definition = Definition {
    name: "Flatten",
    aliases: &[],
    kind: "Reshape",
    category: Category::Shape,
    summary: "All values of an image as features.",
    arguments: &[],
    details: "(?, h, w, c) -> (?, h * w * c), in the order (height, width, channels). It is NeuPy's `Reshape()`. Costs nothing in the plan.",
    example: "Input(28x28x1) >> Flatten >> Softmax(10)",
    build: |_| Ok(Arc::new(Reshape { definition: &FLATTEN, sizes: vec![None] })),
};

impl Operation for Reshape {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        if self.sizes == [None] {
            return Vec::new();
        }
        let sizes: Vec<String> =
            self.sizes.iter().map(|size| size.map_or("?".to_string(), |size| size.to_string())).collect();
        vec![("shape", sizes.join("x"))]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let fixed: usize = self.sizes.iter().flatten().try_fold(1usize, |a, &b| a.checked_mul(b)).unwrap_or(usize::MAX);
        let open = self.sizes.contains(&None);
        let rest = match inputs[0].len() {
            None => Size::Open,
            Some(len) if open && len % fixed == 0 => Size::Known(len / fixed),
            Some(len) if !open && len == fixed => Size::Known(0),
            Some(len) => {
                let target: Vec<String> =
                    self.sizes.iter().map(|size| size.map_or("?".to_string(), |size| size.to_string())).collect();
                return Err(ShapeError::new(
                    Code::Reshape,
                    format!("{} cannot be reshaped to (?, {})", inputs[0], target.join(", ")),
                    format!("{len} values do not fill {fixed}{}", if open { " times a whole number" } else { "" }),
                ));
            }
        };
        Ok(TensorType::batched(self.sizes.iter().map(|size| size.map_or(rest, Size::Known)).collect::<Vec<_>>()))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Reshape
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0].as_standard_layout().into_owned();
        let batch = x.shape()[0];
        let fixed: usize = self.sizes.iter().flatten().product();
        let rest = x.len() / (batch * fixed).max(1);
        let shape: Vec<usize> =
            std::iter::once(batch).chain(self.sizes.iter().map(|size| size.unwrap_or(rest))).collect();
        x.into_shape_with_order(IxDyn(&shape)).unwrap_or_else(|_| inputs[0].clone())
    }

    fn lower(&self, _: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::View)
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        cx.grad_input_lowered(0, Lowered::View, &[cx.gradient], &[]);
        Ok(())
    }

    fn keeps_values(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Axes in another order.
#[derive(Clone, Debug, PartialEq)]
pub struct Transpose {
    /// The batch is axis 0 and stays there.
    pub order: Vec<usize>,
}

/// `Transpose([0, 2, 1, 3])`
pub static TRANSPOSE: Definition = Definition {
    name: "Transpose",
    aliases: &[],
    kind: "Transpose",
    category: Category::Shape,
    summary: "Axes in another order.",
    arguments: &[Argument {
        name: "perm",
        takes: "list of integers",
        default: Default::Required,
        doc: "the input axis of each output axis; the batch is axis 0 and stays first",
    }],
    details: "Output axis i is input axis perm[i].",
    example: "Input(20x64) >> Transpose([0, 2, 1])",
    build: |arguments| {
        let order: Option<Vec<usize>> = match arguments.given("perm").map(|value| &value.kind) {
            Some(ValueKind::List(list)) => list
                .iter()
                .map(|value| match value.kind {
                    ValueKind::Int(axis) => usize::try_from(axis).ok(),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let order = order.filter(|order| {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            order.first() == Some(&0) && sorted.iter().copied().eq(0..order.len()) && order.len() <= 6
        });
        match order {
            Some(order) => Ok(Arc::new(Transpose { order })),
            None => Err(arguments.wrong("perm", "takes each axis once, the batch first: `[0, 2, 1]`")),
        }
    },
};

impl Operation for Transpose {
    fn definition(&self) -> &'static Definition {
        &TRANSPOSE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("perm", format!("{:?}", self.order))]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        if inputs[0].rank() != self.order.len() {
            return Err(ShapeError::new(
                Code::WrongRank,
                format!("`Transpose` permutes {} axes, but its input is {}", self.order.len(), inputs[0]),
                format!("expects {} axes, including the batch", self.order.len()),
            ));
        }
        Ok(TensorType::batched(self.order[1..].iter().map(|&axis| inputs[0].sizes[axis - 1]).collect::<Vec<_>>()))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Transpose(self.order[1..].iter().map(|axis| axis - 1).collect())
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        inputs[0].clone().permuted_axes(IxDyn(&self.order)).as_standard_layout().into_owned()
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let order = self.order[1..].iter().map(|axis| axis - 1).collect();
        Ok(Lowered::Step(Kernel::Transpose(TransposeStep { sizes: cx.inputs[0].clone(), order })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::Transpose(forward)) = self.lower(&cx.lowering())? else { return Ok(()) };
        cx.grad_input(0, Kernel::Transpose(forward.inverse()), &[cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A range of channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    pub from: usize,
    pub to: usize,
}

/// `Slice(0, 48)`
pub static SLICE: Definition = Definition {
    name: "Slice",
    aliases: &[],
    kind: "Slice",
    category: Category::Shape,
    summary: "A range of channels (or features).",
    arguments: &[
        Argument { name: "from", takes: "integer", default: Default::Required, doc: "the first channel" },
        Argument { name: "to", takes: "integer", default: Default::Required, doc: "one past the last channel" },
    ],
    details: "(?, …, c) -> (?, …, to - from). Costs nothing in the plan: the next layer reads the values in place.",
    example: "Input(32x32x96) >> (Slice(0, 48) >> Conv(3x3, 64) | Slice(48, 96) >> Conv(3x3, 64)) >> Concatenate",
    build: |arguments| {
        let (from, to) = (arguments.integer("from", 0)?, arguments.integer("to", 1)?);
        if from >= to {
            return Err(arguments.wrong("to", format!("must be larger than from={from}")));
        }
        Ok(Arc::new(Slice { from, to }))
    },
};

impl Operation for Slice {
    fn definition(&self) -> &'static Definition {
        &SLICE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("from", self.from.to_string()), ("to", self.to.to_string())]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        if inputs[0].channels().known().is_some_and(|channels| channels < self.to) {
            return Err(ShapeError::new(
                Code::Channels,
                format!("`Slice({}, {})` reaches beyond {}", self.from, self.to, inputs[0]),
                format!("takes channels up to {}", inputs[0].channels()),
            ));
        }
        let mut sizes = inputs[0].sizes.clone();
        if let Some(last) = sizes.last_mut() {
            *last = Size::Known(self.to - self.from);
        }
        Ok(TensorType::batched(sizes))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Slice { from: self.from, to: self.to }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let last = Axis(inputs[0].ndim() - 1);
        inputs[0].slice_axis(last, Range::from(self.from..self.to)).as_standard_layout().into_owned()
    }

    fn lower(&self, _: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::Channels(self.from))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (pixels, width) = cx.pixels_channels(0);
        let step = ScatterSliceStep { pixels, channels: self.to - self.from, channel_offset: self.from, width };
        cx.grad_input(0, Kernel::ScatterSlice(step), &[cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
