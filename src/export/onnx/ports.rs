//! What goes in and out: inputs with their preprocessing, outputs, and what the model says of itself.

use super::context::{Context, Exported, Value, channels_first, in_order};
use crate::compile::Build;
use crate::graph::Node;
use crate::onnx::model::FLOAT;
use crate::onnx::model::{IMAGE, Value as Attribute};
use crate::onnx::{Dim, ValueInfo};
use crate::ops::input::Input;
use crate::ops::input::preprocessing::{ChannelOrder, Preprocessing};

/// How a model takes and gives values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Images go in and out as (batch, height, width, channels).
    pub channels_last: bool,
    /// Photos go in as pixels from 0 to 255; nodes of the model do the arithmetic of their preprocessing.
    pub preprocess: bool,
}

/// The batch, whose size is open.
const BATCH: &str = "N";

/// The order of a tensor that goes in or out.
fn order(rank: usize, options: &Options) -> Vec<usize> {
    if rank == 3 && !options.channels_last { channels_first(rank) } else { in_order(rank) }
}

fn port(value: &Value) -> ValueInfo {
    let sizes = value.ordered().into_iter().map(|size| Dim::Known(size as u64));
    let shape = std::iter::once(Dim::Open(BATCH.into())).chain(sizes).collect();
    ValueInfo { name: value.name.clone(), element: FLOAT, shape: Some(shape) }
}

/// An input of the model; inside a net it is an identity.
pub(super) fn input(
    cx: &mut Context<'_>,
    node: &Node,
    layer: &Input,
    options: &Options,
    ports: &mut Vec<ValueInfo>,
) -> Exported {
    if !node.inputs.is_empty() {
        return cx.input(node, 0);
    }
    let sizes = node.output.known().ok_or("its sizes are open")?;
    let order = order(sizes.len(), options);
    let photo = layer.image.as_ref().filter(|_| options.preprocess);
    let name = if photo.is_some() { format!("{}/pixels", node.name) } else { node.name.clone() };
    let value = Value::new(cx.unique(&name), sizes, order);
    ports.push(port(&value));
    match photo {
        Some(image) => Ok(preprocessed(cx, value, image)),
        None => Ok(value),
    }
}

/// (x * scale - mean) / std of pixels from 0 to 255, whose channels are red, green and blue.
fn preprocessed(cx: &mut Context<'_>, x: Value, image: &Preprocessing) -> Value {
    let channels = x.sizes.last().copied().unwrap_or(1);
    let mut name = x.name.clone();
    if image.order == ChannelOrder::Bgr && channels == 3 {
        let reversed = cx.list(&[2, 1, 0]);
        name = cx.emit("Gather", &[&name, &reversed], vec![("axis", Attribute::Int(x.channel_axis()))]);
    }
    let shape = cx.per_channel(&x);
    let steps = [("Mul", [image.scale; 3], 1.0), ("Sub", image.mean, 0.0), ("Div", image.std, 1.0)];
    for (op, numbers, neutral) in steps {
        if numbers.iter().all(|&number| number == neutral) {
            continue;
        }
        let numbers = &numbers[..channels.min(3)];
        let constant = match numbers.iter().all(|number| number == &numbers[0]) {
            true => cx.scalar(numbers[0]),
            false => cx.constant(&shape, numbers.to_vec()),
        };
        name = cx.emit(op, &[&name, &constant], Vec::new());
    }
    Value { name, ..x }
}

/// The outputs of the model, with the names that they have in an artifact.
pub(super) fn outputs(cx: &mut Context<'_>, options: &Options, inputs: &[ValueInfo]) -> Result<Vec<ValueInfo>, String> {
    let mut ports: Vec<ValueInfo> = Vec::new();
    let graph = cx.graph;
    for (&id, wanted) in graph.outputs.iter().zip(graph.output_names()) {
        let value = cx.values[id.0].clone().ok_or("it could not be expressed")?;
        let mut value = cx.in_order_of(&value, &order(value.sizes.len(), options));
        let is_taken = |name: &str| ports.iter().chain(inputs).any(|port| port.name == name);
        if is_taken(&value.name) {
            value.name = cx.emit("Identity", &[&value.name], Vec::new());
        }
        // The layer itself may have another order of axes under this name, or be the input.
        if value.name != wanted && !is_taken(&wanted) {
            cx.give_name(&value.name, &wanted);
            value.name = wanted;
        }
        ports.push(port(&value));
    }
    Ok(ports)
}

/// The entries of `metadata_props`: names of classes, preprocessing, and the spec.
pub(super) fn metadata(build: &Build) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    if let Some(labels) = &build.labels {
        let list = serde_json::Value::from(labels.clone());
        entries.push(("labels".to_string(), list.to_string()));
    }
    for id in build.graph.inputs() {
        let node = build.graph.node(id);
        let image = node.operation.as_any().downcast_ref::<Input>().and_then(|input| input.image.as_ref());
        entries.extend(image.map(|image| (format!("{IMAGE}{}", node.name), image_text(image))));
    }
    entries.push(("spec".to_string(), build.source().to_string()));
    entries
}

/// A preprocessing as it is written in a spec.
fn image_text(image: &Preprocessing) -> String {
    image.preset_name().map_or_else(|| image.to_string(), str::to_string)
}
