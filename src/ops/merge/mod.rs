//! Elementwise merges of branches: sums, products, maxima and the like.

pub mod concatenate;
pub mod gated_average;

use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, Arity, AxisRule, Category, Definition, FusionRole, Int8Lowering, Lowered, Lowering, NodeId, Operation,
    ShapeError, Supports,
};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::combine::Merge;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::merge_gradient::{BroadcastGradientStep, MergeGradientStep};
use crate::plan::steps::int8::clamped;
use crate::plan::steps::int8::merge::Int8AddStep;
use crate::plan::steps::merge::{BroadcastStep, MergeStep};
use crate::tensor::TensorType;
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// Branches combined elementwise.
#[derive(Clone, Debug)]
pub struct Elementwise {
    pub definition: &'static Definition,
    pub merge: Merge,
}

const DETAILS: &str = "Two or more branches of one shape. Of two, one may be (?, c) or (?, 1, 1, c) beside an image (?, h, w, c): \
    it then counts for every pixel (squeeze-and-excitation).";

macro_rules! elementwise {
    ($($item:ident: $name:literal, $summary:literal, $merge:expr, $example:literal;)*) => {
        $(
            #[doc = $summary]
            pub static $item: Definition = Definition {
                name: $name,
                aliases: &[],
                kind: "Elementwise",
                category: Category::Merge,
                summary: $summary,
                arguments: &[],
                details: DETAILS,
                example: $example,
                build: |_| Ok(Arc::new(Elementwise { definition: &$item, merge: $merge })),
            };
        )*
    };
}

elementwise! {
    ADD: "Add", "The sum of branches.", Merge::Add,
        "Input(32x32x8) >> (Conv(3x3, 8, padding=same) | Identity) >> Add >> Relu";
    MULTIPLY: "Multiply", "The product of branches.", Merge::Multiply,
        "Input(32x32x8) >> (Identity | GlobalPool(avg) >> Relu(2) >> Sigmoid(8)) >> Multiply";
    AVERAGE: "Average", "The mean of branches.", Merge::Average,
        "Input(20) >> (Relu(8) | Tanh(8)) >> Average";
    MAXIMUM: "Maximum", "The elementwise maximum of branches.", Merge::Maximum,
        "Input(20) >> (Dense(8) | Dense(8)) >> Maximum";
    MINIMUM: "Minimum", "The elementwise minimum of branches.", Merge::Minimum,
        "Input(20) >> (Dense(8) | Dense(8)) >> Minimum";
    SUBTRACT: "Subtract", "The first branch minus the others.", Merge::Subtract,
        "Input(20) >> (Dense(8) | Dense(8)) >> Subtract";
    DIVIDE: "Divide", "The first branch divided by the others.", Merge::Divide,
        "Input(20) >> (Dense(8) | Dense(8) >> Exp) >> Divide";
}

/// The names of the merges in `Elementwise`.
const FUNCTIONS: [(&str, &Definition, Merge); 7] = [
    ("add", &ADD, Merge::Add),
    ("multiply", &MULTIPLY, Merge::Multiply),
    ("average", &AVERAGE, Merge::Average),
    ("maximum", &MAXIMUM, Merge::Maximum),
    ("minimum", &MINIMUM, Merge::Minimum),
    ("subtract", &SUBTRACT, Merge::Subtract),
    ("divide", &DIVIDE, Merge::Divide),
];

/// `Elementwise(add)`
pub static ELEMENTWISE: Definition = Definition {
    name: "Elementwise",
    aliases: &[],
    kind: "Elementwise",
    category: Category::Merge,
    summary: "Branches combined elementwise, under NeuPy's name.",
    arguments: &[Argument {
        name: "merge_function",
        takes: "`add`, `multiply`, `average`, `maximum`, `minimum`, `subtract` or `divide`",
        default: Default::Word("add"),
        doc: "how values are combined",
    }],
    details: DETAILS,
    example: "Input(20) >> (Relu(8) | Tanh(8)) >> Elementwise(multiply)",
    build: |arguments| {
        let word = arguments.word("merge_function", &FUNCTIONS.map(|(name, ..)| name))?;
        let found = FUNCTIONS.into_iter().find(|(name, ..)| *name == word);
        let (definition, merge) = found.map_or((&ADD, Merge::Add), |(_, definition, merge)| (definition, merge));
        Ok(Arc::new(Elementwise { definition, merge }))
    },
};

/// Which of two inputs is broadcast over the pixels of the other.
fn spread(shapes: &[Vec<usize>]) -> Option<usize> {
    let per_channel = |a: &[usize], b: &[usize]| {
        a != b && b.len() == 3 && (a.len() == 1 || a.len() == 3 && a[..2] == [1, 1]) && a.last() == b.last()
    };
    match shapes {
        [a, b] if per_channel(a, b) => Some(0),
        [a, b] if per_channel(b, a) => Some(1),
        _ => None,
    }
}

