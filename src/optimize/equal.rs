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
    for id in graph.ids() {
        let node = graph.node(id);
        if node.inputs.is_empty() {
            continue;
        }
        let settings = format!("{:?}{:?}", node.operation.settings(), node.epilogue);
        let key = (node.operation.definition().name, settings, node.inputs.clone(), node.parameters.clone());
        match first.get(&key) {
            Some(&earlier) => redirect(&mut graph, id, earlier),
            None => {
                first.insert(key, id);
            }
        }
    }
    drop_unused(graph)
}
