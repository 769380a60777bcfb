//! The training-time form of layers and their gradients. Both are nodes of the same graph, so that the passes, the memory
//! planner and the lowering of inference serve training too.

mod lowered_op;

pub use super::operation::{Backward, Forward, TapeEntry};
pub use lowered_op::LoweredOp;

use super::type_inference::infer;
use super::{Epilogue, Graph, Lowered, Lowering, Node, NodeId, Operation, Origin, ParameterId, Part, Precision};
use crate::plan::kernel::Kernel;
use crate::tensor::{Size, TensorType};
use std::sync::Arc;

/// A tensor without a batch.
pub fn unbatched(sizes: &[usize]) -> TensorType {
    TensorType { sizes: sizes.iter().map(|&size| Size::Known(size)).collect(), batched: false }
}

impl Graph {
    /// Adds a node whose type and parameters are known.
    pub fn push_node(
        &mut self,
        name: &str,
        operation: Arc<dyn Operation>,
        inputs: &[NodeId],
        parameters: &[ParameterId],
        output: TensorType,
        origin: Origin,
    ) -> NodeId {
        self.nodes.push(Node {
            name: name.to_string(),
            operation,
            inputs: inputs.to_vec(),
            parameters: parameters.to_vec(),
            output,
            epilogue: Epilogue::default(),
            precision: Precision::default(),
            frozen: false,
            origin,
            fused_layers: Vec::new(),
            cuts: Vec::new(),
        });
        NodeId(self.nodes.len() - 1)
    }
}

/// The bits of an index of random values that tell layers apart; the upper ones tell the parts of a layer apart.
const PART_BITS: u32 = 24;

impl Forward<'_> {
    /// The sizes of an input, without the batch.
    pub fn sizes(&self, input: usize) -> Vec<usize> {
        sizes(self.graph, self.inputs[input])
    }

    /// Adds the layer as it is at inference, or the training-time forms of the layers that it is split into.
    ///
    /// # Errors
    /// If it does not take its inputs, or a part cannot be trained.
    pub fn add_unchanged(&mut self) -> Result<NodeId, String> {
        let types: Vec<&TensorType> = self.inputs.iter().map(|&input| &self.graph.node(input).output).collect();
        if let Some(parts) = self.operation.decompose(&types) {
            return self.add_parts(&parts);
        }
        let (operation, inputs, parameters) =
            (Arc::clone(&self.operation), self.inputs.clone(), self.parameters.clone());
        self.add_layer(operation, &inputs, &parameters)
    }

    /// Adds the training-time forms of the layers that this one is split into; the last one gives its output.
    ///
    /// # Errors
    /// If a part cannot be trained.
    pub fn add_parts(&mut self, parts: &[Part]) -> Result<NodeId, String> {
        let mut nodes: Vec<NodeId> = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let mut forward = Forward {
                graph: self.graph,
                tape: self.tape,
                operation: Arc::clone(&part.operation),
                name: part.node_name(&self.name, index + 1 == parts.len()),
                inputs: part.input_nodes(&self.inputs, &nodes),
                parameters: part.parameter_ids(&self.parameters),
                frozen: self.frozen,
                origin: self.origin.clone(),
                update: self.update,
                seed: self.seed,
                layer_index: self.layer_index ^ (index as u32) << PART_BITS,
            };
            nodes.push(part.operation.train(&mut forward)?);
        }
        nodes.last().copied().ok_or_else(|| "it is split into nothing".into())
    }

    /// Adds a layer that is a part of this one.
    ///
    /// # Errors
    /// If it does not take these inputs.
    pub fn add_layer(
        &mut self,
        operation: Arc<dyn Operation>,
        inputs: &[NodeId],
        parameters: &[ParameterId],
    ) -> Result<NodeId, String> {
        let types: Vec<&TensorType> = inputs.iter().map(|&input| &self.graph.node(input).output).collect();
        let (output, _) = infer(&*operation, &types).map_err(|error| error.message)?;
        let node =
            self.graph.push_node(&self.name, Arc::clone(&operation), inputs, parameters, output, self.origin.clone());
        self.graph.nodes[node.0].frozen = self.frozen;
        self.tape.push(TapeEntry {
            operation,
            node,
            inputs: inputs.to_vec(),
            parameters: parameters.to_vec(),
            frozen: self.frozen,
            saved: Vec::new(),
        });
        Ok(node)
    }

    /// Adds a step that is a part of the layer. It changes the first `changes` of the parameters.
    pub fn add_step(
        &mut self,
        what: &str,
        output: TensorType,
        lowered: Lowered,
        inputs: &[NodeId],
        parameters: &[ParameterId],
        changes: usize,
    ) -> NodeId {
        let name = if what.is_empty() { self.name.clone() } else { format!("{}/{what}", self.name) };
        self.graph.push_lowered(&name, output, lowered, inputs, parameters, changes)
    }

    /// Records that `node` computes the layer, with the tensors that its gradient needs.
    pub fn record(&mut self, node: NodeId, saved: Vec<NodeId>) -> NodeId {
        self.tape.push(TapeEntry {
            operation: Arc::clone(&self.operation),
            node,
            inputs: self.inputs.clone(),
            parameters: self.parameters.clone(),
            frozen: self.frozen,
            saved,
        });
        node
    }
}

