//! Writes trained parameters to a file that NeuPy or Keras reads, and that `weights` binds.

use crate::compile::Values;
use crate::graph::{Graph, Initializer, Node, NodeId, Parameter, ParameterId};
use crate::lower::State;
use crate::ops::activation::prelu::PRelu;
use crate::source::Span;
use crate::weights::bind::convert::{HIDDEN_BIASES, gates_to_keras};
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

/// NeuPy's files have a date; a constant one keeps them deterministic.
const CREATED: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

/// Writes all layers of a net: trained parameters from the state, frozen ones as they are bound.
///
/// # Errors
/// Weights that cannot be read, or a file that cannot be written.
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
                tensors[id.0] = to_keras_values(node, parameter, std::mem::take(&mut tensors[id.0]));
            }
            join_rows_of_biases(net, node, &mut tensors);
        }
    }
    let layers = layers(net, format, Some(&tensors));
    match format {
        Layout::NeuPy => neupy_writer::save(path, &layers, CREATED),
        Layout::Keras => keras_writer::save(path, &layers),
    }
}

/// The layers in the order of this layout; without `tensors`, their parameters have no values.
fn layers<'a>(net: &Graph, format: Layout, tensors: Option<&'a [Vec<f32>]>) -> Vec<SavedLayer<'a>> {
    let consumers = net.consumers();
    let order = match format {
        Layout::NeuPy => net.ids().collect(),
        Layout::Keras => keras_order(net),
    };
    let layer = |id: NodeId| {
        let node = net.node(id);
        let stored = |id: &&ParameterId| net.parameters[id.0].layer == node.name && !net.parameters[id.0].is_fixed();
        let is_elsewhere = |id: &&ParameterId| {
            let role = net.parameters[id.0].role;
            format == Layout::Keras && (is_initial_state_role(role) || role == HIDDEN_BIASES)
        };
        let parameters = node.parameters.iter().filter(stored).filter(|id| !is_elsewhere(id));
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
            parameters: parameters.map(|id| saved(net, node, &net.parameters[id.0], data(id), format)).collect(),
        }
    };
    order.into_iter().map(layer).collect()
}

/// The order of layers in Keras, which its `load_weights` follows: the deepest first, those of equal depth in the order of a
/// walk from the outputs (`map_graph` in keras/src/ops/function.py).
fn keras_order(net: &Graph) -> Vec<NodeId> {
    let mut depths = vec![0; net.nodes.len()];
    for id in net.ids().rev() {
        for input in &net.node(id).inputs {
            depths[input.0] = depths[input.0].max(depths[id.0] + 1);
        }
    }
    let mut visited = vec![usize::MAX; net.nodes.len()];
    let mut pending: Vec<NodeId> = net.outputs.iter().rev().copied().collect();
    let mut count = 0;
    while let Some(id) = pending.pop() {
        if visited[id.0] == usize::MAX {
            visited[id.0] = count;
            count += 1;
            pending.extend(net.node(id).inputs.iter().rev());
        }
    }
    let mut order: Vec<NodeId> = net.ids().collect();
    order.sort_by_key(|id| (std::cmp::Reverse(depths[id.0]), visited[id.0]));
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
        // Keras stores a variance, with one axis where NeuPy has (1, …, 1, c).
        (_, "running_inv_std", _) => ("running_variance", vec![parameter.len()]),
        (_, role @ ("running_mean" | "gamma" | "beta"), _) => (role, vec![parameter.len()]),
        // Keras' GRU has two rows of biases.
        ("GRU", role @ "biases", _) => (role, vec![2, parameter.len()]),
        // Keras has an axis for the filters of each channel.
        (
            "DepthwiseConvolution" | "SeparableConvolution",
            role @ ("weight" | "depthwise_weight"),
            &[ref window @ .., 1, filters],
        ) => {
            let channels = inputs.unwrap_or(filters).max(1);
            (role, [window, &[channels, filters / channels]].concat())
        }
        // Slopes have all axes of the input, of size 1 where they are shared.
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

/// The axes along which the slopes of a PReLU differ, without the batch axis.
fn slope_axes(node: &Node) -> Vec<usize> {
    let Some(layer) = node.operation.as_any().downcast_ref::<PRelu>() else { return Vec::new() };
    let sizes = node.output.sizes.len();
    let index = |&axis: &i64| {
        let index = if axis < 0 { axis.saturating_add(sizes as i64) } else { axis - 1 };
        usize::try_from(index).ok().filter(|index| *index < sizes)
    };
    layer.axes.iter().filter_map(index).collect()
}

/// The values of a parameter in the form of Keras' layer of the same name.
fn to_keras_values(node: &Node, parameter: &Parameter, mut values: Vec<f32>) -> Vec<f32> {
    let width = parameter.shape.last().copied().unwrap_or(1);
    match (node.operation.kind(), parameter.role, node.operation.epsilon()) {
        (_, "running_inv_std", Some(epsilon)) => {
            let variance = |inverse: f32| (1.0 / (f64::from(inverse) * f64::from(inverse)) - epsilon) as f32;
            values.iter_mut().for_each(|value| *value = variance(*value));
            values
        }
        ("GRU", "input_weights" | "hidden_weights" | HIDDEN_BIASES, _) => gates_to_keras(&values, width),
        ("GRU", "biases", _) => {
            // One row for the input, one for the hidden state.
            let mut both = gates_to_keras(&values, width);
            both.resize(2 * width, 0.0);
            both
        }
        _ => values,
    }
}

/// Puts a GRU's biases of the state into the second row of its biases.
fn join_rows_of_biases(net: &Graph, node: &Node, tensors: &mut [Vec<f32>]) {
    let find = |role: &str| node.parameters.iter().find(|id| net.parameters[id.0].role == role);
    if let (Some(biases), Some(of_state)) = (find("biases"), find(HIDDEN_BIASES)) {
        let row = std::mem::take(&mut tensors[of_state.0]);
        tensors[biases.0].truncate(row.len());
        tensors[biases.0].extend(row);
    }
}

fn is_initial_state_role(role: &str) -> bool {
    matches!(role, "cell_init" | "hidden_init")
}

/// Why a net's weights cannot be stored in a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Unstorable {
    /// The layer that cannot be stored.
    pub layer: String,
    pub span: Span,
    pub what: String,
    pub help: Option<String>,
}

