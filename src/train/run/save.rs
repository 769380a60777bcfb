//! Trained parameters to a file that NeuPy or Keras reads, and that `weights` binds.

use crate::compile::Values;
use crate::graph::{Graph, Initializer, Node, NodeId, Parameter, ParameterId};
use crate::lower::State;
use crate::ops::prelu::PRelu;
use crate::source::Span;
use crate::weights::bind::convert::gates_to_keras;
use crate::weights::save::neupy_writer::{SavedLayer, SavedParameter};
use crate::weights::save::{keras_writer, neupy_writer};
use crate::weights::store::StoreError;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The layout of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    #[default]
    NeuPy,
    Keras,
}

/// NeuPy states a date; the same training gives the same bytes.
const CREATED: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

/// Writes all layers of a net: what was trained as the state has it, the rest as it is bound.
///
/// # Errors
/// Files that cannot be read or written.
pub fn save(
    path: &Path,
    net: &Graph,
    values: &Values<'_>,
    layout: &State,
    state: &[f32],
    format: Layout,
) -> Result<(), StoreError> {
    let mut tensors: Vec<Vec<f32>> = Vec::with_capacity(net.parameters.len());
    for parameter in &net.parameters {
        tensors.push(match layout.find(&parameter.path()).filter(|_| !parameter.frozen) {
            Some(tensor) => state[tensor.offset..tensor.offset + tensor.len].to_vec(),
            None => values.read(parameter)?,
        });
    }
    if format == Layout::Keras {
        for node in &net.nodes {
            for id in &node.parameters {
                let parameter = &net.parameters[id.0];
                tensors[id.0] = as_keras_has_it(node, parameter, std::mem::take(&mut tensors[id.0]));
            }
        }
    }
    let layers = layers(net, format, Some(&tensors));
    match format {
        Layout::NeuPy => neupy_writer::save(path, &layers, CREATED),
        Layout::Keras => keras_writer::save(path, &layers),
    }
}

/// The layers as a file of this layout holds them, in its order; without values where only the rest is looked at.
fn layers<'a>(net: &Graph, format: Layout, tensors: Option<&'a [Vec<f32>]>) -> Vec<SavedLayer<'a>> {
    let consumers = net.consumers();
    let order = match format {
        Layout::NeuPy => net.ids().collect(),
        Layout::Keras => keras_order(net),
    };
    let layer = |id: NodeId| {
        let node = net.node(id);
        let stored = |id: &&ParameterId| net.parameters[id.0].layer == node.name && !net.parameters[id.0].is_fixed();
        let begins = |id: &&ParameterId| format == Layout::Keras && is_first_state(net.parameters[id.0].role);
        let own = node.parameters.iter().filter(stored).filter(|id| !begins(id));
        let successors = consumers[id.0].iter().map(|&other| net.node(other).name.clone()).collect();
        let mut configs = Map::new();
        configs.insert("name".into(), json!(node.name));
        configs.extend(node.operation.settings().into_iter().map(|(key, value)| (key.to_string(), json!(value))));
        let data = |id: &ParameterId| tensors.map_or(&[][..], |tensors| tensors[id.0].as_slice());
        SavedLayer {
            name: node.name.clone(),
            class: node.operation.kind().to_string(),
            configs: Value::Object(configs),
            successors,
            parameters: own.map(|id| saved(net, node, &net.parameters[id.0], data(id), format)).collect(),
        }
    };
    order.into_iter().map(layer).collect()
}

/// The order in which Keras lists layers, by which its `load_weights` goes: the deepest first, those of one depth as a walk
/// from the outputs meets them (`map_graph` in keras/src/ops/function.py).
fn keras_order(net: &Graph) -> Vec<NodeId> {
    let mut depths = vec![0; net.nodes.len()];
    for id in net.ids().rev() {
        for input in &net.node(id).inputs {
            depths[input.0] = depths[input.0].max(depths[id.0] + 1);
        }
    }
    let mut met = vec![usize::MAX; net.nodes.len()];
    let mut pending: Vec<NodeId> = net.outputs.iter().rev().copied().collect();
    let mut count = 0;
    while let Some(id) = pending.pop() {
        if met[id.0] == usize::MAX {
            met[id.0] = count;
            count += 1;
            pending.extend(net.node(id).inputs.iter().rev());
        }
    }
    let mut order: Vec<NodeId> = net.ids().collect();
    order.sort_by_key(|id| (std::cmp::Reverse(depths[id.0]), met[id.0]));
    order
}

fn saved<'a>(net: &Graph, node: &Node, parameter: &Parameter, data: &'a [f32], format: Layout) -> SavedParameter<'a> {
    let (name, shape) = match format {
        Layout::NeuPy => (parameter.role, parameter.shape.clone()),
        Layout::Keras => keras_shape(net, node, parameter),
    };
    SavedParameter { name: name.to_string(), shape, data, trainable: parameter.trainable }
}

