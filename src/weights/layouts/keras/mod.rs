//! The layout of Keras 1 and 2, which Keras 3 still writes as `.h5`: weights only (at the root) or a full model (in
//! `model_weights`, along with `model_config`).
//!
//! The string array `layer_names` lists the layers in the order of the model, and `weight_names` in the group of each layer
//! lists its datasets. The paths of datasets depend on the version that wrote them (`block1_conv1_W_1:0`,
//! `block1_conv1/kernel:0`, `vgg16/block1_conv1/kernel`, `kernel`), so the reader follows the two lists.

pub(crate) mod archive;
pub(crate) mod keras3;

use std::collections::{HashMap, HashSet};

use super::hdf5_file::{Kind, Tensor, Text, Tree, corrupt, too_many};
use crate::request::Layout;
use crate::weights::keras_model::{Configuration, LayerConfig, with_model};
use crate::weights::store::{Entry, MAX_ITEMS, Role, Store, StoreError};

/// Whether the root or `model_weights` has the Keras list of layers.
pub(crate) fn matches(tree: &mut Tree) -> Result<bool, StoreError> {
    Ok(base(tree)?.is_some())
}

/// The path of the group that contains the layers: empty for the root.
fn base(tree: &mut Tree) -> Result<Option<&'static str>, StoreError> {
    if names(tree, "/", "layer_names")?.is_some() {
        return Ok(Some(""));
    }
    let full = "/model_weights";
    let found = tree.kind(full)? == Some(Kind::Group) && names(tree, full, "layer_names")?.is_some();
    Ok(found.then_some(full))
}

/// A list of names: one attribute, or several (`layer_names0`, `layer_names1`, ...) if it exceeds 64 KB.
fn names(tree: &Tree, group: &str, attribute: &str) -> Result<Option<Vec<String>>, StoreError> {
    if let Some(Text::Many(names)) = tree.text(group, attribute)? {
        return Ok(Some(names));
    }
    let mut all: Option<Vec<String>> = None;
    for part in 0..MAX_ITEMS {
        let Some(Text::Many(names)) = tree.text(group, &format!("{attribute}{part}"))? else { break };
        all.get_or_insert_default().extend(names);
    }
    Ok(all)
}

/// Reads the lists and checks every dataset in them.
pub(crate) fn open(mut tree: Tree) -> Result<Box<dyn Store>, StoreError> {
    let Some(base) = base(&mut tree)? else {
        return Err(corrupt("/", "attribute 'layer_names' is missing"));
    };
    let root = if base.is_empty() { "/" } else { base };
    refuse_theano(&tree, root)?;
    let layers = names(&tree, root, "layer_names")?.unwrap_or_default();
    let model = configuration(&tree)?.map(|configuration| configuration.model()).transpose()?;
    let mut found: Vec<(Entry, Tensor)> = Vec::new();
    let mut outer_names = Vec::new();
    let mut seen = HashSet::new();
    for outer in &layers {
        let group = format!("{base}/{outer}");
        if !seen.insert(outer) {
            return Err(corrupt(root, format!("layer_names lists '{outer}' twice")));
        }
        if tree.kind(&group)? != Some(Kind::Group) {
            return Err(corrupt(&group, "layer_names lists this layer, but the file has no such group"));
        }
        let mut weights = names(&tree, &group, "weight_names")?
            .ok_or_else(|| corrupt(&group, "attribute 'weight_names' is missing"))?;
        // A normalisation of inputs has statistics, and the count of the samples that it has seen.
        weights.retain(|weight| role(weight) != Role::Other("count".into()));
        if found.len() + weights.len() > MAX_ITEMS {
            return Err(too_many(root, (found.len() + weights.len()) as u64, "weights"));
        }
        let described = model.as_ref().and_then(|model| Some(&model.layers[model.find(outer)?]));
        for (weight, layer) in weights.iter().zip(inner_layers(outer, &weights, described)) {
            let key = format!("{group}/{weight}");
            let tensor = tree.tensor(&key)?;
            let (mut layer, mut role) = (layer, role(weight));
            if weights.iter().any(|weight| weight.contains(POINTWISE)) {
                (layer, role) = of_separable(&layer, role);
            }
            let (shape, number) = (tensor.shape.clone(), tensor.number);
            refuse_theano_kernel(weight, &shape, &key)?;
            let class = model.as_ref().and_then(|model| model.class_of(&layer)).map(str::to_string);
            found.push((Entry { layer, role, key, shape, number, class }, tensor));
            outer_names.push(outer.clone());
        }
    }
    qualify(&mut found, &outer_names);
    Ok(with_model(tree.into_store(Layout::Keras, true, found), model))
}

/// The Keras name of the 1x1 kernel of a separable convolution.
const POINTWISE: &str = "pointwise_kernel";

/// A separable convolution is two layers in netc, `NAME/depthwise` and `NAME/pointwise`; the second has the bias.
pub(crate) fn of_separable(layer: &str, role: Role) -> (String, Role) {
    match &role {
        Role::Other(name) if name == POINTWISE => (format!("{layer}/pointwise"), Role::Weight),
        Role::Bias => (format!("{layer}/pointwise"), role),
        _ => (format!("{layer}/depthwise"), role),
    }
}

