//! Post-training quantisation: the net runs in f32 on calibration samples, the ranges of its activations give their scales, and
//! layers that would lose too much stay in f32.

pub mod captured;
mod range;
pub mod report;
mod samples;

pub use report::Int8Report;
pub use samples::{CalibrationPhotos, CalibrationSource, MAX_SAMPLES, Samples};

use super::packed::{checked, packed};
use crate::artifact::constants::Values;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::graph::{Graph, NodeId, Precision};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::lower::{self, Options};
use crate::ops::output_kind::OutputKind;
use crate::passes::quantize::{Choice, candidates, quantize};
use crate::passes::{self};
use crate::plan::Kernel;
use crate::plan::kernel_step::{Call, KernelStep};
use crate::runtime::Session;
use captured::Observed;
use range::Histogram;
use report::{Agreement, Layer};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// A layer whose own rounding leaves less than this signal-to-noise ratio, in dB, stays in f32.
pub const MIN_SNR: f64 = 20.0;
/// Samples on which the noise of single layers is measured.
const SNR_SAMPLES: usize = 8;

/// A signal and the noise that rounding adds to it.
#[derive(Clone, Copy, Debug, Default)]
struct Noise {
    signal: f64,
    noise: f64,
}

impl Noise {
    fn add(&mut self, wanted: &[f32], found: &[f32]) {
        for (&wanted, &found) in wanted.iter().zip(found) {
            self.signal += f64::from(wanted).powi(2);
            self.noise += (f64::from(wanted) - f64::from(found)).powi(2);
        }
    }

    fn decibels(self) -> f64 {
        match self.signal > 0.0 {
            true => 10.0 * (self.signal / self.noise.max(f64::MIN_POSITIVE)).log10(),
            false => f64::INFINITY,
        }
    }
}

/// A quantised graph, after all passes.
#[derive(Debug)]
pub struct Quantized {
    pub graph: Graph,
    pub report: Int8Report,
    pub samples: Arc<Samples>,
}

/// Quantises a net on calibration samples.
///
/// # Errors
/// Weights that cannot be read, or a net that cannot run.
pub fn quantized(graph: &Graph, values: &Values<'_>, samples: Arc<Samples>, threads: usize) -> Result<Quantized> {
    let fused = passes::optimize_int8(graph.clone());
    let options = Options { separate: true, ..Options::default() };
    let artifact = packed(&graph.name, &fused, checked(graph, lower::lower(&fused, options)?)?, values)?;
    let mut session = Session::new(artifact, threads);
    session.capture();
    let ranges = ranges(&fused, &mut session, &samples)?;
    let mut choice = Choice { ranges, layers: candidates(&fused) };
    let own = own_noise(&fused, &choice, values, &mut session, &samples, threads)?;
    for (&id, noise) in &own {
        choice.layers[id.0] = noise.decibels() >= MIN_SNR;
    }
    let quantized = quantize(&fused, &choice);
    quantized.debug_verify("quantize");
    let artifact =
        packed(&graph.name, &quantized, checked(graph, lower::lower(&quantized, Options::default())?)?, values)?;
    let mut int8 = Session::new(artifact, threads);
    int8.capture();
    let mut so_far: HashMap<String, Noise> = HashMap::new();
    let has_classes = |id: NodeId| {
        let sizes = graph.node(id).output.known().unwrap_or_default();
        sizes.len() == 1 && sizes[0] > 1 && OutputKind::of(graph, id) != OutputKind::Probabilities
    };
    let mut agreement = graph.outputs.first().filter(|&&id| has_classes(id)).map(|_| Agreement::default());
    for sample in 0..samples.len() {
        let wanted = run(&mut session, &samples, sample)?;
        let found = run(&mut int8, &samples, sample)?;
        if let (Some(agreement), Some(wanted), Some(found)) = (&mut agreement, wanted.first(), found.first()) {
            agreement.add(wanted, found, samples.class(sample));
        }
        let inputs = samples.of(sample);
        let (mut right, mut now) = (Observed::new(&fused, &session, inputs), Observed::new(&quantized, &int8, inputs));
        for id in fused.ids().filter(|id| own.contains_key(id)) {
            let name = &fused.node(id).name;
            let Some(other) = quantized.find(name) else { continue };
            if let (Some(wanted), Some(found)) = (right.values(id), now.values(other)) {
                so_far.entry(name.clone()).or_default().add(&wanted, &found);
            }
        }
    }
    let layer = |id: NodeId| {
        let name = fused.node(id).name.clone();
        Some(Layer {
            own: own.get(&id)?.decibels(),
            so_far: so_far.get(&name).map_or(f64::INFINITY, |noise| noise.decibels()),
            kept: !choice.layers[id.0],
            name,
        })
    };
    let layers: Vec<Layer> = fused.ids().filter_map(layer).collect();
    let with_parameters = |id: &NodeId| !fused.node(*id).parameters.is_empty() && !own.contains_key(id);
    let unsupported = fused.ids().filter(with_parameters).map(|id| fused.node(id).name.clone()).collect();
    let report = Int8Report { layers, unsupported, samples: samples.len(), agreement };
    Ok(Quantized { graph: quantized, report, samples })
}

fn failed(error: &dyn std::fmt::Display) -> Diagnostics {
    Diagnostic::new(Code::Calibration, format!("the net cannot run on a calibration sample: {error}")).into()
}

/// Runs a net on a sample.
fn run(session: &mut Session, samples: &Samples, sample: usize) -> Result<Vec<Vec<f32>>> {
    let plan = &session.artifact().manifest.plan;
    let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![0.0; port.len()]).collect();
    let inputs: Vec<&[f32]> = samples.of(sample).iter().map(Vec::as_slice).collect();
    let mut views: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    session.run(1, &inputs, &mut views).map_err(|error| failed(&error))?;
    Ok(outputs)
}

