//! `netc bench`

use super::args::{number, threads_arg};
use super::benchmark::{Batch, Machine, Process, measure};
use super::build::{self, BuildArgs};
use super::output::{messages, output_guard};
use super::{Done, Format, predict};
use crate::diagnostics::{Code, Diagnostic, counted};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec that is compiled first
    model: String,
    #[command(flatten)]
    choices: BuildArgs,
    /// Images at a time
    #[arg(long, default_value = "1,2,4,8", value_delimiter = ',', value_parser = number::batch)]
    batch: Vec<usize>,
    #[command(flatten)]
    threads: threads_arg::ThreadPlacement,
    /// Runs that are counted, after the first and one more; 0 measures the first alone
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// Run on this array (.npy, .npz) instead of made-up values
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write what came out of the last batch: .npy, .npz or .h5
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The time of each step for every batch; without it, for the first
    #[arg(long)]
    steps: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// All that was measured, as `--format json` prints it.
#[derive(Serialize)]
struct Measured<'a> {
    net: &'a str,
    threads: usize,
    /// Until the artifact was mapped and checked, or the spec compiled.
    open_ms: f64,
    batches: Vec<Batch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Machine>,
    process: Process,
}

pub fn run(args: &Args) -> Done {
    let began = Instant::now();
    if let Some(path) = &args.output {
        let inputs = output_guard::inputs(&args.model, &args.choices.weights, args.input.as_slice());
        output_guard::check(path, output_guard::Kind::Arrays, &inputs)?;
    }
    let artifact = Arc::new(build::open(&args.model, &args.choices)?);
    let open_ms = began.elapsed().as_secs_f64() * 1e3;
    let pool = args.threads.pool();
    let plan = &artifact.manifest.plan;
    let given = args.input.as_ref().map(|path| predict::read_arrays(path, plan)).transpose()?;
    let (mut batches, mut process) = (Vec::new(), Process::default());
    for (index, &size) in args.batch.iter().enumerate() {
        let inputs = match &given {
            Some(arrays) => predict::first_images(arrays, plan, size).ok_or_else(|| too_few(args, size))?,
            None => made_up(plan, size)?,
        };
        let steps = args.runs > 0 && (args.steps || index == 0 && args.format == Format::Text);
        let (batch, taken, outputs) = measure(&artifact, &pool, size, &inputs, args.runs, steps)?;
        batches.push(batch);
        process = process.max(taken);
        if let (Some(path), true) = (&args.output, index + 1 == args.batch.len()) {
            predict::write(path, &artifact, size, &outputs)?;
        }
    }
    let machine = batches.iter().any(|batch| !batch.steps.is_empty()).then(|| Machine::measure(&pool));
    let measured = Measured { net: &artifact.manifest.net, threads: pool.count(), open_ms, batches, machine, process };
    match args.format {
        Format::Json => messages::print(format!("{:#}\n", serde_json::json!(measured))),
        Format::Text => print(&measured),
    }
    Ok(())
}

fn too_few(args: &Args, size: usize) -> super::Failed {
    let path = args.input.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let message = format!("{path} has fewer than the {} of a batch", counted(size, "image"));
    messages::fail_with(Diagnostic::new(Code::Array, message).help("give smaller batches with `--batch`"))
}

/// Values do not change the time; these are neither all zero nor denormal.
fn made_up(plan: &crate::plan::Plan, batch: usize) -> Result<Vec<Vec<f32>>, super::Failed> {
    let mut inputs = Vec::with_capacity(plan.inputs.len());
    for port in &plan.inputs {
        let mut values = predict::room(port.floats(1), batch)?;
        values.iter_mut().enumerate().for_each(|(index, value)| *value = (index % 251) as f32 / 251.0 - 0.5);
        inputs.push(values);
    }
    Ok(inputs)
}

fn print(measured: &Measured) {
    let Measured { net, threads, batches, machine, process, .. } = measured;
    let mut text = format!("{net}, {}\n", counted(*threads, "thread"));
    if let Some(Machine { instructions, blas, gflops, read_gbs }) = machine {
        text += &format!("machine  {instructions}, {gflops:.0} GFLOP/s, reads {read_gbs:.1} GB/s from memory\n");
        text += &format!("blas     {}\n", blas.as_deref().unwrap_or("none: general products by netc's tiles"));
    }
    if let Some(peak) = process.peak_bytes {
        let own = process.private_bytes.map(|own| format!(", {} of it private", messages::bytes(own)));
        text += &format!("memory   {} at the most{}\n", messages::bytes(peak), own.unwrap_or_default());
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
        let all: f64 = batch.steps.iter().map(|step| step.ms).sum();
        let peak = |rate: f64, of: Option<f64>| of.map_or(0.0, |of| 100.0 * rate / of.max(1e-9));
        for step in &batch.steps {
            text += &format!(
                "  {:width$}  {:>9.3}  {:>4.0}%  {:>7.0} ({:>4.0}%)  {:>6.1} ({:>3.0}%)  {}\n",
                step.step,
                step.ms,
                100.0 * step.ms / all.max(1e-9),
                step.gflops,
                peak(step.gflops, machine.as_ref().map(|machine| machine.gflops)),
                step.gbs,
                peak(step.gbs, machine.as_ref().map(|machine| machine.read_gbs)),
                step.kernel,
            );
        }
    }
    messages::print(text);
}
