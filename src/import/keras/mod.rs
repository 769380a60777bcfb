//! A Keras model as the layers of a spec, from the configuration in its file. No code in it is run.

mod config;
mod convert;
mod walk;

use super::items::{ORIGIN, file_name, plain};
use super::source::{Options, Source};
use super::{fuse, unsupported};
use crate::diagnostics::{Code, Diagnostic, Result, suggest};
use crate::elaborate::project::shipped;
use crate::import::tree::{Call, Val};
use crate::weights::keras_model::{Configuration, Place};
use crate::weights::store::StoreError;
use crate::weights::{self, keras_configuration};
use config::Model;
use convert::{Context, Known};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Layers that are named in a comment.
const MAX_NAMED: usize = 6;

/// Reads a model for the net `net`.
///
/// # Errors
/// A file that cannot be read or has only weights, and parts that no spec can express.
pub(super) fn source(path: &Path, options: &Options, net: &str) -> Result<Source> {
    let file = path.display().to_string();
    let configuration = keras_configuration(path).map_err(|error| unreadable(path, &error))?;
    let configuration = configuration.ok_or_else(|| only_weights(&file))?;
    let value = &configuration.value;
    if !value["config"].is_array() && !value["config"]["layers"].is_array() {
        return Err(subclass(&file, value["class_name"].as_str().unwrap_or("")).into());
    }
    let wrong = |what: String| Diagnostic::new(Code::ImportModel, format!("the model in {file} {what}"));
    let model = Model::read(value).map_err(wrong)?;
    let outputs = outputs(&model, options, &file)?;
    let taken = shipped::SPECS.iter().map(|spec| spec.name.to_string()).chain([net.to_string()]).collect();
    let mut context = Context::new(configuration.is_keras3(), names_in_file(path, &model), taken);
    let inputs = inputs(&mut context, &model, options, &file)?;
    let shapes: Vec<Vec<usize>> = inputs.iter().map(|known| known.sizes.clone()).collect();
    let ends = walk::walk(&mut context, &model, inputs, &outputs).map_err(wrong)?;
    if let Some(first) = context.unsupported.first() {
        let before = model.find(&first.node).and_then(|layer| layer.calls.first()?.tensors().next());
        let before = before.map(|place| place.layer).filter(|_| options.until.is_none());
        let total = (model.count(), "layer");
        return Err(unsupported::diagnostic(&file, total, &context.unsupported, before).into());
    }
    let mut known = Vec::new();
    for end in ends {
        let end = end.ok_or_else(|| wrong("has an output that no layer gives".into()))?;
        known.push(context.image(end).map_err(wrong)?);
    }
    let mut layers = std::mem::take(&mut context.layers);
    layers.outputs = known.iter().map(|known| known.item).collect();
    fuse::fuse(&mut layers);
    let mut parts: Vec<(String, _)> = context.parts.into_iter().map(|part| (part.name, part.layers)).collect();
    parts.iter_mut().for_each(|(_, layers)| fuse::fuse(layers));
    Ok(Source {
        layers,
        parts,
        head: head(path, &configuration, &model, &shapes, &context.left_out),
        inputs: shapes,
        outputs: known.into_iter().map(|known| known.sizes).collect(),
        explicit_axes: false,
        ends_early: options.until.is_some(),
        twins: HashMap::new(),
        labels: None,
        nodes: model.count(),
        noun: "Keras layer",
    })
}

fn unreadable(path: &Path, error: &StoreError) -> Diagnostic {
    let code = match error {
        StoreError::NotFound { .. } => Code::Unreadable,
        _ => Code::ImportModel,
    };
    Diagnostic::new(code, format!("{} cannot be imported: {error}", path.display()))
}

fn only_weights(file: &str) -> Diagnostic {
    Diagnostic::new(Code::ImportModel, format!("{file} has weights only: the layers of the model are not in it"))
        .help("save the whole model in Keras, `model.save(\"model.keras\")`: `save_weights` leaves its layers out")
        .help("or write the spec yourself and bind the file: `weights NAME = \"…\"`")
}

fn subclass(file: &str, class: &str) -> Diagnostic {
    let message =
        format!("the model in {file} is the class `{}`: how it joins its layers is Python code", plain(class));
    Diagnostic::new(Code::ImportUnsupported, message)
        .note("a Sequential model, or one made of its inputs and outputs, `keras.Model(inputs, outputs)`, is described in its file")
        .help("`model.export(\"model.onnx\", format=\"onnx\")` in Keras writes a file that `netc import` takes")
}

/// The outputs of the spec: those of the model, or of one layer.
fn outputs<'m>(model: &'m Model, options: &'m Options, file: &str) -> Result<Vec<Place<'m>>> {
    match &options.until {
        None if model.outputs.is_empty() => {
            Err(Diagnostic::new(Code::ImportModel, format!("the model in {file} has no outputs")).into())
        }
        None => Ok(model.outputs.clone()),
        Some(until) if model.find(until).is_some() => Ok(vec![Place { layer: until, call: 0, tensor: 0 }]),
        Some(until) => {
            let names = model.layers.iter().map(|layer| layer.name);
            Err(Diagnostic::new(Code::ImportModel, format!("{file} has no layer `{until}`"))
                .maybe_help(suggest::did_you_mean(until, names))
                .into())
        }
    }
}

