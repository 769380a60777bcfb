//! Files without names (Keras 2.12 to 3.5, weights alone): layers are matched by their class and their order in it, where
//! both orders are certain.
//!
//! Keras counts the layers of a class by their depth, the longest way to the model's output. Of two layers of which one comes
//! after the other, the depths report the order whatever stands between; of two in different branches they depend on layers
//! that the spec may have otherwise. Layers of several sizes are told apart by them.

use super::layer_names::{Wanted, renamed_from_nothing};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::graph::{Graph, NodeId, ParameterId};
use crate::request::WeightsRequest;
use crate::weights::store::{Entry, Role};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Layers that only their order tells apart: a class and the size of their largest tensor.
type Alike = (String, usize);

/// For each layer that is wanted, its name in the file; nothing where that is not certain, which is an error.
pub(crate) fn by_order<'g>(
    graph: &'g Graph,
    entries: &[Entry],
    wanted: &[Wanted<'g>],
    request: &WeightsRequest,
    errors: &mut Diagnostics,
) -> Option<BTreeMap<&'g str, String>> {
    let known: BTreeSet<&str> = entries.iter().map(|entry| entry.layer.as_str()).collect();
    let layers: BTreeSet<&'g str> = wanted.iter().map(|wanted| wanted.layer).collect();
    let mut names = BTreeMap::new();
    // What the spec says goes before what is counted.
    for (from, to) in request.rename.iter().filter(|(from, _)| known.contains(from.as_str())) {
        if let Some(layer) = layers.get(to.as_str()) {
            names.insert(*layer, from.clone());
        }
    }
    let taken: BTreeSet<String> = names.values().cloned().collect();
    let in_file = of_file(entries, &taken);
    let mut certain = true;
    for (alike, nodes) in of_net(graph, wanted, &names) {
        // A layer that the file does not have is missing, as in files with names.
        let Some(groups) = in_file.get(&alike) else { continue };
        match doubt(graph, &nodes, groups) {
            None => names.extend(nodes.iter().zip(groups).map(|(&(_, layer), group)| (layer, group.name.to_string()))),
            Some(doubt) => {
                errors.push(doubt.told(graph, request, &alike, &nodes, groups));
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
    /// The group of the model that it is in: groups are counted in each by themselves.
    model: &'e str,
}

fn of_file<'e>(entries: &'e [Entry], taken: &BTreeSet<String>) -> BTreeMap<Alike, Vec<Group<'e>>> {
    let mut sizes: Vec<(&Entry, usize)> = Vec::new();
    for entry in entries.iter().filter(|entry| !taken.contains(&entry.layer)) {
        let size = if entry.role == Role::Bias { 0 } else { entry.elements() };
        match sizes.last_mut() {
            Some((last, most)) if last.layer == entry.layer => *most = size.max(*most),
            _ => sizes.push((entry, size)),
        }
    }
    let mut found: BTreeMap<Alike, Vec<Group>> = BTreeMap::new();
    for (entry, size) in sizes {
        let ends = ["/layers/", "/_layer_checkpoint_dependencies/"].map(|container| entry.key.rfind(container));
        let model = ends.into_iter().flatten().max().map_or("", |end| &entry.key[..end]);
        let class = entry.class.clone().unwrap_or_default();
        found.entry((class, size)).or_default().push(Group { name: &entry.layer, model });
    }
    found
}

