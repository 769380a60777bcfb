//! Equal subgraphs merge.

use super::{Pass, drop_unused, redirect};
use crate::graph::{Graph, NodeId, ParameterId};
use std::collections::HashMap;

pub const PASS: Pass = Pass {
    name: "equal",
    explain: "Two layers of the same kind and settings, with the same inputs and the same parameters, give the same: the second \
        goes. Layers with parameters of their own are never the same.",
    run,
};

type Key = (&'static str, String, Vec<NodeId>, Vec<ParameterId>);

fn run(mut graph: Graph) -> Graph {
    let mut first: HashMap<Key, NodeId> = HashMap::new();
    redirect(&mut graph, |id, node| {
        if node.inputs.is_empty() {
            return None;
        }
        let settings = format!("{:?}{:?}", node.operation.settings(), node.epilogue);
        let key = (node.operation.definition().name, settings, node.inputs.clone(), node.parameters.clone());
        let earlier = *first.entry(key).or_insert(id);
        (earlier != id).then_some(earlier)
    });
    drop_unused(graph)
}
