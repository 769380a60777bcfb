//! The model argument of commands: an artifact, or a spec, which is compiled first.

use super::args::build_args::BuildArgs;
use super::output::messages;
use super::result::{CommandResult, Failed};
use crate::artifact::Artifact;
use crate::compile::{self, Build};
use crate::data::Decoding;
use crate::diagnostics::counted;
use crate::elaborate;
use crate::elaborate::project::source_files::piped;
use crate::source::Sources;
use crate::train::batches::net_inputs::NetInputs;
use crate::train::recorded_loss;
use crate::weights::bind::report::Report;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Reports the stages of a build.
pub fn report_build(build: &Build) {
    messages::line("Checking", format!("{}  {}", build.graph.name, build.graph.summary()));
    report_calibration(build);
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

/// Reports the files that an int8 build was not calibrated by.
pub fn report_calibration(build: &Build) {
    messages::skipping(build.int8.iter().flat_map(|(_, samples)| &samples.skipped));
}

/// Reports the weights files of a build, and the parameters that come from none.
pub fn report_binding(bound: &Report) {
    for file in &bound.files {
        let name =
            Path::new(&file.file).file_name().map_or(file.file.clone(), |name| name.to_string_lossy().into_owned());
        let mut text = format!(
            "{name} ({}) {}, {}",
            file.layout,
            counted(file.tensors, "tensor"),
            counted(file.values, "parameter")
        );
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
            format!("{} ({})", counted(bound.untrained, "tensor"), messages::list(&bound.untrained_layers)),
        );
    }
}

/// The default path of a spec's artifact: next to the spec, or named by the words of an expression.
pub fn artifact_path(spec: &str) -> PathBuf {
    output_path(spec, "netb")
}

/// The default path of what is made from a spec: `sub/bird.netb`, `sub/bird-pool1.netb` for the cut `sub/bird.net[..=pool1]`.
pub fn output_path(spec: &str, ending: &str) -> PathBuf {
    let path = Path::new(spec);
    if let Some(name) = piped(path) {
        return PathBuf::from(format!("{name}.{ending}"));
    }
    if path.extension().is_some_and(|ending| ending == "net" || ending == "netb") {
        return path.with_extension(ending);
    }
    match elaborate::cut_of_file(spec) {
        Some((path, cut)) => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            path.with_file_name(format!("{}.{ending}", words(&format!("{stem}{cut}"))))
        }
        None => PathBuf::from(format!("{}.{ending}", words(spec))),
    }
}

/// The longest file name that is made of an expression.
const MAX_WORDS: usize = 80;

/// The words of an expression as the name of a file: `vgg16-dense_1` for `vgg16[..=dense_1]`, `vgg16-before-dense_1` for
/// `vgg16[..dense_1]`.
fn words(expression: &str) -> String {
    let expression = expression.replace("[..=", " ").replace("[..", " before ").replace("..]", " on ");
    let is_inner = |c: char| c.is_alphanumeric() || "_-".contains(c);
    let mut name = String::new();
    for word in expression.split(|c| !is_inner(c)).filter(|word| !word.is_empty()) {
        if name.len() + word.len() >= MAX_WORDS {
            break;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(word);
    }
    if name.is_empty() { "expression".into() } else { name }
}

/// Opens an artifact, or compiles a spec in memory. `check` says whether the net takes what it is to compute on; a spec is not
/// compiled if it does not.
///
/// # Errors
/// A file that is no artifact or contradicts the options, a spec that cannot be compiled, and the errors of `check`; the error has been
/// reported.
pub fn open_for(
    argument: &str,
    args: &BuildArgs,
    check: impl Fn(&NetInputs) -> CommandResult,
) -> Result<Artifact, Failed> {
    let path = Path::new(argument);
    let is_other_file = path.is_file() && piped(path).is_none() && !argument.ends_with(".net");
    if argument.ends_with(".netb") || is_other_file {
        let artifact = open_artifact(argument)?;
        args.check_artifact(argument, &artifact.manifest).map_err(messages::fail_with)?;
        check(&NetInputs::of_artifact(&artifact.manifest))?;
        return Ok(artifact);
    }
    let spec = messages::load(argument)?;
    // Without a graph, the build reports why.
    if let Ok((graph, _)) = compile::graph(&spec, args.net.as_deref())
        && let Some(inputs) = NetInputs::of_graph(&graph)
    {
        check(&inputs)?;
    }
    let build = messages::unwrap_or_report(recorded_loss::build(&spec, &args.options()), &spec.sources)?;
    report_build(&build);
    let artifact = build.in_memory().map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::emit(&build.bindings.lint_values(), &spec.sources);
    Ok(artifact)
}

/// How photos become the input of a net.
///
/// # Errors
/// As [`NetInputs::photo_decoding`]; the error has been reported.
pub fn photo_decoding(inputs: &NetInputs) -> Result<Decoding, Failed> {
    inputs.photo_decoding().map_err(|errors| messages::fail(&errors, &Sources::default()))
}

/// As [`open_for`], for any inputs.
///
/// # Errors
/// As [`open_for`].
pub fn open(argument: &str, args: &BuildArgs) -> Result<Artifact, Failed> {
    open_for(argument, args, |_| Ok(()))
}

/// Opens an artifact.
///
/// # Errors
/// A file that is none; the error has been reported.
pub fn open_artifact(argument: &str) -> Result<Artifact, Failed> {
    let path = Path::new(argument);
    Artifact::open(path).map_err(|error| messages::fail_with(error.diagnostic(path)))
}

#[cfg(test)]
mod tests {
    use super::output_path;
    use std::path::Path;

    #[test]
    fn outputs_are_named_by_what_they_are_made_from() {
        for (spec, path) in [
            ("sub/bird.net", "sub/bird.netb"),
            ("bird.netb", "bird.netb"),
            ("vgg16", "vgg16.netb"),
            ("sub/t2.net[..=hid]", "sub/t2-hid.netb"),
            ("sub/t2.net[..hid]", "sub/t2-before-hid.netb"),
            ("squeezenet1_1[..=fire2/squeeze1x1]", "squeezenet1_1-fire2-squeeze1x1.netb"),
            ("vgg16[..dropout-2]", "vgg16-before-dropout-2.netb"),
            ("Input(4) >> Relu(3)", "Input-4-Relu-3.netb"),
            ("[]", "expression.netb"),
        ] {
            assert_eq!(output_path(spec, "netb"), Path::new(path), "{spec}");
        }
        assert_eq!(output_path("bird.net", "features.h5"), Path::new("bird.features.h5"));
        assert!(output_path(&"Relu >> ".repeat(99), "netb").as_os_str().len() < 90);
    }
}
