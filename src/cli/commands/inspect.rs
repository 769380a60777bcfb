//! `netc inspect`

use crate::cli::args::build_args::BuildArgs;
use crate::cli::model;
use crate::cli::output::messages;
use crate::cli::output::output_guard::FileKind;
use crate::cli::result::{CommandResult, Failed, Format};
use crate::data::arrays::array_file;
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::request::Layout;
use crate::source::shown;
use crate::weights;
use crate::weights::bind::report::millions;
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
}

pub fn run(args: &Args) -> CommandResult {
    let path = Path::new(&args.model);
    match FileKind::of(path) {
        Some(FileKind::Weights) => return weights(path, args.format),
        Some(FileKind::Arrays) if damaged(path).is_none() || array_file::list(path).is_ok() => {
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
    let yaml = serde_yaml::to_string(&serde_json::json!({
        "net": manifest.net,
        "summary": manifest.summary,
        "written by": format!("netc {}", manifest.netc),
        "inputs": manifest.plan.inputs.iter().zip(&manifest.preprocessing).map(|(port, image)| serde_json::json!({
            "name": port.name, "sizes": port.sizes, "image": image.as_ref().map(ToString::to_string),
        })).collect::<Vec<_>>(),
        "outputs": manifest.plan.outputs.iter().map(|port| serde_json::json!({ "name": port.name, "sizes": port.sizes })).collect::<Vec<_>>(),
        "steps": manifest.plan.steps.len(),
        "constants": manifest.plan.constant_floats() * 4,
        "arena per image": manifest.plan.image_floats() * 4,
        "labels": manifest.labels.as_ref().map(Vec::len),
        "untrained": manifest.untrained,
        "tuned for": manifest.tuned,
        "made from": manifest.inputs.iter().map(|(name, digest)| format!("{name} {digest}")).collect::<Vec<_>>(),
        "source": manifest.source,
    }));
    messages::print(yaml.unwrap_or_default());
    Ok(())
}

/// The error of a damaged weights file, as in `netc build`; none if the file is valid or no weights file.
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
    );
    (!is_other_file).then_some(error)
}

/// The programs that write a layout.
fn maker(layout: Layout) -> &'static str {
    match layout {
        Layout::Neupy => "NeuPy, or netc",
        Layout::Keras => "Keras 1 or 2",
        Layout::Keras3 => "Keras 3",
        Layout::Safetensors => "safetensors (PyTorch, Hugging Face)",
        Layout::Onnx => "an ONNX model",
    }
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
            json!({ "layout": layout.to_string(), "maker": maker(layout), "parameters": values, "tensors": tensors });
        messages::print(format!("{document:#}\n"));
        return Ok(());
    }
    let mut text = format!("{}: weights in the layout {layout} ({})\n", path.display(), maker(layout));
    let _ = writeln!(text, "{}, {} parameters\n", counted(entries.len(), "tensor"), millions(values));
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