/// Adds the inputs of the model.
fn inputs(context: &mut Context, model: &Model, options: &Options, file: &str) -> Result<Vec<Known>> {
    let several = model.inputs.len() > 1;
    let mut known = Vec::new();
    for place in &model.inputs {
        let wrong = |what: String| {
            Diagnostic::new(Code::ImportModel, format!("the input `{}` of {file} {what}", plain(place.layer)))
        };
        let layer = model.find(place.layer).ok_or_else(|| wrong("is not one of its layers".into()))?;
        let mut shape = layer.shape().map_err(wrong)?;
        if shape.len() < 2 || shape.len() > 4 {
            return Err(wrong(format!("has {} axes with the batch", shape.len())).into());
        }
        shape.remove(0);
        if let Some((known, other)) = contradiction(&shape, options) {
            let help = "leave out `--size`, which sets what a model leaves open";
            return Err(wrong(format!("has a fixed size of {known}, not {other}")).help(help).into());
        }
        let sizes = sizes(&shape, options).ok_or_else(|| {
            let text: Vec<String> =
                shape.iter().map(|size| size.map_or("?".into(), |size: usize| size.to_string())).collect();
            let help = match shape.len() {
                3 => "`--size 224x224` sets height and width; the model's description says what it was trained on",
                _ => "`--size 100` sets the steps of a sequence",
            };
            wrong(format!("leaves a size open: ({})", text.join(", "))).help(help)
        })?;
        let call = Call::layer("Input").with("shape", Val::Sizes(sizes));
        let input = context.add(call.named(several.then_some(place.layer)), &[]).map_err(wrong)?;
        known.push(input);
    }
    match known.is_empty() {
        true => Err(Diagnostic::new(Code::ImportModel, format!("the model in {file} has no inputs")).into()),
        false => Ok(known),
    }
}

/// What `--size` says of an axis: height and width, or the steps.
fn asked(rank: usize, axis: usize, options: &Options) -> Option<usize> {
    match (rank, axis, options.size) {
        (3, 0 | 1, Some(size)) => Some(size[axis]),
        (1 | 2, 0, Some([steps, _])) => Some(steps),
        _ => None,
    }
}

/// The sizes of an input without the batch.
fn sizes(shape: &[Option<usize>], options: &Options) -> Option<Vec<usize>> {
    let rank = shape.len();
    shape.iter().enumerate().map(|(axis, size)| size.or_else(|| asked(rank, axis, options))).collect()
}

/// A size of the model, and another one that `--size` says.
fn contradiction(shape: &[Option<usize>], options: &Options) -> Option<(usize, usize)> {
    let pairs =
        shape.iter().enumerate().filter_map(|(axis, size)| Some(((*size)?, asked(shape.len(), axis, options)?)));
    pairs.into_iter().find(|(known, asked)| known != asked)
}

/// The layers of the file's weights, where nested models have layers of the same name.
fn names_in_file(path: &Path, model: &Model) -> Option<BTreeSet<String>> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut open = vec![model];
    while let Some(model) = open.pop() {
        for layer in &model.layers {
            match &layer.model {
                Some(inner) => open.push(inner),
                None => *counts.entry(layer.name).or_default() += 1,
            }
        }
    }
    if counts.values().all(|&count| count == 1) {
        return None;
    }
    let store = weights::open(path, None).ok()?;
    Some(store.entries().iter().map(|entry| entry.layer.clone()).collect())
}

/// The comment above the net.
fn head(
    path: &Path,
    configuration: &Configuration,
    model: &Model,
    inputs: &[Vec<usize>],
    left_out: &[String],
) -> Vec<String> {
    let version = configuration.version.as_deref().map_or(String::new(), |version| format!(" {}", plain(version)));
    let mut lines = vec![format!("{ORIGIN} {} (Keras{version}).", file_name(path))];
    let prepares = ["Rescaling", "Normalization"];
    let is_photo = |sizes: &Vec<usize>| matches!(sizes[..], [height, width, 1 | 3] if height.min(width) > 4);
    if inputs.iter().any(is_photo) && !model.layers.iter().any(|layer| prepares.contains(&layer.class)) {
        lines.push(
            "It does not say how photos become its input: `image=` in `Input` takes Caffe, Torch, Unit or Symmetric."
                .into(),
        );
    }
    if !left_out.is_empty() {
        let mut names: Vec<String> = left_out.iter().take(MAX_NAMED).map(|name| plain(name)).collect();
        if left_out.len() > MAX_NAMED {
            names.push(format!("{} more", left_out.len() - MAX_NAMED));
        }
        lines.push(format!("Without what acts only in training: {}.", names.join(", ")));
    }
    lines
}
