//! Layers that rest at inference go.

use super::{Pass, drop_unused, redirect};
use crate::graph::Graph;

pub const PASS: Pass = Pass {
    name: "rest",
    explain: "Dropout, noise and Identity let their input through at inference, and an Input in the middle of a chain has been \
        checked: whatever takes their output takes their input.",
    run,
};

fn run(mut graph: Graph) -> Graph {
    redirect(&mut graph, |_, node| match node.inputs[..] {
        [input] if node.operation.is_identity_at_inference() => Some(input),
        _ => None,
    });
    drop_unused(graph)
}
