//! `GatedAverage`: a mixture of branches, weighted by one of them.

use crate::diagnostics::{Code, counted};
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{Argument, Arity, AxisRule, Category, Definition, Lowered, Lowering, NodeId, Operation, ShapeError};
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::merge_gradient::{GateGradientStep, GatedAverageGradientStep};
use crate::plan::steps::merge::GatedAverageStep;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, Axis, Slice as Range};
use std::any::Any;
use std::sync::Arc;

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
    category: Category::Merge,
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

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let error = |message: String, expected: &str| ShapeError::new(Code::MergeMismatch, message, expected);
        let Some(gate) = inputs.get(self.gate_index).filter(|_| inputs.len() > 1) else {
            return Err(error(
                format!("`GatedAverage` needs a gate and branches, but gets {}", counted(inputs.len(), "input")),
                "expects the gate first: (gate | a | b)",
            ));
        };
        let others: Vec<(usize, &TensorType)> =
            inputs.iter().copied().enumerate().filter(|(index, _)| *index != self.gate_index).collect();
        if gate.sizes.len() != 1 || !gate.sizes[0].agrees(Size::Known(others.len())) {
            return Err(error(
                format!("the gate gives {gate}, but there are {} branches to weight", others.len()),
                "one weight per branch",
            )
            .at_input(self.gate_index)
            .help(format!("end the gate with `Softmax({})`", others.len())));
        }
        let first = others[0].1;
        match others.iter().find(|(_, other)| !other.agrees(first)) {
            Some((index, other)) => {
                let message = format!("`GatedAverage` needs equal shapes, but its branches give {first} and {other}");
                Err(error(message, "needs equal shapes").at_input(*index))
            }
            None => Ok(first.clone()),
        }
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Mixture { gate: self.gate_index }
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
            cx.grad_input(place, Kernel::GatedAverageGradient(step), &[dy, gate], &[]);
        }
        let from: Vec<NodeId> = std::iter::once(dy).chain(places.iter().map(|&place| cx.layer.inputs[place])).collect();
        let step = GateGradientStep { pixels, channels, branches };
        cx.grad_input(self.gate_index, Kernel::GateGradient(step), &from, &[]);
        Ok(())
    }

    fn arity(&self) -> Arity {
        Arity::Many
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
