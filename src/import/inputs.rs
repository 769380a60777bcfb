//! The inputs of a model: their sizes, and the order of their axes.

use super::convert::{Context, Known};
use super::source::Options;
use super::tree::{Call, Val};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::onnx::model::{FLOATS, INTEGERS};
use crate::onnx::{Dim, Graph, ValueInfo};
use std::collections::HashSet;

/// An input of the spec.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub name: String,
    /// Its sizes in the model.
    pub shape: Vec<usize>,
    /// Its sizes here, without the batch.
    pub sizes: Vec<usize>,
    /// Whether the model has channels first and netc last.
    pub channels_first: bool,
    /// Whether the model has the time before the batch.
    pub time_first: bool,
    pub is_photo: bool,
}

/// Adds the inputs that are needed.
///
/// # Errors
/// Inputs that are open in more than the batch, or no floating-point numbers.
pub(super) fn define(
    context: &mut Context,
    graph: &Graph,
    needed: &[bool],
    outputs: &[String],
    options: &Options,
    file: &str,
    image: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Input>, Diagnostics> {
    let constants: HashSet<&str> = graph.initializers.iter().map(|tensor| tensor.name.as_str()).collect();
    let read: HashSet<&str> = graph
        .nodes
        .iter()
        .zip(needed)
        .filter(|(_, needed)| **needed)
        .flat_map(|(node, _)| node.inputs.iter().map(String::as_str))
        .chain(outputs.iter().map(String::as_str))
        .collect();
    let indices = super::convert::whole_numbers(graph);
    let mut errors = Diagnostics::default();
    let mut inputs = Vec::new();
    let wanted = |info: &&ValueInfo| !constants.contains(info.name.as_str()) && read.contains(info.name.as_str());
    let all: Vec<&ValueInfo> = graph.inputs.iter().filter(wanted).collect();
    for info in &all {
        let time_first = context.front == 0 && is_time_first(graph, info);
        match sizes(info, options, file, &indices, context.front, usize::from(time_first)) {
            Ok(shape) => {
                let named = all.len() > 1;
                let image = image(&info.name);
                inputs.push(match time_first {
                    true => sequence(context, info, shape, named),
                    false => input(context, graph, info, shape, named, image),
                });
            }
            Err(error) => errors.push(error),
        }
    }
    // Where only bodies of conditions and loops read inputs, what cannot be expressed is reported.
    let has_bodies = || graph.nodes.iter().any(|node| matches!(node.op.as_str(), "If" | "Loop" | "Scan"));
    if all.is_empty() && !has_bodies() {
        errors.push(Diagnostic::new(Code::ImportModel, format!("{file} has no inputs")));
    }
    errors.or_errors(inputs).map(|(inputs, _)| inputs)
}

/// The sizes of an input; an open batch is taken as 1.
fn sizes(
    info: &ValueInfo,
    options: &Options,
    file: &str,
    indices: &HashSet<String>,
    front: usize,
    batch: usize,
) -> Result<Vec<usize>, Diagnostic> {
    let wrong =
        |what: String| Diagnostic::new(Code::ImportModel, format!("the input `{}` of {file} {what}", info.name));
    let is_index = INTEGERS.contains(&info.element) && indices.contains(&info.name);
    if !is_index && !FLOATS.contains(&info.element) {
        return Err(wrong("does not take floating-point numbers".into()));
    }
    let Some(shape) = &info.shape else { return Err(wrong("has no shape".into())) };
    let mut sizes = Vec::new();
    let rank = shape.len();
    for (axis, size) in shape.iter().enumerate() {
        let asked = options.size.filter(|_| rank == 4).map(|size| match axis {
            2 => size[0],
            3 => size[1],
            _ => 0,
        });
        sizes.push(match size {
            // Where it is not the first, the batch has no size of its own.
            _ if axis == batch && batch > 0 => 1,
            Dim::Known(size @ 1..=0x3fff_ffff) => match asked.unwrap_or(0) {
                other if other > 0 && other != *size as usize => {
                    return Err(wrong(format!("has a fixed {} of {size}", if axis == 2 { "height" } else { "width" }))
                        .help("leave out `--size`, which sets what a model leaves open"));
                }
                _ => *size as usize,
            },
            _ if axis == batch && front == 0 => 1,
            Dim::Open(_) if asked.is_some_and(|size| size > 0) => asked.unwrap_or(1),
            Dim::Open(_) if rank == 4 && axis > 1 => {
                return Err(wrong("leaves height or width open".into())
                    .help("`--size 224x224` sets them; the model's description says what it was trained on"));
            }
            Dim::Open(name) => {
                return Err(wrong(format!(
                    "leaves axis {axis} open{}",
                    if name.is_empty() { String::new() } else { format!(" (`{name}`)") }
                )));
            }
            Dim::Known(size) => return Err(wrong(format!("has a size of {size}"))),
        });
    }
    if !(2..=5).contains(&(rank + front)) {
        return Err(wrong(format!("has {rank} axes")));
    }
    Ok(sizes)
}

fn input(
    context: &mut Context,
    graph: &Graph,
    info: &ValueInfo,
    shape: Vec<usize>,
    named: bool,
    image: Option<String>,
) -> Input {
    let channels_first = context.front == 0 && shape.len() == 4 && !is_channels_last(graph, info, &shape);
    let all = [&vec![1; context.front], &shape[..]].concat();
    let axes = if channels_first { vec![2, 3, 1] } else { (1..all.len().max(2)).collect::<Vec<_>>() };
    let sizes: Vec<usize> = axes.iter().map(|&axis| all.get(axis).copied().unwrap_or(1)).collect();
    let image = image.filter(|_| context.front == 0 && sizes.len() == 3 && matches!(sizes[2], 1 | 3));
    let is_photo = context.front == 0 && sizes.len() == 3 && matches!(sizes[2], 1 | 3) && image.is_none();
    let mut call = Call::layer("Input").with("shape", Val::Sizes(sizes.clone()));
    if let Some(image) = image {
        call = call.with("image", Val::Word(image));
    }
    let item = context.layers.add(call.named(named.then_some(info.name.as_str())), &[]);
    context.define(&info.name, Known { item, shape: all, axes, images: Vec::new() });
    Input { name: info.name.clone(), shape, sizes, channels_first, time_first: false, is_photo }
}

/// A sequence whose time is before the batch in the model.
fn sequence(context: &mut Context, info: &ValueInfo, shape: Vec<usize>, named: bool) -> Input {
    let sizes = vec![shape[0], shape[2]];
    let call = Call::layer("Input").with("shape", Val::Sizes(sizes.clone()));
    let item = context.layers.add(call.named(named.then_some(info.name.as_str())), &[]);
    context.define_time_first(&info.name, item, sizes[0], sizes[1]);
    Input { name: info.name.clone(), shape, sizes, channels_first: false, time_first: true, is_photo: false }
}

/// Whether an input is (time, batch, features): recurrent layers read it as it is, and nothing else does.
fn is_time_first(graph: &Graph, info: &ValueInfo) -> bool {
    let mut readers =
        graph.nodes.iter().filter(|node| node.inputs.contains(&info.name) && node.op != "Shape").peekable();
    let recurrent =
        |node: &crate::onnx::Node| matches!(node.op.as_str(), "LSTM" | "GRU") && node.input(0) == Some(&info.name);
    let is_sequence = info.shape.as_ref().is_some_and(|shape| shape.len() == 3);
    is_sequence && readers.peek().is_some() && readers.all(|node| recurrent(node) && node.int("layout", 0) == 0)
}

/// Whether an image has its channels last: a transpose brings them to the front, or only the last size can be theirs.
fn is_channels_last(graph: &Graph, info: &ValueInfo, shape: &[usize]) -> bool {
    let readers: Vec<_> = graph.nodes.iter().filter(|node| node.inputs.contains(&info.name)).collect();
    let to_front = |node: &&crate::onnx::Node| node.op == "Transpose" && node.ints("perm") == Some(&[0, 3, 1, 2]);
    let colours = |size: usize| matches!(size, 1 | 3 | 4);
    // These take channels first.
    let of_images = ["Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization", "InstanceNormalization"];
    let is_photo = shape[1].min(shape[2]) > 4
        && colours(shape[3])
        && !readers.iter().any(|node| of_images.contains(&node.op.as_str()) && node.input(0) == Some(&info.name));
    (!readers.is_empty() && readers.iter().all(to_front)) || (is_photo && !colours(shape[1]))
}
