//! Residual additions fuse into the convolution before them.

use super::{Pass, Uses, drop_unused, swallow};
use crate::graph::{Graph, NodeId};

pub const PASS: Pass = Pass {
    name: "residual",
    explain: "A sum of two branches, one of which ends in a convolution that nothing else takes, is done where the convolution \
        stores its result: the other branch becomes an input of the convolution.",
    run,
};

fn run(mut graph: Graph) -> Graph {
    let mut uses = Uses::of(&graph);
    for id in graph.ids() {
        let node = graph.node(id);
        let [a, b] = node.inputs[..] else { continue };
        let equal = graph.node(a).output == graph.node(b).output && a != b;
        if !node.operation.adds() || !node.epilogue.is_empty() || !equal {
            continue;
        }
        let takes = |producer: &NodeId| {
            let before = graph.node(*producer);
            before.operation.supports().residual && before.epilogue.is_empty() && uses.is_once(*producer)
        };
        // The later one, so that the other branch is there already.
        let (first, second) = if a > b { (a, b) } else { (b, a) };
        let Some(producer) = [first, second].into_iter().find(takes) else { continue };
        let other = if producer == a { b } else { a };
        swallow(&mut graph, &mut uses, producer, id, |node| {
            node.inputs.push(other);
            node.epilogue.residual = true;
        });
    }
    drop_unused(graph)
}
