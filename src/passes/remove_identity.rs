//! Removal of layers that do nothing at inference.

use super::pass::{Pass, remove_dead_nodes, replace_uses};
use crate::graph::Graph;

pub const PASS: Pass = Pass {
    name: "remove_identity",
    explain: "Dropout, noise and Identity pass their input through at inference, and an Input inside a net has been checked: their \
        consumers read their input instead.",
    run,
};

fn run(mut graph: Graph) -> Graph {
    replace_uses(&mut graph, |_, node| match node.inputs[..] {
        [input] if node.operation.fusion_role().is_identity() => Some(input),
        _ => None,
    });
    remove_dead_nodes(graph)
}
