//! The layer that a name from another library means: in a cut, `vgg16[..block5_pool]` or `resnet50[..=add-16]`.

use super::foreign_place::at_place;
use crate::diagnostics::suggest::fold;
use crate::elaborate::project::{Project, plain_string};
use crate::graph::{Graph, Node};
use crate::ops;
use crate::syntax::ast::ExprKind;

/// Names of layers in other libraries that no layer here has, folded as by [`fold`].
const KINDS: &[(&str, &str)] = &[
    ("avgpool", "GlobalPool"),
    ("globalaveragepooling2d", "GlobalPool"),
    ("globalavgpool", "GlobalPool"),
    ("maxpooling2d", "MaxPool"),
    ("averagepooling2d", "AvgPool"),
    ("conv2d", "Conv"),
    ("batchnormalization", "BatchNorm"),
    ("fc", "Dense"),
    ("activation", "Relu"),
];

/// The name of the layer that is meant: by the tables of names that ship with specs, else by kind and number, else by its place.
pub(super) fn meant<'g>(project: &Project, graph: &'g Graph, word: &str) -> Option<&'g str> {
    renamed(project, graph, word).or_else(|| by_kind(graph, word)).or_else(|| at_place(graph, word))
}

/// By the `rename` tables of shipped weights, which have the names of Keras and torchvision.
fn renamed<'g>(project: &Project, graph: &'g Graph, word: &str) -> Option<&'g str> {
    let tables = project.shipped_weights.values().flat_map(|(item, _)| &item.options);
    let entries = tables.filter(|entry| entry.key.text == "rename").filter_map(|entry| match &entry.value.kind {
        ExprKind::Map(entries) => Some(entries),
        _ => None,
    });
    let meant: Vec<String> = entries
        .flatten()
        .filter(|(from, _)| plain_string(from).is_some_and(|from| from == word))
        .filter_map(|(_, to)| plain_string(to))
        .collect();
    let is_meant = |node: &&Node| meant.contains(&node.name);
    graph.nodes.iter().find(is_meant).map(|node| node.name.as_str())
}

/// By the word for a kind of layer and its number: `add-16` is the 16th `Add`, Keras' `add_15` too; without a number the only
/// layer of the kind.
fn by_kind<'g>(graph: &'g Graph, word: &str) -> Option<&'g str> {
    // The pools of Keras' VGG nets have the numbers of their blocks.
    let block = word.strip_prefix("block").and_then(|rest| rest.strip_suffix("_pool"));
    let pool = block.map(|number| format!("maxpool{number}"));
    let word = pool.as_deref().unwrap_or(word);
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let number: Option<usize> = word[stem.len()..].parse().ok();
    // Keras counts from `add` over `add_1`. Who counts from 1 means the last one by a number that is one too large.
    let indices = number.map(|number| match (stem.ends_with('_'), number.checked_sub(1)) {
        (true, before) => [Some(number), before],
        (false, before) => [before, None],
    });
    let kind = fold(stem);
    let by_name = |kind: &str| ops::names().find(|name| fold(name) == kind).and_then(ops::find);
    let foreign = || KINDS.iter().find(|(name, _)| *name == kind).and_then(|(_, name)| ops::find(name));
    // A name may be that of a layer here, and of another kind elsewhere: torchvision's `avgpool` is a global one.
    by_name(&kind).into_iter().chain(foreign()).find_map(|definition| {
        let mut layers = graph.nodes.iter().filter(|node| std::ptr::eq(node.operation.definition(), definition));
        let found = match indices {
            Some(indices) => indices.into_iter().flatten().find_map(|index| layers.clone().nth(index)),
            None => layers.next().filter(|_| layers.next().is_none()),
        };
        found.map(|node| node.name.as_str())
    })
}
