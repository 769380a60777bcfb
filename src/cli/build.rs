//! `netc build`

use super::CommandResult;
use super::output::{messages, output_guard};
use crate::check::verify;
use crate::compile::{self, Build, BuildOptions};
use crate::diagnostics::{Code, Diagnostic, counted, suggest};
use crate::elaborate::Spec;
use crate::lower::autotune::tuning_cache::tune_build;
use crate::runtime::thread_count;
use crate::train::recorded_loss;
use crate::weights::bind::report::{Report, millions, shortened};
use crate::{lower, syntax};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The options of a build; commands that compile a spec first take them too.
#[derive(clap::Args, Clone, Debug)]
pub struct BuildArgs {
    /// The net of the spec
    #[arg(long, value_name = "NAME")]
    pub net: Option<String>,
    /// A weights file in place of the spec's
    #[arg(long, value_name = "NET=FILE", value_parser = net_and_file)]
    pub weights: Vec<(String, PathBuf)>,
    /// Compile even if parameters come from no file (they are initialised randomly)
    #[arg(long)]
    pub allow_untrained: bool,
    /// Use only algorithms that round like the direct convolution
    #[arg(long)]
    pub exact: bool,
    /// Do not bind the weights that `netc train` has written (NAME.h5 next to the spec)
    #[arg(long)]
    pub fresh: bool,
    /// Memory limit for constants, arena and scratch, such as 512M, for batches of 8 images on 4 threads
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    pub max_memory: Option<u64>,
    /// The number format of stored weights
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: Precision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    F32,
    /// Dense weights in bf16, half the size; computed in f32
    Bf16Weights,
}

/// Parses a number of bytes: `1000000`, `512M` and `512MiB` (powers of 1024), `512MB` (powers of 1000).
fn byte_count(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1.0),
        "k" | "kib" => Some(1024f64),
        "m" | "mib" => Some(1024f64.powi(2)),
        "g" | "gib" => Some(1024f64.powi(3)),
        "kb" => Some(1e3),
        "mb" => Some(1e6),
        "gb" => Some(1e9),
        _ => None,
    };
    match (number.parse::<f64>(), factor) {
        (Ok(number), Some(factor)) if number.is_finite() => Ok((number * factor) as u64),
        _ => Err("expected a number of bytes, such as 400000000, 512M or 1.5G".into()),
    }
}

pub fn net_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((net, file)) if !net.is_empty() && !file.is_empty() => Ok((net.to_string(), PathBuf::from(file))),
        _ => Err("expected NET=FILE, such as vgg16=vgg16.h5".into()),
    }
}

