//! `netc verify`

use crate::check::verify;
use crate::cli::args::build_args::BuildArgs;
use crate::cli::args::{number, threads_arg};
use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use crate::compile::{self, BuildOptions};
use crate::diagnostics::{Code, Diagnostic};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    #[command(flatten)]
    build: BuildArgs,
    /// Images to compare
    #[arg(long, default_value_t = 2, value_parser = number::batch_size)]
    batch: usize,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

pub fn run(args: &Args) -> CommandResult {
    let spec = messages::load(&args.spec)?;
    // Parameters without a file are compared too, with random values.
    let options = BuildOptions { allow_untrained: true, allow_missing: true, ..args.build.options() };
    let build = messages::unwrap_or_report(compile::build(&spec, &options), &spec.sources)?;
    let threads = args.threads.count();
    let comparison =
        verify::verify(&build, args.batch, threads).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&build.bindings.lint_values(), &spec.sources);
    let width = comparison.steps.iter().map(|step| step.step.len()).max().unwrap_or(0);
    for step in &comparison.steps {
        messages::print(format!("  {:width$}  {:.2e}  {}\n", step.step, step.error, step.description));
    }
    let mut worst: f64 = 0.0;
    for deviation in comparison.outputs {
        messages::print(format!("{}: maximum error {:.2e} of the output's range\n", deviation.output, deviation.error));
        worst = worst.max(deviation.error);
    }
    let tolerance = if options.half_weights { verify::HALF_TOLERANCE } else { verify::TOLERANCE };
    if worst <= tolerance {
        return Ok(());
    }
    let message = format!("the compiled net deviates by {worst:.2e}, more than {tolerance:.0e}");
    let mut diagnostic = Diagnostic::new(Code::Deviation, message);
    if let Some(first) = comparison.steps.iter().find(|step| step.error > tolerance) {
        diagnostic = diagnostic.note(format!("the first step above it is `{}`: {}", first.step, first.description));
    }
    Err(messages::fail_with(diagnostic))
}
