//! What operations say of training: what they do while a net is trained, and their gradients. Both are written as more
//! layers of the same graph, so that the passes, the memory planner and the kernels of inference serve training too.

use super::type_inference::infer;
use super::{
    Arity, Category, Definition, Epilogue, Graph, Lowered, Lowering, Node, NodeId, Operation, Origin, ParameterId,
    ShapeError,
};
use crate::plan::kernel::Kernel;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A step of training that no spec can write: a gradient, a loss, an update. It was lowered when it was made, as all
/// sizes are known then.
#[derive(Debug)]
pub struct LoweredOp {
    output: TensorType,
    lowered: Lowered,
    changes: usize,
}

static COMPUTED: Definition = Definition {
    name: "step",
    aliases: &[],
    kind: "Step",
    category: Category::Shape,
    summary: "A step of training.",
    arguments: &[],
    details: "",
    example: "",
    build: |arguments| Err(arguments.wrong("step", "a spec cannot write it")),
};

impl Operation for LoweredOp {
    fn definition(&self) -> &'static Definition {
        &COMPUTED
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let text = match &self.lowered {
            Lowered::Step(kernel) | Lowered::InPlace(kernel) => kernel.describe(),
            Lowered::View => "the same values".into(),
            Lowered::Channels(from) => format!("from {from} on"),
            Lowered::Concatenate { rows } => format!("{rows} rows beside each other"),
        };
        vec![("does", text)]
    }

    fn infer(&self, _: &[&TensorType]) -> Result<TensorType, ShapeError> {
        Ok(self.output.clone())
    }

    /// It has none: a gradient is held against differences of its layer's own evaluation.
    fn evaluate(&self, _: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        ArrayD::zeros(IxDyn(&[0]))
    }

    fn lower(&self, _: &Lowering) -> Result<Lowered, String> {
        Ok(self.lowered.clone())
    }

    fn arity(&self) -> Arity {
        Arity::Many
    }

    fn changes(&self) -> usize {
        self.changes
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A tensor without a batch.
pub fn whole(sizes: &[usize]) -> TensorType {
    TensorType { sizes: sizes.iter().map(|&size| Size::Known(size)).collect(), batched: false }
}

impl Graph {
    /// Adds a step of training behind its inputs. Of the parameters the first `changes` ones are changed by it.
    pub fn compute(
        &mut self,
        name: &str,
        output: TensorType,
        lowered: Lowered,
        inputs: &[NodeId],
        parameters: &[ParameterId],
        changes: usize,
    ) -> NodeId {
        let origin = self.node(inputs.first().copied().unwrap_or(NodeId(0))).origin.clone();
        let operation = Arc::new(LoweredOp { output: output.clone(), lowered, changes });
        self.attach(name, operation, inputs, parameters, output, origin)
    }

    /// Adds a layer that has its parameters already.
    pub fn attach(
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
            frozen: false,
            origin,
            fused_layers: Vec::new(),
            cuts: Vec::new(),
        });
        NodeId(self.nodes.len() - 1)
    }
}

/// A layer on the way forward, and what its gradient will ask for.
#[derive(Clone, Debug)]
pub struct TapeEntry {
    pub operation: Arc<dyn Operation>,
    pub node: NodeId,
    /// What the layer took; the node itself may take more.
    pub inputs: Vec<NodeId>,
    pub parameters: Vec<ParameterId>,
    pub frozen: bool,
    /// What it computed besides its output.
    pub saved: Vec<NodeId>,
}

/// The way forward of a step of training, layer by layer.
#[derive(Debug)]
pub struct Forward<'g> {
    pub graph: &'g mut Graph,
    /// The layers so far, in order.
    pub passed: &'g mut Vec<TapeEntry>,
    /// The layer, and its name.
    pub operation: Arc<dyn Operation>,
    pub name: String,
    pub inputs: Vec<NodeId>,
    pub parameters: Vec<ParameterId>,
    /// Not trained, and at rest.
    pub frozen: bool,
    pub origin: Origin,
    /// The number of updates so far, as the bits of an integer: what random values depend on.
    pub update: ParameterId,
    /// What random values are made from, and what makes a layer's its own.
    pub seed: u64,
    pub place: u32,
}

