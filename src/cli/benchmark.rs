//! What `netc bench` measures: batches, their steps, the machine and the process.

use super::{Failed, predict};
use crate::artifact::Artifact;
use crate::kernels::gemm::blas;
use crate::kernels::gemm::peak;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::plan::kernel::Kernel;
use crate::plan::{Plan, Source, Step};
use crate::runtime::Session;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One size of batch.
#[derive(Debug, Serialize)]
pub struct Batch {
    pub batch: usize,
    /// The first run, in which memory is made and constants are read and checked.
    pub first_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fastest_ms: Option<f64>,
    pub images_per_s: f64,
    /// As if each multiply-add of the layers were really done.
    pub direct_gflops: f64,
    /// Every run that was counted, in order.
    pub times_ms: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepTime>,
}

/// One step of a plan, in a run of a batch.
#[derive(Debug, Serialize)]
pub struct StepTime {
    pub step: String,
    pub kernel: String,
    pub ms: f64,
    /// Of the multiply-adds that the algorithm executes.
    pub gflops: f64,
    /// Of inputs, outputs and constants, each counted once for each chunk of images.
    pub gbs: f64,
}

/// What the machine can do with the threads that are used.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The instruction set of the kernels.
    pub instructions: String,
    /// The BLAS and the core that it uses; none in a build without one.
    pub blas: Option<String>,
    pub gflops: f64,
    pub read_gbs: f64,
}

impl Machine {
    /// Measures for some tens of milliseconds.
    pub fn measure(threads: &ThreadPool) -> Self {
        let (flops, bytes) = (2.0 * peak::macs(threads), peak::read(threads).unwrap_or(0.0));
        let instructions = threads.isa().to_string();
        Machine { instructions, blas: blas::name(), gflops: flops / 1e9, read_gbs: bytes / 1e9 }
    }
}

/// The memory of this process; none where the system does not tell.
#[derive(Debug, Default, Serialize)]
pub struct Process {
    /// The most that was in memory at once, pages of mapped files among it.
    pub peak_bytes: Option<u64>,
    /// The most that belonged to no file when a batch size had been run.
    pub private_bytes: Option<u64>,
}

impl Process {
    /// The larger of each.
    pub fn max(self, other: Self) -> Self {
        Process {
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
            private_bytes: self.private_bytes.max(other.private_bytes),
        }
    }

    /// As Linux tells it.
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
        };
        Process { peak_bytes: field("VmHWM:"), private_bytes: field("RssAnon:") }
    }
}

/// Runs a batch over and over; gives the times, the memory that it took, and what came out.
pub fn measure(
    artifact: &Arc<Artifact>,
    pool: &Arc<ThreadPool>,
    batch: usize,
    inputs: &[Vec<f32>],
    runs: usize,
    steps: bool,
) -> Result<(Batch, Process, Vec<Vec<f32>>), Failed> {
    let plan = &artifact.manifest.plan;
    let mut session = Session::with_pool(artifact.clone(), pool.clone());
    let mut outputs = Vec::with_capacity(plan.outputs.len());
    for port in &plan.outputs {
        outputs.push(predict::room(port.floats(1), batch)?);
    }
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut once = |session: &mut Session| -> Result<Duration, Failed> {
        let mut room: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let began = Instant::now();
        session.run(batch, &inputs, &mut room).map_err(|error| predict::run_failed(&error))?;
        Ok(began.elapsed())
    };
    let first = once(&mut session)?;
    let mut times = Vec::with_capacity(runs);
    if runs > 0 {
        once(&mut session)?;
        if steps {
            session.measure();
        }
        for _ in 0..runs {
            times.push(once(&mut session)?);
        }
    }
    let steps = session.profile().iter().zip(&plan.steps).map(|(time, step)| step_time(plan, step, *time, batch, runs));
    let steps = steps.collect();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let times_ms: Vec<f64> = times.iter().copied().map(milliseconds).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied();
    let seconds = median.unwrap_or(first).as_secs_f64().max(1e-9);
    let measured = Batch {
        batch,
        first_ms: milliseconds(first),
        median_ms: median.map(milliseconds),
        fastest_ms: times.first().copied().map(milliseconds),
        images_per_s: batch as f64 / seconds,
        direct_gflops: 2.0 * plan.macs as f64 * batch as f64 / seconds / 1e9,
        times_ms,
        steps,
    };
    Ok((measured, Process::now(), outputs))
}

fn step_time(plan: &Plan, step: &Step, time: Duration, batch: usize, runs: usize) -> StepTime {
    let seconds = (time.as_secs_f64() / runs.max(1) as f64).max(1e-9);
    let place = plan.steps.iter().position(|other| std::ptr::eq(other, step)).unwrap_or(0);
    let rounds = plan.stage(place).map_or(1, |stage| batch.div_ceil(stage.micro_batch_size(batch).max(1)));
    let all: usize = step
        .constants
        .iter()
        .map(|source| match source {
            Source::Constant(index) => plan.constants[*index].len,
            Source::Memory(operand) => operand.batch_stride,
        })
        .sum();
    // Of a table only the rows that are looked up are read.
    let constants = match &step.kernel {
        Kernel::Embedding(table) => all.min(table.positions * table.features * batch) / rounds.max(1),
        _ => all,
    };
    let floats =
        (step.kernel.sizes().floats(step.inputs.len() + usize::from(step.in_place))) * batch + constants * rounds;
    StepTime {
        step: step.name.clone(),
        kernel: step.kernel.describe(),
        ms: seconds * 1e3,
        gflops: 2.0 * step.kernel.executed_macs() as f64 * batch as f64 / seconds / 1e9,
        gbs: 4.0 * floats as f64 / seconds / 1e9,
    }
}
