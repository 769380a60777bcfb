//! `netc verify`

use crate::check::{verify, verify_training};
use crate::cli::args::build_args::BuildArgs;
use crate::cli::args::{number, threads_arg};
use crate::cli::model::report_calibration;
use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use crate::compile::{Build, BuildOptions};
use crate::diagnostics::{Code, Diagnostics};
use crate::elaborate::Spec;
use crate::train::autodiff::recipe_check;
use crate::train::{recipe, recorded_loss};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    #[command(flatten)]
    build: BuildArgs,
    /// Images to compare
    #[arg(long, default_value_t = 2, value_parser = number::batch_size)]
    batch: usize,
    /// Compare an update by the spec's recipe, too: losses, gradients, and the optimizer
    #[arg(long)]
    training: bool,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

pub fn run(args: &Args) -> CommandResult {
    let spec = messages::load(&args.spec)?;
    // Parameters without a file are compared too, with random values.
    let options = BuildOptions { allow_untrained: true, allow_missing: true, ..args.build.options() };
    let build = messages::unwrap_or_report(recorded_loss::build(&spec, &options), &spec.sources)?;
    report_calibration(&build);
    let threads = args.threads.count();
    let comparison =
        verify::verify(&build, args.batch, threads).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&build.bindings.lint_values(), &spec.sources);
    let width = comparison.steps.iter().map(|step| step.step.len()).max().unwrap_or(0);
    for step in &comparison.steps {
        let snr = if comparison.int8 { format!("  {:5.1} dB", step.snr) } else { String::new() };
        messages::print(format!("  {:width$}  {:.2e}{snr}  {}\n", step.step, step.error, step.description));
    }
    for deviation in &comparison.outputs {
        let snr = if comparison.int8 { format!(", {:.1} dB", deviation.snr) } else { String::new() };
        messages::print(format!(
            "{}: maximum error {:.2e} of the output's range{snr}\n",
            deviation.output, deviation.error
        ));
    }
    comparison.check(options.precision).map_err(messages::fail_with)?;
    if args.training { training(&spec, &build, args) } else { Ok(()) }
}

/// Compares an update of the net's training.
fn training(spec: &Spec, build: &Build, args: &Args) -> CommandResult {
    let report = |errors: Diagnostics| messages::fail(&errors, &spec.sources);
    let recipe = recipe::of(spec, &build.graph.name).map_err(report)?;
    let losses = recipe_check::losses_of(&recipe, &build.graph).map_err(report)?;
    let (graph, bindings) = (&build.graph, &build.bindings);
    let found = verify_training::verify_training(graph, bindings, &recipe, &losses, args.batch, args.threads.count())
        .map_err(report)?;
    if !found.inactive.is_empty() {
        messages::line("Inactive", format!("{} (random numbers)", messages::list(&found.inactive)));
    }
    let width = found.parameters.iter().map(|(path, _)| path.len()).max().unwrap_or(0);
    for (path, error) in &found.parameters {
        messages::print(format!("  {path:width$}  {error:.2e} of the largest change\n"));
    }
    for (output, error) in &found.losses {
        messages::print(format!("{output}: error of the loss {error:.2e}\n"));
    }
    let worst = found.worst();
    match worst <= verify_training::TOLERANCE {
        true => Ok(()),
        false => {
            let tolerance = verify_training::TOLERANCE;
            let message = format!("the compiled training step deviates by {worst:.2e}, more than {tolerance:.0e}");
            Err(messages::error(Code::Deviation, message))
        }
    }
}
