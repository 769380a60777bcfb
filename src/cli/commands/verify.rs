//! `netc verify`

use crate::check::verify;
use crate::cli::args::build_args::BuildArgs;
use crate::cli::args::{number, threads_arg};
use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use crate::compile::{self, BuildOptions};

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
    for deviation in &comparison.outputs {
        messages::print(format!("{}: maximum error {:.2e} of the output's range\n", deviation.output, deviation.error));
    }
    comparison.check(options.half_weights).map_err(messages::fail_with)
}
