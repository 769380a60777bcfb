//! A plan that stays within some memory: first smaller chunks, then algorithms that need less, those first that lose the
//! least time for what they save.

use super::{Compiled, Options, cost_model, lower};
use crate::diagnostics::{Code, Diagnostic, Result, counted};
use crate::graph::Graph;
use crate::plan::kernel_step::KernelStep;
use crate::plan::scratch::max_scratch_len;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::{Kernel, Plan};

/// Lowers a graph so that [`Plan::memory`] is at most so many bytes.
///
/// # Errors
/// As [`lower`], and `E0801` where no plan is so small.
pub fn fit_memory_budget(graph: &Graph, options: Options<'_>, most: u64) -> Result<Compiled> {
    let mut compiled = lower(graph, options)?;
    let mut chunk = compiled.plan.stages.iter().filter_map(|stage| stage.micro_batch).max().unwrap_or(1);
    while compiled.plan.memory() > most && chunk > 1 {
        chunk /= 2;
        compiled = lower(graph, Options { chunk: Some(chunk), ..options })?;
    }
    let mut settled = options.settled.cloned().unwrap_or_default();
    while compiled.plan.memory() > most {
        let Some((step, images)) = cheapest_saving(&compiled.plan, options.exact) else {
            return Err(too_large(graph, &compiled.plan, options, most).into());
        };
        settled.insert(&step, images, options.exact);
        compiled = lower(graph, Options { chunk: Some(chunk), settled: Some(&settled), ..options })?;
    }
    Ok(compiled)
}

/// The convolution with a smaller algorithm that loses the least time for each byte it saves, and its chunk's images.
fn cheapest_saving(plan: &Plan, exact: bool) -> Option<(ConvolutionStep, usize)> {
    let mut best: Option<(f64, ConvolutionStep, usize)> = None;
    for (index, step) in plan.steps.iter().enumerate() {
        let Kernel::Convolution(now) = &step.kernel else { continue };
        let chunk = plan.micro_batch(index);
        let before = cost_model::estimate(now);
        for candidate in cost_model::candidates(now, chunk, exact) {
            let other = ConvolutionStep { algorithm: candidate.algorithm, ..now.clone() };
            let saved = bytes(now, chunk).saturating_sub(bytes(&other, chunk)) as f64;
            let rate = saved / (candidate.nanoseconds - before).max(1.0);
            if saved > 0.0 && best.as_ref().is_none_or(|(most, ..)| rate > *most) {
                best = Some((rate, other, chunk));
            }
        }
    }
    best.map(|(_, step, chunk)| (step, chunk))
}

fn bytes(step: &ConvolutionStep, chunk: usize) -> usize {
    4 * (step.constants().iter().sum::<usize>() + max_scratch_len(step, chunk, Plan::MEMORY_THREADS))
}

fn too_large(graph: &Graph, plan: &Plan, options: Options<'_>, most: u64) -> Diagnostic {
    let mib = |bytes: u64| match bytes {
        0..1_048_576 => counted(bytes as usize, "byte"),
        _ => format!("{:.1} MiB", bytes as f64 / (1u64 << 20) as f64),
    };
    let constants = plan.constant_floats() as u64 * 4;
    let message =
        format!("the smallest plan of `{}` needs {}, and {} are allowed", graph.name, mib(plan.memory()), mib(most));
    let diagnostic = Diagnostic::new(Code::Memory, message).note(format!(
        "{} are constants, {} the memory of {} images at a time on {} threads",
        mib(constants),
        mib(plan.memory() - constants),
        Plan::MEMORY_BATCH,
        Plan::MEMORY_THREADS
    ));
    let dense: usize = plan
        .steps
        .iter()
        .filter(|step| matches!(step.kernel, Kernel::Dense(_)))
        .flat_map(|step| step.kernel.constants())
        .sum();
    let half = (!options.half && dense > 0).then(|| {
        format!("`--precision bf16-weights` halves the {} of the dense layers' weights", mib(4 * dense as u64))
    });
    diagnostic.maybe_help(half)
}
