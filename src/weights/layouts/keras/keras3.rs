//! The layout of Keras 3 (and of `.weights.h5` in Keras 2.12 to 2.15), on its own or in a `.keras` archive (`archive.rs`).
//!
//! `/layers/<class>[_k]/vars/0, 1, ...`: groups are numbered within each class, datasets within each layer.
//! Since Keras 3.6, the attribute `name` of `vars` is the name of the layer; before, there are only class and number.
//! HDF5 lists `conv2d_10` before `conv2d_2`, so numbers are sorted numerically.

use std::collections::HashMap;

use super::{of_separable, qualify, without_number};
use crate::request::Layout;
use crate::weights::bind::convert::RECURRENT_KERNEL;
use crate::weights::layouts::hdf5_file::{Kind, Tensor, Text, Tree, too_many};
use crate::weights::store::{Entry, MAX_ITEMS, Role, Store, StoreError};

/// Groups that contain the layers of a model; the second name is that of Keras 2.12.
const CONTAINERS: [&str; 2] = ["layers", "_layer_checkpoint_dependencies"];
/// The dense layers of a multi-head attention, whose attributes begin with `_` in some versions.
const ATTENTION_PARTS: [&str; 4] = ["query_dense", "key_dense", "value_dense", "output_dense"];
const SEPARABLE: [&str; 2] = ["separable_conv1d", "separable_conv2d"];
/// The layer of preprocessing: a mean, a variance and a count.
const NORMALIZATION: &str = "normalization";
/// The maximum nesting depth of models.
const MAX_DEPTH: usize = 32;

