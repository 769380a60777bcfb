//! `netc build`

use super::{Done, report};
use crate::compile::{self, BuildOptions};
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::elaborate::Spec;
use crate::syntax;
use crate::weights::bind::{Report, millions, shortened};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What decides a build, besides its spec; `predict` takes the same.
#[derive(clap::Args, Clone, Debug)]
pub struct Choices {
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
}

pub fn net_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((net, file)) if !net.is_empty() && !file.is_empty() => Ok((net.to_string(), PathBuf::from(file))),
        _ => Err("write it as NET=FILE, such as vgg16=vgg16.h5".into()),
    }
}

impl Choices {
    pub fn options(&self) -> BuildOptions {
        BuildOptions {
            net: self.net.clone(),
            weights: self.weights.iter().cloned().collect::<BTreeMap<_, _>>(),
            allow_untrained: self.allow_untrained,
            allow_missing: false,
            exact: self.exact,
            fresh: self.fresh,
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
    choices: Choices,
    /// Where the artifact is written; default: beside the spec, with the ending .netb
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print a stage as text instead of writing an artifact
    #[arg(long, value_enum, value_name = "STAGE")]
    emit: Option<Stage>,
}

pub fn run(args: &Args) -> Done {
    let spec = report::load(&args.spec)?;
    match args.emit {
        Some(stage) => emit(&spec, stage, &args.choices),
        None => build(&spec, args),
    }
}

fn emit(spec: &Spec, stage: Stage, choices: &Choices) -> Done {
    let options = choices.options();
    let graph = || report::settle(compile::graph(spec, options.net.as_deref()), &spec.sources);
    let text = match stage {
        Stage::Ast => {
            let (tree, faults) = syntax::parse(&spec.sources, spec.root());
            report::settle(faults.or_errors(()), &spec.sources)?;
            syntax::ast_text(&tree)
        }
        Stage::Graph => graph()?.to_string(),
        Stage::Fused => compile::fused_text(graph()?),
        Stage::Plan => {
            compile::plan_text(graph()?, options.exact).map_err(|faults| report::fail(&faults, &spec.sources))?
        }
        Stage::Weights => {
            let options = BuildOptions { allow_untrained: true, ..options.clone() };
            report::settle(compile::build(spec, &options), &spec.sources)?.bindings.report.to_string()
        }
    };
    report::print(text);
    Ok(())
}

fn build(spec: &Spec, args: &Args) -> Done {
    let began = Instant::now();
    let (build, told) =
        compile::build(spec, &args.choices.options()).map_err(|faults| report::fail(&faults, &spec.sources))?;
    report::tell(&told, &spec.sources);
    tell(&build);
    let path = args.output.clone().unwrap_or_else(|| artifact_path(&args.spec));
    let size = build.write(&path).map_err(|faults| report::fail(&faults, &spec.sources))?;
    let seconds = began.elapsed().as_secs_f64();
    report::line("Finished", format!("{} ({})  in {seconds:.1} s", path.display(), report::bytes(size)));
    Ok(())
}

/// The report of a build.
fn tell(build: &compile::Build) {
    report::line("Checking", format!("{}  {}", build.graph.name, build.graph.summary()));
    tell_binding(&build.bindings.report);
    let plan = &build.compiled.plan;
    report::line(
        "Fusing",
        format!("{} into {}", counted(build.graph.nodes.len(), "layer"), counted(plan.steps.len(), "step")),
    );
    let floats = |count: usize| report::bytes(count as u64 * 4);
    report::line(
        "Planning",
        format!(
            "arena {} per image (at least {}), constants {}, {:.2} GFLOP of {:.2} direct",
            floats(plan.chunk_floats + plan.batch_floats),
            floats(plan.lower_bound),
            floats(plan.constant_floats()),
            2.0 * plan.arithmetic() as f64 / 1e9,
            2.0 * plan.multiply_adds as f64 / 1e9,
        ),
    );
}

pub fn tell_binding(bound: &Report) {
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
        report::line("Binding", text);
    }
    if bound.untrained > 0 {
        report::line("Untrained", format!("{} parameters ({})", bound.untrained, shortened(&bound.untrained_layers)));
    }
}

/// Where a spec's artifact stands when nothing else is said.
pub fn artifact_path(spec: &str) -> PathBuf {
    let path = Path::new(spec);
    match path.extension().is_some_and(|ending| ending == "net") {
        true => path.with_extension("netb"),
        false => PathBuf::from(format!("{}.netb", crate::elaborate::identifier(spec).trim_matches('_'))),
    }
}

/// An artifact, or a spec that is compiled at once.
pub fn open(argument: &str, choices: &Choices) -> Result<crate::artifact::Artifact, super::Failed> {
    if argument.ends_with(".netb") {
        return open_artifact(argument);
    }
    if Path::new(argument).is_file() && !argument.ends_with(".net") {
        return open_artifact(argument);
    }
    let spec = report::load(argument)?;
    let build = report::settle(compile::build(&spec, &choices.options()), &spec.sources)?;
    tell(&build);
    build.in_memory().map_err(|faults| report::fail(&faults, &spec.sources))
}

fn open_artifact(argument: &str) -> Result<crate::artifact::Artifact, super::Failed> {
    use crate::artifact::{Artifact, ArtifactError};
    Artifact::open(Path::new(argument)).map_err(|fault| {
        let code = match fault {
            ArtifactError::Unreadable(_) => Code::Unreadable,
            ArtifactError::NotAnArtifact => Code::NotAnArtifact,
            ArtifactError::Version(_) => Code::ArtifactVersion,
            _ => Code::ArtifactDamaged,
        };
        let mut diagnostic = Diagnostic::new(code, format!("{argument} {fault}"));
        if let ArtifactError::Unreadable(_) = fault {
            diagnostic = diagnostic.maybe_help(crate::elaborate::project::near_file(Path::new(argument)));
        }
        report::fail_with(diagnostic.help("`netc build SPEC` makes an artifact"))
    })
}
