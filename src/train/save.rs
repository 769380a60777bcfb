//! Trained parameters to a file that NeuPy or Keras reads, and that `weights` binds.

use crate::compile::Values;
use crate::graph::{Graph, Parameter, ParameterId};
use crate::lower::State;
use crate::weights::save_neupy::{SavedLayer, SavedParameter};
use crate::weights::store::StoreError;
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
    let epsilons: Vec<Option<f64>> = epsilons(net);
    if format == Layout::Keras {
        for ((tensor, parameter), epsilon) in tensors.iter_mut().zip(&net.parameters).zip(&epsilons) {
            if let ("running_inv_std", Some(epsilon)) = (parameter.role, epsilon) {
                tensor.iter_mut().for_each(|inverse| {
                    *inverse = (1.0 / (f64::from(*inverse) * f64::from(*inverse)) - epsilon) as f32;
                });
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
            let own = node.parameters.iter().filter(stored);
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
        (_, role) => (role, parameter.shape.clone()),
    };
    SavedParameter { name: name.to_string(), shape, data, trainable: parameter.trainable }
}

/// The epsilon of each parameter's layer, where it has one.
fn epsilons(net: &Graph) -> Vec<Option<f64>> {
    let mut list = vec![None; net.parameters.len()];
    for node in &net.nodes {
        if let Some(epsilon) = node.operation.epsilon() {
            node.parameters.iter().for_each(|id| list[id.0] = Some(epsilon));
        }
    }
    list
}
