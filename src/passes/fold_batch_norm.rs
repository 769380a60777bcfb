//! Batch normalisation folds into the layer before it.

use super::{Pass, Uses, drop_unused, swallow};
use crate::graph::{Derivation, Graph, Node, NodeId, Parameter, ParameterId};
use std::sync::Arc;

pub const PASS: Pass = Pass {
    name: "norm",
    explain: "At inference batch normalisation is a scale and a shift per channel. Behind a convolution or dense layer the scale is \
        multiplied into the weights and the shift joins the bias, in f64 when the constants are made: (x W + b) s + t = x (W s) + (b s + t).",
    run: |graph| fold_all(graph, |_| true),
};

/// The same for layers that training leaves as they are.
pub const FROZEN: Pass = Pass {
    name: "frozen norm",
    explain: "The same, in training: only where neither the layer nor the normalisation is trained.",
    run: |graph| fold_all(graph, |node| node.frozen),
};

fn fold_all(mut graph: Graph, may: fn(&Node) -> bool) -> Graph {
    let mut uses = Uses::of(&graph);
    for id in graph.ids() {
        let node = graph.node(id);
        let [producer] = node.inputs[..] else { continue };
        let before = graph.node(producer);
        let fits = node.operation.affine().is_some()
            && before.operation.supports().affine
            && before.epilogue.is_empty()
            && may(node)
            && may(before)
            && uses.is_once(producer);
        if let (true, Some(operation)) = (fits, before.operation.with_bias()) {
            let parameters = fold(&mut graph, producer, id);
            swallow(&mut graph, &mut uses, producer, id, |node| {
                node.operation = operation;
                node.parameters = parameters;
            });
        }
    }
    drop_unused(graph)
}

/// Weight and bias of a producer with the scale and shift of the normalisation behind it.
fn fold(graph: &mut Graph, producer: NodeId, norm: NodeId) -> Vec<ParameterId> {
    let (before, after) = (graph.node(producer), graph.node(norm));
    let weight = before.parameters[0];
    let bias = before.parameters.get(1).copied();
    let (operation, parameters) = (after.operation.clone(), after.parameters.clone());
    let layer = before.name.clone();
    let base = graph.parameters[weight.0].clone();
    let filters = base.shape.last().copied().unwrap_or(0);
    let derive = |role, shape, derivation| Parameter {
        layer: layer.clone(),
        role,
        shape,
        derived: Some(derivation),
        ..base.clone()
    };
    let scaled = Derivation::ScaledWeight { weight, norm: Arc::clone(&operation), parameters: parameters.clone() };
    let shifted = Derivation::ShiftedBias { bias, norm: operation, parameters };
    let folded = [derive("weight", base.shape.clone(), scaled), derive("bias", vec![filters], shifted)];
    let first = graph.parameters.len();
    graph.parameters.extend(folded);
    vec![ParameterId(first), ParameterId(first + 1)]
}
