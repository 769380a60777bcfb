//! Matching the layers of a file with those of a net.

use super::attention;
use super::convert::SEPARABLE_PARTS;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::graph::ParameterId;
use crate::request::WeightsRequest;
use crate::weights::store::{Entry, Role};
use std::collections::{BTreeMap, BTreeSet};

/// A parameter to bind, with the name of its layer in the net.
pub(crate) struct Target<'g> {
    pub id: ParameterId,
    pub layer: &'g str,
}

/// The name in the file of each layer: from the spec's table, else its own name, else from the table that ships with the net, else
/// its own with dots, as PyTorch separates modules.
pub(crate) fn names_in_file<'g>(
    entries: &[Entry],
    targets: &[Target<'g>],
    request: &WeightsRequest,
    errors: &mut Diagnostics,
) -> BTreeMap<&'g str, String> {
    let mut known: BTreeSet<&str> = entries.iter().map(|entry| entry.layer.as_str()).collect();
    known.extend(entries.iter().flat_map(|entry| attention::parents(&entry.layer)));
    // Tensors of a module itself: `cls_token`.
    known.extend(entries.iter().filter(|entry| matches!(entry.role, Role::Other(_))).map(|entry| entry.key.as_str()));
    let layers: BTreeSet<&str> = targets.iter().map(|target| target.layer).collect();
    let separable: Vec<&str> = known.iter().copied().filter_map(|layer| separable(&known, layer)).collect();
    known.extend(separable);
    let mut names = BTreeMap::new();
    for layer in layers.iter().copied() {
        let table = |table: &BTreeMap<String, String>| {
            table
                .iter()
                .find(|(from, to)| to.as_str() == layer && known.contains(from.as_str()))
                .map(|(from, _)| from.clone())
        };
        let own = || known.contains(layer).then(|| layer.to_string());
        let dotted = || {
            let name = dotted(layer);
            (known.contains(name.as_str()) && !layers.contains(name.as_str())).then_some(name)
        };
        let found = table(&request.rename).or_else(own).or_else(|| table(&request.shipped_rename)).or_else(dotted);
        if let Some(name) = found {
            names.insert(layer, name);
        }
    }
    renamed_from_nothing(request, &known, &layers, &names, errors);
    names
}

/// What a layer is called in files of PyTorch, whose modules are separated by dots.
pub(crate) fn dotted(layer: &str) -> String {
    layer.replace('/', ".")
}

/// The separable convolution whose first part a layer of a file is.
fn separable<'e>(known: &BTreeSet<&str>, layer: &'e str) -> Option<&'e str> {
    let [depthwise, pointwise] = SEPARABLE_PARTS;
    let stem = layer.strip_suffix(depthwise)?;
    known.contains(format!("{stem}{pointwise}").as_str()).then(|| stem.strip_suffix(['/', '.'])).flatten()
}

/// A table may serve files of several frameworks; an entry is an error only if its layer gets no tensor.
pub(crate) fn renamed_from_nothing(
    request: &WeightsRequest,
    known: &BTreeSet<&str>,
    layers: &BTreeSet<&str>,
    names: &BTreeMap<&str, String>,
    errors: &mut Diagnostics,
) {
    for (from, to) in &request.rename {
        if !known.contains(from.as_str()) && layers.contains(to.as_str()) && !names.contains_key(to.as_str()) {
            errors.push(
                Diagnostic::new(Code::WeightsOption, format!("the file has no layer `{from}` to rename to `{to}`"))
                    .at(request.span, "renamed in this block")
                    .maybe_help(suggest::did_you_mean(from, known.iter().copied())),
            );
        }
    }
}

/// Layers that are several layers in netc, by the first of them, and how to write them.
const SPLIT_LAYERS: [(&str, &str); 3] = [
    (
        "depthwise",
        "a separable convolution: `SeparableConv(…) as NAME` takes it, or `(DWConv(…, bias=false) as depthwise >> Conv(1x1, n) as pointwise) as \
         NAME`",
    ),
    (
        "forward",
        "a bidirectional layer: `(LSTM(n) as forward | LSTM(n, backwards=true) as backward) as NAME >> Concatenate` takes it",
    ),
    ("l0", "several layers: `(LSTM(n, only_return_final=false) as l0 >> LSTM(n) as l1) as NAME` takes them"),
];

/// A suggestion: how to write the layer, the nearest name in the file, or the tensors of the right shape.
pub(crate) fn hint(entries: &[Entry], layer: &str, shape: &[usize]) -> String {
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.layer.as_str()).collect();
    if let Some((_, what)) = SPLIT_LAYERS.iter().find(|(part, _)| names.contains(format!("{layer}/{part}").as_str())) {
        return format!("; in the file it is {}", what.replace("NAME", layer));
    }
    let torch = Role::Other("weight_ih_l0".into());
    if entries.iter().any(|entry| entry.layer == layer && entry.role == torch) {
        return "; in the file it is a PyTorch RNN or an LSTM with a projection, which netc does not support".into();
    }
    if let Some(name) = suggest::nearest(layer, names) {
        return format!("; the nearest name is `{name}`");
    }
    let same: Vec<&str> =
        entries.iter().filter(|entry| entry.shape == shape).map(|entry| entry.key.as_str()).take(3).collect();
    if same.is_empty() { String::new() } else { format!("; tensors of this shape: {}", same.join(", ")) }
}
