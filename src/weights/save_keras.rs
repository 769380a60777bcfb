//! Writes Keras' weights-only layout (`.h5`), which `load_weights` of Keras 2 and 3 reads; `keras.rs` describes it.

use std::path::Path;

use hdf5::Location;
use hdf5::types::VarLenAscii;

use super::save_neupy::{SavedLayer, check, group, put_tensor, replace};
use super::store::{Role, StoreError};
use super::transform::RECURRENT_KERNEL;

/// Writes the layers, which are in the model's order, to `path`. Parameters have NeuPy's names and become Keras'
/// (`weight` is written as `kernel`), but for a batch normalisation's `running_inv_std`: Keras stores the variance,
/// which the caller gives as `running_variance`.
///
/// # Errors
/// [`StoreError::Unwritable`]; the file that was at `path` is then untouched.
pub fn save(path: &Path, layers: &[SavedLayer<'_>]) -> Result<(), StoreError> {
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
    replace(path, |file| {
        put_list(file, "layer_names", named.iter().map(|(layer, _)| layer.name.as_str()))?;
        // Without these two Keras takes the file for Keras 1's and converts it.
        put_text(file, "backend", "tensorflow")?;
        put_text(file, "keras_version", "2.15.0")?;
        for (layer, weights) in &named {
            let group = group(file, &layer.name)?;
            put_list(&group, "weight_names", weights.iter().map(|(_, name, _)| name.as_str()))?;
            for (_, name, parameter) in weights {
                put_tensor(&group, name, parameter)?;
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

/// Text as Keras' older versions take it: ASCII of variable length.
fn ascii(text: &str) -> hdf5::Result<VarLenAscii> {
    VarLenAscii::from_ascii(text).map_err(|error| format!("'{text}' is not ASCII: {error}").into())
}

fn put_text(place: &Location, name: &str, text: &str) -> hdf5::Result<()> {
    place.new_attr::<VarLenAscii>().create(name)?.write_scalar(&ascii(text)?)
}

/// A list of names; an empty one is an empty array of f64, as Keras has it.
fn put_list<'a>(place: &Location, name: &str, texts: impl Iterator<Item = &'a str>) -> hdf5::Result<()> {
    let texts = texts.map(ascii).collect::<hdf5::Result<Vec<_>>>()?;
    if texts.is_empty() {
        place.new_attr::<f64>().shape([0]).create(name)?;
        return Ok(());
    }
    place.new_attr::<VarLenAscii>().shape([texts.len()]).create(name)?.write_raw(&texts)
}
