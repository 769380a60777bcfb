//! `netc bench`

use crate::cli::args::build_args::BuildArgs;
use crate::cli::args::{number, threads_arg};
use crate::cli::arrays;
use crate::cli::model;
use crate::cli::output::run_errors::run_failed;
use crate::cli::output::{messages, output_guard};
use crate::cli::result::{CommandResult, Failed, Format};
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::runtime::benchmark::{BatchTimes, MachinePeaks, ProcessMemory, measure, synthetic_inputs};
use crate::train::batches::net_inputs::NetInputs;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec, which is compiled first
    model: String,
    #[command(flatten)]
    build: BuildArgs,
    /// Batch sizes
    #[arg(long, default_value = "1,2,4,8", value_delimiter = ',', value_parser = number::batch_size)]
    batch: Vec<usize>,
    #[command(flatten)]
    threads: threads_arg::ThreadPlacement,
    /// Measured runs, after two warm-up runs; 0 measures only the first run
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// Run on this array (.npy, .npz) instead of synthetic values
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the outputs of the last batch: .npy, .npz or .h5
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show the time of each step for every batch size, not only for the first
    #[arg(long)]
    steps: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// All measurements, as `--format json` prints them.
#[derive(Serialize)]
struct BenchReport<'a> {
    net: &'a str,
    threads: usize,
    /// The time to map and check the artifact, or to compile the spec.
    open_ms: f64,
    batches: Vec<BatchTimes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<MachinePeaks>,
    process: ProcessMemory,
}

pub fn run(args: &Args) -> CommandResult {
    let began = Instant::now();
    if let Some(path) = &args.output {
        let inputs = output_guard::inputs(&args.model, &args.build.weights, args.input.as_slice());
        output_guard::check_arrays(path, &inputs)?;
    }
    if let Some(path) = &args.input {
        arrays::check_readable(path)?;
    }
    let takes = |inputs: &NetInputs| args.input.iter().try_for_each(|path| arrays::check_shapes(path, &inputs.ports));
    let artifact = Arc::new(model::open_for(&args.model, &args.build, takes)?);
    let open_ms = began.elapsed().as_secs_f64() * 1e3;
    let pool = args.threads.pool();
    let plan = &artifact.manifest.plan;
    let given = args.input.as_ref().map(|path| arrays::read_arrays(path, &plan.inputs)).transpose()?;
    let (mut batches, mut process) = (Vec::new(), ProcessMemory::default());
    for (index, &size) in args.batch.iter().enumerate() {
        let inputs = match &given {
            Some(given) => arrays::first_images(given, plan, size).ok_or_else(|| too_few_images(args, size))?,
            None => synthetic_inputs(plan, size).map_err(|error| run_failed(&error))?,
        };
        let steps = args.runs > 0 && (args.steps || index == 0 && args.format == Format::Text);
        let measurement =
            measure(&artifact, &pool, size, &inputs, args.runs, steps).map_err(|error| run_failed(&error))?;
        batches.push(measurement.batch);
        process = process.max(measurement.process);
        if let (Some(path), true) = (&args.output, index + 1 == args.batch.len()) {
            arrays::write(path, &artifact, size, &measurement.outputs)?;
        }
    }
    let machine = batches.iter().any(|batch| !batch.steps.is_empty()).then(|| MachinePeaks::measure(&pool));
    let report = BenchReport { net: &artifact.manifest.net, threads: pool.count(), open_ms, batches, machine, process };
    match args.format {
        Format::Json => messages::print(format!("{:#}\n", serde_json::json!(report))),
        Format::Text => print(&report),
    }
    Ok(())
}

fn too_few_images(args: &Args, size: usize) -> Failed {
    let path = args.input.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let message = format!("{path} has too few images for a batch of {}", counted(size, "image"));
    messages::fail_with(Diagnostic::new(Code::Array, message).help("choose smaller batches with `--batch`"))
}

fn print(report: &BenchReport) {
    let BenchReport { net, threads, batches, machine, process, .. } = report;
    let mut text = format!("{net}, {}\n", counted(*threads, "thread"));
    if let Some(MachinePeaks { instructions, blas, gflops, read_gbs }) = machine {
        text += &format!("machine  {instructions}, {gflops:.0} GFLOP/s, reads {read_gbs:.1} GB/s from memory\n");
        text += &format!("blas     {}\n", blas.as_deref().unwrap_or("none: matrix products by netc's own kernels"));
    }
    if let Some(peak) = process.peak_bytes {
        let private = process.private_bytes.map(|private| format!(", {} of it private", messages::bytes(private)));
        text += &format!("memory   peak {}{}\n", messages::bytes(peak), private.unwrap_or_default());
    }
    text += &format!(
        "\n{:>5}  {:>11}  {:>11}  {:>11}  {:>10}  {:>20}\n",
        "batch", "median ms", "fastest ms", "first ms", "images/s", "direct-work GFLOP/s"
    );
    for batch in batches {
        text += &format!(
            "{:>5}  {:>11.3}  {:>11.3}  {:>11.1}  {:>10.1}  {:>20.0}\n",
            batch.batch,
            batch.median_ms.unwrap_or(batch.first_ms),
            batch.fastest_ms.unwrap_or(batch.first_ms),
            batch.first_ms,
            batch.images_per_s,
            batch.direct_gflops,
        );
    }
    for batch in batches.iter().filter(|batch| !batch.steps.is_empty()) {
        let width = batch.steps.iter().map(|step| step.step.len()).max().unwrap_or(0);
        text += &format!(
            "\nbatch {}\n  {:width$}  {:>9}  {:>5}  {:>15}  {:>13}\n",
            batch.batch, "step", "ms", "share", "GFLOP/s (peak)", "GB/s (peak)"
        );
        let total: f64 = batch.steps.iter().map(|step| step.ms).sum();
        let percent_of = |rate: f64, peak: Option<f64>| peak.map_or(0.0, |peak| 100.0 * rate / peak.max(1e-9));
        for step in &batch.steps {
            text += &format!(
                "  {:width$}  {:>9.3}  {:>4.0}%  {:>7.0} ({:>4.0}%)  {:>6.1} ({:>3.0}%)  {}\n",
                step.step,
                step.ms,
                100.0 * step.ms / total.max(1e-9),
                step.gflops,
                percent_of(step.gflops, machine.as_ref().map(|machine| machine.gflops)),
                step.gbs,
                percent_of(step.gbs, machine.as_ref().map(|machine| machine.read_gbs)),
                step.kernel,
            );
        }
    }
    messages::print(text);
}
