//! Explanation of a step's algorithm: the candidates, and their estimated costs.

use super::cost_model::{self, ConvolutionCosts};
use crate::kernels::conv::algorithm::Rounding;
use crate::kernels::gemm::Shape;
use crate::plan::kernel_step::KernelStep;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::dense::{DenseStep, Storage};
use crate::plan::{Kernel, Plan};
use std::fmt::Write;

/// The step of a name, or the one into which the layer of that name was fused, with the candidates for it.
pub fn explain(plan: &Plan, name: &str, rounding: Rounding) -> Option<String> {
    let index = plan.step_of(name)?;
    let step = &plan.steps[index];
    let mut text = format!("{}  {}\n", step.name, step.kernel.describe());
    if !step.layers.is_empty() {
        let _ = writeln!(text, "  with {} fused in", step.layers.join(", "));
    }
    if let Kernel::FusedConvolutions(chain) = &step.kernel {
        let (count, held) = (chain.links.len(), chain.intermediate_floats() * 4 / 1024);
        let _ = writeln!(text, "  {count} layers in one step: the {held} KiB per image between them stay in cache");
    }
    if let Kernel::Dense(dense) = &step.kernel
        && !dense.weights.is_bf16()
    {
        text += &dense_candidates(dense);
        return Some(text);
    }
    if let Some(shape) = step.kernel.gemm_shape(plan.micro_batch(index)) {
        text += &products(&step.kernel, &shape);
        return Some(text);
    }
    let Kernel::Convolution(now) = &step.kernel else {
        let floats: usize = step.kernel.constants().iter().sum();
        let _ = writeln!(
            text,
            "  nothing to choose: one kernel computes it, with {} KiB of constants and {:.3} GFLOP per image",
            floats * 4 / 1024,
            2.0 * step.kernel.executed_macs() as f64 / 1e9
        );
        return Some(text);
    };
    let costs = ConvolutionCosts::of_plan(plan, rounding);
    let candidates = costs.candidates(now, plan.micro_batch(index));
    let names: Vec<String> = candidates.iter().map(|candidate| candidate.algorithm.to_string()).collect();
    let chosen = now.algorithm.to_string();
    let width = names.iter().map(|name| name.chars().count()).chain([chosen.chars().count(), 9]).max().unwrap_or(9);
    let _ = writeln!(
        text,
        "\n  {:width$}  {:>12}  {:>7}  {:>13}  {:>11}",
        "algorithm", "estimated us", "GFLOP", "constants KiB", "scratch KiB"
    );
    let mut line = |mark: char, name: &str, other: &ConvolutionStep, nanoseconds: f64| {
        let _ = writeln!(
            text,
            "{mark} {name:width$}  {:>12.1}  {:>7.3}  {:>13}  {:>11}",
            nanoseconds / 1e3,
            2.0 * other.executed_macs() as f64 / 1e9,
            other.constants().iter().sum::<usize>() * 4 / 1024,
            other.scratch_len(1, 1) * 4 / 1024
        );
    };
    let is_listed = candidates.iter().any(|candidate| candidate.algorithm == now.algorithm);
    for (candidate, name) in candidates.iter().zip(&names) {
        let mark = if candidate.algorithm == now.algorithm { '*' } else { ' ' };
        let other = ConvolutionStep { algorithm: candidate.algorithm, ..now.clone() };
        line(mark, name, &other, candidate.nanoseconds);
    }
    if !is_listed {
        line('*', &chosen, now, costs.estimate(now));
    }
    text += "\n  * is chosen; times are estimates for one image on one core of the plan's fixed target\n";
    Some(text)
}

/// The ways to compute a dense layer.
fn dense_candidates(step: &DenseStep) -> String {
    let images = cost_model::MAX_IMAGES;
    let mut text = format!("\n  {:26}  {:>12}  {:>13}\n", "weights, multiplied by", "estimated us", "constants KiB");
    for (candidate, nanoseconds) in cost_model::dense(step, images).into_iter().filter(|(_, time)| time.is_finite()) {
        let mark = if candidate == *step { '*' } else { ' ' };
        let name = match candidate.weights {
            Storage::Raw => format!("unpacked, {}", candidate.backend),
            _ => format!("packed, {}", candidate.backend),
        };
        let kilobytes = candidate.constants().iter().sum::<usize>() * 4 / 1024;
        let _ = writeln!(text, "{mark} {name:26}  {:>12.1}  {kilobytes:>13}", nanoseconds / 1e3);
    }
    text + &format!("\n  * is chosen; times are estimates for {images} images on one core of the plan's fixed target\n")
}

/// The backends that could compute a step's general products.
fn products(kernel: &Kernel, shape: &Shape) -> String {
    let Shape { rows, columns, depth, transposed, count } = *shape;
    let note = |transposed: bool| if transposed { " transposed" } else { "" };
    let (left, right) = (note(transposed.0), note(transposed.1));
    let mut text = format!("  {count} x ({rows}, {depth}){left} times ({depth}, {columns}){right}\n\n");
    text += "  backend  estimated us\n";
    for (backend, nanoseconds) in cost_model::products(shape) {
        let mark = if backend == kernel.backend() { '*' } else { ' ' };
        let _ = writeln!(text, "{mark} {:7}  {:>12.1}", backend.to_string(), nanoseconds / 1e3);
    }
    text + "\n  * is chosen; times are estimates on one core of the plan's fixed target\n"
}
