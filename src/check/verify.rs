//! Compares a compiled net with the f64 reference of its graph before the passes.

use crate::compile::int8::captured::step_values;
use crate::compile::{self, Build, Precision, Values};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::graph::{Graph, Initializer, NodeId, Parameter, reference};
use crate::lower::Bf16Use;
use crate::passes;
use crate::plan::Step;
use crate::runtime::Session;
use crate::size::product;
use ndarray::{ArrayD, Axis, IxDyn};
use std::sync::Arc;

/// The maximum error, relative to the range of the output.
pub const TOLERANCE: f64 = 1e-4;
/// The maximum error with weights or products in bf16, which has 8 bits of precision.
pub const HALF_TOLERANCE: f64 = 2e-2;

/// The least signal-to-noise ratio of an int8 net's outputs, in dB.
pub const INT8_SNR: f64 = 10.0;

/// The maximum of values that the reference may keep, over all layers of a batch.
const MAX_VALUES: usize = 1 << 30;

/// The deviations of a plan from the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub steps: Vec<StepDeviation>,
    pub outputs: Vec<Deviation>,
    /// Whether the net is computed on bytes.
    pub int8: bool,
}

/// The deviation of a step's output, which includes the errors of all steps before it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepDeviation {
    /// The name of the step.
    pub step: String,
    /// The kernel and its algorithm.
    pub description: String,
    /// As [`Deviation::error`].
    pub error: f64,
    /// As [`Deviation::snr`].
    pub snr: f64,
}

/// The deviation of an output of the net.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    pub output: String,
    /// The maximum difference, divided by the range of the reference over the batch (maximum minus minimum, or the maximum
    /// magnitude if that is larger).
    pub error: f64,
    /// The signal-to-noise ratio over the batch, in dB.
    pub snr: f64,
    /// Whether the top 5 of each image are those of the reference, in the same order.
    pub same_top5: bool,
}

impl Comparison {
    /// Checks that the outputs deviate by no more than the rounding of f32, or of bf16 if weights or products are rounded to it. Those of an
    /// int8 net must have [`INT8_SNR`].
    ///
    /// # Errors
    /// [`Code::Deviation`], with the first step that deviates more.
    pub fn check(&self, precision: Precision) -> std::result::Result<(), Diagnostic> {
        if self.int8 {
            return self.check_snr();
        }
        let worst = self.outputs.iter().map(|deviation| deviation.error).fold(0.0, f64::max);
        let tolerance = if precision.bf16() == Bf16Use::Never { TOLERANCE } else { HALF_TOLERANCE };
        if worst <= tolerance {
            return Ok(());
        }
        let message = format!("the compiled net deviates by {worst:.2e}, more than {tolerance:.0e}");
        let diagnostic = Diagnostic::new(Code::Deviation, message);
        Err(match self.steps.iter().find(|step| step.error > tolerance) {
            Some(first) => {
                diagnostic.note(format!("the first step above it is `{}`: {}", first.step, first.description))
            }
            None => diagnostic,
        })
    }
}

impl Comparison {
    fn check_snr(&self) -> std::result::Result<(), Diagnostic> {
        let worst = self.outputs.iter().map(|deviation| deviation.snr).fold(f64::INFINITY, f64::min);
        if worst >= INT8_SNR {
            return Ok(());
        }
        let message =
            format!("the signal-to-noise ratio of the compiled net is {worst:.1} dB, less than {INT8_SNR} dB");
        let diagnostic = Diagnostic::new(Code::Deviation, message);
        Err(match self.steps.iter().find(|step| step.snr < INT8_SNR) {
            Some(first) => {
                diagnostic.note(format!("the first step below it is `{}`: {}", first.step, first.description))
            }
            None => diagnostic,
        })
    }
}

