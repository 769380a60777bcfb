//! Lowering within a memory budget: smaller micro-batches first, then algorithms that need less memory, in the order of the
//! lowest loss of time per byte saved.

use super::cost_model::ConvolutionCosts;
use super::{Bf16Use, Compiled, Options, lower};
use crate::diagnostics::{Code, Diagnostic, Result, numbers};
use crate::graph::Graph;
use crate::plan::kernel_step::KernelStep;
use crate::plan::scratch::max_scratch_len;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::{Kernel, Plan};

/// Lowers a graph so that [`Plan::memory`] is at most `limit` bytes.
///
/// # Errors
/// As [`lower`], and `E0801` if no plan is that small.
pub fn fit_memory_budget(graph: &Graph, options: Options<'_>, limit: u64) -> Result<Compiled> {
    let costs = ConvolutionCosts::of_graph(graph, options.rounding());
    let mut compiled = lower(graph, options)?;
    let mut micro_batch = compiled.plan.stages.iter().filter_map(|stage| stage.micro_batch).max().unwrap_or(1);
    while compiled.plan.memory() > limit && micro_batch > 1 {
        micro_batch /= 2;
        compiled = lower(graph, Options { micro_batch: Some(micro_batch), ..options })?;
    }
    let mut overrides = options.overrides.cloned().unwrap_or_default();
    while compiled.plan.memory() > limit {
        let Some((step, images)) = cheapest_saving(&compiled.plan, &costs) else {
            return Err(too_large(graph, &compiled.plan, options, limit).into());
        };
        overrides.insert(&step, images, options.rounding());
        compiled = lower(graph, Options { micro_batch: Some(micro_batch), overrides: Some(&overrides), ..options })?;
    }
    Ok(compiled)
}

/// The convolution with the smaller algorithm that loses the least time per byte saved, and its micro-batch.
fn cheapest_saving(plan: &Plan, costs: &ConvolutionCosts) -> Option<(ConvolutionStep, usize)> {
    let mut best: Option<(f64, ConvolutionStep, usize)> = None;
    for (index, step) in plan.steps.iter().enumerate() {
        let Kernel::Convolution(now) = &step.kernel else { continue };
        let micro_batch = plan.micro_batch(index);
        let before = costs.estimate(now);
        for candidate in costs.candidates(now, micro_batch) {
            let other = ConvolutionStep { algorithm: candidate.algorithm, ..now.clone() };
            let saved = bytes(now, micro_batch).saturating_sub(bytes(&other, micro_batch)) as f64;
            let rate = saved / (candidate.nanoseconds - before).max(1.0);
            if saved > 0.0 && best.as_ref().is_none_or(|(most, ..)| rate > *most) {
                best = Some((rate, other, micro_batch));
            }
        }
    }
    best.map(|(_, step, micro_batch)| (step, micro_batch))
}

fn bytes(step: &ConvolutionStep, micro_batch: usize) -> usize {
    4 * (step.constants().iter().sum::<usize>() + max_scratch_len(step, micro_batch, Plan::MEMORY_THREADS))
}

fn too_large(graph: &Graph, plan: &Plan, options: Options<'_>, limit: u64) -> Diagnostic {
    let constants = plan.constant_floats() as u64 * 4;
    let message = format!(
        "the smallest plan of `{}` needs {}, but the limit is {}",
        graph.name,
        numbers::bytes(plan.memory()),
        numbers::bytes(limit)
    );
    let diagnostic = Diagnostic::new(Code::Memory, message).note(format!(
        "{} are constants, {} is working memory for {} images at a time on {} threads",
        numbers::bytes(constants),
        numbers::bytes(plan.memory() - constants),
        Plan::MEMORY_BATCH,
        Plan::MEMORY_THREADS
    ));
    let dense: usize = plan
        .steps
        .iter()
        .filter(|step| matches!(step.kernel, Kernel::Dense(_)))
        .flat_map(|step| step.kernel.constants())
        .sum();
    let half = (options.bf16 == Bf16Use::Never && dense > 0).then(|| {
        format!(
            "`--precision bf16-weights` halves the {} of the dense layers' weights",
            numbers::bytes(4 * dense as u64)
        )
    });
    diagnostic.maybe_help(half)
}
