//! Decomposition of layers that are defined as several others.

use super::pass::Pass;
use crate::graph::type_inference::infer;
use crate::graph::{Epilogue, Graph, Node, NodeId};
use crate::tensor::TensorType;

pub const PASS: Pass = Pass {
    name: "decompose",
    explain: "A layer that is defined as several others becomes those layers, which take its parameters: a separable convolution a \
        depthwise and a 1x1 convolution, attention its projections and the products between them. Later passes fuse each of them with \
        its neighbours.",
    run,
};

fn run(mut graph: Graph) -> Graph {
    let nodes = std::mem::take(&mut graph.nodes);
    let mut new_ids: Vec<NodeId> = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        node.inputs.iter_mut().for_each(|input| *input = new_ids[input.0]);
        new_ids.push(add(&mut graph, node));
    }
    graph.outputs.iter_mut().for_each(|output| *output = new_ids[output.0]);
    graph
}

/// Adds a node, or the nodes of its parts. Returns the one that gives its output.
fn add(graph: &mut Graph, node: Node) -> NodeId {
    let first = graph.nodes.len();
    match parts(graph, &node) {
        Some(last) => last,
        None => {
            graph.nodes.truncate(first);
            graph.nodes.push(node);
            NodeId(first)
        }
    }
}

/// Adds the nodes of a node's parts; `None` if it has none.
fn parts(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    if node.inputs.is_empty() || !node.epilogue.is_empty() {
        return None;
    }
    let types: Vec<&TensorType> = node.inputs.iter().map(|&input| &graph.node(input).output).collect();
    let parts = node.operation.decompose(&types)?;
    let mut ids: Vec<NodeId> = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let inputs = part.input_nodes(&node.inputs, &ids);
        let types: Vec<&TensorType> = inputs.iter().map(|&input| &graph.node(input).output).collect();
        // Of open sizes, the parameters of a part may depend on one that the layer knows.
        let (output, _) = infer(&*part.operation, &types).ok()?;
        let part = Node {
            name: part.node_name(&node.name, index + 1 == parts.len()),
            operation: part.operation.clone(),
            inputs,
            parameters: part.parameter_ids(&node.parameters),
            output,
            epilogue: Epilogue::default(),
            precision: node.precision,
            frozen: node.frozen,
            origin: node.origin.clone(),
            fused_layers: Vec::new(),
            cuts: Vec::new(),
        };
        ids.push(add(graph, part));
    }
    ids.last().copied()
}
