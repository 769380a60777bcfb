//! Passes over the graph. Each returns a graph that computes the same outputs with fewer or cheaper steps; the lists give
//! their order.

mod common_subgraphs;
mod dead_code;
mod decompose;
mod fold_batch_norm;
mod fuse_epilogue;
mod fuse_residual;
mod pass;
pub mod quantize;
mod remove_identity;

pub use pass::Pass;

use crate::graph::Graph;

/// The passes for inference, in order.
pub static INFERENCE: &[Pass] = &[
    decompose::PASS,
    dead_code::PASS,
    remove_identity::PASS,
    common_subgraphs::PASS,
    fold_batch_norm::PASS,
    fuse_residual::PASS,
    fuse_epilogue::ACTIVATION,
    fuse_epilogue::POOL,
    fuse_epilogue::SOFTMAX,
];

/// The passes for a training step and for evaluating its loss: trained parameters are not folded.
pub static TRAINING: &[Pass] = &[
    decompose::PASS,
    remove_identity::PASS,
    fold_batch_norm::FROZEN,
    fuse_residual::PASS,
    fuse_epilogue::ACTIVATION,
    fuse_epilogue::SOFTMAX,
];

/// Applies only the first pass: each layer of the result is one that a plan may have a step for.
pub fn decompose(graph: Graph) -> Graph {
    decompose::PASS.apply(graph)
}

/// Applies the passes for training.
pub fn optimize_training(graph: Graph) -> Graph {
    TRAINING.iter().fold(graph, |graph, pass| pass.apply(graph))
}

/// Applies the passes for inference.
pub fn optimize(graph: Graph) -> Graph {
    INFERENCE.iter().fold(graph, |graph, pass| pass.apply(graph))
}

/// Applies the passes before quantisation: those for inference, with pools as steps of their own, as bytes are pooled after they
/// are rounded.
pub fn optimize_int8(graph: Graph) -> Graph {
    let passes = INFERENCE.iter().filter(|pass| pass.name != fuse_epilogue::POOL.name);
    passes.fold(graph, |graph, pass| pass.apply(graph))
}
