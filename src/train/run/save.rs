//! Writes trained parameters to a file that NeuPy or Keras reads, and that `weights` binds.

use crate::compile::Values;
use crate::graph::{Graph, Node, NodeId, Parameter, ParameterId};
use crate::lower::State;
use crate::source::Span;
use crate::weights::bind::convert::HIDDEN_BIASES;
use crate::weights::save::neupy_writer::{SavedLayer, SavedParameter};
use crate::weights::save::{keras_form, keras_writer, neupy_writer};
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
                tensors[id.0] = keras_form::values_of(node, parameter, std::mem::take(&mut tensors[id.0]));
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
            format == Layout::Keras && (keras_form::is_initial_state(role) || role == HIDDEN_BIASES)
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
        Layout::Keras => keras_form::shape(net, node, parameter),
    };
    SavedParameter { name: name.to_string(), shape, data, trainable: parameter.trainable }
}

/// Puts a GRU's biases of the state into the second row of its biases.
fn join_rows_of_biases(net: &Graph, node: &Node, tensors: &mut [Vec<f32>]) {
    if let (Some(biases), Some(of_state)) = (net.parameter(node, "biases"), net.parameter(node, HIDDEN_BIASES)) {
        let row = std::mem::take(&mut tensors[of_state.0]);
        keras_form::join_biases(&mut tensors[biases.0], row);
    }
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
        net.parameters.iter().find(|parameter| format == Layout::Keras && keras_form::has_none(net, parameter));
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

/// The names and shapes of a layer's parameters in Keras.
type Shapes = Vec<(&'static str, Vec<usize>)>;

/// Two layers that Keras' `load_weights` may swap: it matches layers by order and shapes, and the order of branches in the
/// Keras model may differ.
pub fn swapped_by_keras(net: &Graph) -> Option<(NodeId, NodeId)> {
    let shapes = |id: NodeId| -> Shapes {
        let node = net.node(id);
        node.parameters.iter().map(|id| keras_form::shape(net, node, &net.parameters[id.0])).collect()
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
