//! The layers of a net as plain data: what a comparison needs of a net whose spec is no longer there.

use super::{Graph, NodeId};
use serde::{Deserialize, Serialize};

/// The layers of a net in topological order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    pub layers: Vec<LayerOutline>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerOutline {
    pub name: String,
    /// Whether the text does not name it.
    pub has_generated_name: bool,
    /// The kind of its operation, and its name in specs.
    pub kind: String,
    pub layer: String,
    pub settings: Vec<(String, String)>,
    /// The indices of the layers before it.
    pub inputs: Vec<usize>,
    /// `(?, 8, 8, 16)`
    pub output: String,
    /// The number of values in its parameters, also where other layers share them.
    pub parameters: u64,
    pub frozen: bool,
}

impl Outline {
    /// The outline of a net.
    pub fn of(graph: &Graph) -> Outline {
        let layer = |id: NodeId| {
            let node = graph.node(id);
            let parameters = node.parameters.iter().map(|id| &graph.parameters[id.0]);
            LayerOutline {
                name: node.name.clone(),
                has_generated_name: node.has_generated_name(),
                kind: node.operation.kind().to_string(),
                layer: node.operation.definition().name.to_string(),
                settings: node
                    .operation
                    .settings()
                    .into_iter()
                    .map(|(name, value)| (name.to_string(), value))
                    .collect(),
                inputs: node.inputs.iter().map(|input| input.0).collect(),
                output: node.output.to_string(),
                parameters: parameters
                    .filter(|parameter| !parameter.is_fixed())
                    .map(|parameter| parameter.len() as u64)
                    .sum(),
                frozen: node.frozen,
            }
        };
        Outline { layers: graph.ids().map(layer).collect() }
    }

    /// Whether each layer is given by layers before it, as in the outline of a net; not so in a file that was changed.
    pub fn is_valid(&self) -> bool {
        self.layers.iter().enumerate().all(|(index, layer)| layer.inputs.iter().all(|&input| input < index))
    }

    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.layers.len()).map(NodeId)
    }

    pub(crate) fn layer(&self, id: NodeId) -> &LayerOutline {
        &self.layers[id.0]
    }
}
