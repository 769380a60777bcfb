//! `netc bench`

use super::build::{self, Choices};
use super::{Done, report};
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::plan::StepKernel;
use crate::runtime::{Session, threads};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec that is compiled first
    model: String,
    #[command(flatten)]
    choices: Choices,
    /// Images at a time
    #[arg(long, default_value = "1", value_delimiter = ',')]
    batch: Vec<usize>,
    /// Threads; default: all that the process may use
    #[arg(long)]
    threads: Option<usize>,
    /// Runs that are counted, after two that are not
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// Print the time of each step
    #[arg(long)]
    steps: bool,
}

pub fn run(args: &Args) -> Done {
    let artifact = Arc::new(build::open(&args.model, &args.choices)?);
    let threads = args.threads.unwrap_or_else(threads::available).max(1);
    for &batch in &args.batch {
        measure(&artifact, batch.max(1), threads, args)?;
    }
    Ok(())
}

fn measure(artifact: &Arc<crate::artifact::Artifact>, batch: usize, threads: usize, args: &Args) -> Done {
    let plan = &artifact.manifest.plan;
    let mut session = Session::new(artifact.clone(), threads);
    // Values do not change the time; these are neither all zero nor denormal.
    let pattern = |len: usize| (0..len).map(|index| (index % 251) as f32 / 251.0 - 0.5).collect::<Vec<f32>>();
    let inputs: Vec<Vec<f32>> = plan.inputs.iter().map(|port| pattern(port.len() * batch)).collect();
    let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![0.0; port.len() * batch]).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut once = |session: &mut Session| -> Result<Duration, super::Failed> {
        let mut out: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let began = Instant::now();
        session
            .run(batch, &inputs, &mut out)
            .map_err(|fault| report::fail_with(Diagnostic::new(Code::ArtifactDamaged, fault.to_string())))?;
        Ok(began.elapsed())
    };
    for _ in 0..2 {
        once(&mut session)?;
    }
    if args.steps {
        session.measure();
    }
    let runs = args.runs.max(1);
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        times.push(once(&mut session)?);
    }
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let median = times[runs / 2];
    let gflops = 2.0 * plan.multiply_adds as f64 * batch as f64 / median.as_secs_f64() / 1e9;
    report::print(format!(
        "{}  batch {batch}, {}: median {:.2} ms, fastest {:.2} ms, {:.1} images/s, {gflops:.0} GFLOP/s of direct work\n",
        artifact.manifest.net,
        counted(threads, "thread"),
        milliseconds(median),
        milliseconds(times[0]),
        batch as f64 / median.as_secs_f64(),
    ));
    if args.steps {
        let width = plan.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for (step, time) in plan.steps.iter().zip(session.profile()) {
            let each = time.as_secs_f64() / runs as f64;
            let rate = 2.0 * step.kernel.arithmetic() as f64 * batch as f64 / each / 1e9;
            report::print(format!(
                "  {:width$}  {:8.3} ms  {rate:6.0} GFLOP/s  {}\n",
                step.name,
                each * 1e3,
                step.kernel.describe()
            ));
        }
    }
    Ok(())
}