/// Runs plan and reference on the same random inputs, with a fixed seed, or on calibration samples.
///
/// # Errors
/// Weights that cannot be read, a plan that cannot be run, or a batch that does not fit in memory.
pub fn verify(build: &Build, batch: usize, threads: usize) -> Result<Comparison> {
    let failed = |message: String| Diagnostics::from(Diagnostic::new(Code::Deviation, message));
    check_memory(&build.graph, batch)?;
    let artifact = Arc::new(build.in_memory()?);
    let plan = &artifact.manifest.plan;
    let inputs = probe_inputs(build, batch);
    let mut session = Session::new(artifact.clone(), threads);
    session.capture();
    let outputs = run(&mut session, &inputs, batch)?;
    let mut arrays = Vec::with_capacity(inputs.len());
    for (values, port) in inputs.iter().zip(&plan.inputs) {
        let shape: Vec<usize> = std::iter::once(batch).chain(port.sizes.iter().copied()).collect();
        let array = ArrayD::from_shape_vec(IxDyn(&shape), values.iter().map(|&value| f64::from(value)).collect());
        arrays.push(array.map_err(|error| failed(error.to_string()))?);
    }
    let mut failure = None;
    let mut parameter = |id| {
        build.values(id).unwrap_or_else(|error| {
            failure = Some(error);
            Vec::new()
        })
    };
    // Steps are compared with the layers that decomposition makes, outputs with the net as the spec has it.
    let graph = passes::decompose(build.graph.clone());
    let last_layers: Vec<Option<NodeId>> = plan.steps.iter().map(|step| last_layer(&graph, step)).collect();
    let mut errors = vec![None; plan.steps.len()];
    let mut expected = reference::evaluate(&graph, &arrays, &mut parameter, &mut |node, value| {
        for (index, _) in last_layers.iter().enumerate().filter(|(_, layer)| **layer == Some(node)) {
            errors[index] = values(&plan.steps[index], &session.captured()[index], value)
                .map(|found| (distance(&found, value), snr(&found, value)));
        }
    });
    if graph.nodes.len() != build.graph.nodes.len() {
        expected = reference::evaluate(&build.graph, &arrays, &mut parameter, &mut |_, _| {});
    }
    if let Some(error) = failure {
        return Err(failed(error.to_string()));
    }
    let compared = plan.outputs.iter().zip(&outputs).zip(&expected);
    let outputs = compared.map(|((port, found), wanted)| deviation(&port.name, found, wanted, batch)).collect();
    let steps = plan.steps.iter().zip(errors).filter_map(|(step, error)| {
        let (error, snr) = error?;
        Some(StepDeviation { step: step.name.clone(), description: step.kernel.describe(), error, snr })
    });
    Ok(Comparison { steps: steps.collect(), outputs, int8: build.int8.is_some() })
}

/// The last of the layers that a step computes, whose output it gives.
fn last_layer(graph: &Graph, step: &Step) -> Option<NodeId> {
    let of_step = |id: &NodeId| step.name == graph.node(*id).name || step.layers.contains(&graph.node(*id).name);
    graph.ids().rev().find(of_step)
}

/// A step's output in the order of the reference, by the rows of its kernel (one for each sample where axes are reordered); none if it
/// has another shape.
fn values(step: &Step, kept: &[f32], wanted: &ArrayD<f64>) -> Option<Vec<f32>> {
    let batch = wanted.len_of(Axis(0));
    let (rows, width) = step.kernel.sizes().output;
    if product([batch, rows, width]) != wanted.len() { None } else { step_values(step, kept, batch) }
}

/// Refuses a batch that does not fit in memory: the reference keeps the outputs of all layers.
///
/// # Errors
/// [`Code::Memory`].
pub(super) fn check_memory(graph: &Graph, batch: usize) -> Result<()> {
    let values = graph.nodes.iter().filter_map(|node| node.output.len()).fold(0usize, usize::saturating_add);
    let largest = graph.parameters.iter().map(Parameter::len).max().unwrap_or(0);
    let fits = |all: usize| Vec::<f64>::new().try_reserve_exact(all.saturating_add(largest)).is_ok();
    if values.checked_mul(batch).is_some_and(|all| all <= MAX_VALUES && fits(all)) {
        return Ok(());
    }
    let message = format!("the reference of {batch} images does not fit in memory");
    let max = if fits(values) { (MAX_VALUES / values.max(1)).min(batch.saturating_sub(1)) } else { 0 };
    let help = if max > 0 { format!("choose a smaller `--batch`, up to {max}") } else { "the net is too large".into() };
    Err(Diagnostic::new(Code::Memory, message).help(help).into())
}

/// The deviation of a build from the same net with all weights in f32, on random inputs.
///
/// # Errors
/// Weights that cannot be read, or a plan that cannot be run.
pub fn compare_with_f32(build: &Build, batch: usize, threads: usize) -> Result<Vec<Deviation>> {
    // One after the other, so that the constants of both are never in memory at the same time.
    let values = Values { graph: &build.graph, bindings: &build.bindings };
    let inputs = probe_inputs(build, batch);
    let run = |artifact| run(&mut Session::new(artifact, threads), &inputs, batch);
    let wanted = run(compile::in_memory(&build.graph, &values)?)?;
    let found = run(Arc::new(build.in_memory()?))?;
    let compared = build.compiled.plan.outputs.iter().zip(&found).zip(wanted);
    let to_f64 = |values: Vec<f32>| ArrayD::from_shape_fn(IxDyn(&[values.len()]), |at| f64::from(values[at[0]]));
    Ok(compared.map(|((port, found), wanted)| deviation(&port.name, found, &to_f64(wanted), batch)).collect())
}

