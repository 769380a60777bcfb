//! Activations, pools and softmax fuse into the layer before them, so that each result is written once.

use super::{Pass, Uses, drop_unused, swallow};
use crate::graph::{Epilogue, Graph, Node};
use crate::kernels::elementwise::activation::Activation;

pub const ACTIVATION: Pass = Pass {
    name: "activation",
    explain: "An elementwise function behind a layer that nothing else takes is applied before the layer stores its result.",
    run: |graph| {
        fuse(graph, |before, after| {
            let activation = after.operation.activation()?;
            let free =
                before.epilogue.activation == Activation::Linear && !before.epilogue.pool && !before.epilogue.softmax;
            let fits = before.operation.supports().activation && free;
            fits.then_some(Epilogue { activation, ..before.epilogue })
        })
    },
};

pub const POOL: Pass = Pass {
    name: "pool",
    explain: "The maximum over 2x2 pixels without overlap is taken before a convolution stores its result: a quarter of the writes.",
    run: |graph| {
        fuse(graph, |before, after| {
            let fits = after.operation.is_pool_2x2() && before.operation.supports().pool && !before.epilogue.pool;
            fits.then_some(Epilogue { pool: true, ..before.epilogue })
        })
    },
};

pub const SOFTMAX: Pass = Pass {
    name: "softmax",
    explain: "A softmax behind a dense layer is computed on the rows that the layer has just stored.",
    run: |graph| {
        fuse(graph, |before, after| {
            let fits = after.operation.is_softmax() && before.operation.supports().softmax;
            (fits && before.epilogue.is_empty()).then_some(Epilogue { softmax: true, ..before.epilogue })
        })
    },
};

/// Merges each node into its only input where `merged` gives the epilogue that does the same.
fn fuse(mut graph: Graph, merged: fn(&Node, &Node) -> Option<Epilogue>) -> Graph {
    let mut uses = Uses::of(&graph);
    for id in graph.ids() {
        let node = graph.node(id);
        let [producer] = node.inputs[..] else { continue };
        if !node.epilogue.is_empty() || !uses.is_once(producer) {
            continue;
        }
        if let Some(epilogue) = merged(graph.node(producer), node) {
            swallow(&mut graph, &mut uses, producer, id, |node| node.epilogue = epilogue);
        }
    }
    drop_unused(graph)
}
