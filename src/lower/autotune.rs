//! Autotuning: each distinct convolution of a plan is timed with every algorithm and several blockings.

use super::cost_model::ConvolutionCosts;
use super::{AlgorithmOverrides, cost_model};
use crate::kernels::conv::Algorithm;
use crate::kernels::conv::algorithm::Rounding;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::plan::kernel_step::KernelStep;
use crate::plan::kernel_timing::KernelTiming;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::dense::DenseStep;
use crate::plan::{Kernel, Plan};
use std::fmt::Display;
use std::time::Duration;

/// Runs of each candidate. The fastest counts, as other programs only ever slow a run down.
const ROUNDS: usize = 5;
/// A candidate whose first run takes this many times the best time is not run again.
const GIVE_UP_FACTOR: u32 = 2;

/// Times the convolutions and dense layers of a plan that have no override yet, and adds overrides with the fastest
/// algorithms. `report` is called for each with the step's name and the time of one image.
pub fn tune(
    plan: &Plan,
    rounding: Rounding,
    threads: usize,
    overrides: &mut AlgorithmOverrides,
    report: &mut dyn FnMut(&str, &dyn Display, Duration),
) {
    let threads = ThreadPool::new(threads);
    let net_bytes = 4 * plan.constant_floats();
    let costs = ConvolutionCosts::of_plan(plan, rounding);
    for (index, step) in plan.steps.iter().enumerate() {
        if let Kernel::Dense(dense) = &step.kernel
            && !dense.weights.is_bf16()
            && overrides.find_dense(dense).is_none()
            && let Some((candidate, time)) = fastest_dense(dense, net_bytes, &threads)
        {
            report(&step.name, &candidate.describe(), time);
            overrides.insert_dense(&candidate);
        }
        let Kernel::Convolution(convolution) = &step.kernel else { continue };
        let chunk = plan.micro_batch(index);
        if overrides.find(convolution, chunk, rounding).is_some() {
            continue;
        }
        let mut best: Option<(Duration, ConvolutionStep)> = None;
        for algorithm in variants(&costs, convolution, chunk) {
            let candidate = ConvolutionStep { algorithm, ..convolution.clone() };
            let fastest = best.as_ref().map(|(time, _)| *time);
            if let Some(time) = time(&Kernel::Convolution(candidate.clone()), chunk, fastest, net_bytes, &threads)
                && fastest.is_none_or(|fastest| time < fastest)
            {
                best = Some((time, candidate));
            }
        }
        if let Some((time, candidate)) = best {
            report(&step.name, &candidate.algorithm, time);
            overrides.insert(&candidate, chunk, rounding);
        }
    }
}

/// The candidates, each with its variants.
fn variants(costs: &ConvolutionCosts, step: &ConvolutionStep, chunk: usize) -> Vec<Algorithm> {
    let mut list: Vec<Algorithm> = Vec::new();
    let mut candidates = costs.candidates(step, chunk);
    candidates.sort_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds));
    for candidate in candidates {
        list.push(candidate.algorithm);
        list.extend(candidate.algorithm.tuning_variants(&step.geometry));
    }
    list
}

/// The fastest candidate to compute a dense layer, for images alone and in full batches, with the time of one image.
fn fastest_dense(step: &DenseStep, net_bytes: usize, threads: &ThreadPool) -> Option<(DenseStep, Duration)> {
    let candidates =
        cost_model::dense(step, cost_model::MAX_IMAGES).into_iter().filter(|(_, estimate)| estimate.is_finite());
    let timed = candidates.filter_map(|(candidate, _)| {
        let time = time(&Kernel::Dense(candidate.clone()), cost_model::MAX_IMAGES, None, net_bytes, threads)?;
        Some((candidate, time))
    });
    timed.min_by_key(|(_, time)| *time)
}

/// The mean of the times of a single image and of an image in a micro-batch: a plan serves both.
fn time(
    kernel: &Kernel,
    chunk: usize,
    least: Option<Duration>,
    net_bytes: usize,
    threads: &ThreadPool,
) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    let mut sizes = vec![1];
    sizes.extend((chunk > 1).then_some(chunk));
    for &batch in &sizes {
        let mut trial = KernelTiming::new(kernel, batch, net_bytes, threads)?;
        trial.run(threads).ok()?;
        let mut fastest = trial.run(threads).ok()?;
        if least.is_some_and(|least| fastest / batch as u32 > least * GIVE_UP_FACTOR) {
            return None;
        }
        for _ in 1..ROUNDS {
            fastest = fastest.min(trial.run(threads).ok()?);
        }
        sum += fastest / batch as u32;
    }
    Some(sum / sizes.len() as u32)
}
