//! The plans of training: one step, and the loss without a step. They share their state.

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

/// A net that is ready to be trained.
#[derive(Debug)]
pub struct Trainable {
    /// Inputs, targets (and weights of images) to loss, prediction (and penalty).
    pub step: Arc<Artifact>,
    /// Inputs and targets to loss and prediction.
    pub evaluation: Arc<Artifact>,
    pub penalized: bool,
    /// Where everything stands that training changes.
    pub layout: State,
    /// Its values before the first step.
    pub start: Aligned,
}

/// Compiles the training of a net for batches of up to so many images.
///
/// # Errors
/// A layer that has no gradient or no plan, and files that cannot be read.
pub fn compile(net: &Graph, settings: &Settings, batch: usize, values: &Values<'_>) -> Result<Trainable> {
    let Differentiated { step, evaluation, penalized } =
        differentiate(net, settings).map_err(|error| untrainable(net, &error))?;
    let step = optimize_training(step);
    let layout = State::of(&step, batch);
    let start = begin(&step, &layout, values).map_err(|error| unread(&error))?;
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

/// The state before the first step: parameters as they are bound, and what the optimizer begins with.
fn begin(step: &Graph, layout: &State, values: &Values<'_>) -> std::result::Result<Aligned, StoreError> {
    let floats = layout.tensors.last().map_or(0, |last| last.offset + last.len);
    let mut state = Aligned::new(floats.next_multiple_of(crate::plan::kernel_step::CONSTANT_ALIGNMENT));
    let parameters = step.parameters.iter().filter(|parameter| !parameter.frozen);
    for (parameter, tensor) in parameters.zip(&layout.tensors) {
        let to = &mut state.floats_mut()[tensor.offset..tensor.offset + tensor.len];
        match parameter.initializer {
            // What the net does not have is the optimizer's own.
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
