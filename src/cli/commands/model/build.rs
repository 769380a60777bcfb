//! `netc build`

use crate::check::verify;
use crate::cli::args::build_args::{BuildArgs, check_effect};
use crate::cli::model::{artifact_path, report_build};
use crate::cli::output::{messages, output_guard};
use crate::cli::result::CommandResult;
use crate::compile::int8::Int8Report;
use crate::compile::int8::report::Agreement;
use crate::compile::tuning_cache::tune_build;
use crate::compile::{self, Build, BuildOptions, Precision};
use crate::diagnostics::{Code, Diagnostic, counted, suggest};
use crate::elaborate::Spec;
use crate::lower::{self, Bf16Use};
use crate::runtime::thread_count;
use crate::syntax;
use crate::train::recorded_loss;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// The syntax tree
    Ast,
    /// The layers with their types and parameters
    Graph,
    /// The source of each parameter (opens the weights)
    Weights,
    /// The graph after the passes
    Fused,
    /// The steps, the arena and the constants
    Plan,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    #[command(flatten)]
    build: BuildArgs,
    /// The artifact to write; default: next to the spec, with the extension .netb
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["emit", "why"])]
    output: Option<PathBuf>,
    /// Print a stage as text instead of writing an artifact
    #[arg(long, value_enum, value_name = "STAGE")]
    emit: Option<Stage>,
    /// Print the candidate algorithms of a step, their estimated costs and the choice, instead of writing an artifact
    #[arg(long, value_name = "STEP", conflicts_with = "emit")]
    why: Option<String>,
    /// Choose algorithms by measuring on this machine; the results are cached for later builds
    #[arg(long, conflicts_with_all = ["emit", "why"])]
    tune: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let spec = messages::load(&args.spec)?;
    match (args.emit, &args.why) {
        (Some(stage), _) => emit(&spec, stage, &args.build),
        (None, Some(step)) => explain_choice(&spec, step, &args.build),
        (None, None) => build(&spec, args),
    }
}

fn emit(spec: &Spec, stage: Stage, args: &BuildArgs) -> CommandResult {
    if matches!(stage, Stage::Ast | Stage::Graph) {
        let why = "the text is that of the spec, before weights are bound and the net is compiled";
        check_effect(&args.given(), why).map_err(messages::fail_with)?;
    }
    if matches!(stage, Stage::Fused | Stage::Plan) && args.precision != Some(Precision::Int8) {
        let why = "the net is compiled without its weights";
        check_effect(&args.of_weights(), why).map_err(messages::fail_with)?;
    }
    if stage == Stage::Weights {
        let why = "the sources of the parameters do not depend on how the net is compiled";
        check_effect(&args.of_compilation(), why).map_err(messages::fail_with)?;
    }
    let options = args.options();
    compile::check_calibration(&options).map_err(messages::fail_with)?;
    let graph = || messages::unwrap_or_report(compile::graph(spec, options.net.as_deref()), &spec.sources);
    let text = match stage {
        Stage::Ast => {
            let (tree, errors) = syntax::parse(&spec.sources, spec.root());
            messages::unwrap_or_report(errors.or_errors(()), &spec.sources)?;
            syntax::ast_text(&tree)
        }
        Stage::Graph => graph()?.to_string(),
        // The scales of bytes are measured with the weights.
        Stage::Fused | Stage::Plan if options.precision == Precision::Int8 => {
            let build = messages::unwrap_or_report(recorded_loss::build(spec, &options), &spec.sources)?;
            if matches!(stage, Stage::Fused) { build.fused.to_string() } else { build.compiled.plan.to_string() }
        }
        Stage::Fused => compile::fused_text(graph()?),
        Stage::Plan => {
            compile::plan(graph()?, &options).map_err(|errors| messages::fail(&errors, &spec.sources))?.to_string()
        }
        Stage::Weights => {
            let options = BuildOptions { allow_untrained: true, ..options.clone() };
            messages::unwrap_or_report(compile::build(spec, &options), &spec.sources)?.bindings.report.to_string()
        }
    };
    messages::print(text);
    Ok(())
}

