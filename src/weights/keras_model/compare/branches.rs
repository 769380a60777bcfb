//! Compares where chains of the spec and of the file begin: at the same layers, and at merges of the same branches.

use super::bound::Bound;
use super::chain::{Mismatch, difference};
use super::of_file::{WEIGHTLESS_ATTENTION, merge_of_layer, up_to_layer};
use super::of_net::{merge_of_node, up_to_node};
use super::walk::End;
use crate::graph::NodeId;
use crate::ops::convolution::separable::SeparableConvolution;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// What differs: in the file, and here.
type Difference = (String, String);

/// The most merges before one another that are compared.
const MAX_DEPTH: usize = 500;
/// The most merges within one another that may be a function of one layer.
const MAX_NESTING: usize = 4;

/// The comparison of branches, with those that are known.
pub(super) struct Branches<'a> {
    bound: &'a Bound<'a>,
    merges: HashMap<(NodeId, usize), Option<Difference>>,
    depth: usize,
}

impl<'a> Branches<'a> {
    pub fn new(bound: &'a Bound<'a>) -> Self {
        Branches { bound, merges: HashMap::new(), depth: 0 }
    }

    /// The difference of what a chain of the spec and one of the file begin with; none if it is the same, or unknown.
    pub fn differ(&mut self, here: End<NodeId>, file: End<usize>) -> Option<Difference> {
        let Bound { graph, model, .. } = self.bound;
        // What a cut left out is left out on purpose.
        let is_cut = |id: NodeId| !graph.node(id).cuts.is_empty();
        if matches!(here, End::Layer(node) | End::Merge(node) if is_cut(node)) {
            return None;
        }
        let node_text = |id: NodeId| format!("`{}`", graph.node(id).name);
        let layer_text = |at: usize| format!("`{}` ({})", model.layers[at].name, model.layers[at].class);
        match (here, file) {
            (End::Layer(node), End::Layer(layer)) => {
                self.is_other(node, layer).then(|| (layer_text(layer), node_text(node)))
            }
            // A merge of what one layer gives is a function of it, which may be written otherwise.
            (End::Layer(node), End::Merge(at)) => self
                .ends_of_layer(at)
                .iter()
                .any(|end| match end {
                    End::Layer(layer) => self.is_other(node, *layer),
                    // It joins what a layer gives with what that takes.
                    End::Outside(_) => self.only_layer_of(node).is_some(),
                    _ => false,
                })
                .then(|| (layer_text(at), node_text(node))),
            (End::Layer(node), End::Outside(_)) => {
                self.only_layer_of(node)?;
                Some(("the input of the model".into(), node_text(node)))
            }
            (End::Merge(node), End::Layer(layer)) => self
                .ends_of_node(node)
                .iter()
                .any(|end| match end {
                    End::Layer(node) => self.is_other(*node, layer),
                    End::Outside(_) => true,
                    _ => false,
                })
                .then(|| (layer_text(layer), node_text(node))),
            (End::Merge(node), End::Merge(layer)) => self.merges_differ(node, layer),
            _ => None,
        }
    }

    /// The layer of a node, unless the node is several layers of Keras in one.
    fn only_layer_of(&self, node: NodeId) -> Option<usize> {
        let graph = self.bound.graph;
        let operation = &graph.node(node).operation;
        let is_several = operation.decompose(&graph.input_types(node)).is_some();
        (!is_several || operation.as_any().is::<SeparableConvolution>()).then(|| self.bound.layer_of(node))?
    }

    /// Whether a node is known to be another layer than this one.
    fn is_other(&self, node: NodeId, layer: usize) -> bool {
        let model = self.bound.model;
        self.only_layer_of(node).is_some_and(|own| own != layer && model.whole(own) != model.whole(layer))
    }

    /// What the branches of a merge of the net begin with, those of merges in it too.
    fn ends_of_node(&self, merge: NodeId) -> Vec<End<NodeId>> {
        let graph = self.bound.graph;
        ends(merge, |merge| graph.node(merge).inputs.iter().map(|&input| up_to_node(graph, input).1).collect())
    }

    /// What the branches of a merge of the file begin with, those of merges in it too.
    fn ends_of_layer(&self, merge: usize) -> Vec<End<usize>> {
        let model = self.bound.model;
        let inputs = |merge: usize| model.layers[merge].inputs.as_deref().unwrap_or_default();
        ends(merge, |merge| inputs(merge).iter().map(|&input| up_to_layer(model, input).1).collect())
    }

    fn merges_differ(&mut self, node: NodeId, layer: usize) -> Option<Difference> {
        if let Some(known) = self.merges.get(&(node, layer)) {
            return known.clone();
        }
        // A cycle of the file meets itself here.
        self.merges.insert((node, layer), None);
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let found = self.compare_merges(node, layer);
        self.depth -= 1;
        self.merges.insert((node, layer), found.clone());
        found
    }

