//! The inputs of a model: their sizes, and the order of their axes.

use super::Options;
use super::convert::{Context, Known};
use super::tree::{Call, Val};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::onnx::{Dim, Graph, ValueInfo};
use std::collections::HashSet;

/// An input of the spec.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub name: String,
    /// Its sizes in the model.
    pub shape: Vec<usize>,
    /// Whether the model has channels first and netc last.
    pub channels_first: bool,
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
    let indices = super::convert::indices(graph);
    let mut errors = Diagnostics::default();
    let mut inputs = Vec::new();
    let wanted = |info: &&ValueInfo| !constants.contains(info.name.as_str()) && read.contains(info.name.as_str());
    let all: Vec<&ValueInfo> = graph.inputs.iter().filter(wanted).collect();
    for info in &all {
        match sizes(info, options, file, &indices) {
            Ok(shape) => {
                let named = all.len() > 1;
                inputs.push(input(context, graph, info, shape, named, image(&info.name)));
            }
            Err(error) => errors.push(error),
        }
    }
    if all.is_empty() {
        errors.push(Diagnostic::new(Code::ImportModel, format!("{file} has no inputs")));
    }
    errors.or_errors(inputs).map(|(inputs, _)| inputs)
}

/// The sizes of an input; an open batch is taken as 1.
fn sizes(info: &ValueInfo, options: &Options, file: &str, indices: &HashSet<String>) -> Result<Vec<usize>, Diagnostic> {
    let wrong =
        |what: String| Diagnostic::new(Code::ImportModel, format!("the input `{}` of {file} {what}", info.name));
    let is_index = matches!(info.element, 6 | 7) && indices.contains(&info.name);
    if !is_index && !matches!(info.element, 1 | 10 | 11 | 16) {
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
            Dim::Known(size @ 1..=0x3fff_ffff) => *size as usize,
            _ if axis == 0 => 1,
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
    if !(2..=5).contains(&rank) {
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
    let channels_first = shape.len() == 4 && !is_channels_last(graph, info, &shape);
    let axes = if channels_first { vec![2, 3, 1] } else { (1..shape.len()).collect::<Vec<_>>() };
    let sizes: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let image = image.filter(|_| sizes.len() == 3 && matches!(sizes[2], 1 | 3));
    let is_photo = sizes.len() == 3 && matches!(sizes[2], 1 | 3) && image.is_none();
    let mut call = Call::layer("Input").with("shape", Val::Sizes(sizes));
    if let Some(image) = image {
        call = call.with("image", Val::Word(image));
    }
    let item = context.layers.add(call.named(named.then_some(info.name.as_str())), &[]);
    context.define(&info.name, Known { item, shape: shape.clone(), axes, permuted: false });
    Input { name: info.name.clone(), shape, channels_first, is_photo }
}

/// Whether an image has its channels last: a transpose brings them to the front, or only the last size can be theirs.
fn is_channels_last(graph: &Graph, info: &ValueInfo, shape: &[usize]) -> bool {
    let readers: Vec<_> = graph.nodes.iter().filter(|node| node.inputs.contains(&info.name)).collect();
    let to_front = |node: &&crate::onnx::Node| node.op == "Transpose" && node.ints("perm") == Some(&[0, 3, 1, 2]);
    let colours = |size: usize| matches!(size, 1 | 3 | 4);
    let is_photo = shape[1].min(shape[2]) > 4 && colours(shape[3]);
    (!readers.is_empty() && readers.iter().all(to_front)) || (is_photo && !colours(shape[1]))
}
