//! NeuPy's layout (`storage.save`, versions 0.7 and 0.8).
//!
//! The root has the attributes `metadata`, `graph` and `layer_names`, each a JSON text; every layer has a group with
//! `class_name`, `name` and `configs`, also JSON, and a dataset for each parameter. HDF5 lists groups alphabetically, so
//! `layer_names` defines the order. A name with `/` is a nested group.

use std::collections::HashSet;

use super::hdf5_file::{Kind, Text, Tree, corrupt, too_many};
use crate::request::Layout;
use crate::weights::store::{Entry, MAX_ITEMS, Role, Store, StoreError};

/// Whether NeuPy wrote the file: its `layer_names` is one JSON text, that of Keras an array of strings.
pub(crate) fn matches(tree: &Tree) -> Result<bool, StoreError> {
    Ok(matches!(tree.text("/", "layer_names")?, Some(Text::One(_))))
}

/// Reads the index and checks every parameter in it.
pub(crate) fn open(mut tree: Tree) -> Result<Box<dyn Store>, StoreError> {
    let index = "attribute 'layer_names' of /";
    let Some(Text::One(names)) = tree.text("/", "layer_names")? else {
        return Err(corrupt(index, "it is missing"));
    };
    let names: Vec<String> =
        serde_json::from_str(&names).map_err(|error| corrupt(index, format!("a JSON list of names: {error}")))?;
    if names.len() > MAX_ITEMS {
        return Err(too_many(index, names.len() as u64, "layers"));
    }
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for layer in &names {
        let group = format!("/{layer}");
        if !seen.insert(layer) {
            return Err(corrupt(index, format!("it lists '{layer}' twice")));
        }
        if tree.kind(&group)? != Some(Kind::Group) {
            return Err(corrupt(&group, "layer_names lists this layer, but the file has no such group"));
        }
        let class = class_name(&tree, &group)?;
        let mut parameters = Vec::new();
        for name in tree.members(&group)? {
            let key = format!("{group}/{name}");
            if tree.kind(&key)? != Some(Kind::Group) {
                let tensor = tree.tensor(&key)?;
                let (role, shape, number) = (Role::from_neupy(&name), tensor.shape.clone(), tensor.number);
                let (layer, class) = (layer.clone(), class.clone());
                parameters.push((Entry { layer, role, key, shape, number, class }, tensor));
            }
        }
        // HDF5 lists the bias of a layer before its weight.
        parameters.sort_by(|(a, _), (b, _)| a.role.cmp(&b.role));
        found.append(&mut parameters);
    }
    Ok(tree.into_store(Layout::Neupy, true, found))
}

fn class_name(tree: &Tree, group: &str) -> Result<Option<String>, StoreError> {
    match tree.text(group, "class_name")? {
        Some(Text::One(json)) => serde_json::from_str(&json)
            .map(Some)
            .map_err(|error| corrupt(&format!("attribute 'class_name' of {group}"), error.to_string())),
        _ => Ok(None),
    }
}
