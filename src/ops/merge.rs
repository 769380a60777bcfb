//! Merges: layers that join several branches into one.

use crate::diagnostics::{Code, counted};
use crate::graph::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{Argument, Definition, Lowered, Lowering, NodeId, Operation, ShapeFault, Supports};
use crate::kernels::elementwise::Merge;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient_merge::{
    BroadcastGradientStep, GateGradientStep, GatedAverageGradientStep, MergeGradientStep,
};
use crate::plan::steps::merge::{BroadcastStep, GatedAverageStep, MergeStep};
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, Axis, IxDyn, Slice as Range};
use std::any::Any;
use std::sync::Arc;

/// Branches beside each other along one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Concatenate {
    /// Counts the batch; negative from the end.
    pub axis: i64,
}

/// `Concatenate`
pub static CONCATENATE: Definition = Definition {
    name: "Concatenate",
    aliases: &["Concat"],
    kind: "Concatenate",
    summary: "Puts branches beside each other, by default along the channels.",
    arguments: &[Argument {
        name: "axis",
        takes: "integer",
        default: Default::Int(-1),
        doc: "counts the batch as 0; -1 is the last: channels or features",
    }],
    details: "All other sizes must agree. In the plan along the channels it costs nothing: branches write where they belong.",
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
    /// The axis among the sizes without the batch.
    fn axis_of(&self, rank: usize) -> Option<usize> {
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

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeFault> {
        let first = inputs[0];
        let Some(axis) = self.axis_of(first.rank()) else {
            return Err(ShapeFault::new(
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
                return Err(ShapeFault::new(
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

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let Some(axis) = self.axis_of(inputs[0].ndim()) else { return inputs[0].clone() };
        let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
        ndarray::concatenate(Axis(axis + 1), &views).unwrap_or_else(|_| inputs[0].clone())
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let axis = self.axis_of(cx.inputs[0].len() + 1).ok_or("its axis is not there")?;
        Ok(Lowered::Concatenate { rows: cx.inputs[0][..axis].iter().product() })
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let output = cx.output_sizes();
        let axis = self.axis_of(output.len() + 1).ok_or("its axis is not there")?;
        let rows: usize = output[..axis].iter().product();
        let row: usize = output[axis..].iter().product();
        let along_channels = axis + 1 == output.len();
        // Joined along another axis, rows are longer than the channels: the gradient is seen in such rows and back.
        let whole = match along_channels {
            true => cx.gradient,
            false => cx.step("rows", TensorType::of(&[rows, row]), Lowered::View, &[cx.gradient], &[]),
        };
        let mut from = 0;
        for index in 0..cx.layer.inputs.len() {
            let part = cx.sizes(index)[axis..].iter().product::<usize>();
            if along_channels {
                cx.input_lowered(index, Lowered::Channels(from), &[whole], &[]);
            } else if cx.wants_input[index] {
                let part = cx.step("rows", TensorType::of(&[rows, part]), Lowered::Channels(from), &[whole], &[]);
                cx.input_lowered(index, Lowered::View, &[part], &[]);
            }
            from += part;
        }
        Ok(())
    }

    fn merges(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Branches combined value by value.
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
    MAXIMUM: "Maximum", "The largest of branches, value by value.", Merge::Maximum,
        "Input(20) >> (Dense(8) | Dense(8)) >> Maximum";
    MINIMUM: "Minimum", "The smallest of branches, value by value.", Merge::Minimum,
        "Input(20) >> (Dense(8) | Dense(8)) >> Minimum";
    SUBTRACT: "Subtract", "The first branch less the others.", Merge::Subtract,
        "Input(20) >> (Dense(8) | Dense(8)) >> Subtract";
}

/// What `Elementwise` calls the merges.
const FUNCTIONS: [(&str, &Definition, Merge); 6] = [
    ("add", &ADD, Merge::Add),
    ("multiply", &MULTIPLY, Merge::Multiply),
    ("average", &AVERAGE, Merge::Average),
    ("maximum", &MAXIMUM, Merge::Maximum),
    ("minimum", &MINIMUM, Merge::Minimum),
    ("subtract", &SUBTRACT, Merge::Subtract),
];

/// `Elementwise(add)`
pub static ELEMENTWISE: Definition = Definition {
    name: "Elementwise",
    aliases: &[],
    kind: "Elementwise",
    summary: "Branches combined value by value, under NeuPy's name.",
    arguments: &[Argument {
        name: "merge_function",
        takes: "add, multiply, average, maximum, minimum or subtract",
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

impl Elementwise {
    fn fold(&self, a: f64, b: f64) -> f64 {
        match self.merge {
            Merge::Add | Merge::Average => a + b,
            Merge::Multiply => a * b,
            Merge::Maximum => a.max(b),
            Merge::Minimum => a.min(b),
            Merge::Subtract => a - b,
            Merge::SubtractFrom => b - a,
        }
    }
}

/// Which of two inputs is spread over the pixels of the other.
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

impl Operation for Elementwise {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeFault> {
        let name = self.definition.name;
        if inputs.len() < 2 {
            return Err(ShapeFault::new(
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
                return Err(ShapeFault::new(
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
            y.zip_mut_with(&other, |a, &b| *a = self.fold(*a, b));
        }
        if self.merge == Merge::Average { y / count } else { y }
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        if let Some(spread) = spread(&cx.inputs) {
            let image = &cx.inputs[1 - spread];
            return Ok(Lowered::Step(Kernel::Broadcast(BroadcastStep {
                pixels: image[0] * image[1],
                channels: image[2],
                spread,
                // The kernel takes the image first.
                merge: if spread == 0 && self.merge == Merge::Subtract { Merge::SubtractFrom } else { self.merge },
                activation: cx.epilogue.activation,
            })));
        }
        let channels = cx.inputs[0].last().copied().unwrap_or(1);
        let pixels = cx.inputs[0].iter().product::<usize>() / channels.max(1);
        let (merge, activation) = (self.merge, cx.epilogue.activation);
        Ok(Lowered::InPlace(Kernel::Merge(MergeStep { pixels, channels, merge, activation })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (dy, inputs, merge) = (cx.gradient, cx.layer.inputs.clone(), self.merge);
        match self.lower(&cx.lowering())? {
            Lowered::Step(Kernel::Broadcast(BroadcastStep { pixels, channels, spread, merge, .. })) => {
                for index in [1 - spread, spread] {
                    let step = BroadcastGradientStep { pixels, channels, merge, by_values: index == spread };
                    let from = [dy, inputs[1 - spread], inputs[spread]];
                    cx.input_by(index, Kernel::BroadcastGradient(step), &from, &[]);
                }
            }
            _ if merge == Merge::Add => (0..inputs.len()).for_each(|index| cx.input_is(index, dy)),
            _ => {
                let (pixels, channels) = cx.pixels_channels(0);
                let from: Vec<NodeId> = std::iter::once(dy).chain(inputs.iter().copied()).collect();
                for index in 0..inputs.len() {
                    let step = MergeGradientStep { pixels, channels, merge, index };
                    cx.input_by(index, Kernel::MergeGradient(step), &from, &[]);
                }
            }
        }
        Ok(())
    }

    fn merges(&self) -> bool {
        true
    }

    fn adds(&self) -> bool {
        self.merge == Merge::Add
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, ..Supports::default() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A weighted sum of branches, the weights given by another branch.
#[derive(Clone, Debug, PartialEq)]
pub struct GatedAverage {
    pub gate_index: usize,
}

/// `GatedAverage`
pub static GATED_AVERAGE: Definition = Definition {
    name: "GatedAverage",
    aliases: &[],
    kind: "GatedAverage",
    summary: "The sum of branches, each times its share of a gate (mixture of experts).",
    arguments: &[Argument {
        name: "gate_index",
        takes: "integer",
        default: Default::Int(0),
        doc: "which branch is the gate",
    }],
    details: "The gate gives (?, k), each of the k other branches the same shape; the output is the sum over i of gate[i] times branch i.",
    example: "Input(10) >> (Softmax(2) | Relu(5) | Tanh(5)) >> GatedAverage",
    build: |arguments| Ok(Arc::new(GatedAverage { gate_index: arguments.integer("gate_index", 0)? })),
};

impl Operation for GatedAverage {
    fn definition(&self) -> &'static Definition {
        &GATED_AVERAGE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        if self.gate_index == 0 { Vec::new() } else { vec![("gate_index", self.gate_index.to_string())] }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeFault> {
        let fault = |message: String, expected: &str| ShapeFault::new(Code::MergeMismatch, message, expected);
        let Some(gate) = inputs.get(self.gate_index).filter(|_| inputs.len() > 1) else {
            return Err(fault(
                format!("`GatedAverage` needs a gate and branches, but gets {}", counted(inputs.len(), "input")),
                "expects the gate first: (gate | a | b)",
            ));
        };
        let others: Vec<(usize, &TensorType)> =
            inputs.iter().copied().enumerate().filter(|(index, _)| *index != self.gate_index).collect();
        if gate.sizes.len() != 1 || !gate.sizes[0].agrees(Size::Known(others.len())) {
            return Err(fault(
                format!("the gate gives {gate}, but there are {} branches to weigh", others.len()),
                "one share for each branch",
            )
            .at_input(self.gate_index)
            .help(format!("end the gate with `Softmax({})`", others.len())));
        }
        let first = others[0].1;
        match others.iter().find(|(_, other)| !other.agrees(first)) {
            Some((index, other)) => {
                let message = format!("`GatedAverage` needs equal shapes, but its branches give {first} and {other}");
                Err(fault(message, "needs equal shapes").at_input(*index))
            }
            None => Ok(first.clone()),
        }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let gate = inputs[self.gate_index];
        let others: Vec<&ArrayD<f64>> =
            inputs.iter().enumerate().filter(|(index, _)| *index != self.gate_index).map(|(_, &x)| x).collect();
        let mut y = ArrayD::zeros(others[0].raw_dim());
        for (share, other) in others.iter().enumerate() {
            for image in 0..gate.shape()[0] {
                let weight = gate[[image, share]];
                let mut out = y.slice_axis_mut(Axis(0), Range::from(image..image + 1));
                out.scaled_add(weight, &other.slice_axis(Axis(0), Range::from(image..image + 1)));
            }
        }
        y
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let first = usize::from(self.gate_index == 0);
        let channels = cx.inputs[first].last().copied().unwrap_or(1);
        let pixels = cx.inputs[first].iter().product::<usize>() / channels.max(1);
        let gate = self.gate_index;
        Ok(Lowered::Step(Kernel::GatedAverage(GatedAverageStep { pixels, channels, gate })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (dy, gate) = (cx.gradient, cx.layer.inputs[self.gate_index]);
        let places: Vec<usize> = (0..cx.layer.inputs.len()).filter(|&index| index != self.gate_index).collect();
        let (pixels, channels) = cx.pixels_channels(places[0]);
        let branches = places.len();
        for (index, &place) in places.iter().enumerate() {
            let step = GatedAverageGradientStep { pixels, channels, branches, index };
            cx.input_by(place, Kernel::GatedAverageGradient(step), &[dy, gate], &[]);
        }
        let from: Vec<NodeId> = std::iter::once(dy).chain(places.iter().map(|&place| cx.layer.inputs[place])).collect();
        let step = GateGradientStep { pixels, channels, branches };
        cx.input_by(self.gate_index, Kernel::GateGradient(step), &from, &[]);
        Ok(())
    }

    fn merges(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