/// The range of each node's output that bytes should stand for.
fn ranges(graph: &Graph, session: &mut Session, samples: &Samples) -> Result<Vec<Option<(f32, f32)>>> {
    let mut limits: Vec<Option<(f32, f32)>> = vec![None; graph.nodes.len()];
    for sample in 0..samples.len() {
        run(session, samples, sample)?;
        let mut observed = Observed::new(graph, session, samples.of(sample));
        for id in graph.ids() {
            let Some(values) = observed.values(id) else { continue };
            let range = limits[id.0].get_or_insert((0.0, 0.0));
            *range = values.iter().fold(*range, |(low, high), &value| (low.min(value), high.max(value)));
        }
    }
    let mut histograms: Vec<Option<Histogram>> = limits
        .iter()
        .map(|range| range.filter(|(low, high)| low.is_finite() && high.is_finite()).map(Histogram::new))
        .collect();
    for sample in 0..samples.len() {
        run(session, samples, sample)?;
        let mut observed = Observed::new(graph, session, samples.of(sample));
        for id in graph.ids() {
            if let (Some(histogram), Some(values)) = (&mut histograms[id.0], observed.values(id)) {
                histogram.add(&values);
            }
        }
    }
    Ok(histograms.into_iter().map(|histogram| Some(histogram?.range())).collect())
}

/// The noise that each layer adds by itself, if its inputs are rounded to bytes, and its weights and output.
fn own_noise(
    graph: &Graph,
    choice: &Choice,
    values: &Values<'_>,
    session: &mut Session,
    samples: &Samples,
    threads: usize,
) -> Result<HashMap<NodeId, Noise>> {
    let threads = ThreadPool::new(threads);
    let quantized = quantize(graph, choice);
    // Layers on bytes, each with the same layer of the graph in f32.
    let mut layers: Vec<(NodeId, Kernel, Vec<Vec<f32>>)> = Vec::new();
    for id in graph.ids().filter(|&id| !graph.node(id).parameters.is_empty()) {
        let Some(other) = quantized.find(&graph.node(id).name) else { continue };
        let is_int8 = matches!(quantized.node(other).precision, Precision::Int8 { .. });
        let Some(kernel) = is_int8.then(|| lower::kernel(&quantized, other)).flatten() else { continue };
        let read = quantized.node(other).parameters.iter().map(|&id| values.derived(&quantized, id));
        let parameters = read.collect::<std::result::Result<Vec<_>, _>>();
        let parameters = parameters.map_err(|error| Diagnostic::new(Code::WeightsCorrupt, error.to_string()))?;
        layers.push((id, kernel.clone(), kernel.pack(parameters)));
    }
    let mut noise: HashMap<NodeId, Noise> = HashMap::new();
    let count = samples.len();
    for sample in (0..count).step_by(count.div_ceil(SNR_SAMPLES).max(1)) {
        run(session, samples, sample)?;
        let mut observed = Observed::new(graph, session, samples.of(sample));
        for (id, kernel, constants) in &layers {
            let inputs: Option<Vec<_>> = graph.node(*id).inputs.iter().map(|&input| observed.values(input)).collect();
            let (Some(inputs), Some(wanted)) = (inputs, observed.values(*id)) else { continue };
            let inputs: Vec<&[f32]> = inputs.iter().map(|values| &values[..]).collect();
            let found = computed(kernel, &inputs, constants, &threads).map_err(|error| failed(&error))?;
            noise.entry(*id).or_default().add(&wanted, &found);
        }
    }
    Ok(noise)
}

/// The output of a step on bytes, of one sample, given and returned in f32.
fn computed(
    kernel: &Kernel,
    inputs: &[&[f32]],
    constants: &[Vec<f32>],
    threads: &ThreadPool,
) -> std::result::Result<Vec<f32>, crate::plan::kernel_step::KernelError> {
    let step: &dyn KernelStep = &**kernel;
    let sizes = step.sizes();
    let widths = sizes.widths(inputs.len(), false);
    let stored: Vec<Vec<f32>> = inputs
        .iter()
        .enumerate()
        .map(|(index, values)| match step.input_quantization(index) {
            None => values.to_vec(),
            Some(bytes) => {
                let mut words = vec![0.0f32; values.len().div_ceil(size_of::<f32>())];
                let to = bytemuck::cast_slice_mut::<f32, u8>(&mut words);
                to.iter_mut().zip(*values).for_each(|(byte, &value)| *byte = bytes.byte(f64::from(value)));
                words
            }
        })
        .collect();
    let views: SmallVec<[View; 4]> = stored
        .iter()
        .zip(widths)
        .zip(inputs)
        .map(|((data, ld), values)| View { data, ld, image: values.len() })
        .collect();
    let constants: SmallVec<[&[f32]; 4]> = constants.iter().map(Vec::as_slice).collect();
    let (pixels, channels) = sizes.output;
    let len = pixels * channels;
    let mut output = vec![0.0; len];
    let mut scratch = vec![0.0; step.scratch_len(1, threads.count())];
    step.run(Call {
        batch: 1,
        inputs: &views,
        in_place: false,
        constants: &constants,
        output: ViewMut { data: &mut output, ld: channels, image: len },
        state: SmallVec::new(),
        scratch: &mut scratch,
        threads,
    })?;
    Ok(match step.output_quantization() {
        None => output,
        Some(bytes) => bytemuck::cast_slice::<f32, u8>(&output)[..len].iter().map(|&byte| bytes.number(byte)).collect(),
    })
}
