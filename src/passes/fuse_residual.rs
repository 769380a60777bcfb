//! Fusion of residual additions into the convolution before them.

use super::pass::{Pass, UseCounts, fuse_into, remove_dead_nodes};
use crate::graph::{FusionRole, Graph, NodeId};

pub const PASS: Pass = Pass {
    name: "fuse_residual",
    explain: "A sum of two branches, one of which ends in a convolution whose output nothing else reads, is computed in the \
        convolution's epilogue: the other branch becomes an input of the convolution.",
    run,
};

fn run(mut graph: Graph) -> Graph {
    let mut uses = UseCounts::of(&graph);
    for id in graph.ids() {
        let node = graph.node(id);
        let [a, b] = node.inputs[..] else { continue };
        let equal = graph.node(a).output == graph.node(b).output && a != b;
        let is_sum = matches!(node.operation.fusion_role(), FusionRole::Sum);
        if !is_sum || !node.epilogue.is_empty() || !equal {
            continue;
        }
        let fuses = |producer: &NodeId| {
            let before = graph.node(*producer);
            before.operation.supports().residual && before.epilogue.is_empty() && uses.is_single(*producer)
        };
        // The later one first: the other branch is computed before it.
        let (first, second) = if a > b { (a, b) } else { (b, a) };
        let Some(producer) = [first, second].into_iter().find(fuses) else { continue };
        let other = if producer == a { b } else { a };
        fuse_into(&mut graph, &mut uses, producer, id, |node| {
            node.inputs.push(other);
            node.epilogue.residual = true;
        });
    }
    remove_dead_nodes(graph)
}
