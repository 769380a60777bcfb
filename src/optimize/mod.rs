//! Passes: each takes a graph and gives one that computes the same with fewer or cheaper steps. The list says their order.

mod dead;
mod epilogue;
mod equal;
mod norm;
mod residual;
mod rest;

use crate::graph::{Graph, Node, NodeId};

/// A pass.
#[derive(Debug)]
pub struct Pass {
    pub name: &'static str,
    /// What it does and why the outputs stay the same.
    pub explain: &'static str,
    pub run: fn(Graph) -> Graph,
}

/// The passes for inference, in order.
pub static INFERENCE: &[Pass] = &[
    dead::PASS,
    rest::PASS,
    equal::PASS,
    norm::PASS,
    residual::PASS,
    epilogue::ACTIVATION,
    epilogue::POOL,
    epilogue::SOFTMAX,
];

/// The passes for a step of training, and for telling its loss: what is trained is not folded.
pub static TRAINING: &[Pass] = &[rest::PASS, norm::FROZEN, residual::PASS, epilogue::ACTIVATION, epilogue::SOFTMAX];

/// The graph for training: every pass, one after the other.
pub fn optimize_training(graph: Graph) -> Graph {
    TRAINING.iter().fold(graph, |graph, pass| (pass.run)(graph))
}

/// The graph for inference: every pass, one after the other.
pub fn optimize(graph: Graph) -> Graph {
    INFERENCE.iter().fold(graph, |graph, pass| (pass.run)(graph))
}

/// Lets everything that takes the output of `from` take that of `to`.
fn redirect(graph: &mut Graph, from: NodeId, to: NodeId) {
    let inputs = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
    inputs.chain(&mut graph.outputs).filter(|id| **id == from).for_each(|id| *id = to);
}

/// Drops nodes that lead to no output and change nothing; inputs of the net stay, so that its signature does.
fn drop_unused(mut graph: Graph) -> Graph {
    let changing = graph.ids().filter(|&id| graph.node(id).operation.changes() > 0);
    let roots: Vec<NodeId> = graph.outputs.iter().copied().chain(changing).collect();
    let mut keep = graph.ancestors(&roots);
    for input in graph.inputs() {
        keep[input.0] = true;
    }
    graph.retain(&keep);
    graph
}

/// Whether a node's output goes to one place only, and that is another node.
fn has_one_consumer(graph: &Graph, id: NodeId) -> bool {
    let taken = graph.nodes.iter().flat_map(|node| &node.inputs).filter(|input| **input == id).count();
    taken == 1 && !graph.outputs.contains(&id)
}

/// Puts a producer, changed, in the place of its consumer: the consumer is swallowed.
fn swallow(graph: &mut Graph, producer: NodeId, consumer: NodeId, change: impl FnOnce(&mut Node)) {
    let mut node = graph.node(producer).clone();
    let swallowed = graph.node(consumer);
    node.output = swallowed.output.clone();
    node.swallowed.push(swallowed.name.clone());
    node.swallowed.extend(swallowed.swallowed.iter().cloned());
    change(&mut node);
    graph.nodes[consumer.0] = node;
}
