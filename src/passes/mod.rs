//! Passes: each takes a graph and gives one that computes the same with fewer or cheaper steps. The list says their order.

mod common_subgraphs;
mod dead_code;
mod fold_batch_norm;
mod fuse_epilogue;
mod fuse_residual;
mod remove_identity;

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
    dead_code::PASS,
    remove_identity::PASS,
    common_subgraphs::PASS,
    fold_batch_norm::PASS,
    fuse_residual::PASS,
    fuse_epilogue::ACTIVATION,
    fuse_epilogue::POOL,
    fuse_epilogue::SOFTMAX,
];

/// The passes for a step of training, and for telling its loss: what is trained is not folded.
pub static TRAINING: &[Pass] = &[
    remove_identity::PASS,
    fold_batch_norm::FROZEN,
    fuse_residual::PASS,
    fuse_epilogue::ACTIVATION,
    fuse_epilogue::SOFTMAX,
];

/// The graph for training: every pass, one after the other.
pub fn optimize_training(graph: Graph) -> Graph {
    TRAINING.iter().fold(graph, |graph, pass| (pass.run)(graph))
}

/// The graph for inference: every pass, one after the other.
pub fn optimize(graph: Graph) -> Graph {
    INFERENCE.iter().fold(graph, |graph, pass| (pass.run)(graph))
}

/// Asks of each node, in order, for an earlier one that gives the same: whatever takes its output takes that one's.
fn redirect(graph: &mut Graph, mut same: impl FnMut(NodeId, &Node) -> Option<NodeId>) {
    let mut taken: Vec<NodeId> = graph.ids().collect();
    for id in graph.ids() {
        graph.nodes[id.0].inputs.iter_mut().for_each(|input| *input = taken[input.0]);
        if let Some(earlier) = same(id, graph.node(id)) {
            taken[id.0] = earlier;
        }
    }
    graph.outputs.iter_mut().for_each(|output| *output = taken[output.0]);
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

/// How often each node's output is taken, while nodes are merged.
struct Uses(Vec<usize>);

impl Uses {
    fn of(graph: &Graph) -> Self {
        let mut uses = Uses(vec![0; graph.nodes.len()]);
        graph.nodes.iter().for_each(|node| uses.add(node));
        // What the net gives is nobody's alone.
        graph.outputs.iter().for_each(|output| uses.0[output.0] += 2);
        uses
    }

    fn add(&mut self, node: &Node) {
        node.inputs.iter().for_each(|input| self.0[input.0] += 1);
    }

    /// Whether a node's output goes to one place only, and that is another node.
    fn is_once(&self, id: NodeId) -> bool {
        self.0[id.0] == 1
    }
}

/// Puts a producer, changed, in the place of its consumer: the consumer is swallowed.
fn swallow(graph: &mut Graph, uses: &mut Uses, producer: NodeId, consumer: NodeId, change: impl FnOnce(&mut Node)) {
    let mut node = graph.node(producer).clone();
    let swallowed = graph.node(consumer);
    node.output = swallowed.output.clone();
    node.swallowed.push(swallowed.name.clone());
    node.swallowed.extend(swallowed.swallowed.iter().cloned());
    change(&mut node);
    swallowed.inputs.iter().for_each(|input| uses.0[input.0] -= 1);
    uses.add(&node);
    graph.nodes[consumer.0] = node;
}