/// Whether the root has the groups of Keras 3.
pub(crate) fn matches(tree: &mut Tree) -> Result<bool, StoreError> {
    for group in CONTAINERS.into_iter().chain(["vars"]) {
        if tree.kind(group)? == Some(Kind::Group) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Walks the layers and checks every variable.
pub(crate) fn open(tree: Tree) -> Result<Box<dyn Store>, StoreError> {
    open_named(tree, HashMap::new())
}

/// The same, with layer names by group, for files without names.
pub(crate) fn open_named(tree: Tree, names: HashMap<String, String>) -> Result<Box<dyn Store>, StoreError> {
    let mut walk = Walk { tree, names, found: Vec::new(), outer_names: Vec::new(), unnamed: 0 };
    walk.visit(&Object { path: "", layer: "", outer: "", class: None, named: true, depth: 0 })?;
    let has_names = walk.unnamed == 0;
    qualify(&mut walk.found, &walk.outer_names);
    Ok(walk.tree.into_store(Layout::Keras3, has_names, walk.found))
}

struct Walk {
    tree: Tree,
    /// Layer names by group, from the model configuration.
    names: HashMap<String, String>,
    found: Vec<(Entry, Tensor)>,
    outer_names: Vec<String>,
    /// Variables whose layer has no name.
    unnamed: usize,
}

/// A group: a model, a layer or a part of a layer.
#[derive(Clone, Copy)]
struct Object<'a> {
    path: &'a str,
    /// The name of the layer, or of the group if it has none.
    layer: &'a str,
    /// The enclosing model.
    outer: &'a str,
    class: Option<&'a str>,
    /// Whether the layer has a name, not only class and number.
    named: bool,
    depth: usize,
}

impl Walk {
    fn visit(&mut self, object: &Object<'_>) -> Result<(), StoreError> {
        if object.depth > MAX_DEPTH {
            let what = format!("groups are nested more than {MAX_DEPTH} deep");
            return Err(StoreError::Refused { location: object.path.into(), what });
        }
        self.variables(object)?;
        let root = if object.path.is_empty() { "/" } else { object.path };
        for part in self.tree.members(root)? {
            let path = format!("{}/{part}", object.path);
            // The state of the optimizer and the seeds of random layers are not parameters.
            if part == "vars" || part == "optimizer" || part.starts_with("seed_generator") {
                continue;
            }
            if self.tree.kind(&path)? != Some(Kind::Group) {
                continue;
            }
            if CONTAINERS.contains(&part.as_str()) {
                self.layers(object, &path)?;
            } else {
                self.part(object, &part, &path)?;
            }
        }
        Ok(())
    }

    /// Visits a part of a layer or model: the cell of a recurrent layer, a wrapped layer, or an attribute of a subclass, which
    /// names the part.
    fn part(&mut self, whole: &Object<'_>, part: &str, path: &str) -> Result<(), StoreError> {
        let inner = Object { path, depth: whole.depth + 1, ..*whole };
        match (whole.class.unwrap_or(""), part) {
            ("lstm" | "gru" | "simple_rnn" | "rnn", "cell") => self.visit(&inner),
            // Their kernels have the heads as an axis.
            ("multi_head_attention", part) if ATTENTION_PARTS.contains(&part.trim_start_matches('_')) => {
                let part = part.trim_start_matches('_').trim_end_matches("_dense");
                let projection = if part == "output" { "attention_output" } else { part };
                let layer = format!("{}/{projection}", whole.layer);
                self.visit(&Object { layer: &layer, class: Some("einsum_dense"), ..inner })
            }
            ("time_distributed", "layer") => self.visit(&Object { class: None, ..inner }),
            ("bidirectional", "forward_layer" | "backward_layer") => {
                let layer = format!("{}/{}", whole.layer, part.trim_end_matches("_layer"));
                self.visit(&Object { layer: &layer, class: Some("lstm"), ..inner })
            }
            _ => {
                let own = self.name_of(path)?;
                let layer = own.as_deref().unwrap_or(part);
                self.visit(&Object { layer, outer: whole.layer, class: None, named: true, ..inner })
            }
        }
    }

    /// Visits the layers of a model, which are in the group `path`.
    fn layers(&mut self, model: &Object<'_>, path: &str) -> Result<(), StoreError> {
        let mut groups = self.tree.members(path)?;
        groups.sort_by_cached_key(|group| (without_number(group).to_string(), number(group)));
        for group in groups {
            let path = format!("{path}/{group}");
            if self.tree.kind(&path)? != Some(Kind::Group) {
                continue;
            }
            let from_config = self.names.get(&path.replace(CONTAINERS[1], CONTAINERS[0])).cloned();
            let own = self.name_of(&path)?.or(from_config);
            let (layer, named) = (own.as_deref().unwrap_or(&group), own.is_some());
            let class = Some(without_number(&group));
            let depth = model.depth + 1;
            self.visit(&Object { path: &path, layer, outer: model.layer, class, named, depth })?;
        }
        Ok(())
    }

    fn name_of(&mut self, layer: &str) -> Result<Option<String>, StoreError> {
        let variables = format!("{layer}/vars");
        if self.tree.kind(&variables)? != Some(Kind::Group) {
            return Ok(None);
        }
        match self.tree.text(&variables, "name")? {
            Some(Text::One(name)) => Ok(Some(name)),
            _ => Ok(None),
        }
    }

    fn variables(&mut self, object: &Object<'_>) -> Result<(), StoreError> {
        let group = format!("{}/vars", object.path);
        if self.tree.kind(&group)? != Some(Kind::Group) {
            return Ok(());
        }
        let mut positions = self.tree.members(&group)?;
        if object.class == Some(NORMALIZATION) {
            // The third variable counts the samples that it has seen.
            positions.retain(|position| position != "2");
        }
        positions.sort_by_cached_key(|position| (position.parse::<u64>().unwrap_or(u64::MAX), position.clone()));
        if self.found.len() + positions.len() > MAX_ITEMS {
            return Err(too_many(&group, (self.found.len() + positions.len()) as u64, "variables"));
        }
        if !object.named {
            self.unnamed += positions.len();
        }
        let mut tensors = Vec::with_capacity(positions.len());
        for position in &positions {
            tensors.push(self.tree.tensor(&format!("{group}/{position}"))?);
        }
        let ranks: Vec<usize> = tensors.iter().map(|tensor| tensor.shape.len()).collect();
        for (position, tensor) in positions.iter().zip(tensors) {
            let key = format!("{group}/{position}");
            let mut layer = object.layer.to_string();
            let mut role = role(object.class, position, &ranks);
            if object.class.is_some_and(|class| SEPARABLE.contains(&class)) {
                (layer, role) = of_separable(&layer, role);
            }
            let (shape, number) = (tensor.shape.clone(), tensor.number);
            let class = object.class.map(str::to_string);
            self.found.push((Entry { layer, role, key, shape, number, class }, tensor));
            self.outer_names.push(object.outer.to_string());
        }
        Ok(())
    }
}

/// The number that makes the name of a group unique in its class: the first of a class has none.
fn number(group: &str) -> u64 {
    let number = &group[without_number(group).len()..];
    number.strip_prefix('_').and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The role of the variable at `position`, given the ranks of all variables of the layer, for the classes that a net can have.
/// For an unknown class (a subclass, a layer in an attribute), the ranks alone decide.
fn role(class: Option<&str>, position: &str, ranks: &[usize]) -> Role {
    let recurrent = [Role::Weight, Role::Other(RECURRENT_KERNEL.into()), Role::Bias];
    let separable = [Role::Other("depthwise_kernel".into()), Role::Other("pointwise_kernel".into()), Role::Bias];
    const KERNEL: &[Role] = &[Role::Weight, Role::Bias];
    const NORM: &[Role] = &[Role::Gamma, Role::Beta, Role::RunningMean, Role::RunningVariance];
    let roles: &[Role] = match (class.unwrap_or(""), ranks) {
        ("batch_normalization", [_, _, _, _]) => NORM,
        // With three, gamma and beta are indistinguishable.
        ("batch_normalization", [_, _]) => &NORM[2..],
        ("batch_normalization", _) => &[],
        ("group_normalization" | "layer_normalization", [_, _]) => &NORM[..2],
        ("p_re_lu", [_]) => &[Role::Alpha],
        ("layer_scale", [_]) => &NORM[..1],
        ("lstm" | "gru", [_, _, _]) => &recurrent,
        ("embedding", [_]) => KERNEL,
        (class, [_, _, ..]) if SEPARABLE.contains(&class) => &separable,
        (NORMALIZATION, _) => &NORM[2..],
        (
            "einsum_dense" | "dense" | "conv1d" | "conv2d" | "conv3d" | "depthwise_conv2d" | "conv2d_transpose",
            [_] | [_, _],
        ) => KERNEL,
        (_, &[rank, 1] | &[rank]) if rank > 1 => KERNEL,
        (_, [1, 1]) => &NORM[..2],
        (_, [1, 1, 1, 1]) => NORM,
        (_, [2, 2, 1 | 2]) => &recurrent,
        _ => &[],
    };
    let role = position.parse().ok().and_then(|position: usize| roles.get(position)).cloned();
    role.unwrap_or_else(|| Role::Other(format!("vars/{position}")))
}
