//! What is compared: a net, and the configuration in the file of its weights.

use super::super::Model;
use super::chain::Written;
use super::walk::End;
use crate::graph::{Graph, NodeId};
use crate::ops::input::Input;
use crate::source::Span;
use std::collections::BTreeMap;

/// A net bound to a file with a model configuration.
pub(in crate::weights) struct Bound<'a> {
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

    /// Whether a node is an input that says how photos are read, which may be what the first layers of the file do.
    pub(super) fn reads_photos(&self, id: NodeId) -> bool {
        let input = self.graph.node(id).operation.as_any().downcast_ref::<Input>();
        input.is_some_and(|input| input.image.is_some())
    }

    /// Takes factors and shifts off the beginnings of two chains, where photos may be read so.
    pub(super) fn without_scaling(&self, start: End<NodeId>, chains: [&mut Vec<Written>; 2]) {
        if let End::Outside(input) = start
            && self.reads_photos(input)
        {
            for chain in chains {
                let scales =
                    |written: &&Written| matches!(written, Written::Function(function) if function.is_affine());
                let count = chain.iter().take_while(scales).count();
                chain.drain(..count);
            }
        }
    }

    /// Height and width of a node's output.
    pub(super) fn size(&self, id: NodeId) -> [Option<usize>; 2] {
        match self.graph.node(id).output.image() {
            Some((height, width, _)) => [height.known(), width.known()],
            None => [Some(1), Some(1)],
        }
    }
}
