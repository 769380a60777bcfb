//! `netc inspect`

use crate::artifact::Manifest;
use crate::cli::args::build_args::{BuildArgs, given, names};
use crate::cli::model;
use crate::cli::output::messages;
use crate::cli::output::output_guard::FileKind;
use crate::cli::result::{CommandResult, Failed, Format};
use crate::content::Content;
use crate::data::arrays::array_file;
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::size::sizes_text;
use crate::source::shown;
use crate::weights;
use crate::weights::store::{Entry, Number, StoreError};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, a file of weights or arrays, or a spec, which is compiled first
    model: String,
    #[command(flatten)]
    build: BuildArgs,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Print the plan
    #[arg(long)]
    plan: bool,
    /// Print the spec that the artifact was made from
    #[arg(long, conflicts_with = "plan")]
    source: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let path = Path::new(&args.model);
    match FileKind::of(path) {
        Some(FileKind::Weights) => {
            check_options(args, "weights")?;
            return weights(path, args.format);
        }
        Some(FileKind::Arrays) if damaged(path).is_none() || array_file::list(path).is_ok() => {
            check_options(args, "arrays")?;
            return arrays(path, args.format);
        }
        Some(FileKind::Arrays) | None => {
            if let Some(error) = damaged(path) {
                // Errors of a position within the file do not name the file.
                let (file, error) = (path.display().to_string(), error.to_string());
                let named = if error.contains(&file) { error } else { format!("{file}: {error}") };
                return Err(failed(Code::WeightsUnreadable, &named));
            }
        }
        _ => {}
    }
    let artifact = model::open(&args.model, &args.build)?;
    let manifest = &artifact.manifest;
    if args.format == Format::Json {
        messages::print(format!("{:#}\n", serde_json::json!(manifest)));
        return Ok(());
    }
    if args.plan {
        messages::print(&manifest.plan);
        return Ok(());
    }
    if args.source {
        messages::print(&manifest.source);
        return Ok(());
    }
    messages::print(summary(&args.model, manifest));
    Ok(())
}

/// Checks that no option asks for what a file of weights or arrays does not have.
fn check_options(args: &Args, content: &str) -> CommandResult {
    let options = [("--plan", args.plan), ("--source", args.source), ("--net", args.build.net.is_some())];
    let given = [given(options), args.build.given()].concat();
    if given.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} contains {content}, without a plan, a source or anything to compile: {} does not apply",
        args.model,
        names(&given)
    );
    Err(messages::fail_with(Diagnostic::new(Code::Option, message).help("name an artifact or a spec")))
}

/// A summary of an artifact: `  labels      ten lines`.
fn summary(name: &str, manifest: &Manifest) -> String {
    let plan = &manifest.plan;
    let mut out =
        format!("{name}: the net {}, compiled by netc {}\n{}\n\n", manifest.net, manifest.netc, manifest.summary);
    let mut row = |title: &str, text: &str| _ = writeln!(out, "  {title:11} {text}");
    for (port, image) in plan.inputs.iter().zip(&manifest.preprocessing) {
        let image = image.as_ref().map_or_else(String::new, |image| format!(", photos by {image}"));
        row("input", &format!("{} {}{image}", port.name, sizes_text(&port.sizes)));
    }
    plan.outputs.iter().for_each(|port| row("output", &format!("{} {}", port.name, sizes_text(&port.sizes))));
    if let Some(labels) = &manifest.labels {
        let labels: Vec<String> = labels.iter().map(|label| shown(label).into_owned()).collect();
        row("labels", &format!("{}: {}", labels.len(), messages::list(&labels)));
    }
    let (int8, layers) = plan.int8_layers();
    if int8 > 0 {
        row("precision", &format!("int8 in {int8} of {layers} layers with weights, f32 in the others"));
    }
    let floats = |count: usize| messages::bytes(count as u64 * 4);
    let (constants, arena) = (floats(plan.constant_floats()), floats(plan.image_floats()));
    row("plan", &format!("{}, constants {constants}, arena {arena} per image", counted(plan.steps.len(), "step")));
    if !manifest.untrained.is_empty() {
        row("untrained", &messages::list(&manifest.untrained));
    }
    if let Some(machine) = &manifest.tuned {
        row("tuned for", machine);
    }
    for (file, digest) in &manifest.inputs {
        row("made from", &format!("{file}  {digest}"));
    }
    out.push_str("\n`--plan` prints the steps, `--source` the spec, `--format json` everything.\n");
    out
}

