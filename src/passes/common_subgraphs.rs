//! Common subgraph elimination.

use super::pass::{Pass, remove_dead_nodes, replace_uses};
use crate::graph::{Graph, NodeId, ParameterId};
use std::collections::HashMap;

pub const PASS: Pass = Pass {
    name: "common_subgraphs",
    explain: "Two layers of the same kind and settings, with the same inputs and the same parameters, have the same output: the \
        second is removed. Layers with different parameters are never equal.",
    run,
};

type Key = (&'static str, String, Vec<NodeId>, Vec<ParameterId>);

fn run(mut graph: Graph) -> Graph {
    let mut first: HashMap<Key, NodeId> = HashMap::new();
    replace_uses(&mut graph, |id, node| {
        if node.inputs.is_empty() {
            return None;
        }
        let settings = format!("{:?}{:?}", node.operation.settings(), node.epilogue);
        let key = (node.operation.definition().name, settings, node.inputs.clone(), node.parameters.clone());
        let earlier = *first.entry(key).or_insert(id);
        (earlier != id).then_some(earlier)
    });
    remove_dead_nodes(graph)
}