impl Backward<'_> {
    /// The sizes of an input, without the batch.
    pub fn sizes(&self, input: usize) -> Vec<usize> {
        sizes(self.graph, self.layer.inputs[input])
    }

    /// Pixels and channels of an input.
    pub fn pixels_channels(&self, input: usize) -> (usize, usize) {
        pixels_channels(&self.sizes(input))
    }

    /// The lowering of the layer as it is at inference.
    pub fn lowering(&self) -> Lowering {
        let inputs = (0..self.layer.inputs.len()).map(|index| self.sizes(index)).collect();
        Lowering { inputs, epilogue: Epilogue::default(), exact: false }
    }

    /// The sizes of the output, without the batch.
    pub fn output_sizes(&self) -> Vec<usize> {
        sizes(self.graph, self.layer.node)
    }

    /// Adds a step, named after the layer and `by`, what it is the gradient of the loss by.
    pub fn add_step(
        &mut self,
        by: &str,
        output: TensorType,
        lowered: Lowered,
        inputs: &[NodeId],
        parameters: &[ParameterId],
    ) -> NodeId {
        let layer = &self.graph.node(self.layer.node).name;
        let name = if by.is_empty() { format!("d {layer}") } else { format!("d {layer}/{by}") };
        self.graph.push_lowered(&name, output, lowered, inputs, parameters, 0)
    }

    /// Adds a kernel on these tensors that computes the gradient by an input, if it is needed.
    pub fn grad_input(&mut self, input: usize, kernel: Kernel, from: &[NodeId], parameters: &[ParameterId]) {
        self.grad_input_lowered(input, Lowered::Step(kernel), from, parameters);
    }

    /// As [`Backward::grad_input`], with a kernel that may overwrite the first of the tensors.
    pub fn grad_input_in_place(&mut self, input: usize, kernel: Kernel, from: &[NodeId], parameters: &[ParameterId]) {
        self.grad_input_lowered(input, Lowered::InPlace(kernel), from, parameters);
    }

    /// As [`Backward::grad_input`], with a step or a view.
    pub fn grad_input_lowered(&mut self, input: usize, lowered: Lowered, from: &[NodeId], parameters: &[ParameterId]) {
        if self.needs_grad[input] {
            let output = self.graph.node(self.layer.inputs[input]).output.clone();
            let node = self.add_step("", output, lowered, from, parameters);
            self.input_gradients[input] = Some(node);
        }
    }

    /// Makes a node the gradient by an input.
    pub fn set_grad_input(&mut self, input: usize, node: NodeId) {
        self.input_gradients[input] = Some(node);
    }

    /// Adds a kernel on these tensors that computes the gradient by a parameter, if it is needed.
    pub fn grad_parameter(&mut self, parameter: usize, kernel: Kernel, from: &[NodeId]) {
        if self.needs_parameter_grad.get(parameter) == Some(&true) {
            let (role, len) = self.role_and_len(parameter);
            let node = self.add_step(role, unbatched(&[len]), Lowered::Step(kernel), from, &[]);
            self.parameter_gradients[parameter] = Some(node);
        }
    }

    /// Makes a slice of a node, from a float on, the gradient by a parameter, if it is needed.
    pub fn grad_parameter_slice(&mut self, parameter: usize, of: NodeId, from: usize) {
        if self.needs_parameter_grad.get(parameter) == Some(&true) {
            let (role, len) = self.role_and_len(parameter);
            let node = self.add_step(role, unbatched(&[len]), Lowered::Channels(from), &[of], &[]);
            self.parameter_gradients[parameter] = Some(node);
        }
    }

    /// A parameter's role and length.
    pub fn role_and_len(&self, parameter: usize) -> (&'static str, usize) {
        let parameter = &self.graph.parameters[self.layer.parameters[parameter].0];
        (parameter.role, parameter.len())
    }
}

fn sizes(graph: &Graph, node: NodeId) -> Vec<usize> {
    graph.node(node).output.known().unwrap_or_default()
}

/// Sizes without the batch as pixels and channels.
pub fn pixels_channels(sizes: &[usize]) -> (usize, usize) {
    let channels = sizes.last().copied().unwrap_or(1);
    (sizes.iter().product::<usize>() / channels.max(1), channels)
}
