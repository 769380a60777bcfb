//! Compiles the training of a net: the plan of a training step and the plan of evaluation, which share one state.

use super::recipe_check::untrainable;
use super::{Differentiated, Settings, differentiate};
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
    /// See [`Differentiated::step`]; updates the state.
    pub step: Arc<Artifact>,
    /// See [`Differentiated::evaluation`].
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
    let start = initial_state(&step, &layout, values)?;
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

/// The error of a state that is too large for this machine.
fn state_too_large(floats: usize) -> Diagnostics {
    let mib = floats as f64 * 4.0 / (1u64 << 20) as f64;
    let message = format!("the parameters and the optimizer's state take {mib:.1} MiB, more than is available");
    Diagnostic::new(Code::Memory, message).help("freeze more of the net: `frozen(…)`").into()
}

/// The state before the first step: the bound parameters, and the initial values of the optimizer's slots.
fn initial_state(step: &Graph, layout: &State, values: &Values<'_>) -> Result<Aligned> {
    let floats = layout.tensors.last().map_or(0, |last| last.offset + last.len);
    let floats = floats.next_multiple_of(crate::plan::kernel_step::CONSTANT_ALIGNMENT);
    let mut state = Aligned::try_new(floats).ok_or_else(|| state_too_large(floats))?;
    let parameters = step.parameters.iter().filter(|parameter| !parameter.frozen);
    for (parameter, tensor) in parameters.zip(&layout.tensors) {
        let to = &mut state.floats_mut()[tensor.offset..tensor.offset + tensor.len];
        match parameter.initializer {
            // Parameters that the net does not have belong to the optimizer.
            Initializer::Constant(value) if values.place(parameter).is_none() => to.fill(value as f32),
            _ => to.copy_from_slice(&values.read(parameter).map_err(|error| unread(&error))?),
        }
    }
    Ok(state)
}