/// The layer of each weight of `outer`: `outer` itself, whose name takes precedence (weights keep the name that the layer had
/// when it was created), or a layer of a nested model.
fn inner_layers(outer: &str, weights: &[String], described: Option<&LayerConfig>) -> Vec<String> {
    if let Some(layers) = of_attention(outer, weights) {
        return layers;
    }
    let folders: Vec<Vec<&str>> = weights
        .iter()
        .map(|weight| {
            let mut parts: Vec<&str> = weight.split('/').filter(|part| !part.is_empty()).collect();
            parts.pop();
            parts
        })
        .collect();
    let several = folders.iter().any(|folder| *folder != folders[0]);
    let nested = described.map_or(several, LayerConfig::is_model);
    let inner = |folder: &Vec<&str>| {
        let in_direction = |direction: &str| several && folder.iter().any(|part| part.starts_with(direction));
        match folder.last() {
            Some(last) if nested && !(in_direction("forward_") || in_direction("backward_")) => last.to_string(),
            Some(_) if in_direction("forward_") => format!("{outer}/forward"),
            Some(_) if in_direction("backward_") => format!("{outer}/backward"),
            Some(last) if several => last.to_string(),
            _ => outer.to_string(),
        }
    };
    folders.iter().map(inner).collect()
}

/// The layers of a multi-head attention's weights, `outer/query` and so on, which every attention has; none of other layers.
fn of_attention(outer: &str, weights: &[String]) -> Option<Vec<String>> {
    const PROJECTIONS: [&str; 4] = ["query", "key", "value", "attention_output"];
    let folder = |weight: &String| {
        let mut parts = weight.rsplit('/').filter(|part| !part.is_empty()).skip(1);
        parts.next().and_then(|folder| PROJECTIONS.iter().find(|known| **known == folder))
    };
    let folders: Vec<&str> = weights.iter().map(|weight| folder(weight).copied()).collect::<Option<_>>()?;
    let all = PROJECTIONS.iter().all(|known| folders.contains(known)) && folders.len() <= 2 * PROJECTIONS.len();
    all.then(|| folders.into_iter().map(|folder| format!("{outer}/{folder}")).collect())
}

/// `name` without the number that Keras appends to make names unique.
pub(crate) fn without_number(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((stem, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => stem,
        _ => name,
    }
}

/// Where two nested models have layers of the same name, the name of the model becomes a prefix.
pub(crate) fn qualify(found: &mut [(Entry, Tensor)], outer_names: &[String]) {
    let mut owners: HashMap<String, HashSet<&String>> = HashMap::new();
    for ((entry, _), outer) in found.iter().zip(outer_names) {
        owners.entry(entry.layer.clone()).or_default().insert(outer);
    }
    for ((entry, _), outer) in found.iter_mut().zip(outer_names) {
        let shared = owners.get(&entry.layer).is_some_and(|outers| outers.len() > 1);
        if shared && !outer.is_empty() && entry.layer != *outer {
            entry.layer = format!("{outer}/{}", entry.layer);
        }
    }
}

/// The role of a weight, by its name.
fn role(weight: &str) -> Role {
    let last = weight.rsplit('/').next().unwrap_or(weight);
    let last = last.rsplit_once(':').map_or(last, |(name, _)| name);
    let stem = without_number(last);
    let keras2 = |name: &str| match name {
        "kernel" | "embeddings" => Some(Role::Weight),
        "bias" => Some(Role::Bias),
        "alpha" => Some(Role::Alpha),
        "gamma" => Some(Role::Gamma),
        "beta" => Some(Role::Beta),
        "moving_mean" | "mean" => Some(Role::RunningMean),
        "moving_variance" | "variance" => Some(Role::RunningVariance),
        _ => None,
    };
    // Keras 1 prefixes the name of the layer. Its running_std is the variance.
    const KERAS1: [(&str, Role); 7] = [
        ("_W", Role::Weight),
        ("_b", Role::Bias),
        ("_alphas", Role::Alpha),
        ("_gamma", Role::Gamma),
        ("_beta", Role::Beta),
        ("_running_mean", Role::RunningMean),
        ("_running_std", Role::RunningVariance),
    ];
    let keras1 = |name: &str| KERAS1.iter().find(|(end, _)| name.ends_with(end)).map(|(_, role)| role.clone());
    keras2(last).or_else(|| keras2(stem)).or_else(|| keras1(stem)).unwrap_or_else(|| Role::Other(last.to_string()))
}

/// The description of the model, if the file has one. No code in it is run.
pub(crate) fn configuration(tree: &Tree) -> Result<Option<Configuration>, StoreError> {
    let Some(Text::One(json)) = tree.text("/", "model_config")? else { return Ok(None) };
    let version = match tree.text("/", "keras_version")? {
        Some(Text::One(version)) => Some(version),
        _ => None,
    };
    Configuration::parse(&json, version, "attribute 'model_config' of /").map(Some)
}

const THEANO: &str = "its kernels are flipped, as Theano's are: load it in Keras with TensorFlow and save it again";

fn refuse_theano(tree: &Tree, root: &str) -> Result<(), StoreError> {
    let written_by = tree.text(root, "backend")?.or(tree.text("/", "backend")?);
    let file = tree.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if written_by == Some(Text::One("theano".into())) || file.contains("th_kernels") {
        return Err(StoreError::Refused { location: file, what: THEANO.into() });
    }
    Ok(())
}

/// Keras 1 does not record its backend; a kernel of shape (out, in, height, width) is Theano's.
fn refuse_theano_kernel(weight: &str, shape: &[usize], key: &str) -> Result<(), StoreError> {
    let keras1 = without_number(weight.split(':').next().unwrap_or(weight)).ends_with("_W");
    match *shape {
        [out, _, height, width] if keras1 && height == width && height <= 11 && out > 11 => {
            Err(StoreError::Refused { location: key.into(), what: THEANO.into() })
        }
        _ => Ok(()),
    }
}