    fn compare_merges(&mut self, node: NodeId, layer: usize) -> Option<Difference> {
        let Bound { graph, model, .. } = self.bound;
        let here = merge_of_node(graph, node)?;
        let class = model.layers[layer].class.as_str();
        if WEIGHTLESS_ATTENTION.contains(&class) {
            return Some((class.into(), here.name().into()));
        }
        let file = merge_of_layer(model, layer)?;
        // Both are functions of one layer's output, which may be written in several ways.
        match (Sources::of(&self.ends_of_node(node)), Sources::of(&self.ends_of_layer(layer))) {
            (Sources::Several, _) | (_, Sources::Several) => {}
            (Sources::One(one), Sources::One(other)) if self.is_other(one, other) => {}
            _ => return None,
        }
        if here != file {
            return Some((file.name().into(), here.name().into()));
        }
        let (nodes, layers) = (&graph.node(node).inputs, model.layers[layer].inputs.as_deref()?);
        // A sum of sums may be one sum.
        if nodes.len() != layers.len() {
            return None;
        }
        if here.is_ordered() {
            return nodes.iter().zip(layers).find_map(|(&node, &layer)| self.branches_differ(node, layer));
        }
        let mut left = layers.to_vec();
        for (&node, &same) in nodes.iter().zip(layers) {
            match left.iter().position(|&layer| self.branches_differ(node, layer).is_none()) {
                Some(at) => {
                    left.swap_remove(at);
                }
                None => return self.branches_differ(node, same).or_else(|| self.branches_differ(node, *left.first()?)),
            }
        }
        None
    }

    /// The difference of a branch that ends at a node and one that ends at a layer.
    fn branches_differ(&mut self, node: NodeId, layer: usize) -> Option<Difference> {
        let (mut net, start) = up_to_node(self.bound.graph, node);
        let (mut file, begin) = up_to_layer(self.bound.model, layer);
        self.bound.without_scaling(start, [&mut net, &mut file]);
        if let Some(difference) = self.differ(start, begin) {
            return Some(difference);
        }
        let size = match (start, begin) {
            (End::Layer(node), End::Layer(_)) => {
                self.only_layer_of(node)?;
                self.bound.size(node)
            }
            (End::Merge(node), End::Merge(_)) | (End::Outside(node), End::Outside(_)) => self.bound.size(node),
            (End::Unknown, _) | (_, End::Unknown) => {
                let (file, here, _) = self.bound.unmatched(Ok(node), Ok(layer), None)?;
                return Some((format!("{file} in a branch"), here));
            }
            _ => return None,
        };
        difference(&file, &net, size).map(|Mismatch { file, net, .. }| (format!("{file} in a branch"), net))
    }
}

/// The layers whose outputs come together, as far as they are known.
#[derive(Clone, Copy, PartialEq)]
enum Sources<T> {
    Unknown,
    One(T),
    Several,
}

impl<T: Copy + PartialEq> Sources<T> {
    fn of(ends: &[End<T>]) -> Self {
        ends.iter().fold(Sources::Unknown, |known, end| match (known, end) {
            (known, End::Unknown) => known,
            (Sources::Unknown, End::Layer(layer)) => Sources::One(*layer),
            (Sources::One(known), End::Layer(layer)) if known == *layer => Sources::One(known),
            _ => Sources::Several,
        })
    }
}

/// The ends of the branches of a merge and of merges in it, each of which is looked at once; a merge that is too deep is its own end.
fn ends<T: Copy + Eq + Hash>(merge: T, branches: impl Fn(T) -> Vec<End<T>>) -> Vec<End<T>> {
    let (mut found, mut seen, mut level) = (Vec::new(), HashSet::from([merge]), vec![merge]);
    for _ in 0..=MAX_NESTING {
        let mut inner = Vec::new();
        for end in level.into_iter().flat_map(&branches) {
            match end {
                End::Merge(merge) if seen.insert(merge) => inner.push(merge),
                End::Merge(_) => {}
                end => found.push(end),
            }
        }
        level = inner;
    }
    found.extend(level.into_iter().map(End::Merge));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A file may name a merge as many inputs of another one, and that again.
    #[test]
    fn each_merge_is_looked_at_once() {
        let looked = Cell::new(0);
        let found = ends(0, |merge| {
            looked.set(looked.get() + 1);
            vec![End::Merge(merge + 1); 1000]
        });
        assert_eq!((looked.get(), found), (MAX_NESTING + 1, vec![End::Merge(MAX_NESTING + 1)]));
    }
}