fn explain_choice(spec: &Spec, step: &str, args: &BuildArgs) -> CommandResult {
    let options = args.options();
    let plan = if options.precision == Precision::Int8 {
        messages::unwrap_or_report(recorded_loss::build(spec, &options), &spec.sources)?.compiled.plan
    } else {
        let graph = messages::unwrap_or_report(compile::graph(spec, options.net.as_deref()), &spec.sources)?;
        compile::plan(graph, &options).map_err(|errors| messages::fail(&errors, &spec.sources))?
    };
    let Some(text) = lower::explain(&plan, step, options.lowering().rounding()) else {
        let names: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
        let message = format!("`{}` has no step `{step}`", plan.name);
        return Err(messages::fail_with(
            Diagnostic::new(Code::UnknownName, message)
                .maybe_help(suggest::did_you_mean(step, names.iter().copied()))
                .note(format!("its steps are {}", names.join(", "))),
        ));
    };
    messages::print(text);
    Ok(())
}

fn tune(build: &mut Build, options: &BuildOptions, spec: &Spec) -> CommandResult {
    let mut on_step = |step: &str, algorithm: &dyn Display, time: Duration| {
        messages::line("Tuning", format!("{step}  {algorithm}, {:.3} ms per image", time.as_secs_f64() * 1e3));
    };
    let tuning = tune_build(build, options, thread_count::available(), &mut on_step)
        .map_err(|errors| messages::fail(&errors, &spec.sources))?;
    if let Some((path, error)) = tuning.cache_error {
        messages::line("Tuning", format!("{} cannot be written: {error}", path.display()));
    }
    messages::line("Tuned", format!("for {}", tuning.machine));
    Ok(())
}

fn report_int8(report: &Int8Report) {
    messages::print(report);
    let kept = report.kept().count();
    let (all, samples) = (report.layers.len(), counted(report.samples, "sample"));
    messages::line("Quantised", format!("{} of {} by {samples}", all - kept, counted(all, "layer")));
    if !report.unsupported.is_empty() {
        messages::line("Stays f32", messages::list(&report.unsupported));
    }
    if let Some(agreement) = report.agreement {
        let Agreement { samples, same, labelled, right_f32, right_int8 } = agreement;
        let share = |count: usize, of: usize| format!("{:.1} %", 100.0 * count as f64 / of.max(1) as f64);
        let mut text =
            format!("the most likely class is that of f32 for {same} of {samples} ({})", share(same, samples));
        if labelled > 0 {
            text += &format!("; right in f32 {}, in int8 {}", share(right_f32, labelled), share(right_int8, labelled));
        }
        messages::line("Agreement", text);
    }
}

fn build(spec: &Spec, args: &Args) -> CommandResult {
    let began = Instant::now();
    let options = args.build.options();
    let path = args.output.clone().unwrap_or_else(|| artifact_path(&args.spec));
    // Before the work, and again with the files that it has read.
    output_guard::check(&path, output_guard::FileKind::Artifact, &spec.sources.paths())?;
    let mut build = messages::unwrap_or_report(recorded_loss::build(spec, &options), &spec.sources)?;
    output_guard::check(&path, output_guard::FileKind::Artifact, &build.inputs(spec))?;
    if args.tune {
        tune(&mut build, &options, spec)?;
    }
    report_build(&build);
    if let Some((report, _)) = &build.int8 {
        report_int8(report);
    }
    if options.precision.bf16() != Bf16Use::Never {
        let deviations = verify::compare_with_f32(&build, 1, thread_count::available());
        for deviation in deviations.map_err(|errors| messages::fail(&errors, &spec.sources))? {
            let error = format!("maximum error {:.1e} of the range against f32", deviation.error);
            messages::line("Rounding", format!("{}: {error}", deviation.output));
        }
    }
    let size = build.write(&path).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&build.bindings.lint_values(), &spec.sources);
    let seconds = began.elapsed().as_secs_f64();
    messages::line("Finished", format!("{} ({})  in {seconds:.1} s", path.display(), messages::bytes(size)));
    Ok(())
}