impl Forward<'_> {
    /// The sizes of an input, without the batch.
    pub fn sizes(&self, input: usize) -> Vec<usize> {
        sizes(self.graph, self.inputs[input])
    }

    /// Adds the layer as it is: it does in training what it does at inference.
    ///
    /// # Errors
    /// Where it does not take its inputs.
    pub fn same(&mut self) -> Result<NodeId, String> {
        let (operation, inputs, parameters) =
            (Arc::clone(&self.operation), self.inputs.clone(), self.parameters.clone());
        self.layer(operation, &inputs, &parameters)
    }

    /// Adds a layer that is a part of this one.
    ///
    /// # Errors
    /// Where it does not take these inputs.
    pub fn layer(
        &mut self,
        operation: Arc<dyn Operation>,
        inputs: &[NodeId],
        parameters: &[ParameterId],
    ) -> Result<NodeId, String> {
        let types: Vec<&TensorType> = inputs.iter().map(|&input| &self.graph.node(input).output).collect();
        let (output, _) = infer(&*operation, &types).map_err(|error| error.message)?;
        let node =
            self.graph.attach(&self.name, Arc::clone(&operation), inputs, parameters, output, self.origin.clone());
        self.graph.nodes[node.0].frozen = self.frozen;
        self.passed.push(TapeEntry {
            operation,
            node,
            inputs: inputs.to_vec(),
            parameters: parameters.to_vec(),
            frozen: self.frozen,
            saved: Vec::new(),
        });
        Ok(node)
    }

    /// Adds a step that is a part of the layer.
    pub fn step(
        &mut self,
        what: &str,
        output: TensorType,
        lowered: Lowered,
        inputs: &[NodeId],
        parameters: &[ParameterId],
        changes: usize,
    ) -> NodeId {
        let name = if what.is_empty() { self.name.clone() } else { format!("{}/{what}", self.name) };
        self.graph.compute(&name, output, lowered, inputs, parameters, changes)
    }

    /// Notes that the layer was computed by `node`, with what its gradient needs.
    pub fn pass(&mut self, node: NodeId, saved: Vec<NodeId>) -> NodeId {
        self.passed.push(TapeEntry {
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

/// A layer on the way back.
#[derive(Debug)]
pub struct Backward<'g> {
    pub graph: &'g mut Graph,
    pub layer: &'g TapeEntry,
    /// The gradient of the loss by the layer's output.
    pub gradient: NodeId,
    /// Which inputs and parameters a gradient is wanted by.
    pub needs_grad: Vec<bool>,
    pub wants_parameter: Vec<bool>,
    /// The gradients so far.
    pub by_input: Vec<Option<NodeId>>,
    pub by_parameter: Vec<Option<NodeId>>,
    pub update: ParameterId,
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

    /// What lowering the layer as it is starts from.
    pub fn lowering(&self) -> Lowering {
        let inputs = (0..self.layer.inputs.len()).map(|index| self.sizes(index)).collect();
        Lowering { inputs, epilogue: Epilogue::default(), exact: false }
    }

    /// The sizes of the output, without the batch.
    pub fn output_sizes(&self) -> Vec<usize> {
        sizes(self.graph, self.layer.node)
    }

    /// Adds a step. Its name says what it is the gradient by.
    pub fn step(
        &mut self,
        by: &str,
        output: TensorType,
        lowered: Lowered,
        inputs: &[NodeId],
        parameters: &[ParameterId],
    ) -> NodeId {
        let layer = &self.graph.node(self.layer.node).name;
        let name = if by.is_empty() { format!("d {layer}") } else { format!("d {layer}/{by}") };
        self.graph.compute(&name, output, lowered, inputs, parameters, 0)
    }

    /// The gradient by an input is what a kernel makes of these tensors.
    pub fn grad_input(&mut self, input: usize, kernel: Kernel, from: &[NodeId], parameters: &[ParameterId]) {
        self.grad_input_lowered(input, Lowered::Step(kernel), from, parameters);
    }

    /// The same, by a kernel that may write over the first of the tensors.
    pub fn grad_input_over(&mut self, input: usize, kernel: Kernel, from: &[NodeId], parameters: &[ParameterId]) {
        self.grad_input_lowered(input, Lowered::InPlace(kernel), from, parameters);
    }

    /// The same, however it comes about; nothing is added where nobody wants it.
    pub fn grad_input_lowered(&mut self, input: usize, lowered: Lowered, from: &[NodeId], parameters: &[ParameterId]) {
        if self.needs_grad[input] {
            let output = self.graph.node(self.layer.inputs[input]).output.clone();
            let node = self.step("", output, lowered, from, parameters);
            self.by_input[input] = Some(node);
        }
    }

    /// The gradient by an input is this.
    pub fn grad_input_is(&mut self, input: usize, node: NodeId) {
        self.by_input[input] = Some(node);
    }

    /// The gradient by a parameter is what a kernel makes of these tensors.
    pub fn grad_parameter(&mut self, parameter: usize, kernel: Kernel, from: &[NodeId]) {
        if self.wants_parameter.get(parameter) == Some(&true) {
            let (role, len) = self.parameter(parameter);
            let node = self.step(role, whole(&[len]), Lowered::Step(kernel), from, &[]);
            self.by_parameter[parameter] = Some(node);
        }
    }

    /// The gradient by a parameter is a part of this, from a float on.
    pub fn grad_parameter_part(&mut self, parameter: usize, of: NodeId, from: usize) {
        if self.wants_parameter.get(parameter) == Some(&true) {
            let (role, len) = self.parameter(parameter);
            let node = self.step(role, whole(&[len]), Lowered::Channels(from), &[of], &[]);
            self.by_parameter[parameter] = Some(node);
        }
    }

    /// A parameter's role, and how many values it has.
    pub fn parameter(&self, parameter: usize) -> (&'static str, usize) {
        let parameter = &self.graph.parameters[self.layer.parameters[parameter].0];
        (parameter.role, parameter.len())
    }
}

fn sizes(graph: &Graph, node: NodeId) -> Vec<usize> {
    graph.node(node).output.known().unwrap_or_default()
}

/// Sizes as pixels and channels.
pub fn pixels_channels(sizes: &[usize]) -> (usize, usize) {
    let channels = sizes.last().copied().unwrap_or(1);
    (sizes.iter().product::<usize>() / channels.max(1), channels)
}
