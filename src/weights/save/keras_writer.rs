//! Writes Keras' weights-only layout (`.h5`), which `load_weights` of Keras 2 and 3 reads; `keras.rs` describes it.

use std::path::Path;

use super::neupy_writer::{SavedLayer, SavedParameter, check, path_error, replace};
use crate::h5::{Backend, Hdf5Error, Value, Writer};
use crate::weights::bind::convert::{RECURRENT_KERNEL, SEPARABLE};
use crate::weights::store::{Role, StoreError};

/// Writes the layers, which are in the model's order, to `path`. Parameters have NeuPy's names and become Keras'
/// (`weight` is written as `kernel`), but for a batch normalisation's `running_inv_std`: Keras stores the variance,
/// which the caller gives as `running_variance`.
///
/// # Errors
/// [`StoreError::Unwritable`]; the file that was at `path` is then untouched.
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
            .map(|parameter| (Role::from_neupy(&parameter.name), place(layer, parameter), parameter))
            .collect();
        // Keras loads by this order; that of a separable convolution is its own.
        if layer.class != SEPARABLE {
            weights.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        }
        named.push((layer, weights));
    }
    replace(backend, path, |file| {
        let names: Vec<&str> = named.iter().map(|(layer, _)| layer.name.as_str()).collect();
        put_list(file, "/", "layer_names", &names)?;
        // Without these two Keras takes the file for Keras 1's and converts it.
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

/// The place of the first layer that Keras' layout cannot hold, and why.
pub fn name_error(layers: &[SavedLayer<'_>]) -> Option<(usize, String)> {
    for (at, layer) in layers.iter().enumerate() {
        let roles = layer.parameters.iter().map(|parameter| Role::from_neupy(&parameter.name));
        if let Some(role) = roles.into_iter().find(|role| keras_name(role, &layer.class).is_none()) {
            return Some((at, format!("'{role}' of layer '{}' has no place in Keras' layout", layer.name)));
        }
    }
    path_error(layers, |layer, parameter| format!("{}/{}", layer.name, place(layer, parameter)))
}

/// Where a parameter stands in its layer's group.
fn place(layer: &SavedLayer<'_>, parameter: &SavedParameter<'_>) -> String {
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

/// The most names in one attribute: its header holds 16 bytes for each and has less than 64 KB.
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
