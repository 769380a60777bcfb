//! Fusion of activations, pools and softmax into the epilogue of the layer before them, so that each result is written once.

use super::pass::{Pass, UseCounts, fuse_into, remove_dead_nodes};
use crate::graph::{Epilogue, FusionRole, Graph, Node};
use crate::kernels::elementwise::activation::Activation;

pub const ACTIVATION: Pass = Pass {
    name: "fuse_activation",
    explain: "An elementwise function after a layer whose output nothing else reads is applied before the layer stores its result.",
    run: |graph| {
        fuse(graph, |before, after| {
            let FusionRole::Activation(activation) = after.operation.fusion_role() else { return None };
            let is_free =
                before.epilogue.activation == Activation::Linear && !before.epilogue.pool && !before.epilogue.softmax;
            let fuses = before.operation.supports().activation && is_free;
            fuses.then_some(Epilogue { activation, ..before.epilogue })
        })
    },
};

pub const POOL: Pass = Pass {
    name: "fuse_pool",
    explain: "The maximum over 2x2 pixels without overlap is taken before a convolution stores its result: a quarter of the writes.",
    run: |graph| {
        fuse(graph, |before, after| {
            // Along a sequence it is a maximum over two steps.
            let is_image = before.output.image().is_some();
            let is_pool = is_image && matches!(after.operation.fusion_role(), FusionRole::MaxPool2x2);
            let fuses = is_pool && before.operation.supports().pool && !before.epilogue.pool;
            fuses.then_some(Epilogue { pool: true, ..before.epilogue })
        })
    },
};

pub const SOFTMAX: Pass = Pass {
    name: "fuse_softmax",
    explain: "A softmax after a dense layer is computed on the rows that the layer has just stored.",
    run: |graph| {
        fuse(graph, |before, after| {
            let is_softmax = matches!(after.operation.fusion_role(), FusionRole::Softmax);
            let fuses = is_softmax && before.operation.supports().softmax && before.epilogue.is_empty();
            fuses.then_some(Epilogue { softmax: true, ..before.epilogue })
        })
    },
};

/// Fuses each node into its only input if `fused` returns the epilogue that does the same.
fn fuse(mut graph: Graph, fused: fn(&Node, &Node) -> Option<Epilogue>) -> Graph {
    let mut uses = UseCounts::of(&graph);
    for id in graph.ids() {
        let node = graph.node(id);
        let [producer] = node.inputs[..] else { continue };
        if !node.epilogue.is_empty() || !uses.is_single(producer) {
            continue;
        }
        if let Some(epilogue) = fused(graph.node(producer), node) {
            fuse_into(&mut graph, &mut uses, producer, id, |node| node.epilogue = epilogue);
        }
    }
    remove_dead_nodes(graph)
}