/// The name and shape that Keras gives a parameter.
fn keras_shape(net: &Graph, node: &Node, parameter: &Parameter) -> (&'static str, Vec<usize>) {
    let inputs = node.inputs.first().and_then(|&input| net.node(input).output.channels().known());
    match (node.operation.kind(), parameter.role, &parameter.shape[..]) {
        // Keras has a variance, and one axis where NeuPy has (1, …, 1, c).
        (_, "running_inv_std", _) => ("running_variance", vec![parameter.len()]),
        (_, role @ ("running_mean" | "gamma" | "beta"), _) => (role, vec![parameter.len()]),
        // A GRU's have a row more than here.
        ("GRU", role @ "biases", _) => (role, vec![2, parameter.len()]),
        // The filters of each channel stand beside each other.
        ("DepthwiseConvolution", role @ "weight", &[height, width, 1, filters]) => {
            let channels = inputs.unwrap_or(filters).max(1);
            (role, vec![height, width, channels, filters / channels])
        }
        // Slopes have all axes of the input, with a side of 1 where they are shared.
        (_, role @ "alpha", _) => {
            let mut shape = vec![1; node.output.sizes.len()];
            for (axis, &side) in slope_axes(node).into_iter().zip(&parameter.shape) {
                shape[axis] = side;
            }
            (role, shape)
        }
        (_, role, shape) => (role, shape.to_vec()),
    }
}

/// The axes along which the slopes of a parametric rectifier differ, counted without the batch.
fn slope_axes(node: &Node) -> Vec<usize> {
    let Some(layer) = node.operation.as_any().downcast_ref::<PRelu>() else { return Vec::new() };
    let sizes = node.output.sizes.len();
    let place = |&axis: &i64| {
        let place = if axis < 0 { axis.saturating_add(sizes as i64) } else { axis - 1 };
        usize::try_from(place).ok().filter(|place| *place < sizes)
    };
    layer.axes.iter().filter_map(place).collect()
}

/// A value of a layer as Keras' layer of the same name keeps it.
fn as_keras_has_it(node: &Node, parameter: &Parameter, mut values: Vec<f32>) -> Vec<f32> {
    let width = parameter.shape.last().copied().unwrap_or(1);
    match (node.operation.kind(), parameter.role, node.operation.epsilon()) {
        (_, "running_inv_std", Some(epsilon)) => {
            let variance = |inverse: f32| (1.0 / (f64::from(inverse) * f64::from(inverse)) - epsilon) as f32;
            values.iter_mut().for_each(|value| *value = variance(*value));
            values
        }
        ("GRU", "input_weights" | "hidden_weights", _) => gates_to_keras(&values, width),
        ("GRU", "biases", _) => {
            // One row for the input, one for the state.
            let mut both = gates_to_keras(&values, width);
            both.resize(2 * width, 0.0);
            both
        }
        _ => values,
    }
}

fn is_first_state(role: &str) -> bool {
    matches!(role, "cell_init" | "hidden_init")
}

/// Why a net's weights cannot be stored in a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Unstorable {
    /// The layer at error.
    pub layer: String,
    pub span: Span,
    pub what: String,
    pub help: Option<String>,
}

/// The first layer that a layout cannot hold, if there is one: what saving would refuse, known before training.
pub fn unstorable(net: &Graph, format: Layout) -> Option<Unstorable> {
    let homeless = net.parameters.iter().find(|parameter| format == Layout::Keras && is_homeless(net, parameter));
    if let Some(parameter) = homeless {
        let what = format!("Keras' layout has no place for `{}` of `{}`", parameter.path(), net.name);
        let help = (parameter.role == "alpha").then(|| {
            "Keras has a dense layer and its slopes as two layers: `Dense(n) >> PRelu`, with axes in ascending order".into()
        });
        return Some(Unstorable { layer: parameter.layer.clone(), span: parameter.span, what, help });
    }
    let layers = layers(net, format, None);
    let error = match format {
        Layout::NeuPy => neupy_writer::name_error(&layers),
        Layout::Keras => keras_writer::name_error(&layers),
    };
    let (at, what) = error?;
    let layer = layers[at].name.clone();
    let span = net.nodes.iter().find(|node| node.name == layer)?.origin.span;
    Some(Unstorable { layer, span, what, help: Some("give the layer another name with `as`".into()) })
}

/// Whether Keras has no place for a parameter: its recurrent layers begin at zero and have no peepholes, and its parametric
/// rectifier is a layer of its own.
fn is_homeless(net: &Graph, parameter: &Parameter) -> bool {
    let begins = is_first_state(parameter.role);
    let slopes = || {
        let node = net.nodes.iter().find(|node| node.name == parameter.layer)?;
        let layer = node.operation.as_any().downcast_ref::<PRelu>()?;
        Some(layer.dense.is_some() || !slope_axes(node).is_sorted())
    };
    begins && (parameter.trainable || parameter.initializer != Initializer::Constant(0.0))
        || parameter.role.starts_with("weight_cell_to_")
        || parameter.role == "alpha" && slopes().unwrap_or(false)
}

/// The names and shapes of a layer's parameters in Keras.
type Shapes = Vec<(&'static str, Vec<usize>)>;

/// Two layers that Keras' `load_weights` may swap: it goes by the order of layers and their shapes, and the order of branches
/// depends on layers that the model in Keras may have otherwise.
pub fn swapped_by_keras(net: &Graph) -> Option<(NodeId, NodeId)> {
    let shapes = |id: NodeId| -> Shapes {
        let node = net.node(id);
        node.parameters.iter().map(|id| keras_shape(net, node, &net.parameters[id.0])).collect()
    };
    let mut seen: Vec<(NodeId, Shapes)> = Vec::new();
    for id in net.ids().filter(|&id| !net.node(id).parameters.is_empty()) {
        let own = shapes(id);
        let leads = net.ancestors(&[id]);
        if let Some((other, _)) = seen.iter().find(|(other, shapes)| *shapes == own && !leads[other.0]) {
            return Some((*other, id));
        }
        seen.push((id, own));
    }
    None
}
