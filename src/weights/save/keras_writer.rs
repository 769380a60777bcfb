//! Writes the weights-only layout of Keras (`.h5`), which `load_weights` of Keras 2 and 3 reads; `keras.rs` describes it.

use std::path::Path;

use super::neupy_writer::{SavedLayer, SavedParameter, check, path_error, replace};
use crate::h5::{Backend, Hdf5Error, Value, Writer};
use crate::weights::bind::convert::{RECURRENT_KERNEL, SEPARABLE};
use crate::weights::store::{Role, StoreError};

/// Writes the layers, which are in the order of the model, to `path`. NeuPy's names of parameters are translated to those of
/// Keras (`weight` to `kernel`), except `running_inv_std` of a batch normalisation: Keras stores the variance, which the caller
/// passes as `running_variance`.
///
/// # Errors
/// [`StoreError::Unwritable`]; an existing file at `path` is then unchanged.
pub fn save(path: &Path, layers: &[SavedLayer<'_>]) -> Result<(), StoreError> {
    save_by(Backend::DEFAULT, path, layers)
}

/// [`save`] by a backend.
pub(crate) fn save_by(backend: Backend, path: &Path, layers: &[SavedLayer<'_>]) -> Result<(), StoreError> {
    if let Some((_, what)) = name_error(layers) {
        return Err(StoreError::Unwritable { path: path.into(), what });
    }
    check(path, layers)?;
    let mut named = Vec::new();
    for layer in layers {
        let mut weights: Vec<_> = layer
            .parameters
            .iter()
            .map(|parameter| (Role::from_neupy(&parameter.name), dataset_path(layer, parameter), parameter))
            .collect();
        // Keras loads in this order, except for a separable convolution.
        if layer.class != SEPARABLE {
            weights.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        }
        named.push((layer, weights));
    }
    replace(backend, path, |file| {
        let names: Vec<&str> = named.iter().map(|(layer, _)| layer.name.as_str()).collect();
        put_list(file, "/", "layer_names", &names)?;
        // Without these two, Keras assumes Keras 1 and converts the weights.
        file.attribute("/", "backend", Value::Ascii("tensorflow"))?;
        file.attribute("/", "keras_version", Value::Ascii("2.15.0"))?;
        for (layer, weights) in &named {
            file.group(&layer.name)?;
            let names: Vec<&str> = weights.iter().map(|(_, name, _)| name.as_str()).collect();
            put_list(file, &layer.name, "weight_names", &names)?;
            for (_, name, parameter) in weights {
                file.dataset(&format!("{}/{name}", layer.name), &parameter.shape, parameter.data)?;
            }
        }
        Ok(())
    })
}

/// The index of the first layer that cannot be stored in Keras' layout, and why.
pub fn name_error(layers: &[SavedLayer<'_>]) -> Option<(usize, String)> {
    for (at, layer) in layers.iter().enumerate() {
        let roles = layer.parameters.iter().map(|parameter| Role::from_neupy(&parameter.name));
        if let Some(role) = roles.into_iter().find(|role| keras_name(role, &layer.class).is_none()) {
            return Some((at, format!("'{role}' of layer '{}' does not exist in Keras' layout", layer.name)));
        }
    }
    path_error(layers, |layer, parameter| format!("{}/{}", layer.name, dataset_path(layer, parameter)))
}

/// The path of a parameter in the group of its layer.
fn dataset_path(layer: &SavedLayer<'_>, parameter: &SavedParameter<'_>) -> String {
    let role = Role::from_neupy(&parameter.name);
    format!("{}/{}:0", layer.name, keras_name(&role, &layer.class).unwrap_or(&parameter.name))
}

fn keras_name<'a>(role: &'a Role, class: &str) -> Option<&'a str> {
    match role {
        Role::Weight if class == "Embedding" => Some("embeddings"),
        Role::Weight if class == "DepthwiseConvolution" => Some("depthwise_kernel"),
        Role::Other(name) if class == SEPARABLE => match name.as_str() {
            "depthwise_weight" => Some("depthwise_kernel"),
            "pointwise_weight" => Some("pointwise_kernel"),
            other => Some(other),
        },
        Role::Weight | Role::InputWeights => Some("kernel"),
        Role::HiddenWeights => Some(RECURRENT_KERNEL),
        Role::Biases => Some("bias"),
        Role::RunningMean => Some("moving_mean"),
        Role::RunningVariance => Some("moving_variance"),
        Role::RunningInvStd => None,
        other => Some(other.name()),
    }
}

/// The maximum number of names in an attribute: each takes 16 bytes of its header, which is limited to 64 KB.
const MAX_NAMES: usize = 4000;

/// A list of names; a long one is split as Keras does.
fn put_list(file: &mut dyn Writer, path: &str, name: &str, texts: &[&str]) -> Result<(), Hdf5Error> {
    if texts.len() <= MAX_NAMES {
        return file.attribute(path, name, Value::Texts(texts));
    }
    for (part, texts) in texts.chunks(MAX_NAMES).enumerate() {
        file.attribute(path, &format!("{name}{part}"), Value::Texts(texts))?;
    }
    Ok(())
}
