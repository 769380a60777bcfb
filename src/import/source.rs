//! A model as the layers of a spec, and what is asked of it.

use super::layers::Layers;
use crate::onnx::twins::Twin;
use std::collections::HashMap;

/// What to import of a model.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Height and width of inputs that leave them open.
    pub size: Option<[usize; 2]>,
    /// The node, the value or the layer up to which is imported.
    pub until: Option<String>,
}

/// A model as the layers of a spec, whoever made it.
pub(super) struct Source {
    pub layers: Layers,
    /// Nets of their own, by name.
    pub parts: Vec<(String, Layers)>,
    /// The sizes of inputs and outputs in the spec, without the batch.
    pub inputs: Vec<Vec<usize>>,
    pub outputs: Vec<Vec<usize>>,
    /// The lines of the comment above the net.
    pub head: Vec<String>,
    /// Whether its axes are in the order of the model wherever that matters to weights.
    pub explicit_axes: bool,
    /// Whether it ends before the model does, which is no contradiction to the model.
    pub ends_early: bool,
    /// Layers that have the parameters of others.
    pub twins: HashMap<String, Twin>,
    pub labels: Option<Vec<String>>,
    /// The nodes or layers that it is made of, and what they are called.
    pub nodes: usize,
    pub noun: &'static str,
}