/// The first layer that a layout cannot store, which [`save`] would refuse; known before training.
pub fn unstorable(net: &Graph, format: Layout) -> Option<Unstorable> {
    let unsupported =
        net.parameters.iter().find(|parameter| format == Layout::Keras && has_no_keras_form(net, parameter));
    if let Some(parameter) = unsupported {
        let what = format!("Keras' layout has no parameter for `{}` of `{}`", parameter.path(), net.name);
        let help = (parameter.role == "alpha").then(|| {
            "in Keras a dense layer and its slopes are two layers: `Dense(n) >> PRelu`, with axes in ascending order".into()
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

/// Whether Keras has no parameter for this one: its recurrent layers start from zero and have no peepholes, its PReLU is a
/// separate layer, and its attention has several tensors in place of one.
fn has_no_keras_form(net: &Graph, parameter: &Parameter) -> bool {
    let is_initial_state = is_initial_state_role(parameter.role);
    let slopes = || {
        let node = net.nodes.iter().find(|node| node.name == parameter.layer)?;
        let layer = node.operation.as_any().downcast_ref::<PRelu>()?;
        Some(layer.dense.is_some() || !slope_axes(node).is_sorted())
    };
    is_initial_state && (parameter.trainable || parameter.initializer != Initializer::Constant(0.0))
        || parameter.role.starts_with("weight_cell_to_")
        || parameter.role.ends_with("_proj_weight")
        || parameter.role == "alpha" && slopes().unwrap_or(false)
}

/// The names and shapes of a layer's parameters in Keras.
type Shapes = Vec<(&'static str, Vec<usize>)>;

/// Two layers that Keras' `load_weights` may swap: it matches layers by order and shapes, and the order of branches in the
/// Keras model may differ.
pub fn swapped_by_keras(net: &Graph) -> Option<(NodeId, NodeId)> {
    let shapes = |id: NodeId| -> Shapes {
        let node = net.node(id);
        node.parameters.iter().map(|id| keras_shape(net, node, &net.parameters[id.0])).collect()
    };
    let mut seen: Vec<(NodeId, Shapes)> = Vec::new();
    for id in net.ids().filter(|&id| !net.node(id).parameters.is_empty()) {
        let of_layer = shapes(id);
        let leads = net.ancestors(&[id]);
        if let Some((other, _)) = seen.iter().find(|(other, shapes)| *shapes == of_layer && !leads[other.0]) {
            return Some((*other, id));
        }
        seen.push((id, of_layer));
    }
    None
}
