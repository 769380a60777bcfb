//! Fusion of the slope of a rectifier into the gradients of the batch normalisation before it.

use super::{Pass, remove_dead_nodes};
use crate::graph::training::LoweredOp;
use crate::graph::{Graph, NodeId};
use crate::kernels::norm::batch_norm::kinks;
use crate::plan::Kernel;
use std::sync::Arc;

pub const PASS: Pass = Pass {
    name: "fuse_slope",
    explain: "The slope of a rectifier after a batch normalisation is 0 or 1, by the sign of what is normalised: the gradients of \
        the normalisation compute it again, and the gradient before the rectifier is not written.",
    run,
};

fn run(mut graph: Graph) -> Graph {
    let consumers = graph.consumers();
    for id in graph.ids() {
        let Some((dy, norm)) = slope_of_norm(&graph, id) else { continue };
        let readers = &consumers[id.0];
        let reads = |&reader: &NodeId| reads_slope(&graph, reader, id, norm);
        if graph.outputs.contains(&id) || readers.is_empty() || !readers.iter().all(reads) {
            continue;
        }
        let (parameters, activation) = (graph.node(norm).parameters.clone(), graph.node(norm).epilogue.activation);
        let Some(specs) = LoweredOp::of(graph.node(norm)).map(|norm| norm.parameter_specs().to_vec()) else { continue };
        let slope = graph.node(id).name.clone();
        for &reader in readers {
            let Some(kernel) = kernel_of(&graph, reader) else { continue };
            let mut kernel = kernel.clone();
            match &mut kernel {
                Kernel::ScaleGradient(step) => step.activation = activation,
                Kernel::BatchNormGradient(step) => step.activation = activation,
                _ => {}
            }
            let node = &mut graph.nodes[reader.0];
            node.operation = Arc::new(LoweredOp::new(node.output.clone(), kernel, specs.clone()));
            node.parameters.clone_from(&parameters);
            node.inputs[1] = dy;
        }
        graph.nodes[readers[0].0].fused_layers.push(slope);
    }
    remove_dead_nodes(graph)
}

fn kernel_of(graph: &Graph, id: NodeId) -> Option<&Kernel> {
    LoweredOp::of(graph.node(id))?.kernel()
}

/// For the gradient of a rectifier that a batch normalisation ends in: the gradient behind it, and the normalisation.
fn slope_of_norm(graph: &Graph, id: NodeId) -> Option<(NodeId, NodeId)> {
    let (Kernel::ActivationGradient(step), [dy, y]) = (kernel_of(graph, id)?, &graph.node(id).inputs[..]) else {
        return None;
    };
    let is_norm = matches!(kernel_of(graph, *y), Some(Kernel::BatchNorm(_)));
    let fits = kinks(step.activation).is_some() && graph.node(*y).epilogue.activation == step.activation;
    (is_norm && fits).then_some((*dy, *y))
}

/// Whether a node is a gradient of the normalisation that can take the slope's input instead of its output.
fn reads_slope(graph: &Graph, reader: NodeId, slope: NodeId, norm: NodeId) -> bool {
    let [x, statistics] = graph.node(norm).inputs[..] else { return false };
    let is_gradient = matches!(kernel_of(graph, reader), Some(Kernel::ScaleGradient(_) | Kernel::BatchNormGradient(_)));
    is_gradient && graph.node(reader).inputs.get(..3) == Some(&[x, slope, statistics])
}