/// The error of a weights file that is damaged or in a format that is not read, as in `netc build`; none if the file is valid or no
/// weights file.
fn damaged(path: &Path) -> Option<StoreError> {
    let error = weights::open(path, None).err()?;
    let is_other_file = matches!(
        error,
        StoreError::NotFound { .. }
            | StoreError::NotAFile { .. }
            | StoreError::Unreadable { .. }
            | StoreError::NotHdf5 { .. }
            | StoreError::UnknownLayout { .. }
            | StoreError::OtherLayout { .. }
    ) && !Content::of_path(path).is_ok_and(Content::is_pickle);
    (!is_other_file).then_some(error)
}

/// The tensors of a file of weights, layer by layer.
fn weights(path: &Path, format: Format) -> CommandResult {
    let store = weights::open(path, None).map_err(|error| failed(Code::WeightsUnreadable, &error))?;
    let (layout, entries) = (store.layout(), store.entries());
    let values: usize = entries.iter().map(Entry::elements).sum();
    if format == Format::Json {
        let tensors = entries.iter().map(|one| {
            json!({ "layer": one.layer, "class": one.class, "role": one.role.name(), "key": one.key, "shape": one.shape, "number": one.number.to_string() })
        });
        let tensors: Vec<serde_json::Value> = tensors.collect();
        let document =
            json!({ "layout": layout.to_string(), "maker": layout.writer(), "parameters": values, "tensors": tensors });
        messages::print(format!("{document:#}\n"));
        return Ok(());
    }
    let mut text = format!("{}: weights in the layout {layout} ({})\n", path.display(), layout.writer());
    let _ = writeln!(text, "{}, {}\n", counted(entries.len(), "tensor"), counted(values, "parameter"));
    let name = |one: &Entry| match &one.class {
        Some(class) => shown(&format!("{} ({class})", one.layer)).into_owned(),
        None => shown(&one.layer).into_owned(),
    };
    let width = entries.iter().map(|one| name(one).chars().count()).max().unwrap_or(0);
    for one in entries {
        let _ = write!(text, "  {:width$}  {:12}  {:?}", name(one), one.role.name(), one.shape);
        match one.number {
            Number::Float(32) => text.push('\n'),
            number => _ = writeln!(text, "  {number}"),
        }
    }
    messages::print(text);
    Ok(())
}

/// The arrays of a file, by name.
fn arrays(path: &Path, format: Format) -> CommandResult {
    let list = array_file::list(path).map_err(|error| failed(Code::Array, &error))?;
    if format == Format::Json {
        let arrays = list.iter().map(|one| json!({ "name": one.name, "shape": one.shape })).collect::<Vec<_>>();
        messages::print(format!("{:#}\n", json!({ "arrays": arrays })));
        return Ok(());
    }
    let mut text = format!("{}: {}\n\n", path.display(), counted(list.len(), "array"));
    let width = list.iter().map(|one| shown(&one.name).chars().count()).max().unwrap_or(0);
    for one in &list {
        let _ = writeln!(text, "  {:width$}  {:?}", shown(&one.name), one.shape);
    }
    messages::print(text);
    Ok(())
}

fn failed(code: Code, error: &dyn std::fmt::Display) -> Failed {
    messages::fail_with(Diagnostic::new(code, error.to_string()))
}
