//! Writes Keras' weights-only layout (`.h5`), which `load_weights` of Keras 2 and 3 reads; `keras.rs` describes it.

use std::path::Path;
use std::str::FromStr;

use hdf5::Location;
use hdf5::types::{VarLenAscii, VarLenUnicode};

use super::save_neupy::{SavedLayer, SavedParameter, check, fault_of_places, group, put_tensor, replace};
use super::store::{Role, StoreError};
use super::transform::RECURRENT_KERNEL;

/// Writes the layers, which are in the model's order, to `path`. Parameters have NeuPy's names and become Keras'
/// (`weight` is written as `kernel`), but for a batch normalisation's `running_inv_std`: Keras stores the variance,
/// which the caller gives as `running_variance`.
///
/// # Errors
/// [`StoreError::Unwritable`]; the file that was at `path` is then untouched.
pub fn save(path: &Path, layers: &[SavedLayer<'_>]) -> Result<(), StoreError> {
    if let Some((_, what)) = fault_of_names(layers) {
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

/// The place of the first layer that Keras' layout cannot hold, and why.
pub fn fault_of_names(layers: &[SavedLayer<'_>]) -> Option<(usize, String)> {
    for (at, layer) in layers.iter().enumerate() {
        let roles = layer.parameters.iter().map(|parameter| Role::from_neupy(&parameter.name));
        if let Some(role) = roles.into_iter().find(|role| keras_name(role, &layer.class).is_none()) {
            return Some((at, format!("'{role}' of layer '{}' has no place in Keras' layout", layer.name)));
        }
    }
    fault_of_places(layers, |layer, parameter| format!("{}/{}", layer.name, place(layer, parameter)))
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

fn unicode(text: &str) -> hdf5::Result<VarLenUnicode> {
    VarLenUnicode::from_str(text).map_err(|error| format!("'{text}': {error}").into())
}

fn put_text(place: &Location, name: &str, text: &str) -> hdf5::Result<()> {
    place.new_attr::<VarLenAscii>().create(name)?.write_scalar(&ascii(text)?)
}

/// The most names in one attribute: its header holds 16 bytes for each and has less than 64 KB.
const MAX_NAMES: usize = 4000;

/// A list of names; an empty one is an empty array of f64, as Keras has it, and a long one is split as Keras does.
fn put_list<'a>(place: &Location, name: &str, texts: impl Iterator<Item = &'a str>) -> hdf5::Result<()> {
    let texts: Vec<&str> = texts.collect();
    if texts.is_empty() {
        place.new_attr::<f64>().shape([0]).create(name)?;
        return Ok(());
    }
    if texts.len() <= MAX_NAMES {
        return put_names(place, name, &texts);
    }
    for (part, texts) in texts.chunks(MAX_NAMES).enumerate() {
        put_names(place, &format!("{name}{part}"), texts)?;
    }
    Ok(())
}

/// Names that are not ASCII are UTF-8, which Keras reads since 2.3.
fn put_names(place: &Location, name: &str, texts: &[&str]) -> hdf5::Result<()> {
    if texts.iter().all(|text| text.is_ascii()) {
        let texts = texts.iter().map(|text| ascii(text)).collect::<hdf5::Result<Vec<_>>>()?;
        return place.new_attr::<VarLenAscii>().shape([texts.len()]).create(name)?.write_raw(&texts);
    }
    let texts = texts.iter().map(|text| unicode(text)).collect::<hdf5::Result<Vec<_>>>()?;
    place.new_attr::<VarLenUnicode>().shape([texts.len()]).create(name)?.write_raw(&texts)
}
