//! Benchmarks of a compiled net: the times of batches and steps, the machine's peaks, the memory of the process.

use super::{RunError, Session, zeros};
use crate::artifact::Artifact;
use crate::kernels::gemm::blas;
use crate::kernels::gemm::peak;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::plan::kernel::Kernel;
use crate::plan::{Plan, Port, Source};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The times of one batch size.
#[derive(Debug, Serialize)]
pub struct BatchTimes {
    /// Images in the batch.
    pub batch: usize,
    /// The first run, which allocates memory and reads and checks constants.
    pub first_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fastest_ms: Option<f64>,
    pub images_per_s: f64,
    /// The rate in terms of the layers' multiply-adds, whatever the algorithms execute.
    pub direct_gflops: f64,
    /// Every run after warm-up, in order.
    pub times_ms: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepTime>,
}

/// The mean time and the rates of one step of a plan.
#[derive(Debug, Serialize)]
pub struct StepTime {
    pub step: String,
    pub kernel: String,
    pub ms: f64,
    /// The rate of the multiply-adds that the algorithm executes.
    pub gflops: f64,
    /// The memory traffic of inputs, outputs and constants, the latter once for each micro-batch, in GB/s.
    pub gbs: f64,
}

/// The peak rates of the machine with the threads in use.
#[derive(Debug, Serialize)]
pub struct MachinePeaks {
    /// The instruction set of the kernels.
    pub instructions: String,
    /// The BLAS library and its target core; none in a build without BLAS.
    pub blas: Option<String>,
    pub gflops: f64,
    /// The bandwidth of reading memory, in GB/s.
    pub read_gbs: f64,
}

impl MachinePeaks {
    /// Measures the peaks, which takes some tens of milliseconds.
    pub fn measure(threads: &ThreadPool) -> Self {
        let (flops, bytes) =
            (2.0 * peak::macs_per_second(threads), peak::read_bytes_per_second(threads).unwrap_or(0.0));
        let instructions = threads.isa().to_string();
        MachinePeaks { instructions, blas: blas::name(), gflops: flops / 1e9, read_gbs: bytes / 1e9 }
    }
}

/// The memory of this process; none where the system does not report it.
#[derive(Debug, Default, Serialize)]
pub struct ProcessMemory {
    /// The peak resident memory, with the pages of mapped files.
    pub peak_bytes: Option<u64>,
    /// The maximum of anonymous memory after the runs of a batch size.
    pub private_bytes: Option<u64>,
}

impl ProcessMemory {
    /// The maximum of each value.
    pub fn max(self, other: Self) -> Self {
        ProcessMemory {
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
            private_bytes: self.private_bytes.max(other.private_bytes),
        }
    }

    /// From Linux' `/proc/self/status`.
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
        };
        ProcessMemory { peak_bytes: field("VmHWM:"), private_bytes: field("RssAnon:") }
    }
}

/// Inputs that take the time of real ones: neither all zero nor denormal.
///
/// # Errors
/// [`RunError::Memory`].
pub fn synthetic_inputs(plan: &Plan, batch: usize) -> Result<Vec<Vec<f32>>, RunError> {
    let mut inputs = Vec::with_capacity(plan.inputs.len());
    for port in &plan.inputs {
        let mut values = batch_buffer(port, batch)?;
        values.iter_mut().enumerate().for_each(|(index, value)| *value = (index % 251) as f32 / 251.0 - 0.5);
        inputs.push(values);
    }
    Ok(inputs)
}

/// Zeros for a batch of a port, `(batch, values)`.
fn batch_buffer(port: &Port, batch: usize) -> Result<Vec<f32>, RunError> {
    let len = port.floats(1).checked_mul(batch);
    len.and_then(zeros).ok_or(RunError::Memory { batch, bytes: len.map(|len| len.saturating_mul(4)) })
}

/// The measurements of one batch size, and the outputs of the last run.
#[derive(Debug)]
pub struct Measurement {
    pub batch: BatchTimes,
    pub process: ProcessMemory,
    /// For each output of the net its values, `(batch, values)`.
    pub outputs: Vec<Vec<f32>>,
}

/// Runs a batch `runs` times after two warm-up runs, the first of which is reported separately; with `steps`, also measures
/// each step of the plan.
///
/// # Errors
/// A failed run, or too little memory.
pub fn measure(
    artifact: &Arc<Artifact>,
    pool: &Arc<ThreadPool>,
    batch: usize,
    inputs: &[Vec<f32>],
    runs: usize,
    steps: bool,
) -> Result<Measurement, RunError> {
    let plan = &artifact.manifest.plan;
    let mut session = Session::with_pool(artifact.clone(), pool.clone());
    let mut outputs = plan.outputs.iter().map(|port| batch_buffer(port, batch)).collect::<Result<Vec<_>, _>>()?;
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut run_once = |session: &mut Session| -> Result<Duration, RunError> {
        let mut views: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let began = Instant::now();
        session.run(batch, &inputs, &mut views)?;
        Ok(began.elapsed())
    };
    let first = run_once(&mut session)?;
    let mut times = Vec::with_capacity(runs);
    if runs > 0 {
        run_once(&mut session)?;
        if steps {
            session.measure();
        }
        for _ in 0..runs {
            times.push(run_once(&mut session)?);
        }
    }
    let profile = session.profile().iter().enumerate();
    let steps = profile.map(|(index, time)| step_time(plan, index, *time, batch, runs)).collect();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let times_ms: Vec<f64> = times.iter().copied().map(milliseconds).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied();
    let seconds = median.unwrap_or(first).as_secs_f64().max(1e-9);
    let batch = BatchTimes {
        batch,
        first_ms: milliseconds(first),
        median_ms: median.map(milliseconds),
        fastest_ms: times.first().copied().map(milliseconds),
        images_per_s: batch as f64 / seconds,
        direct_gflops: 2.0 * plan.macs as f64 * batch as f64 / seconds / 1e9,
        times_ms,
        steps,
    };
    Ok(Measurement { batch, process: ProcessMemory::now(), outputs })
}

/// The time and the rates of the step with this index, whose profile is the sum over `runs` runs.
fn step_time(plan: &Plan, index: usize, time: Duration, batch: usize, runs: usize) -> StepTime {
    let step = &plan.steps[index];
    let seconds = (time.as_secs_f64() / runs.max(1) as f64).max(1e-9);
    let micro_batches = plan.stage(index).map_or(1, |stage| batch.div_ceil(stage.micro_batch_size(batch).max(1)));
    let constant_floats = |source: &Source| match source {
        Source::Constant(index) => plan.constants[*index].len,
        Source::Memory(operand) => operand.batch_stride,
    };
    let all: usize = step.constants.iter().map(constant_floats).sum();
    // An embedding reads only the rows that are looked up.
    let constants = match &step.kernel {
        Kernel::Embedding(table) => all.min(table.positions * table.features * batch) / micro_batches.max(1),
        _ => all,
    };
    let values = step.kernel.sizes().floats(step.inputs.len() + usize::from(step.in_place));
    // A step on bytes reads or writes f32 at the borders only.
    let floats = step.output.format.words(values) * batch + constants * micro_batches;
    StepTime {
        step: step.name.clone(),
        kernel: step.kernel.describe(),
        ms: seconds * 1e3,
        gflops: 2.0 * step.kernel.executed_macs() as f64 * batch as f64 / seconds / 1e9,
        gbs: 4.0 * floats as f64 / seconds / 1e9,
    }
}
