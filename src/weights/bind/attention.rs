//! Where files keep the projections of an attention: in tensors of the layer itself (PyTorch's `MultiheadAttention`), or in
//! dense layers below it, one for queries, keys and values together (timm) or three (Keras, Hugging Face; its BERT has `self.query`
//! and `output.dense`).

use super::pieces::Piece;
use crate::weights::store::Role;
use std::collections::HashMap;

/// The names of the dense layers below an attention: of all three, of queries, keys and values, and of the output.
const PACKED: &[&str] = &["qkv", "in_proj"];
const SEPARATE: [&[&str]; 3] = [
    &["q_proj", "query", "to_q", "self.query"],
    &["k_proj", "key", "to_k", "self.key"],
    &["v_proj", "value", "to_v", "self.value"],
];
const KEYS_AND_VALUES: &[&str] = &["kv_proj"];
const OUTPUT: &[&str] = &["proj", "out_proj", "attention_output", "to_out.0", "output.dense"];
const SEPARATORS: [char; 2] = ['.', '/'];

/// The attentions that a layer of a file can be a part of, by its name.
pub(crate) fn parents(layer: &str) -> impl Iterator<Item = &str> {
    let below = [PACKED, KEYS_AND_VALUES, OUTPUT].into_iter().chain(SEPARATE).flatten();
    below.filter_map(move |name| layer.strip_suffix(name)?.strip_suffix(SEPARATORS))
}

/// The tensors of which a parameter of the attention `layer` is made; none if the file has them not.
pub(crate) fn find(index: &HashMap<(&str, &Role), usize>, layer: &str, parameter: &str) -> Vec<Piece> {
    let Some((projection, role)) = parameter.rsplit_once('_') else { return Vec::new() };
    let of_layer = |name: &str| index.get(&(layer, &Role::Other(name.into()))).copied();
    let below = |names: &[&str]| {
        let each = names.iter().flat_map(|name| SEPARATORS.map(|separator| format!("{layer}{separator}{name}")));
        each.into_iter().find_map(|name| index.get(&(name.as_str(), &Role::from_neupy(role))).copied())
    };
    let parts = match projection {
        "in_proj" => 0..3,
        "q_proj" => 0..1,
        "kv_proj" => 1..3,
        _ => return of_layer(parameter).or_else(|| below(OUTPUT)).map(Piece::whole).into_iter().collect(),
    };
    if let Some(entry) = of_layer(parameter) {
        return vec![Piece::whole(entry)];
    }
    if let Some(entry) = below(KEYS_AND_VALUES).filter(|_| projection == "kv_proj") {
        return vec![Piece::whole(entry)];
    }
    if let Some(entry) = of_layer(&format!("in_proj_{role}")).or_else(|| below(PACKED)) {
        return vec![Piece { entry, parts_wanted: parts.len(), parts, parts_in_file: 3 }];
    }
    let each = |part: usize| {
        let name = format!("{}_proj_{role}", ["q", "k", "v"][part]);
        let entry = of_layer(&name).or_else(|| below(SEPARATE[part]))?;
        Some(Piece { entry, parts: 0..1, parts_in_file: 1, parts_wanted: parts.len() })
    };
    parts.clone().map(each).collect::<Option<Vec<Piece>>>().unwrap_or_default()
}
