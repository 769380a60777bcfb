//! The model argument of commands: an artifact, or a spec, which is compiled first.

use super::args::build_args::BuildArgs;
use super::output::messages;
use super::result::Failed;
use crate::artifact::Artifact;
use crate::compile::Build;
use crate::diagnostics::counted;
use crate::elaborate;
use crate::elaborate::project::source_files::piped;
use crate::train::recorded_loss;
use crate::weights::bind::report::{Report, millions};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Reports the stages of a build.
pub fn report_build(build: &Build) {
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
            "arena {} per image{}, constants {}, {:.2} GFLOP of {:.2} direct",
            floats(plan.image_floats()),
            match plan.lower_bound.cmp(&plan.image_floats()) {
                Ordering::Equal => String::new(),
                _ => format!(" (at least {})", floats(plan.lower_bound)),
            },
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
            text += &format!("; {} not used ({})", file.unused, messages::list(&file.unused_layers));
        }
        for note in &file.notes {
            text += &format!("; {note}");
        }
        messages::line("Binding", text);
    }
    if bound.untrained > 0 {
        messages::line(
            "Untrained",
            format!("{} tensors ({})", bound.untrained, messages::list(&bound.untrained_layers)),
        );
    }
}

/// The default path of a spec's artifact.
pub fn artifact_path(spec: &str) -> PathBuf {
    let path = Path::new(spec);
    if let Some(name) = piped(path) {
        return PathBuf::from(format!("{name}.netb"));
    }
    match path.extension().is_some_and(|ending| ending == "net" || ending == "netb") {
        true => path.with_extension("netb"),
        false => PathBuf::from(format!("{}.netb", elaborate::identifier(spec).trim_matches('_'))),
    }
}

/// Opens an artifact, or compiles a spec in memory.
///
/// # Errors
/// A file that is no artifact, or a spec that cannot be compiled; the error has been reported.
pub fn open(argument: &str, args: &BuildArgs) -> Result<Artifact, Failed> {
    if argument.ends_with(".netb") {
        return open_artifact(argument);
    }
    let path = Path::new(argument);
    if path.is_file() && piped(path).is_none() && !argument.ends_with(".net") {
        return open_artifact(argument);
    }
    let spec = messages::load(argument)?;
    let build = messages::unwrap_or_report(recorded_loss::build(&spec, &args.options()), &spec.sources)?;
    report_build(&build);
    let artifact = build.in_memory().map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&build.bindings.lint_values(), &spec.sources);
    Ok(artifact)
}

/// Opens an artifact.
///
/// # Errors
/// A file that is none; the error has been reported.
pub fn open_artifact(argument: &str) -> Result<Artifact, Failed> {
    let path = Path::new(argument);
    Artifact::open(path).map_err(|error| messages::fail_with(error.diagnostic(path)))
}
