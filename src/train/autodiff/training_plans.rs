//! Compiles the training of a net: the plan of a training step and the plan of evaluation, which share one state.

use super::{Differentiated, Settings, Untrainable, differentiate};
use crate::artifact::Artifact;
use crate::compile::{Values, checked, packed};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::graph::{Graph, Initializer};
use crate::lower::{self, Options, State};
use crate::passes::optimize_training;
use crate::runtime::Aligned;
use crate::weights::store::StoreError;
use std::sync::Arc;

/// The compiled training of a net.
#[derive(Debug)]
pub struct Trainable {
    /// From inputs, targets (and weights) to loss, prediction (and penalty); updates the state.
    pub step: Arc<Artifact>,
    /// From inputs, targets (and weights) to loss and prediction.
    pub evaluation: Arc<Artifact>,
    /// Whether the step gives a penalty.
    pub penalized: bool,
    /// The layout of the state: parameters, and the optimizer's slots.
    pub layout: State,
    /// The state before the first step.
    pub start: Aligned,
}

/// Compiles the training of a net for batches of at most `batch` samples.
///
/// # Errors
/// A layer that has no gradient or cannot be lowered, or weights that cannot be read.
pub fn compile(net: &Graph, settings: &Settings, batch: usize, values: &Values<'_>) -> Result<Trainable> {
    let Differentiated { step, evaluation, penalized } =
        differentiate(net, settings).map_err(|error| untrainable(net, &error))?;
    let step = optimize_training(step);
    let layout = State::of(&step, batch);
    let start = initial_state(&step, &layout, values).map_err(|error| unread(&error))?;
    let artifact = |graph: &Graph| -> Result<Arc<Artifact>> {
        let compiled = lower::lower(graph, Options { state: Some(&layout), ..Options::default() })?;
        packed(&net.name, graph, checked(graph, compiled)?, values)
    };
    let (step, evaluation) = (artifact(&step)?, artifact(&optimize_training(evaluation))?);
    Ok(Trainable { step, evaluation, penalized, layout, start })
}

fn unread(error: &StoreError) -> Diagnostics {
    Diagnostic::new(Code::WeightsCorrupt, error.to_string()).into()
}

/// The state before the first step: the bound parameters, and the initial values of the optimizer's slots.
fn initial_state(step: &Graph, layout: &State, values: &Values<'_>) -> std::result::Result<Aligned, StoreError> {
    let floats = layout.tensors.last().map_or(0, |last| last.offset + last.len);
    let mut state = Aligned::new(floats.next_multiple_of(crate::plan::kernel_step::CONSTANT_ALIGNMENT));
    let parameters = step.parameters.iter().filter(|parameter| !parameter.frozen);
    for (parameter, tensor) in parameters.zip(&layout.tensors) {
        let to = &mut state.floats_mut()[tensor.offset..tensor.offset + tensor.len];
        match parameter.initializer {
            // Parameters that the net does not have belong to the optimizer.
            Initializer::Constant(value) if values.place(parameter).is_none() => to.fill(value as f32),
            _ => to.copy_from_slice(&values.read(parameter)?),
        }
    }
    Ok(state)
}

fn untrainable(net: &Graph, error: &Untrainable) -> Diagnostics {
    let node = net.node(error.node);
    Diagnostic::new(Code::Untrainable, format!("`{}` cannot be trained: {}", node.name, error.message))
        .at(node.origin.span, "this layer")
        .help("freeze it and what is before it: `frozen(…)`")
        .into()
}
