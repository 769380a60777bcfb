//! Compares an update of a compiled training step with the f64 reference of its graph.

use super::verify::{check_memory, probe};
use crate::compile::Values;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::graph::training::LoweredOp;
use crate::graph::{Graph, Initializer, NodeId, reference};
use crate::lower::State;
use crate::runtime::Session;
use crate::train::autodiff::frozen_backbone::split;
use crate::train::autodiff::training_plans::{Trainable, compile};
use crate::train::autodiff::{OPTIMIZER, Settings, differentiate};
use crate::train::recipe::Recipe;
use crate::train::recipe::values::losses::OutputLoss;
use crate::weights::bind::Bindings;
use crate::weights::store::StoreError;
use ndarray::{ArrayD, IxDyn};

/// The maximum error of a loss or of a parameter's change.
pub const TOLERANCE: f64 = 1e-3;

/// The learning rate of the compared update, which f32 represents exactly.
const RATE: f32 = 0.125;
/// The smallest change that errors are relative to; smaller ones are the rounding of the gradients.
const SMALLEST_CHANGE: f64 = 1e-3;

/// The deviations of one update from the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingComparison {
    /// The number of layers before the trained part, whose outputs are random inputs here.
    pub front_layers: usize,
    /// Of each output: its name, and the error of its loss relative to the loss.
    pub losses: Vec<(String, f64)>,
    /// Of each trained parameter, running statistic and slot of the optimizer: its path, and its maximum error after the update,
    /// relative to the largest change of the tensor.
    pub parameters: Vec<(String, f64)>,
    /// Layers that draw random numbers: they are inactive in the compared step.
    pub inactive: Vec<String>,
}

impl TrainingComparison {
    /// The largest error.
    pub fn worst(&self) -> f64 {
        self.losses.iter().chain(&self.parameters).map(|(_, error)| *error).fold(0.0, f64::max)
    }
}

/// Runs one update of the trained part of a net, compiled and by the reference, on random inputs and targets with a fixed seed.
///
/// # Errors
/// A net that cannot be trained, weights that cannot be read, or a batch that does not fit in memory.
pub fn verify_training(
    net: &Graph,
    bindings: &Bindings,
    recipe: &Recipe,
    losses: &[OutputLoss],
    batch: usize,
    threads: usize,
) -> Result<TrainingComparison> {
    let split = split(net);
    let front_layers = split.front.map_or(0, |front| front.nodes.len());
    let mut trained = split.trained;
    let mut inactive = Vec::new();
    for node in trained.nodes.iter_mut().filter(|node| node.operation.is_stochastic()) {
        node.frozen = true;
        inactive.push(node.name.clone());
    }
    // One update of one batch, at one rate.
    let settings = Settings { rates: Vec::new(), accumulated: false, average: None, ..Settings::of(recipe, losses) };

    let values = Values { graph: net, bindings };
    let trainable = compile(&trained, &settings, batch, &values)?;
    let step = differentiate(&trained, &settings)
        .map_err(|error| Diagnostics::from(Diagnostic::new(Code::Untrainable, error.message)))?;
    let graph = step.step;
    check_memory(&graph, batch)?;
    if let Some(node) = graph.nodes.iter().find(|node| !has_reference(node.operation.as_any())) {
        return Err(failed(format!("`{}` has no reference", node.name)));
    }
    let inputs = step_inputs(&graph, &trained, batch);
    let mut parameters = initial_parameters(&graph, &trainable, &values)?;
    let before = parameters.clone();
    let mut state = trainable.start.floats().to_vec();
    set_rate(&graph, &trainable.layout, &mut state, &mut parameters);
    let found = run(&trainable, &trained, &inputs, batch, threads, &mut state)?;
    let arrays: Vec<ArrayD<f64>> = inputs.iter().map(|(shape, values)| array(shape, values)).collect::<Result<_>>()?;
    let expected = reference::evaluate_step(&graph, &arrays, &mut parameters);

    let names = trained.outputs.iter().map(|&id| trained.node(id).name.clone());
    let losses = names.zip(found.iter().zip(&expected)).map(|(name, (found, expected))| {
        let expected = expected.iter().copied().next().unwrap_or(f64::NAN);
        (name, finite((f64::from(*found) - expected).abs() / expected.abs().max(SMALLEST_CHANGE)))
    });
    let parameters = graph.parameters.iter().zip(before.iter().zip(&parameters)).filter_map(|(parameter, values)| {
        let tensor = trainable.layout.find(&parameter.path())?;
        let error = change_error(state.get(tensor.offset..tensor.offset + tensor.len)?, values.0, values.1);
        (parameter.layer != OPTIMIZER).then(|| (parameter.path(), error))
    });
    Ok(TrainingComparison { front_layers, losses: losses.collect(), parameters: parameters.collect(), inactive })
}

