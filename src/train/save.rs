//! Trained parameters to a file that NeuPy or Keras reads, and that `weights` binds.

use crate::compile::Values;
use crate::graph::{Graph, Initializer, Node, Parameter, ParameterId};
use crate::lower::State;
use crate::weights::save_neupy::{SavedLayer, SavedParameter};
use crate::weights::store::StoreError;
use crate::weights::transform::gates_to_keras;
use crate::weights::{save_keras, save_neupy};
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
    let consumers = net.consumers();
    let layers: Vec<SavedLayer<'_>> = net
        .ids()
        .map(|id| {
            let node = net.node(id);
            let stored =
                |id: &&ParameterId| net.parameters[id.0].layer == node.name && !net.parameters[id.0].is_fixed();
            let begins = |id: &&ParameterId| format == Layout::Keras && is_first_state(net.parameters[id.0].role);
            let own = node.parameters.iter().filter(stored).filter(|id| !begins(id));
            let successors = consumers[id.0].iter().map(|&other| net.node(other).name.clone()).collect();
            let mut configs = Map::new();
            configs.insert("name".into(), json!(node.name));
            configs.extend(node.operation.settings().into_iter().map(|(key, value)| (key.to_string(), json!(value))));
            SavedLayer {
                name: node.name.clone(),
                class: node.operation.kind().to_string(),
                configs: Value::Object(configs),
                successors,
                parameters: own.map(|id| saved(&net.parameters[id.0], &tensors[id.0], format)).collect(),
            }
        })
        .collect();
    match format {
        Layout::NeuPy => save_neupy::save(path, &layers, CREATED),
        Layout::Keras => save_keras::save(path, &layers),
    }
}

fn saved<'a>(parameter: &Parameter, data: &'a [f32], format: Layout) -> SavedParameter<'a> {
    let (name, shape) = match (format, parameter.role) {
        // Keras has a variance, and one axis where NeuPy has (1, …, 1, c).
        (Layout::Keras, "running_inv_std") => ("running_variance", vec![data.len()]),
        (Layout::Keras, role @ ("running_mean" | "gamma" | "beta")) => (role, vec![data.len()]),
        // A GRU's have a row more than here.
        (Layout::Keras, role @ "biases") if data.len() > parameter.len() => (role, vec![2, parameter.len()]),
        (_, role) => (role, parameter.shape.clone()),
    };
    SavedParameter { name: name.to_string(), shape, data, trainable: parameter.trainable }
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

/// The first parameter that a layout has no place for, if there is one: Keras' recurrent layers begin at zero, and have no
/// peepholes.
pub fn homeless(net: &Graph, format: Layout) -> Option<&Parameter> {
    net.parameters.iter().filter(|_| format == Layout::Keras).find(|parameter| {
        let begins = is_first_state(parameter.role);
        begins && (parameter.trainable || parameter.initializer != Initializer::Constant(0.0))
            || parameter.role.starts_with("weight_cell_to_")
    })
}
