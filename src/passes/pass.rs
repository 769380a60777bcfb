//! A pass, and the changes of a graph that passes share.

use crate::graph::{Graph, Node, NodeId};

/// A pass.
#[derive(Debug)]
pub struct Pass {
    pub name: &'static str,
    /// What it does, and why the outputs stay the same.
    pub explain: &'static str,
    pub run: fn(Graph) -> Graph,
}

impl Pass {
    /// Runs the pass. Debug builds verify the result.
    pub fn apply(&self, graph: Graph) -> Graph {
        let graph = (self.run)(graph);
        graph.debug_verify(self.name);
        graph
    }
}

/// Replaces uses of nodes: `equal` is asked for each node, in order, for an earlier node with the same output, which its
/// consumers then read.
pub(super) fn replace_uses(graph: &mut Graph, mut equal: impl FnMut(NodeId, &Node) -> Option<NodeId>) {
    let mut replacement: Vec<NodeId> = graph.ids().collect();
    for id in graph.ids() {
        graph.nodes[id.0].inputs.iter_mut().for_each(|input| *input = replacement[input.0]);
        if let Some(earlier) = equal(id, graph.node(id)) {
            replacement[id.0] = earlier;
        }
    }
    graph.outputs.iter_mut().for_each(|output| *output = replacement[output.0]);
}

/// Removes nodes that no output depends on and that change no parameter. The net's inputs stay, so its signature does too.
pub(super) fn remove_dead_nodes(mut graph: Graph) -> Graph {
    let changing = graph.ids().filter(|&id| graph.node(id).operation.changes() > 0);
    let roots: Vec<NodeId> = graph.outputs.iter().copied().chain(changing).collect();
    let mut keep = graph.ancestors(&roots);
    for input in graph.inputs() {
        keep[input.0] = true;
    }
    graph.retain(&keep);
    graph
}

/// How many uses each node's output has, kept up to date while nodes are fused.
pub(super) struct UseCounts(Vec<usize>);

impl UseCounts {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut uses = UseCounts(vec![0; graph.nodes.len()]);
        graph.nodes.iter().for_each(|node| uses.add(node));
        // An output of the net has no single consumer, even if one node reads it.
        graph.outputs.iter().for_each(|output| uses.0[output.0] += 2);
        uses
    }

    pub(super) fn add(&mut self, node: &Node) {
        node.inputs.iter().for_each(|input| self.0[input.0] += 1);
    }

    /// Whether exactly one node reads a node's output, and it is no output of the net.
    pub(super) fn is_single(&self, id: NodeId) -> bool {
        self.0[id.0] == 1
    }
}

/// Fuses a consumer into its producer: the producer, changed by `change`, takes the consumer's position.
pub(super) fn fuse_into(
    graph: &mut Graph,
    uses: &mut UseCounts,
    producer: NodeId,
    consumer: NodeId,
    change: impl FnOnce(&mut Node),
) {
    let mut node = graph.node(producer).clone();
    let fused = graph.node(consumer);
    node.output = fused.output.clone();
    node.fused_layers.push(fused.name.clone());
    node.fused_layers.extend(fused.fused_layers.iter().cloned());
    change(&mut node);
    fused.inputs.iter().for_each(|input| uses.0[input.0] -= 1);
    uses.add(&node);
    graph.nodes[consumer.0] = node;
}
