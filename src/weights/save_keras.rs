//! Writes Keras' weights-only layout (`.h5`), which `load_weights` of Keras 2 and 3 reads; `keras.rs` describes it.

use std::path::Path;

use super::save_neupy::{SavedLayer, check, replace};
use super::store::{Role, StoreError};
use super::transform::RECURRENT_KERNEL;
use crate::h5::{Backend, Value};

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
pub(super) fn save_by(backend: Backend, path: &Path, layers: &[SavedLayer<'_>]) -> Result<(), StoreError> {
    check(path, layers)?;
    let mut named = Vec::new();
    for layer in layers {
        let mut weights = Vec::new();
        for parameter in &layer.parameters {
            let role = Role::from_neupy(&parameter.name);
            let Some(name) = keras_name(&role, &layer.class) else {
                let what = format!("'{role}' of layer '{}' has no place in Keras' layout", layer.name);
                return Err(StoreError::Unwritable { path: path.into(), what });
            };
            let name = format!("{}/{name}:0", layer.name);
            weights.push((role, name, parameter));
        }
        // Keras loads by this order.
        weights.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        named.push((layer, weights));
    }
    replace(backend, path, |file| {
        let names: Vec<&str> = named.iter().map(|(layer, _)| layer.name.as_str()).collect();
        file.attribute("/", "layer_names", Value::AsciiList(&names))?;
        // Without these two Keras takes the file for Keras 1's and converts it.
        file.attribute("/", "backend", Value::Ascii("tensorflow"))?;
        file.attribute("/", "keras_version", Value::Ascii("2.15.0"))?;
        for (layer, weights) in &named {
            file.group(&layer.name)?;
            let names: Vec<&str> = weights.iter().map(|(_, name, _)| name.as_str()).collect();
            file.attribute(&layer.name, "weight_names", Value::AsciiList(&names))?;
            for (_, name, parameter) in weights {
                file.dataset(&format!("{}/{name}", layer.name), &parameter.shape, parameter.data)?;
            }
        }
        Ok(())
    })
}

fn keras_name<'a>(role: &'a Role, class: &str) -> Option<&'a str> {
    match role {
        Role::Weight if class == "Embedding" => Some("embeddings"),
        Role::Weight | Role::InputWeights => Some("kernel"),
        Role::HiddenWeights => Some(RECURRENT_KERNEL),
        Role::Biases => Some("bias"),
        Role::RunningMean => Some("moving_mean"),
        Role::RunningVariance => Some("moving_variance"),
        Role::RunningInvStd => None,
        other => Some(other.name()),
    }
}
