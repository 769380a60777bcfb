//! Files without layer names (Keras 2.12 to 3.5, weights only): layers are matched by class and by their order within it, if
//! that is unambiguous.
//!
//! Keras numbers the layers of a class by depth, the longest path to the output of the model. If one layer depends on another,
//! their depths have that order, whatever is in between; in different branches, the order depends on layers that may differ
//! in the spec. Layers of different sizes are distinguished by size.

use super::layer_names::{Target, renamed_from_nothing};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::graph::{Graph, NodeId, ParameterId};
use crate::request::WeightsRequest;
use crate::weights::store::{Entry, Role};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Class, and size of the largest tensor. Layers with the same key can be distinguished only by their order.
type LayerKey = (String, usize);

/// The name in the file of each layer; `None`, with errors, if the match is ambiguous.
pub(crate) fn by_order<'g>(
    graph: &'g Graph,
    entries: &[Entry],
    targets: &[Target<'g>],
    request: &WeightsRequest,
    errors: &mut Diagnostics,
) -> Option<BTreeMap<&'g str, String>> {
    let known: BTreeSet<&str> = entries.iter().map(|entry| entry.layer.as_str()).collect();
    let layers: BTreeSet<&'g str> = targets.iter().map(|target| target.layer).collect();
    let mut names = BTreeMap::new();
    // Names in the spec take precedence over the order.
    for (from, to) in request.rename.iter().filter(|(from, _)| known.contains(from.as_str())) {
        if let Some(layer) = layers.get(to.as_str()) {
            names.insert(*layer, from.clone());
        }
    }
    let taken: BTreeSet<String> = names.values().cloned().collect();
    let in_file = of_file(entries, &taken);
    let mut certain = true;
    for (key, nodes) in of_net(graph, targets, &names) {
        // A layer that is not in the file is missing, as in files with names.
        let Some(groups) = in_file.get(&key) else { continue };
        match ambiguity(graph, &nodes, groups) {
            None => names.extend(nodes.iter().zip(groups).map(|(&(_, layer), group)| (layer, group.name.to_string()))),
            Some(ambiguity) => {
                errors.push(ambiguity.messages(graph, request, &key, &nodes, groups));
                certain = false;
            }
        }
    }
    if !certain {
        return None;
    }
    renamed_from_nothing(request, &known, &layers, &names, errors);
    Some(names)
}

/// A layer of the file.
struct Group<'e> {
    name: &'e str,
    /// The group of its model: groups are numbered separately in each.
    model: &'e str,
}

fn of_file<'e>(entries: &'e [Entry], taken: &BTreeSet<String>) -> BTreeMap<LayerKey, Vec<Group<'e>>> {
    let mut sizes: Vec<(&Entry, usize)> = Vec::new();
    for entry in entries.iter().filter(|entry| !taken.contains(&entry.layer)) {
        let size = if entry.role == Role::Bias { 0 } else { entry.elements() };
        match sizes.last_mut() {
            Some((last, most)) if last.layer == entry.layer => *most = size.max(*most),
            _ => sizes.push((entry, size)),
        }
    }
    let mut found: BTreeMap<LayerKey, Vec<Group>> = BTreeMap::new();
    for (entry, size) in sizes {
        let ends = ["/layers/", "/_layer_checkpoint_dependencies/"].map(|container| entry.key.rfind(container));
        let model = ends.into_iter().flatten().max().map_or("", |end| &entry.key[..end]);
        let class = entry.class.clone().unwrap_or_default();
        found.entry((class, size)).or_default().push(Group { name: &entry.layer, model });
    }
    found
}

/// The layers not named yet, in topological order.
fn of_net<'g>(
    graph: &Graph,
    targets: &[Target<'g>],
    names: &BTreeMap<&str, String>,
) -> BTreeMap<LayerKey, Vec<(NodeId, &'g str)>> {
    let layer_of: HashMap<ParameterId, &'g str> = targets.iter().map(|target| (target.id, target.layer)).collect();
    let mut found: BTreeMap<LayerKey, Vec<(NodeId, &str)>> = BTreeMap::new();
    for id in graph.ids() {
        let node = graph.node(id);
        let Some(layer) = node.parameters.first().and_then(|id| layer_of.get(id)) else { continue };
        if names.contains_key(layer) {
            continue;
        }
        let parameters = node.parameters.iter().map(|id| &graph.parameters[id.0]);
        let sizes = parameters.filter(|one| !matches!(one.role, "bias" | "biases")).map(|one| one.len());
        let along_time = node.parameters.first().is_some_and(|id| graph.parameters[id.0].shape.len() == 3);
        let class = keras_class(node.operation.kind(), along_time).to_string();
        found.entry((class, sizes.max().unwrap_or(0))).or_default().push((id, *layer));
    }
    found
}

