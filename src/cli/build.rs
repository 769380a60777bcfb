//! `netc build`

use super::Done;
use super::output::{messages, output_guard};
use crate::check::verify;
use crate::compile::tuning_cache;
use crate::compile::{self, Build, BuildOptions};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted, suggest};
use crate::elaborate::Spec;
use crate::runtime::thread_count;
use crate::train::autodiff::loss_compatibility;
use crate::train::recipe;
use crate::weights::bind::report::{Report, millions, shortened};
use crate::{lower, syntax};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What decides a build, besides its spec; `predict` takes the same.
#[derive(clap::Args, Clone, Debug)]
pub struct BuildArgs {
    /// The net that is meant
    #[arg(long, value_name = "NAME")]
    pub net: Option<String>,
    /// A file of weights in place of the spec's
    #[arg(long, value_name = "NET=FILE", value_parser = net_and_file)]
    pub weights: Vec<(String, PathBuf)>,
    /// Compile also where parameters come from no file
    #[arg(long)]
    pub allow_untrained: bool,
    /// No algorithm that rounds otherwise than the direct one
    #[arg(long)]
    pub exact: bool,
    /// Do not bind what `netc train` has written (NAME.h5 beside the spec)
    #[arg(long)]
    pub fresh: bool,
    /// Bytes that constants, arena and scratch may take, such as 512M: for 8 images at a time on 4 threads
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    pub max_memory: Option<u64>,
    /// How weights are stored
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: Precision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    F32,
    /// Dense weights in bf16, half the size; executed_macs stays f32
    Bf16Weights,
}

/// A number of bytes: `1000000`, `512M` and `512MiB` (powers of 1024), `512MB` (powers of 1000).
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
        _ => Err("write a number of bytes, such as 400000000, 512M or 1.5G".into()),
    }
}

pub fn net_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((net, file)) if !net.is_empty() && !file.is_empty() => Ok((net.to_string(), PathBuf::from(file))),
        _ => Err("write it as NET=FILE, such as vgg16=vgg16.h5".into()),
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
    /// The tree of the text
    Ast,
    /// The layers with their types and parameters
    Graph,
    /// Where every parameter comes from (opens the weights)
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
    choices: BuildArgs,
    /// Where the artifact is written; default: beside the spec, with the ending .netb
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print a stage as text instead of writing an artifact
    #[arg(long, value_enum, value_name = "STAGE")]
    emit: Option<Stage>,
    /// Print what could compute a step, the estimated costs and the choice, instead of writing an artifact
    #[arg(long, value_name = "STEP", conflicts_with = "emit")]
    why: Option<String>,
    /// Measure on this machine what computes each convolution best; the results are kept for later builds
    #[arg(long, conflicts_with_all = ["emit", "why"])]
    tune: bool,
}

pub fn run(args: &Args) -> Done {
    let spec = messages::load(&args.spec)?;
    match (args.emit, &args.why) {
        (Some(stage), _) => emit(&spec, stage, &args.choices),
        (None, Some(step)) => why(&spec, step, &args.choices),
        (None, None) => build(&spec, args),
    }
}

fn emit(spec: &Spec, stage: Stage, choices: &BuildArgs) -> Done {
    let options = choices.options();
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

fn why(spec: &Spec, step: &str, choices: &BuildArgs) -> Done {
    let options = choices.options();
    let graph = messages::unwrap_or_report(compile::graph(spec, options.net.as_deref()), &spec.sources)?;
    let plan = compile::plan(graph, &options).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    let Some(text) = lower::explain(&plan, step, options.exact) else {
        let names: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
        let message = format!("no step of `{}` has the name `{step}`", plan.name);
        return Err(messages::fail_with(
            Diagnostic::new(Code::UnknownName, message)
                .maybe_help(suggest::did_you_mean(step, names.iter().copied()))
                .note(format!("its steps are {}", names.join(", "))),
        ));
    };
    messages::print(text);
    Ok(())
}

/// Tunes a build for this machine, with what earlier builds have measured.
fn tune(build: &mut Build, options: &BuildOptions, spec: &Spec) -> Done {
    let threads = thread_count::available();
    let machine = tuning_cache::machine(threads);
    let cache = tuning_cache::cache_file(&machine);
    let mut settled = cache.as_deref().map(tuning_cache::read).unwrap_or_default();
    let known = settled.clone();
    let mut told = |step: &str, algorithm: &dyn Display, time: Duration| {
        messages::line("Tuning", format!("{step}  {algorithm}, {:.3} ms per image", time.as_secs_f64() * 1e3));
    };
    tuning_cache::tuned(build, options, threads, &mut settled, &mut told)
        .map_err(|errors| messages::fail(&errors, &spec.sources))?;
    // A cache that cannot be kept costs time at the next build and nothing else.
    if let (Some(path), true) = (&cache, settled != known)
        && let Err(error) = tuning_cache::write(path, &settled)
    {
        messages::line("Tuning", format!("{} cannot be written: {error}", path.display()));
    }
    messages::line("Tuned", format!("for {machine}"));
    Ok(())
}

fn build(spec: &Spec, args: &Args) -> Done {
    let began = Instant::now();
    let options = args.choices.options();
    let (mut build, told) = compiled(spec, &options).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&told, &spec.sources);
    let path = args.output.clone().unwrap_or_else(|| artifact_path(&args.spec));
    let specs = spec.sources.iter().filter_map(|(_, file)| file.path.as_deref());
    let read: Vec<&Path> = specs.chain(build.files.iter().map(PathBuf::as_path)).collect();
    output_guard::check(&path, output_guard::Kind::Artifact, &read)?;
    if args.tune {
        tune(&mut build, &options, spec)?;
    }
    tell(&build);
    if options.half_weights {
        let deviations = verify::beside_f32(&build, 1, thread_count::available());
        for deviation in deviations.map_err(|errors| messages::fail(&errors, &spec.sources))? {
            let error = format!("largest error {:.1e} of the range against weights in f32", deviation.error);
            messages::line("Rounding", format!("{}: {error}", deviation.output));
        }
    }
    let size = build.write(&path).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&build.bindings.lint_values(), &spec.sources);
    let seconds = began.elapsed().as_secs_f64();
    messages::line("Finished", format!("{} ({})  in {seconds:.1} s", path.display(), messages::bytes(size)));
    Ok(())
}

/// The report of a build.
fn tell(build: &Build) {
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

/// Where a spec's artifact stands when nothing else is said.
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

/// A net on its way to an artifact, which knows what it learns by.
pub fn compiled(spec: &Spec, options: &BuildOptions) -> crate::diagnostics::Result<(Build, Diagnostics)> {
    let (mut build, told) = compile::build(spec, options)?;
    let recipe = recipe::of(spec, &build.graph.name).ok();
    build.loss = recipe.map(|recipe| loss_compatibility::loss_of(&recipe, &build.graph));
    Ok((build, told))
}

/// An artifact, or a spec that is compiled at once.
pub fn open(argument: &str, choices: &BuildArgs) -> Result<crate::artifact::Artifact, super::Failed> {
    if argument.ends_with(".netb") {
        return open_artifact(argument);
    }
    let path = Path::new(argument);
    if path.is_file() && crate::elaborate::project::source_files::piped(path).is_none() && !argument.ends_with(".net") {
        return open_artifact(argument);
    }
    let spec = messages::load(argument)?;
    let build = messages::unwrap_or_report(compiled(&spec, &choices.options()), &spec.sources)?;
    tell(&build);
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
        messages::fail_with(diagnostic.help("`netc build SPEC` makes an artifact"))
    })
}
