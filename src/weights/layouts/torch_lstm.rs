//! PyTorch's `nn.LSTM` in safetensors: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, with `_l1` and so on for
//! layers that follow and `_reverse` for the other direction.
//!
//! The gates have NeuPy's order (input, forget, cell, output). Matrices are (out, in), and there are two biases, which are
//! added. Several layers of one module are `NAME/l0`, `NAME/l1`; both directions `NAME/forward`, `NAME/backward`.

use super::safetensors::{Declared, Place};
use crate::weights::store::{Entry, Role};
use std::collections::{BTreeMap, BTreeSet};

/// Takes the tensors of LSTMs out of `found` and returns them as the entries that layers take.
pub(crate) fn joined(found: &mut Vec<Declared>) -> Vec<(Entry, Place)> {
    // By module, layer and direction.
    let mut cells: BTreeMap<(String, usize, bool), BTreeMap<&str, usize>> = BTreeMap::new();
    for (at, tensor) in found.iter().enumerate() {
        if let Some((module, part, layer, reverse)) = parts(&tensor.name) {
            cells.entry((module.to_string(), layer, reverse)).or_default().insert(part, at);
        }
    }
    let shape = |at: usize| &found[at].shape[..];
    // A GRU has three gates, a plain recurrent layer one.
    cells.retain(|_, parts| match (parts.get("weight_ih"), parts.get("weight_hh")) {
        (Some(&input), Some(&hidden)) => {
            matches!((shape(input), shape(hidden)), (&[a, _], &[b, units]) if a == b && Some(a) == units.checked_mul(4))
        }
        _ => false,
    });
    let deep: BTreeSet<String> =
        cells.keys().filter(|(_, layer, _)| *layer > 0).map(|(module, ..)| module.clone()).collect();
    let two: BTreeSet<String> =
        cells.keys().filter(|(.., reverse)| *reverse).map(|(module, ..)| module.clone()).collect();
    let (mut entries, mut taken) = (Vec::new(), BTreeSet::new());
    for ((module, number, reverse), parts) in &cells {
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
            let entry = Entry { layer: layer.clone(), role, key, shape, number: tensor.number, class: None };
            entries.push((entry, Place::Transposed(tensor.start)));
            taken.insert(at);
        }
        if let (Some(&a), Some(&b)) = (parts.get("bias_ih"), parts.get("bias_hh"))
            && (&found[a].shape, found[a].number) == (&found[b].shape, found[b].number)
        {
            let (key, shape) = (format!("{} + {}", found[a].name, found[b].name), found[a].shape.clone());
            let entry =
                Entry { layer: layer.clone(), role: Role::Biases, key, shape, number: found[a].number, class: None };
            entries.push((entry, Place::Sum([found[a].start, found[b].start])));
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
    let (part, layer) = last.rsplit_once("_l")?;
    let part = PARTS.into_iter().find(|known| *known == part)?;
    Some((module, part, layer.parse().ok().filter(|layer| *layer < 1000)?, reverse))
}
