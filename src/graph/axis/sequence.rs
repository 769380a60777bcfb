//! Sequences: the file's framework has them as (features, steps) for some layers and as (steps, features) for others.

use super::{AxisRule, Order};
use crate::graph::disjoint_sets::DisjointSets;
use crate::graph::{Graph, NodeId};
use crate::tensor::TensorType;
use std::sync::Arc;

/// The layers around a sequence, one of each convention.
#[derive(Clone, Copy, Debug, Default)]
struct Neighbours {
    features_first: Option<NodeId>,
    steps_first: Option<NodeId>,
}

/// Which of the two a layer is.
#[derive(Clone, Copy, Debug)]
enum Convention {
    FeaturesFirst,
    StepsFirst,
}

impl AxisRule {
    /// The order in which it has the sequences around it; `None` if it takes both.
    fn convention(&self) -> Option<Convention> {
        match self {
            AxisRule::AlongTime | AxisRule::AlongTimeInPlace => Some(Convention::FeaturesFirst),
            AxisRule::Steps | AxisRule::StepsInPlace | AxisRule::Sequence => Some(Convention::StepsFirst),
            _ => None,
        }
    }

    /// Whether its output stands in the order of its inputs, or is brought back into it.
    fn keeps_order(&self) -> bool {
        match self {
            AxisRule::Pointwise
            | AxisRule::Mixture { .. }
            | AxisRule::Channels
            | AxisRule::Slice { .. }
            | AxisRule::Concatenate { .. }
            | AxisRule::AlongTimeInPlace
            | AxisRule::StepsInPlace => true,
            AxisRule::Unknown
            | AxisRule::Image
            | AxisRule::AlongTime
            | AxisRule::Features
            | AxisRule::Sequence
            | AxisRule::Steps
            | AxisRule::Reshape
            | AxisRule::Transpose(_)
            | AxisRule::Reduce => false,
        }
    }
}

pub(super) fn is_sequence(of: &TensorType) -> bool {
    of.sizes.len() == 2
}

/// For each layer whose output is a sequence, the order that the layers around it give that; `None` if none of them shows it.
/// What elementwise layers, merges and normalisations join is one sequence.
pub(super) fn orders(graph: &Graph, rules: &[AxisRule]) -> Vec<Option<Order>> {
    let mut groups = DisjointSets::new(graph.nodes.len());
    for id in graph.ids().filter(|id| rules[id.0].keeps_order() && is_sequence(&graph.node(*id).output)) {
        for &input in graph.node(id).inputs.iter().filter(|input| is_sequence(&graph.node(**input).output)) {
            groups.join(input.0, id.0);
        }
    }
    let mut around = vec![Neighbours::default(); graph.nodes.len()];
    for id in graph.ids() {
        let node = graph.node(id);
        // What a pool reduces to one step has no order, and the pool takes it in both.
        let Some(convention) = rules[id.0].convention() else { continue };
        if matches!(convention, Convention::FeaturesFirst) && !is_sequence(&node.output) {
            continue;
        }
        for &tensor in node.inputs.iter().chain([&id]).filter(|tensor| is_sequence(&graph.node(**tensor).output)) {
            let neighbours = &mut around[groups.first(tensor.0)];
            match convention {
                Convention::FeaturesFirst => neighbours.features_first.get_or_insert(id),
                Convention::StepsFirst => neighbours.steps_first.get_or_insert(id),
            };
        }
    }
    let name = |id: NodeId| &graph.node(id).name;
    let order = |id: NodeId| match around[groups.first(id.0)] {
        Neighbours { features_first: Some(features), steps_first: Some(steps) } => Some(Order::Turned(Arc::from(
            format!("(features, steps) at `{}` and (steps, features) at `{}`", name(features), name(steps)),
        ))),
        Neighbours { features_first: Some(_), .. } => Some(Order::ChannelsFirst),
        Neighbours { steps_first: Some(_), .. } => Some(Order::Same),
        Neighbours { .. } => None,
    };
    graph.ids().map(|id| is_sequence(&graph.node(id).output).then(|| order(id)).flatten()).collect()
}