fn failed(message: String) -> Diagnostics {
    Diagnostic::new(Code::Deviation, message).into()
}

/// Whether the reference computes an operation of the step.
fn has_reference(operation: &dyn std::any::Any) -> bool {
    operation.downcast_ref::<LoweredOp>().is_none_or(LoweredOp::has_reference)
}

/// Random inputs of the trained part, then one-hot targets of each output, which every loss takes; each with its shape.
fn step_inputs(graph: &Graph, trained: &Graph, batch: usize) -> Vec<(Vec<usize>, Vec<f32>)> {
    let given = trained.inputs().len();
    let inputs = graph.inputs().into_iter().enumerate();
    inputs
        .map(|(index, id)| {
            let sizes = graph.node(id).output.known().unwrap_or_default();
            let shape: Vec<usize> = std::iter::once(batch).chain(sizes).collect();
            let values = match index < given {
                true => probe(graph, id, batch),
                false => one_hot(&shape),
            };
            (shape, values)
        })
        .collect()
}

/// Rows with a one among zeros; of a single column alternating zeros and ones.
fn one_hot(shape: &[usize]) -> Vec<f32> {
    let columns = shape.last().copied().unwrap_or(1).max(1);
    let rows = shape.iter().product::<usize>() / columns;
    let value = |row: usize, column: usize| match columns {
        1 => row % 2 == 1,
        _ => row * 7 % columns == column,
    };
    (0..rows).flat_map(|row| (0..columns).map(move |column| f32::from(u8::from(value(row, column))))).collect()
}

fn array(shape: &[usize], values: &[f32]) -> Result<ArrayD<f64>> {
    let values = values.iter().map(|&value| f64::from(value)).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| failed(error.to_string()))
}

/// The values before the update: from the compiled step's state, or for frozen ones from their files.
fn initial_parameters(graph: &Graph, trainable: &Trainable, values: &Values<'_>) -> Result<Vec<ArrayD<f64>>> {
    let unread = |error: StoreError| failed(error.to_string());
    let all = graph.parameters.iter().map(|parameter| {
        let start = trainable.start.floats();
        match (trainable.layout.find(&parameter.path()), parameter.initializer) {
            (Some(tensor), _) => array(&parameter.shape, &start[tensor.offset..tensor.offset + tensor.len]),
            (None, Initializer::Constant(value)) if values.place(parameter).is_none() => {
                Ok(ArrayD::from_elem(IxDyn(&parameter.shape), value))
            }
            (None, _) => array(&parameter.shape, &values.read(parameter).map_err(unread)?),
        }
    });
    all.collect()
}

/// Sets the learning rate of the update, in the state and in the reference's parameters. The count of updates stays zero.
fn set_rate(graph: &Graph, layout: &State, state: &mut [f32], parameters: &mut [ArrayD<f64>]) {
    let path = format!("{OPTIMIZER}/rate");
    if let Some(tensor) = layout.find(&path) {
        state[tensor.offset..tensor.offset + tensor.len].fill(RATE);
    }
    if let Some(index) = graph.parameters.iter().position(|parameter| parameter.path() == path) {
        parameters[index].fill(f64::from(RATE));
    }
}

/// Runs the compiled update. Returns the loss of each output.
fn run(
    trainable: &Trainable,
    trained: &Graph,
    inputs: &[(Vec<usize>, Vec<f32>)],
    batch: usize,
    threads: usize,
    state: &mut [f32],
) -> Result<Vec<f32>> {
    let count = trained.outputs.len();
    let values = |id: &NodeId| trained.node(*id).output.len().unwrap_or(0) * batch;
    let mut outputs: Vec<Vec<f32>> = vec![vec![0.0]; count];
    outputs.extend(trained.outputs.iter().map(|id| vec![0.0; values(id)]));
    if trainable.penalized {
        outputs.push(vec![0.0]);
    }
    let mut views: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(|(_, values)| values.as_slice()).collect();
    let mut session = Session::new(trainable.step.clone(), threads);
    session.run_with(batch, &slices, &mut views, state).map_err(|error| failed(error.to_string()))?;
    Ok(outputs.into_iter().take(count).map(|loss| loss[0]).collect())
}

/// The maximum error of a tensor after the update, beyond the rounding of its values, relative to its largest change.
fn change_error(found: &[f32], before: &ArrayD<f64>, expected: &ArrayD<f64>) -> f64 {
    let change = before.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(SMALLEST_CHANGE, f64::max);
    let rounding = 4.0 * f64::from(f32::EPSILON);
    let error = |(&found, &expected): (&f32, &f64)| {
        finite(((f64::from(found) - expected).abs() - rounding * expected.abs()).max(0.0) / change)
    };
    found.iter().zip(expected).map(error).fold(0.0, f64::max)
}

/// An error that is not a number counts as infinite.
fn finite(error: f64) -> f64 {
    if error.is_nan() { f64::INFINITY } else { error }
}
