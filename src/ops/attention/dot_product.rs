//! [`DotProductAttention`]: the products of an attention between its projections.

use crate::graph::Definition;
use crate::graph::training::{Backward, Forward};
use crate::graph::{Arity, AxisRule, Lowered, Lowering, NodeId, Operation, ShapeError};
use crate::kernels::attention::Attention as Size;
use crate::kernels::attention::gradient::By;
use crate::plan::kernel::Kernel;
use crate::plan::steps::sequence::attention::{
    AttentionDropoutStep, AttentionGradientStep, AttentionStep, DropScores, MaskKind,
};
use crate::size::product;
use crate::tensor::{Size as Axis, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::any::Any;

/// Scaled dot-product attention of projected tensors: queries, keys and values beside each other, or queries and then keys and
/// values; then the mask, if there is one.
#[derive(Clone, Debug)]
pub struct DotProductAttention {
    /// The layer that it is a part of.
    pub definition: &'static Definition,
    pub heads: usize,
    /// heads times the features of each.
    pub features: usize,
    pub causal: bool,
    pub dropout: f64,
    /// Whether keys and values come from a second input.
    pub memory: bool,
}

impl DotProductAttention {
    /// The kernel for inputs of these sizes.
    fn step(&self, inputs: &[Vec<usize>]) -> Result<AttentionStep, String> {
        let steps = |index: usize| inputs.get(index).and_then(|sizes| sizes.first()).copied().unwrap_or(0);
        let (queries, keys) = (steps(0), steps(usize::from(self.memory)));
        let mask = match inputs.get(1 + usize::from(self.memory)).map(Vec::len) {
            None => None,
            Some(1) => Some(MaskKind::Keys),
            Some(_) => Some(MaskKind::Pairs),
        };
        let size = Size { queries, keys, heads: self.heads, depth: self.features / self.heads, causal: self.causal };
        Ok(AttentionStep { size, memory: self.memory, mask })
    }
}

impl Operation for DotProductAttention {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![("heads", self.heads.to_string())];
        if self.causal {
            list.push(("causal", "true".into()));
        }
        list
    }

    /// The layer has checked its inputs.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let steps = inputs[0].sizes.first().copied().unwrap_or(Axis::Open);
        Ok(TensorType::batched([steps, Axis::Known(self.features)]))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Steps
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        let steps = |index: usize| inputs.get(index).and_then(|input| input.sizes.first()?.known()).unwrap_or(0);
        product([2, steps(0), steps(usize::from(self.memory)), self.features]) as u64
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let (q, kv) = (inputs[0], inputs[usize::from(self.memory)]);
        let mask = inputs.get(1 + usize::from(self.memory));
        let first = if self.memory { 0 } else { self.features };
        let (batch, queries, keys) = (q.shape()[0], q.shape()[1], kv.shape()[1]);
        let depth = self.features / self.heads;
        let mut y = ArrayD::zeros(IxDyn(&[batch, queries, self.features]));
        for (image, query, head) in ndarray::indices((batch, queries, self.heads)) {
            let unmasked = |key: usize| match mask {
                Some(mask) if mask.ndim() == 2 => mask[[image, key]] != 0.0,
                Some(mask) => mask[[image, query, key]] != 0.0,
                None => true,
            };
            let channels = head * depth..(head + 1) * depth;
            let score = |key: usize| {
                let dot: f64 = channels.clone().map(|c| q[[image, query, c]] * kv[[image, key, first + c]]).sum();
                dot / (depth as f64).sqrt()
            };
            let seen: Vec<usize> = (0..keys).filter(|&key| unmasked(key) && (!self.causal || key <= query)).collect();
            let scores: Vec<f64> = seen.iter().map(|&key| score(key)).collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - max).exp()).sum();
            for (&key, score) in seen.iter().zip(&scores) {
                let weight = (score - max).exp() / total;
                for c in channels.clone() {
                    y[[image, query, c]] += weight * kv[[image, key, first + self.features + c]];
                }
            }
        }
        y
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::Step(Kernel::Attention(self.step(&cx.inputs)?)))
    }

    /// Drops scores, except for a frozen layer.
    fn train(&self, cx: &mut Forward<'_>) -> Result<NodeId, String> {
        if self.dropout == 0.0 || cx.frozen {
            return cx.add_unchanged();
        }
        let sizes: Vec<Vec<usize>> = (0..cx.inputs.len()).map(|input| cx.sizes(input)).collect();
        let layer = self.step(&sizes)?;
        let output = TensorType::of(&[layer.size.queries, self.features]);
        let dropout = DropScores { proba: self.dropout as f32, seed: cx.seed, layer: cx.layer_index };
        let step = Lowered::Step(Kernel::AttentionDropout(AttentionDropoutStep { layer, dropout }));
        let (inputs, update) = (cx.inputs.clone(), cx.update);
        let node = cx.add_step("", output, step, &inputs, &[update], 0);
        Ok(cx.record(node, vec![node]))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let lowering = cx.lowering();
        let layer = self.step(&lowering.inputs)?;
        let forward = cx.layer.saved.first().map(|&node| &cx.graph.node(node).operation);
        let dropout = match forward.and_then(|operation| operation.lower(&lowering).ok()) {
            Some(Lowered::Step(Kernel::AttentionDropout(step))) => Some(step.dropout),
            _ => None,
        };
        let parameters: Vec<_> = dropout.map(|_| cx.update).into_iter().collect();
        let from: Vec<NodeId> = cx.layer.inputs.iter().copied().chain([cx.gradient]).collect();
        let by: &[By] = if self.memory { &[By::Queries, By::Memory] } else { &[By::All] };
        for (input, &by) in by.iter().enumerate() {
            let step = AttentionGradientStep { layer: layer.clone(), by, dropout };
            cx.grad_input(input, Kernel::AttentionGradient(step), &from, &parameters);
        }
        Ok(())
    }

    fn arity(&self) -> Arity {
        Arity::Many
    }

    fn is_stochastic(&self) -> bool {
        self.dropout > 0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
