//! Layers without counterpart on the other side. What an unknown layer computes cannot be compared; but where all else
//! between two layers is known and equal, nothing is left that could be its counterpart.

use super::bound::Bound;
use super::chain::{Written, difference};
use super::of_file::{merge_of_layer, up_to_layer_of};
use super::of_net::{merge_of_node, up_to_node_of};
use super::walk::End;
use crate::diagnostics::foreign_names;
use crate::graph::NodeId;
use crate::ops::shape::Transpose;

/// A layer without counterpart: what is in its place in the file, and here; the help.
pub(super) type Unmatched = (String, String, Option<String>);

impl Bound<'_> {
    /// A layer before two positions that has no counterpart on the other side, if there is an unknown one; `windows` are what
    /// the chains of net and file end with.
    pub(super) fn unmatched(
        &self,
        node: Result<NodeId, End<NodeId>>,
        layer: Result<usize, End<usize>>,
        windows: Option<[Written; 2]>,
    ) -> Option<Unmatched> {
        let (mut nodes, mut layers) = (Vec::new(), Vec::new());
        let (mut net, start) = up_to_node_of(self.graph, node, |at| {
            nodes.push(at);
            // Another order of axes may be all that it is for.
            !self.graph.node(at).operation.as_any().is::<Transpose>()
        });
        let (mut file, begin) = up_to_layer_of(self.model, layer, |at| {
            layers.push(at);
            !self.holds_weights(at)
        });
        if nodes.is_empty() == layers.is_empty() || !self.is_same(start, begin) {
            return None;
        }
        if let (End::Merge(node), End::Merge(layer)) = (start, begin)
            && merge_of_node(self.graph, node).is_none_or(|here| merge_of_layer(self.model, layer) != Some(here))
        {
            return None;
        }
        if let End::Outside(input) = start
            && self.reads_photos(input)
        {
            // How photos are read may be what the layer does.
            return None;
        }
        if let Some([of_net, of_file]) = windows {
            net.push(of_net);
            file.push(of_file);
        }
        let (End::Layer(from) | End::Merge(from) | End::Outside(from)) = start else { return None };
        if difference(&file, &net, self.size(from)).is_some() {
            return None;
        }
        let nothing = || "nothing in its place".to_string();
        Some(match (layers.last(), nodes.last()) {
            (Some(&layer), _) => {
                let layer = &self.model.layers[layer];
                let help = foreign_names::layer(&layer.class).map(str::to_string);
                (format!("`{}` ({})", layer.name, layer.class), nothing(), help)
            }
            (None, Some(&node)) => {
                let node = self.graph.node(node);
                (nothing(), format!("`{}` ({})", node.name, node.operation.definition().name), None)
            }
            (None, None) => return None,
        })
    }

    /// Whether weights of a layer are bound, under its name or below it.
    fn holds_weights(&self, layer: usize) -> bool {
        let name = &self.model.layers[layer].name;
        let is_below = |bound: &str| bound.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.names.values().any(|bound| bound == name || is_below(bound))
    }

    /// Whether two chains are known to begin at the same place.
    pub(super) fn is_same(&self, start: End<NodeId>, begin: End<usize>) -> bool {
        match (start, begin) {
            (End::Layer(node), End::Layer(layer)) => {
                self.layer_of(node).is_some_and(|own| self.model.whole(own) == self.model.whole(layer))
            }
            (End::Outside(node), End::Outside(_)) => {
                self.graph.node(node).origin.layers.iter().any(|(net, _)| **net == *self.net)
            }
            (End::Merge(_), End::Merge(_)) => true,
            _ => false,
        }
    }
}
