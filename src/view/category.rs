//! The families of layers, which a drawing tells apart by colour.

use crate::graph::{Graph, NodeId};

/// What a layer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Input,
    Convolution,
    Dense,
    Recurrent,
    Pool,
    Activation,
    Norm,
    Merge,
    Shape,
    Regulariser,
}

impl Family {
    /// The family of a layer: by what its operation says of itself, then by its name.
    pub fn of(graph: &Graph, id: NodeId) -> Family {
        let node = graph.node(id);
        let operation = &node.operation;
        let name = operation.definition().name;
        let holds = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        let weighs = node.parameters.iter().any(|id| graph.parameters[id.0].role == "weight");
        match () {
            () if name == "Input" => Family::Input,
            () if operation.merges() => Family::Merge,
            () if holds(&["onvolution"]) => Family::Convolution,
            () if holds(&["LSTM", "GRU", "Recurrent"]) => Family::Recurrent,
            () if holds(&["Pool"]) => Family::Pool,
            () if holds(&["Norm"]) => Family::Norm,
            () if holds(&["Drop", "Noise"]) => Family::Regulariser,
            () if weighs => Family::Dense,
            () if operation.activation().is_some() || operation.is_softmax() || holds(&["Relu"]) => Family::Activation,
            () => Family::Shape,
        }
    }

    /// The word in the legend.
    pub fn word(self) -> &'static str {
        match self {
            Family::Input => "input",
            Family::Convolution => "convolution",
            Family::Dense => "dense",
            Family::Recurrent => "recurrent",
            Family::Pool => "pooling",
            Family::Activation => "activation",
            Family::Norm => "normalisation",
            Family::Merge => "merge",
            Family::Shape => "shape",
            Family::Regulariser => "regulariser",
        }
    }

    /// Fill and line. Light fills with dark text in them read on light and on dark pages alike.
    pub fn colours(self) -> (&'static str, &'static str) {
        match self {
            Family::Input => ("#e6e8eb", "#8c959f"),
            Family::Convolution => ("#d4e3f7", "#5b8bc7"),
            Family::Dense => ("#e3dbf5", "#8a6fc4"),
            Family::Recurrent => ("#d0edf1", "#4a98a8"),
            Family::Pool => ("#f9dcd7", "#cc7768"),
            Family::Activation => ("#fbeec8", "#c29a2e"),
            Family::Norm => ("#d5efe1", "#4f9e78"),
            Family::Merge => ("#fde2c4", "#cf8a3c"),
            Family::Shape => ("#efece4", "#9a9484"),
            Family::Regulariser => ("#f3dcea", "#b8709c"),
        }
    }

    /// Whether its layers keep the shape and are drawn as tags of the box before them.
    pub fn is_pointwise(self) -> bool {
        matches!(self, Family::Activation | Family::Norm | Family::Regulariser)
    }

    /// Whether one line says all of its layers.
    pub fn is_compact(self) -> bool {
        matches!(self, Family::Merge | Family::Shape)
    }
}