/// The layers that are not named yet, in topological order.
fn of_net<'g>(
    graph: &Graph,
    wanted: &[Wanted<'g>],
    names: &BTreeMap<&str, String>,
) -> BTreeMap<Alike, Vec<(NodeId, &'g str)>> {
    let layer_of: HashMap<ParameterId, &'g str> = wanted.iter().map(|wanted| (wanted.id, wanted.layer)).collect();
    let mut found: BTreeMap<Alike, Vec<(NodeId, &str)>> = BTreeMap::new();
    for id in graph.ids() {
        let node = graph.node(id);
        let Some(layer) = node.parameters.first().and_then(|id| layer_of.get(id)) else { continue };
        if names.contains_key(layer) {
            continue;
        }
        let parameters = node.parameters.iter().map(|id| &graph.parameters[id.0]);
        let sizes = parameters.filter(|one| !matches!(one.role, "bias" | "biases")).map(|one| one.len());
        let class = keras_class(node.operation.kind()).to_string();
        found.entry((class, sizes.max().unwrap_or(0))).or_default().push((id, *layer));
    }
    found
}

/// Why the order of layers that are alike is not certain.
enum Doubt {
    /// The net has another number of them than the file.
    Count,
    /// Two of the net's layers of which neither comes after the other.
    Branches(usize),
    /// The file has them in several models.
    Models,
}

fn doubt(graph: &Graph, nodes: &[(NodeId, &str)], groups: &[Group]) -> Option<Doubt> {
    if nodes.len() != groups.len() {
        return Some(Doubt::Count);
    }
    if groups.iter().any(|group| group.model != groups[0].model) {
        return Some(Doubt::Models);
    }
    let follows = |pair: &[(NodeId, &str)]| graph.ancestors(&[pair[1].0])[pair[0].0.0];
    nodes.windows(2).position(|pair| !follows(pair)).map(Doubt::Branches)
}

impl Doubt {
    fn told(
        &self,
        graph: &Graph,
        request: &WeightsRequest,
        (class, size): &Alike,
        nodes: &[(NodeId, &str)],
        groups: &[Group],
    ) -> Diagnostic {
        let span = |at: usize| graph.node(nodes[at].0).origin.span;
        let file = request.path.display();
        let list = groups.iter().map(|group| group.name.to_string()).collect::<Vec<_>>();
        let list = super::report::shortened(&list);
        let first = nodes[0].1;
        let diagnostic = match *self {
            Doubt::Branches(at) => {
                let (a, b) = (nodes[at].1, nodes[at + 1].1);
                let message = format!("{file} has no names of layers, and `{a}` and `{b}` cannot be told apart");
                Diagnostic::new(Code::WeightsAmbiguous, message)
                    .at(span(at), "one branch")
                    .and(span(at + 1), "another branch")
            }
            Doubt::Count => {
                let (of_net, of_file) = (counted(nodes.len(), "layer"), groups.len());
                let message = format!(
                    "{file} has no names of layers: which of its {of_file} are the {of_net} of `{}` like `{first}` is not certain",
                    request.net
                );
                Diagnostic::new(Code::WeightsAmbiguous, message).at(span(0), "the first of them")
            }
            Doubt::Models => {
                let message =
                    format!("{file} has no names of layers, and those like `{first}` are in several models there");
                Diagnostic::new(Code::WeightsAmbiguous, message).at(span(0), "this layer")
            }
        };
        diagnostic
            .and(request.span, format!("weights of `{}`", request.net))
            .note(format!("of class {class}, the largest tensor of {size} values, are in the file: {list}"))
            .help("load the model in Keras and save it as `.keras`, or with Keras 3.6 or later: both keep the names")
            .help(format!("`rename = {{ \"{}\" = \"{first}\", … }}` says which is which", groups[0].name))
    }
}

/// Keras' snake-case class of a layer with parameters.
fn keras_class(kind: &str) -> &'static str {
    match kind {
        "Convolution" => "conv2d",
        "DepthwiseConvolution" => "depthwise_conv2d",
        "Deconvolution" => "conv2d_transpose",
        "BatchNorm" => "batch_normalization",
        "GroupNorm" => "group_normalization",
        "LayerNorm" => "layer_normalization",
        "Embedding" => "embedding",
        "Attention" => "multi_head_attention",
        "LSTM" => "lstm",
        "GRU" => "gru",
        "PRelu" => "p_re_lu",
        _ => "dense",
    }
}