/// Why the order of layers with the same key is ambiguous.
enum Ambiguity {
    /// The net and the file have different numbers of them.
    Count,
    /// Two layers of the net, neither of which depends on the other.
    Branches(usize),
    /// They are in several models of the file.
    Models,
}

fn ambiguity(graph: &Graph, nodes: &[(NodeId, &str)], groups: &[Group]) -> Option<Ambiguity> {
    if nodes.len() != groups.len() {
        return Some(Ambiguity::Count);
    }
    if groups.iter().any(|group| group.model != groups[0].model) {
        return Some(Ambiguity::Models);
    }
    let follows = |pair: &[(NodeId, &str)]| graph.ancestors(&[pair[1].0])[pair[0].0.0];
    nodes.windows(2).position(|pair| !follows(pair)).map(Ambiguity::Branches)
}

impl Ambiguity {
    fn messages(
        &self,
        graph: &Graph,
        request: &WeightsRequest,
        (class, size): &LayerKey,
        nodes: &[(NodeId, &str)],
        groups: &[Group],
    ) -> Diagnostic {
        let span = |at: usize| graph.node(nodes[at].0).origin.span;
        let file = request.path.display();
        let list = groups.iter().map(|group| group.name.to_string()).collect::<Vec<_>>();
        let list = super::report::shortened(&list);
        let first = nodes[0].1;
        let diagnostic = match *self {
            Ambiguity::Branches(at) => {
                let (a, b) = (nodes[at].1, nodes[at + 1].1);
                let message = format!("{file} has no layer names, and `{a}` and `{b}` are indistinguishable");
                Diagnostic::new(Code::WeightsAmbiguous, message)
                    .at(span(at), "one branch")
                    .and(span(at + 1), "another branch")
            }
            Ambiguity::Count => {
                let (of_net, of_file) = (counted(nodes.len(), "layer"), groups.len());
                let message = format!(
                    "{file} has no layer names: which of its {of_file} similar layers are the {of_net} of `{}` like `{first}` is ambiguous",
                    request.net
                );
                Diagnostic::new(Code::WeightsAmbiguous, message).at(span(0), "the first of them")
            }
            Ambiguity::Models => {
                let message =
                    format!("{file} has no layer names, and layers like `{first}` are in several of its models");
                Diagnostic::new(Code::WeightsAmbiguous, message).at(span(0), "this layer")
            }
        };
        diagnostic
            .and(request.span, format!("weights of `{}`", request.net))
            .note(format!("layers of class {class} with {size} values in the largest tensor in the file: {list}"))
            .help("load the model in Keras and save it as `.keras`, or with Keras 3.6 or later: both keep the names")
            .help(format!("`rename = {{ \"{}\" = \"{first}\", … }}` assigns layers explicitly", groups[0].name))
    }
}

/// The snake-case Keras class of a layer with parameters, for a convolution also by whether it slides along a sequence.
fn keras_class(kind: &str, along_time: bool) -> &'static str {
    match kind {
        "Convolution" if along_time => "conv1d",
        "DepthwiseConvolution" if along_time => "depthwise_conv1d",
        "Convolution" => "conv2d",
        "DepthwiseConvolution" => "depthwise_conv2d",
        "ConvTranspose" | "Deconvolution" => "conv2d_transpose",
        "BatchNorm" => "batch_normalization",
        "GroupNorm" => "group_normalization",
        "LayerNorm" => "layer_normalization",
        "Embedding" => "embedding",
        "LSTM" => "lstm",
        "GRU" => "gru",
        "PRelu" => "p_re_lu",
        "Scale" => "layer_scale",
        _ => "dense",
    }
}