impl BuildArgs {
    pub fn options(&self) -> BuildOptions {
        BuildOptions {
            net: self.net.clone(),
            weights: self.weights.iter().cloned().collect::<BTreeMap<_, _>>(),
            allow_untrained: self.allow_untrained,
            allow_missing: false,
            exact: self.exact,
            fresh: self.fresh,
            max_memory: self.max_memory,
            half_weights: self.precision == Precision::Bf16Weights,
        }
    }
}

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
    /// The artifact to write; default: next to the spec, with the ending .netb
    #[arg(short, long, value_name = "FILE")]
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
    let options = args.options();
    let graph = || messages::unwrap_or_report(compile::graph(spec, options.net.as_deref()), &spec.sources);
    let text = match stage {
        Stage::Ast => {
            let (tree, errors) = syntax::parse(&spec.sources, spec.root());
            messages::unwrap_or_report(errors.or_errors(()), &spec.sources)?;
            syntax::ast_text(&tree)
        }
        Stage::Graph => graph()?.to_string(),
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
    let graph = messages::unwrap_or_report(compile::graph(spec, options.net.as_deref()), &spec.sources)?;
    let plan = compile::plan(graph, &options).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    let Some(text) = lower::why(&plan, step, options.exact) else {
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

fn build(spec: &Spec, args: &Args) -> CommandResult {
    let began = Instant::now();
    let options = args.build.options();
    let mut build = messages::unwrap_or_report(recorded_loss::build(spec, &options), &spec.sources)?;
    let path = args.output.clone().unwrap_or_else(|| artifact_path(&args.spec));
    let specs = spec.sources.iter().filter_map(|(_, file)| file.path.as_deref());
    let inputs: Vec<&Path> = specs.chain(build.files.iter().map(PathBuf::as_path)).collect();
    output_guard::check(&path, output_guard::FileKind::Artifact, &inputs)?;
    if args.tune {
        tune(&mut build, &options, spec)?;
    }
    report_build(&build);
    if options.half_weights {
        let deviations = verify::compare_with_f32(&build, 1, thread_count::available());
        for deviation in deviations.map_err(|errors| messages::fail(&errors, &spec.sources))? {
            let error = format!("maximum error {:.1e} of the range against weights in f32", deviation.error);
            messages::line("Rounding", format!("{}: {error}", deviation.output));
        }
    }
    let size = build.write(&path).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&build.bindings.lint_values(), &spec.sources);
    let seconds = began.elapsed().as_secs_f64();
    messages::line("Finished", format!("{} ({})  in {seconds:.1} s", path.display(), messages::bytes(size)));
    Ok(())
}

/// Reports the stages of a build.
fn report_build(build: &Build) {
    messages::line("Checking", format!("{}  {}", build.graph.name, build.graph.summary()));
    report_binding(&build.bindings.report);
    let plan = &build.compiled.plan;
    messages::line(
        "Fusing",
        format!("{} into {}", counted(build.graph.nodes.len(), "layer"), counted(plan.steps.len(), "step")),
    );
    let floats = |count: usize| messages::bytes(count as u64 * 4);
    messages::line(
        "Planning",
        format!(
            "arena {} per image (at least {}), constants {}, {:.2} GFLOP of {:.2} direct",
            floats(plan.image_floats()),
            floats(plan.lower_bound),
            floats(plan.constant_floats()),
            2.0 * plan.executed_macs() as f64 / 1e9,
            2.0 * plan.macs as f64 / 1e9,
        ),
    );
}

/// Reports the weights files of a build, and the parameters that come from none.
pub fn report_binding(bound: &Report) {
    for file in &bound.files {
        let name =
            Path::new(&file.file).file_name().map_or(file.file.clone(), |name| name.to_string_lossy().into_owned());
        let mut text =
            format!("{name} ({}) {} tensors, {} parameters", file.layout, file.tensors, millions(file.values));
        if file.unused > 0 {
            text += &format!("; {} not used ({})", file.unused, shortened(&file.unused_layers));
        }
        for note in &file.notes {
            text += &format!("; {note}");
        }
        messages::line("Binding", text);
    }
    if bound.untrained > 0 {
        messages::line("Untrained", format!("{} parameters ({})", bound.untrained, shortened(&bound.untrained_layers)));
    }
}

/// The default path of a spec's artifact.
pub fn artifact_path(spec: &str) -> PathBuf {
    let path = Path::new(spec);
    if let Some(name) = crate::elaborate::project::source_files::piped(path) {
        return PathBuf::from(format!("{name}.netb"));
    }
    match path.extension().is_some_and(|ending| ending == "net" || ending == "netb") {
        true => path.with_extension("netb"),
        false => PathBuf::from(format!("{}.netb", crate::elaborate::identifier(spec).trim_matches('_'))),
    }
}

/// Opens an artifact, or compiles a spec in memory.
///
/// # Errors
/// A file that is no artifact, or a spec that cannot be compiled; the error has been reported.
pub fn open(argument: &str, args: &BuildArgs) -> Result<crate::artifact::Artifact, super::Failed> {
    if argument.ends_with(".netb") {
        return open_artifact(argument);
    }
    let path = Path::new(argument);
    if path.is_file() && crate::elaborate::project::source_files::piped(path).is_none() && !argument.ends_with(".net") {
        return open_artifact(argument);
    }
    let spec = messages::load(argument)?;
    let build = messages::unwrap_or_report(recorded_loss::build(&spec, &args.options()), &spec.sources)?;
    report_build(&build);
    let artifact = build.in_memory().map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&build.bindings.lint_values(), &spec.sources);
    Ok(artifact)
}

fn open_artifact(argument: &str) -> Result<crate::artifact::Artifact, super::Failed> {
    use crate::artifact::{Artifact, ArtifactError};
    Artifact::open(Path::new(argument)).map_err(|error| {
        let code = match error {
            ArtifactError::Unreadable(_) => Code::Unreadable,
            ArtifactError::NotAnArtifact => Code::NotAnArtifact,
            ArtifactError::Version(_) => Code::ArtifactVersion,
            _ => Code::ArtifactDamaged,
        };
        let mut diagnostic = Diagnostic::new(code, format!("{argument} {error}"));
        if let ArtifactError::Unreadable(_) = error {
            diagnostic =
                diagnostic.maybe_help(crate::elaborate::project::source_files::did_you_mean_file(Path::new(argument)));
        }
        messages::fail_with(diagnostic.help("`netc build SPEC` writes an artifact"))
    })
}
