//! Constant folding of batch normalisation into the layer before it.

use super::pass::{Pass, UseCounts, fuse_into, remove_dead_nodes};
use crate::graph::{Derivation, Graph, Node, NodeId, Parameter, ParameterId, ParameterKind};
use std::sync::Arc;

pub const PASS: Pass = Pass {
    name: "fold_batch_norm",
    explain: "At inference batch normalisation is a scale and a shift per channel. After a convolution or dense layer the scale is \
        folded into the weights and the shift into the bias, in f64 when the constants are made: (x W + b) s + t = x (W s) + (b s + t).",
    run: |graph| fold_all(graph, |_| true),
};

/// The same, for frozen layers of a training step.
pub const FROZEN: Pass = Pass {
    name: "fold_frozen_batch_norm",
    explain: "As fold_batch_norm, in a training step: only if both the layer and the normalisation are frozen.",
    run: |graph| fold_all(graph, |node| node.frozen),
};

fn fold_all(mut graph: Graph, is_constant: fn(&Node) -> bool) -> Graph {
    let mut uses = UseCounts::of(&graph);
    for id in graph.ids() {
        let node = graph.node(id);
        let [producer] = node.inputs[..] else { continue };
        let before = graph.node(producer);
        let folds = node.operation.fusion_role().affine().is_some()
            && before.epilogue.is_empty()
            && is_constant(node)
            && is_constant(before)
            && uses.is_single(producer);
        if let (true, Some(operation)) = (folds, before.operation.with_foldable_bias()) {
            let parameters = fold(&mut graph, producer, id);
            fuse_into(&mut graph, &mut uses, producer, id, |node| {
                node.operation = operation;
                node.parameters = parameters;
            });
        }
    }
    remove_dead_nodes(graph)
}

/// Adds the weight and bias of a producer with the scale and shift of the normalisation after it. Returns their ids.
fn fold(graph: &mut Graph, producer: NodeId, norm: NodeId) -> Vec<ParameterId> {
    let (before, after) = (graph.node(producer), graph.node(norm));
    let weight = before.parameters[0];
    let bias = before.parameters.get(1).copied();
    let (operation, parameters) = (after.operation.clone(), after.parameters.clone());
    let layer = before.name.clone();
    let base = graph.parameters[weight.0].clone();
    let filters = base.shape.get(base.output_axis()).copied().unwrap_or(0);
    let derive = |role, kind, shape, derivation| Parameter {
        layer: layer.clone(),
        role,
        kind,
        shape,
        derived: Some(derivation),
        ..base.clone()
    };
    let scaled = Derivation::ScaledWeight { weight, norm: Arc::clone(&operation), parameters: parameters.clone() };
    let shifted = Derivation::ShiftedBias { bias, norm: operation, parameters };
    let folded = [
        derive("weight", base.kind, base.shape.clone(), scaled),
        derive("bias", ParameterKind::Vector, vec![filters], shifted),
    ];
    let first = graph.parameters.len();
    graph.parameters.extend(folded);
    vec![ParameterId(first), ParameterId(first + 1)]
}
