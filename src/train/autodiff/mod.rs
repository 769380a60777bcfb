//! Reverse-mode automatic differentiation, graph to graph: from a net to the graph of a training step (forward pass, loss,
//! backward pass, updates) and the graph of evaluation. Both go through passes and lowering like any other graph.

pub mod data_files;
pub mod data_fit;
mod entry_names;
pub mod frozen_backbone;
mod loss_fit;
pub mod metric_fit;
pub mod recipe_check;
pub mod settings;
mod trainer;
pub mod training_plans;
pub mod unfreezing;
mod updates;

use crate::graph::{Graph, NodeId};

pub use settings::{OutputSettings, Settings};
pub use trainer::{AVERAGE, OPTIMIZER, Untrainable};

use trainer::{Trainer, add_loss};

/// The graphs of training.
#[derive(Debug)]
pub struct Differentiated {
    /// From the net's inputs, and for each output its targets (and weights), to the loss of each output, each output (and the
    /// penalty).
    pub step: Graph,
    /// From the same inputs to the loss of each output and each output.
    pub evaluation: Graph,
    /// Whether the step gives a penalty.
    pub penalized: bool,
}

/// Differentiates a net.
///
/// # Errors
/// A layer without a gradient between the loss and trained parameters.
pub fn differentiate(net: &Graph, settings: &Settings) -> Result<Differentiated, Untrainable> {
    let mut evaluation = net.clone();
    let outputs = net.outputs.iter().zip(&settings.outputs);
    let losses: Vec<NodeId> = outputs
        .map(|(&output, settings)| add_loss(&mut evaluation, output, settings.loss, settings.evaluation_weighted).1)
        .collect();
    evaluation.outputs = losses.into_iter().chain(net.outputs.iter().copied()).collect();
    let (step, penalized) = Trainer::new(net, settings).step(net)?;
    Ok(Differentiated { step, evaluation, penalized })
}
