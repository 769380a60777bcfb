//! The weights files that training has written.

use crate::elaborate::Spec;
use crate::graph::Graph;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The weights file that training has written for a net, if its spec has a recipe and names no other file for it: next to the
/// spec, or next to the file that has the recipe.
pub fn trained_weights(spec: &Spec, net: &str) -> Option<PathBuf> {
    let (_, file) = spec.project.recipes.get(net).filter(|_| !spec.project.weights.contains_key(net))?;
    let paths = [spec.root(), *file].map(|file| spec.sources.resolve(file, &format!("{net}.h5")));
    paths.into_iter().find(|path| path.is_file())
}

/// The weights files that training has written for a graph's net and the nets that it uses.
pub fn all_trained_weights(spec: &Spec, graph: &Graph) -> BTreeMap<String, PathBuf> {
    let nets: BTreeSet<&str> = graph.nodes.iter().flat_map(|node| &node.origin.layers).map(|(net, _)| &**net).collect();
    nets.into_iter().filter_map(|net| Some((net.to_string(), trained_weights(spec, net)?))).collect()
}

/// The weights files that a run of a graph's net starts from: those that training has written for the nets that it uses, not for itself.
pub fn trained_weights_within(spec: &Spec, graph: &Graph) -> BTreeMap<String, PathBuf> {
    let mut weights = all_trained_weights(spec, graph);
    weights.remove(&graph.name);
    weights
}
