//! The network as a graph: layers in topological order, each with its type, its parameters and its origin in the spec.
//! A node cannot exist without its type: [`Graph::insert`] infers it, so a shape error is reported at the span of the layer.

pub mod axis;
pub mod changes;
pub(crate) mod disjoint_sets;
mod fusion;
mod id;
pub mod initializer;
mod lowering;
pub mod operation;
mod origin;
pub mod outline;
pub mod precision;
pub mod reference;
pub mod scope;
mod shape_error;
pub mod signature;
mod text;
pub mod training;
pub mod type_inference;
mod verify;

pub use axis::{AxisRule, ParameterKind};
pub use fusion::{Affine, FusionRole, Supports};
pub use id::{NodeId, ParameterId};
pub use initializer::Initializer;
pub use lowering::{Lowered, Lowering};
pub use operation::{Arity, Definition, Derivation, Graph, Node, Operation, Parameter, ParameterSpec, Part, PartInput};
pub use origin::{Mention, Origin};
pub use precision::{Int8Lowering, Precision};
pub use shape_error::ShapeError;
pub use signature::argument::Argument;
pub use signature::call::Arguments;
pub use signature::category::Category;
pub use signature::value::{Value, ValueKind, number_text};
pub use verify::GraphError;

pub use crate::plan::epilogue::Epilogue;
use crate::tensor::TensorType;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Node {
    /// Whether its name is generated, such as `concatenate-1`, not given by the text.
    pub fn has_generated_name(&self) -> bool {
        let stem = signature::definition::kebab_case(self.operation.kind());
        let number = self.name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
    }
}

/// A layer to insert.
#[derive(Clone, Debug)]
pub struct Insertion {
    pub name: String,
    pub operation: Arc<dyn Operation>,
    pub inputs: Vec<NodeId>,
    pub frozen: bool,
    pub origin: Origin,
}