/// Random values of the net's inputs.
fn probe_inputs(build: &Build, batch: usize) -> Vec<Vec<f32>> {
    let inputs = build.graph.inputs().into_iter();
    match &build.int8 {
        // Bytes stand for the range of such values only.
        Some((_, samples)) => {
            let sample = |at: usize| samples.of(at % samples.len());
            inputs.enumerate().map(|(input, _)| (0..batch).flat_map(|at| sample(at)[input].clone()).collect()).collect()
        }
        None => inputs.map(|id| probe(&build.graph, id, batch)).collect(),
    }
}

/// Values of an input from a normal distribution with a fixed seed; for embeddings random indices.
pub(super) fn probe(graph: &Graph, input: NodeId, batch: usize) -> Vec<f32> {
    let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
    let bound = index_bound(graph, input);
    let kind = bound.map_or(normal, |bound| Initializer::Uniform { min: 0.0, max: bound as f64 });
    let node = graph.node(input);
    kind.sample(&[node.output.len().unwrap_or(0).saturating_mul(batch)], &node.name, 1)
}

fn run(session: &mut Session, inputs: &[Vec<f32>], batch: usize) -> Result<Vec<Vec<f32>>> {
    let plan = &session.artifact().manifest.plan;
    let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![0.0; port.len() * batch]).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut views: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    session
        .run(batch, &slices, &mut views)
        .map_err(|error| Diagnostics::from(Diagnostic::new(Code::Deviation, error.to_string())))?;
    Ok(outputs)
}

/// The number of rows of the embedding that an input's values index; none for other inputs.
fn index_bound(graph: &Graph, input: NodeId) -> Option<usize> {
    let consumers = graph.nodes.iter().filter(|node| node.inputs.contains(&input));
    consumers.filter_map(|node| node.operation.index_bound()).min()
}

fn deviation(name: &str, found: &[f32], wanted: &ArrayD<f64>, batch: usize) -> Deviation {
    let values: Vec<f64> = wanted.iter().copied().collect();
    let found_f64: Vec<f64> = found.iter().map(|&value| f64::from(value)).collect();
    let image = (values.len() / batch.max(1)).max(1);
    let same_top5 = found_f64.chunks(image).zip(values.chunks(image)).all(|(a, b)| top5(a) == top5(b));
    Deviation { output: name.to_string(), error: distance(found, wanted), snr: snr(found, wanted), same_top5 }
}

/// The maximum difference, relative to the reference's range; infinite if one of two values is NaN, or they are different
/// infinities.
fn distance(found: &[f32], wanted: &ArrayD<f64>) -> f64 {
    let finite = || wanted.iter().copied().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    // For a single value or constant values, the range is no measure of their size.
    let size = (high - low).max(high.abs()).max(low.abs()).max(f64::MIN_POSITIVE);
    let difference = |(&found, &wanted): (&f32, &f64)| {
        let found = f64::from(found);
        let same = found == wanted || found.is_nan() && wanted.is_nan();
        let difference = (found - wanted).abs();
        if same {
            0.0
        } else if difference.is_finite() {
            difference / size
        } else {
            f64::INFINITY
        }
    };
    found.iter().zip(wanted).map(difference).fold(0.0, f64::max)
}

/// The signal-to-noise ratio in dB.
fn snr(found: &[f32], wanted: &ArrayD<f64>) -> f64 {
    let noise: f64 = found.iter().zip(wanted).map(|(&found, wanted)| (f64::from(found) - wanted).powi(2)).sum();
    let signal: f64 = wanted.iter().map(|wanted| wanted * wanted).sum();
    match noise {
        0.0 => f64::INFINITY,
        noise if noise.is_finite() => 10.0 * (signal / noise).log10(),
        _ => f64::NEG_INFINITY,
    }
}

fn top5(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    order.truncate(5);
    order
}

#[cfg(test)]
mod tests {
    use super::distance;
    use ndarray::{ArrayD, arr1};

    #[test]
    fn nan_and_infinity_deviate_infinitely_from_numbers() {
        let wanted = |values: &[f64]| -> ArrayD<f64> { arr1(values).into_dyn() };
        assert_eq!(distance(&[1.0, 2.5], &wanted(&[1.0, 3.0])), 0.5 / 3.0);
        assert_eq!(distance(&[f32::NAN, 3.0], &wanted(&[1.0, 3.0])), f64::INFINITY);
        assert_eq!(distance(&[1.0, 3.0], &wanted(&[f64::NAN, 3.0])), f64::INFINITY);
        assert_eq!(distance(&[f32::INFINITY, 3.0], &wanted(&[f64::NEG_INFINITY, 3.0])), f64::INFINITY);
        assert_eq!(distance(&[f32::NAN, f32::INFINITY, 3.0], &wanted(&[f64::NAN, f64::INFINITY, 3.0])), 0.0);
    }
}
