//! PyTorch's `nn.LSTM` and `nn.GRU`: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, with `_l1` etc.
//! for further layers and `_reverse` for the reverse direction; cells (`nn.LSTMCell`) have the names without `_l0`.
//!
//! The gates of an LSTM are in NeuPy's order (input, forget, cell, output); those of a GRU are reordered by its transform.
//! Matrices are (out, in). There are two biases: those of an LSTM are added, those of a GRU become two rows, as in Keras. The
//! layers of a stacked module are `NAME/l0`, `NAME/l1`; the two directions are `NAME/forward`, `NAME/backward`.

use super::tensor_source::{Source, Tensor};
use crate::weights::store::{Entry, Role};
use std::collections::{BTreeMap, BTreeSet};

/// The classes of entries.
pub(crate) const LSTM: &str = "LSTM";
pub(crate) const GRU: &str = "GRU";

/// Removes the tensors of LSTMs and GRUs from `found` and returns them as the entries of netc's layers.
pub(crate) fn joined(found: &mut Vec<Tensor>) -> Vec<(Entry, Source)> {
    // By module, layer and direction.
    let mut cells: BTreeMap<(String, usize, bool), BTreeMap<&str, usize>> = BTreeMap::new();
    for (at, tensor) in found.iter().enumerate() {
        if let Some((module, part, layer, reverse)) = parts(&tensor.name) {
            cells.entry((module.to_string(), layer, reverse)).or_default().insert(part, at);
        }
    }
    let shape = |at: usize| &found[at].shape[..];
    let same = |a: usize, b: usize| (shape(a), found[a].number) == (shape(b), found[b].number);
    let class = |parts: &BTreeMap<&str, usize>| {
        let (&[a, _], &[b, units]) = (shape(*parts.get("weight_ih")?), shape(*parts.get("weight_hh")?)) else {
            return None;
        };
        let biases = match (parts.get("bias_ih"), parts.get("bias_hh")) {
            (None, None) => true,
            (Some(&input), Some(&hidden)) => same(input, hidden) && *shape(input) == [a],
            _ => false,
        };
        // By the number of gates; a plain RNN has one.
        let classes = [(4, LSTM), (3, GRU)];
        let class = classes.into_iter().find(|(gates, _)| Some(a) == units.checked_mul(*gates))?.1;
        (a == b && biases).then_some(class)
    };
    cells.retain(|_, parts| class(parts).is_some());
    let deep: BTreeSet<String> =
        cells.keys().filter(|(_, layer, _)| *layer > 0).map(|(module, ..)| module.clone()).collect();
    let two: BTreeSet<String> =
        cells.keys().filter(|(.., reverse)| *reverse).map(|(module, ..)| module.clone()).collect();
    let (mut entries, mut taken) = (Vec::new(), BTreeSet::new());
    for ((module, number, reverse), parts) in &cells {
        let class = class(parts);
        let mut layer = module.clone();
        if deep.contains(module) {
            layer = format!("{layer}/l{number}");
        }
        if two.contains(module) {
            layer = format!("{layer}/{}", if *reverse { "backward" } else { "forward" });
        }
        for (part, role) in [("weight_ih", Role::InputWeights), ("weight_hh", Role::HiddenWeights)] {
            let Some(&at) = parts.get(part) else { continue };
            let tensor = &found[at];
            let (key, shape) = (tensor.name.clone(), tensor.shape.iter().rev().copied().collect());
            let class = class.map(str::to_string);
            let entry = Entry { layer: layer.clone(), role, key, shape, number: tensor.number, class };
            entries.push((entry, Source::Transposed(tensor.location.clone())));
            taken.insert(at);
        }
        if let (Some(&a), Some(&b)) = (parts.get("bias_ih"), parts.get("bias_hh")) {
            let (key, locations) = (
                format!("{} + {}", found[a].name, found[b].name),
                [found[a].location.clone(), found[b].location.clone()],
            );
            let (shape, source) = match class {
                Some(GRU) => ([&[2], shape(a)].concat(), Source::Rows(locations)),
                _ => (shape(a).to_vec(), Source::Sum(locations)),
            };
            let (class, number) = (class.map(str::to_string), found[a].number);
            entries.push((Entry { layer: layer.clone(), role: Role::Biases, key, shape, number, class }, source));
            taken.extend([a, b]);
        }
    }
    let mut at = 0;
    found.retain(|_| {
        at += 1;
        !taken.contains(&(at - 1))
    });
    entries
}

/// `encoder.lstm.weight_ih_l1_reverse`: the module, `weight_ih`, 1, and whether it is reversed.
fn parts(name: &str) -> Option<(&str, &'static str, usize, bool)> {
    const PARTS: [&str; 4] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];
    let (module, last) = name.rsplit_once('.').unwrap_or(("", name));
    let (last, reverse) = match last.strip_suffix("_reverse") {
        Some(last) => (last, true),
        None => (last, false),
    };
    let (part, layer) = last.rsplit_once("_l").unwrap_or((last, "0"));
    let part = PARTS.into_iter().find(|known| *known == part)?;
    Some((module, part, layer.parse().ok().filter(|layer| *layer < 1000)?, reverse))
}