impl Graph {
    /// The node of an id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The ids of all nodes in topological order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// The layers: all nodes except the placeholders of a fragment.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (self.open_inputs..self.nodes.len()).map(NodeId)
    }

    /// The nodes without inputs, in order.
    pub fn inputs(&self) -> Vec<NodeId> {
        self.ids().filter(|&id| self.node(id).inputs.is_empty()).collect()
    }

    /// The names of the outputs: of their layers, and with a number where a layer is an output again.
    pub fn output_names(&self) -> Vec<String> {
        let taken: BTreeSet<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        let mut last: BTreeMap<NodeId, usize> = BTreeMap::new();
        let name = |&id: &NodeId| {
            let name = &self.node(id).name;
            let number = last.entry(id).and_modify(|number| *number += 1).or_insert(1);
            if *number == 1 {
                return name.clone();
            }
            while taken.contains(format!("{name}-{number}").as_str()) {
                *number += 1;
            }
            format!("{name}-{number}")
        };
        self.outputs.iter().map(name).collect()
    }

    /// The node of a name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.ids().find(|&id| self.node(id).name == name)
    }

    /// The scopes of its layers: `fire2` of `fire2/squeeze1x1`.
    pub fn scopes(&self) -> BTreeSet<String> {
        let scopes = |name: &str| name.match_indices('/').map(|(at, _)| name[..at].to_string()).collect::<Vec<_>>();
        self.nodes.iter().flat_map(|node| scopes(&node.name)).collect()
    }

    /// The parameter of a node that has this role.
    pub fn parameter(&self, node: &Node, role: &str) -> Option<ParameterId> {
        node.parameters.iter().copied().find(|id| self.parameters[id.0].role == role)
    }

    /// The types of a node's inputs.
    pub fn input_types(&self, id: NodeId) -> Vec<&TensorType> {
        self.node(id).inputs.iter().map(|&input| &self.node(input).output).collect()
    }

    /// For each node, the nodes that read its output, once per use.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for id in self.ids() {
            for input in &self.node(id).inputs {
                consumers[input.0].push(id);
            }
        }
        consumers
    }

    /// Adds a layer after its inputs: infers its type and creates its parameters.
    ///
    /// # Errors
    /// If the inputs do not fit the layer.
    pub fn insert(&mut self, insertion: Insertion) -> Result<NodeId, ShapeError> {
        let Insertion { name, operation, inputs, frozen, origin } = insertion;
        let types: Vec<&TensorType> = inputs.iter().map(|&input| &self.node(input).output).collect();
        let (output, specs) = type_inference::infer(&*operation, &types)?;
        let mut parameters = Vec::with_capacity(specs.len());
        for spec in specs {
            self.parameters.push(Parameter {
                layer: name.clone(),
                role: spec.role,
                shape: spec.shape,
                initializer: spec.initializer,
                trainable: spec.trainable,
                frozen,
                layers: origin.layers.clone(),
                span: origin.span,
                derived: None,
                kind: spec.kind,
            });
            parameters.push(ParameterId(self.parameters.len() - 1));
        }
        let epilogue = Epilogue::default();
        let (fused_layers, cuts) = (Vec::new(), Vec::new());
        self.nodes.push(Node {
            name,
            operation,
            inputs,
            parameters,
            output,
            epilogue,
            precision: Precision::default(),
            frozen,
            origin,
            fused_layers,
            cuts,
        });
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// A one-line summary: `(?, 224, 224, 3) -> [... 41 layers ...] -> (?, 1000)`.
    pub fn summary(&self) -> String {
        let side = |ids: &[NodeId]| match ids {
            [one] => self.node(*one).output.to_string(),
            several => {
                let types: Vec<String> = several.iter().map(|&id| self.node(id).output.to_string()).collect();
                format!("[{}]", types.join(", "))
            }
        };
        let layers = self.nodes.len() - self.open_inputs;
        let noun = if layers == 1 { "layer" } else { "layers" };
        format!("{} -> [... {layers} {noun} ...] -> {}", side(&self.inputs()), side(&self.outputs))
    }

    /// The number of values of all parameters that are neither derived nor constant.
    pub fn parameter_count(&self) -> usize {
        let counts = |parameter: &&Parameter| parameter.derived.is_none() && !parameter.is_fixed();
        self.parameters.iter().filter(counts).map(Parameter::len).sum()
    }

    /// The multiply-adds of a node per image.
    pub fn macs(&self, id: NodeId) -> u64 {
        self.node(id).operation.macs(&self.input_types(id))
    }

    /// For each node, whether a given one depends on it; the given ones included.
    pub fn ancestors(&self, of: &[NodeId]) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        for id in of {
            reached[id.0] = true;
        }
        for id in self.ids().rev() {
            if reached[id.0] {
                for input in &self.node(id).inputs {
                    reached[input.0] = true;
                }
            }
        }
        reached
    }

    /// For each node, whether it depends on a given one; the given ones included.
    pub fn descendants(&self, of: &[NodeId]) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        for id in of {
            reached[id.0] = true;
        }
        for id in self.ids() {
            reached[id.0] |= self.node(id).inputs.iter().any(|input| reached[input.0]);
        }
        reached
    }

    /// Keeps the nodes for which `keep` is true, and the parameters that they use, with new ids. Inputs of kept nodes must be kept.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut new_ids = vec![NodeId(usize::MAX); self.nodes.len()];
        let mut nodes = Vec::new();
        for (index, node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            if keep[index] {
                new_ids[index] = NodeId(nodes.len());
                nodes.push(node);
            }
        }
        for node in &mut nodes {
            for input in &mut node.inputs {
                *input = new_ids[input.0];
            }
        }
        self.nodes = nodes;
        for output in &mut self.outputs {
            *output = new_ids[output.0];
        }
        self.retain_used_parameters();
    }

    /// Removes parameters that no node uses, directly or through a derivation. The others get new ids.
    fn retain_used_parameters(&mut self) {
        let mut used = vec![false; self.parameters.len()];
        let mut pending: Vec<ParameterId> =
            self.nodes.iter().flat_map(|node| node.parameters.iter().copied()).collect();
        while let Some(id) = pending.pop() {
            if !std::mem::replace(&mut used[id.0], true) {
                pending.extend(self.parameters[id.0].derived.iter().flat_map(Derivation::sources));
            }
        }
        let mut new_ids = vec![ParameterId(usize::MAX); self.parameters.len()];
        let mut next = 0;
        for (index, used) in used.iter().enumerate() {
            if *used {
                new_ids[index] = ParameterId(next);
                next += 1;
            }
        }
        let mut index = 0;
        self.parameters.retain(|_| {
            index += 1;
            used[index - 1]
        });
        let renew = |id: &mut ParameterId| *id = new_ids[id.0];
        self.nodes.iter_mut().flat_map(|node| &mut node.parameters).for_each(renew);
        let derivations = self.parameters.iter_mut().filter_map(|parameter| parameter.derived.as_mut());
        derivations.flat_map(Derivation::sources_mut).for_each(renew);
    }
}
