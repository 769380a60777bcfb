//! What is compared: a net, and the configuration in the file of its weights.

use super::Model;
use crate::graph::{Graph, NodeId};
use crate::source::Span;
use std::collections::BTreeMap;

/// A net bound to a file with a model configuration.
pub(in super::super) struct Bound<'a> {
    pub graph: &'a Graph,
    /// The net whose weights are in the file, and the span of its weights block.
    pub net: &'a str,
    pub span: Span,
    pub file: &'a str,
    /// The name in the file of each layer of the net.
    pub names: &'a BTreeMap<&'a str, String>,
    pub model: &'a Model,
}

impl Bound<'_> {
    /// The layer of the file whose weights a node takes.
    pub(super) fn layer_of(&self, id: NodeId) -> Option<usize> {
        let node = self.graph.node(id);
        if node.parameters.is_empty() {
            return None;
        }
        let (_, name) = node.origin.layers.iter().find(|(net, _)| **net == *self.net)?;
        let name = self.names.get(&**name)?;
        // The first of the two layers of a separable convolution has its window.
        self.model.find(name).or_else(|| self.model.find(&format!("{name}/depthwise")))
    }

    /// Height and width of a node's output.
    pub(super) fn size(&self, id: NodeId) -> [Option<usize>; 2] {
        match self.graph.node(id).output.image() {
            Some((height, width, _)) => [height.known(), width.known()],
            None => [Some(1), Some(1)],
        }
    }
}
