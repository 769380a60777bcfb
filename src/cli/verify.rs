//! `netc verify`

use super::build::Choices;
use super::{Done, Failed, report};
use crate::compile::{self, Build, BuildOptions};
use crate::diagnostics::{Code, Diagnostic};
use crate::graph::reference;
use crate::runtime::{Session, threads};
use ndarray::{ArrayD, IxDyn};
use std::sync::Arc;

/// The largest error that is fine, as a share of the output's range.
const TOLERANCE: f64 = 1e-4;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    #[command(flatten)]
    choices: Choices,
    /// Images to compare
    #[arg(long, default_value_t = 2)]
    batch: usize,
    /// Threads; default: all that the process may use
    #[arg(long)]
    threads: Option<usize>,
}

pub fn run(args: &Args) -> Done {
    let spec = report::load(&args.spec)?;
    let options = BuildOptions { allow_untrained: true, ..args.choices.options() };
    let build = report::settle(compile::build(&spec, &options), &spec.sources)?;
    let threads = args.threads.unwrap_or_else(threads::available).max(1);
    let errors = compare(&build, args.batch.max(1), threads)?;
    let mut worst: f64 = 0.0;
    for (port, error) in build.compiled.plan.outputs.iter().zip(errors) {
        report::print(format!("{}: largest error {error:.2e} of the output's range\n", port.name));
        worst = worst.max(error);
    }
    match worst <= TOLERANCE {
        true => Ok(()),
        false => Err(report::fail_with(Diagnostic::new(
            Code::Unsupported,
            format!("the compiled net is off by {worst:.2e}, more than {TOLERANCE:.0e}"),
        ))),
    }
}

/// Runs the plan and the unfused f64 reference on the same inputs; the largest error of each output over its range.
fn compare(build: &Build, batch: usize, threads: usize) -> Result<Vec<f64>, Failed> {
    let failed = |message: String| report::fail_with(Diagnostic::new(Code::Unsupported, message));
    let artifact = Arc::new(build.in_memory().map_err(|faults| report::fail(&faults, &Default::default()))?);
    let plan = &artifact.manifest.plan;
    let inputs: Vec<Vec<f32>> = plan
        .inputs
        .iter()
        .map(|port| {
            let normal = crate::graph::Initializer::Normal { mean: 0.0, std: 1.0 };
            normal.sample(&[batch * port.len()], &port.name, 1)
        })
        .collect();
    let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![0.0; port.len() * batch]).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut room: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    Session::new(artifact.clone(), threads).run(batch, &slices, &mut room).map_err(|fault| failed(fault.to_string()))?;
    let arrays: Vec<ArrayD<f64>> = inputs
        .iter()
        .zip(&plan.inputs)
        .filter_map(|(values, port)| {
            let shape: Vec<usize> = std::iter::once(batch).chain(port.sizes.iter().copied()).collect();
            ArrayD::from_shape_vec(IxDyn(&shape), values.iter().map(|&value| f64::from(value)).collect()).ok()
        })
        .collect();
    let mut fault = None;
    let wanted = reference::evaluate(
        &build.graph,
        &arrays,
        &mut |id| match build.values(id) {
            Ok(values) => values,
            Err(error) => {
                fault = Some(error);
                Vec::new()
            }
        },
        &mut |_, _| {},
    );
    if let Some(fault) = fault {
        return Err(failed(fault.to_string()));
    }
    Ok(outputs
        .iter()
        .zip(&wanted)
        .map(|(found, wanted)| {
            let low = wanted.iter().copied().fold(f64::INFINITY, f64::min);
            let high = wanted.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let error = found.iter().zip(wanted).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
            error / (high - low).max(f64::MIN_POSITIVE)
        })
        .collect())
}