impl Elementwise {
    /// The step of an image and one value per channel.
    fn broadcast(&self, inputs: &[Vec<usize>], activation: Activation) -> Option<BroadcastStep> {
        let broadcast_index = spread(inputs)?;
        let image = &inputs[1 - broadcast_index];
        Some(BroadcastStep {
            pixels: image[0] * image[1],
            channels: image[2],
            broadcast_index,
            // The kernel takes the image first.
            merge: if broadcast_index == 0 { self.merge.reversed() } else { self.merge },
            activation,
        })
    }
}

impl Operation for Elementwise {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let name = self.definition.name;
        if inputs.len() < 2 {
            return Err(ShapeError::new(
                Code::NeedsMerge,
                format!("`{name}` joins branches, but gets one"),
                "expects several",
            )
            .help(format!("give it branches: `(… | …) >> {name}`")));
        }
        let known: Option<Vec<Vec<usize>>> = inputs.iter().map(|input| input.known()).collect();
        if let Some(spread) = known.as_deref().and_then(spread) {
            return Ok(inputs[1 - spread].clone());
        }
        let mut sizes = inputs[0].sizes.clone();
        for (index, input) in inputs.iter().enumerate().skip(1) {
            if !input.agrees(inputs[0]) {
                return Err(ShapeError::new(
                    Code::MergeMismatch,
                    format!("`{name}` needs equal shapes, but its branches give {} and {input}", inputs[0]),
                    "needs equal shapes",
                )
                .at_input(index));
            }
            sizes = sizes.iter().zip(&input.sizes).map(|(a, b)| a.meet(*b)).collect();
        }
        Ok(TensorType::batched(sizes))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Pointwise
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|input| input.shape()[1..].to_vec()).collect();
        let mut inputs: Vec<ArrayD<f64>> = inputs.iter().map(|&input| input.clone()).collect();
        if let Some(spread) = spread(&shapes) {
            let (batch, full) = (inputs[spread].shape()[0], inputs[1 - spread].raw_dim());
            let channels = full[3];
            let column = inputs[spread].clone().into_shape_with_order(IxDyn(&[batch, 1, 1, channels]));
            if let Some(wide) = column.ok().as_ref().and_then(|column| column.broadcast(full)) {
                inputs[spread] = wide.to_owned();
            }
        }
        let count = inputs.len() as f64;
        let mut inputs = inputs.into_iter();
        let Some(mut y) = inputs.next() else { return ArrayD::zeros(IxDyn(&[0])) };
        for other in inputs {
            y.zip_mut_with(&other, |a, &b| *a = self.merge.exact(*a, b));
        }
        if self.merge == Merge::Average { y / count } else { y }
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        if let Some(step) = self.broadcast(&cx.inputs, cx.epilogue.activation) {
            // In place of the image, if that comes first.
            let in_place = step.broadcast_index == 1;
            let kernel = Kernel::Broadcast(step);
            return Ok(if in_place { Lowered::InPlace(kernel) } else { Lowered::Step(kernel) });
        }
        let channels = cx.inputs[0].last().copied().unwrap_or(1);
        let pixels = cx.inputs[0].iter().product::<usize>() / channels.max(1);
        let (merge, activation) = (self.merge, cx.epilogue.activation);
        Ok(Lowered::InPlace(Kernel::Merge(MergeStep { pixels, channels, merge, activation })))
    }

    fn lower_int8(&self, cx: &Lowering, formats: &Int8Lowering) -> Option<Lowered> {
        let Lowered::InPlace(Kernel::Merge(MergeStep { pixels, channels, merge: Merge::Add, activation })) =
            self.lower(cx).ok()?
        else {
            return None;
        };
        let ([Some(a), Some(b)], output) = (&formats.inputs[..], formats.output?) else { return None };
        clamped(activation, output)?;
        let step = Int8AddStep { pixels, channels, activation, inputs: [*a, *b], output };
        Some(Lowered::Step(Kernel::Int8Add(step)))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (dy, inputs, merge) = (cx.gradient, cx.layer.inputs.clone(), self.merge);
        match self.broadcast(&cx.lowering().inputs, Activation::default()) {
            Some(BroadcastStep { pixels, channels, broadcast_index: spread, merge, .. }) => {
                for index in [1 - spread, spread] {
                    let step = BroadcastGradientStep { pixels, channels, merge, by_values: index == spread };
                    let from = [dy, inputs[1 - spread], inputs[spread]];
                    cx.grad_input(index, Kernel::BroadcastGradient(step), &from, &[]);
                }
            }
            _ if merge == Merge::Add => (0..inputs.len()).for_each(|index| cx.set_grad_input(index, dy)),
            _ => {
                let (pixels, channels) = cx.pixels_channels(0);
                let from: Vec<NodeId> = std::iter::once(dy).chain(inputs.iter().copied()).collect();
                for index in 0..inputs.len() {
                    let step = MergeGradientStep { pixels, channels, merge, index };
                    cx.grad_input(index, Kernel::MergeGradient(step), &from, &[]);
                }
            }
        }
        Ok(())
    }

    fn arity(&self) -> Arity {
        Arity::Many
    }

    fn fusion_role(&self) -> FusionRole<'_> {
        if self.merge == Merge::Add { FusionRole::Sum } else { FusionRole::None }
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, ..Supports::default() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
