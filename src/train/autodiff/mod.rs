//! Reverse-mode automatic differentiation, graph to graph: from a net to the graph of a training step (forward pass, loss,
//! backward pass, updates) and the graph of evaluation. Both go through passes and lowering like any other graph.

pub mod frozen_backbone;
pub mod loss_compatibility;
pub mod training_plans;

use crate::graph::training::{Backward, Forward, TapeEntry, pixels_channels, unbatched};
use crate::graph::{FusionRole, Graph, Initializer, Lowered, NodeId, Parameter, ParameterId, ParameterKind};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::combine::Merge;
use crate::kernels::training::loss::Loss;
use crate::kernels::training::optimizer::UpdateRule;
use crate::kernels::training::regularizer::Regularizer;
use crate::ops::input::Input;
use crate::plan::Kernel;
use crate::plan::kernel::UnbatchedStep;
use crate::plan::steps::merge::MergeStep;
use crate::plan::steps::training::update::{GradientBy, GradientNormStep, LossGradientStep, LossStep, UpdateStep};
use crate::tensor::TensorType;
use crate::train::evaluation::output_loss::loss_rows;
use std::collections::HashMap;
use std::sync::Arc;

/// The layer name of the optimizer's slots in the state.
pub const OPTIMIZER: &str = "optimizer";

/// The settings of a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub loss: Loss,
    pub rule: UpdateRule,
    /// The regularizer, and the roles of the parameters that it leaves out.
    pub penalty: Option<(Regularizer, Vec<String>)>,
    /// Clips each value of a gradient to plus and minus this.
    pub clip: Option<f32>,
    /// Scales the gradients so that their global norm is at most this.
    pub norm: Option<f32>,
    /// Whether samples (or the positions of an output) have weights in the loss.
    pub weighted: bool,
    /// Whether they have weights in evaluation, too.
    pub evaluation_weighted: bool,
    /// The seed of dropout and noise.
    pub seed: u64,
}

/// The graphs of training.
#[derive(Debug)]
pub struct Differentiated {
    /// From the net's inputs, the targets (and the weights) to the loss, the prediction (and the penalty).
    pub step: Graph,
    /// From the net's inputs, the targets (and the weights) to the loss and the prediction.
    pub evaluation: Graph,
    /// Whether the step gives a penalty.
    pub penalized: bool,
}

/// The reason why a net cannot be trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Untrainable {
    /// The node of the net that has no gradient.
    pub node: NodeId,
    pub message: String,
}

/// Differentiates a net with one output.
///
/// # Errors
/// A layer without a gradient between the loss and trained parameters.
pub fn differentiate(net: &Graph, settings: &Settings) -> Result<Differentiated, Untrainable> {
    let output = net.outputs[0];
    let mut evaluation = net.clone();
    let (_, loss) = add_loss(&mut evaluation, output, settings.loss, settings.evaluation_weighted);
    evaluation.outputs = vec![loss, output];
    let (step, penalized) = Trainer::new(net, settings).step(net)?;
    Ok(Differentiated { step, evaluation, penalized })
}

/// Adds the inputs for targets and weights, and the loss. Returns the loss's inputs and the loss.
fn add_loss(graph: &mut Graph, prediction: NodeId, loss: Loss, weighted: bool) -> (Vec<NodeId>, NodeId) {
    let shape = graph.node(prediction).output.clone();
    let mut loss_inputs = vec![prediction, add_input(graph, "targets", shape.clone())];
    let (pixels, features) = loss_rows(loss, weighted, &shape.known().unwrap_or_default());
    if weighted {
        loss_inputs.push(add_input(graph, "weights", TensorType::of(&[pixels])));
    }
    let step = LossStep { loss, pixels, features, weighted };
    let node = graph.push_lowered("loss", unbatched(&[1]), Lowered::Step(Kernel::Loss(step)), &loss_inputs, &[], 0);
    (loss_inputs, node)
}

fn add_input(graph: &mut Graph, name: &str, shape: TensorType) -> NodeId {
    let origin = graph.nodes[0].origin.clone();
    let operation = Arc::new(Input { shape: shape.clone(), image: None });
    graph.push_node(name, operation, &[], &[], shape, origin)
}

/// Builds the graph of a training step.
struct Trainer<'s> {
    settings: &'s Settings,
    graph: Graph,
    tape: Vec<TapeEntry>,
    /// The parameters for the number of updates so far and the current learning rate.
    update: ParameterId,
    rate: ParameterId,
    /// The contributions so far to the gradient of each node's output and of each parameter.
    node_gradients: HashMap<NodeId, Vec<NodeId>>,
    parameter_gradients: HashMap<ParameterId, Vec<NodeId>>,
    penalties: Vec<NodeId>,
}

impl<'s> Trainer<'s> {
    fn new(net: &Graph, settings: &'s Settings) -> Self {
        let mut graph = Graph { name: format!("{}/step", net.name), ..Graph::default() };
        graph.parameters.clone_from(&net.parameters);
        let mut add_slot = |role| {
            graph.parameters.push(Parameter {
                layer: OPTIMIZER.into(),
                role,
                shape: vec![1],
                initializer: Initializer::Constant(0.0),
                trainable: false,
                frozen: false,
                layers: Vec::new(),
                span: net.nodes[0].origin.span,
                derived: None,
                kind: ParameterKind::Values,
            });
            ParameterId(graph.parameters.len() - 1)
        };
        let (rate, update) = (add_slot("rate"), add_slot("update"));
        Trainer {
            settings,
            graph,
            tape: Vec::new(),
            update,
            rate,
            node_gradients: HashMap::new(),
            parameter_gradients: HashMap::new(),
            penalties: Vec::new(),
        }
    }

    fn step(mut self, net: &Graph) -> Result<(Graph, bool), Untrainable> {
        let nodes = self.forward(net)?;
        let error = |step_node: NodeId, message: String| {
            // The layer of the net that this node of the step belongs to.
            let node = net.ids().rev().find(|id| nodes[id.0] <= step_node).unwrap_or(NodeId(0));
            Untrainable { node, message }
        };
        let prediction = nodes[net.outputs[0].0];
        let (loss_inputs, loss) = add_loss(&mut self.graph, prediction, self.settings.loss, self.settings.weighted);
        let layers = self.add_loss_gradient(prediction, &loss_inputs);
        self.backward(layers).map_err(|(node, message)| error(node, message))?;
        self.graph.outputs = vec![loss, prediction];
        let penalty = self.sum_penalties();
        self.graph.outputs.extend(penalty);
        self.graph.debug_verify("differentiation");
        Ok((self.graph, penalty.is_some()))
    }

    /// Adds the forward pass in training mode. Returns the node of each layer.
    fn forward(&mut self, net: &Graph) -> Result<Vec<NodeId>, Untrainable> {
        let mut nodes: Vec<NodeId> = Vec::with_capacity(net.nodes.len());
        for id in net.ids() {
            let node = net.node(id);
            let inputs: Vec<NodeId> = node.inputs.iter().map(|input| nodes[input.0]).collect();
            if inputs.is_empty() {
                let (operation, output) = (Arc::clone(&node.operation), node.output.clone());
                let origin = node.origin.clone();
                nodes.push(self.graph.push_node(&node.name, operation, &[], &[], output, origin));
                continue;
            }
            let mut forward = Forward {
                graph: &mut self.graph,
                tape: &mut self.tape,
                operation: Arc::clone(&node.operation),
                name: node.name.clone(),
                inputs,
                parameters: node.parameters.clone(),
                frozen: node.frozen,
                origin: node.origin.clone(),
                update: self.update,
                seed: self.settings.seed,
                layer_index: id.0 as u32,
            };
            let added = node.operation.train(&mut forward);
            nodes.push(added.map_err(|message| Untrainable { node: id, message })?);
        }
        Ok(nodes)
    }

    /// Starts the backward pass with the gradient of the loss by the prediction, or by the logits of a fused softmax or
    /// sigmoid. Returns the number of layers that remain on the tape.
    fn add_loss_gradient(&mut self, prediction: NodeId, loss_inputs: &[NodeId]) -> usize {
        let Settings { loss, weighted, .. } = *self.settings;
        let last = self.tape.last().filter(|last| last.node == prediction);
        let by = match (loss, last.map(|last| last.operation.fusion_role())) {
            (Loss::CategoricalCrossentropy, Some(FusionRole::Softmax)) => GradientBy::SoftmaxLogits,
            (Loss::BinaryCrossentropy, Some(FusionRole::Activation(Activation::Sigmoid))) => GradientBy::SigmoidLogits,
            _ => GradientBy::Prediction,
        };
        let (node_of_gradient, layers) = match last {
            Some(last) if by != GradientBy::Prediction => (last.inputs[0], self.tape.len() - 1),
            _ => (prediction, self.tape.len()),
        };
        let shape = self.graph.node(prediction).output.clone();
        let (pixels, features) = loss_rows(loss, weighted, &shape.known().unwrap_or_default());
        let step = LossGradientStep { loss, by, pixels, features, weighted };
        let node =
            self.graph.push_lowered("d loss", shape, Lowered::Step(Kernel::LossGradient(step)), loss_inputs, &[], 0);
        self.node_gradients.insert(node_of_gradient, vec![node]);
        layers
    }

    /// The backward pass through the first `layers` of the tape. Parameters are updated as soon as no gradient needs them.
    fn backward(&mut self, layers: usize) -> Result<(), (NodeId, String)> {
        let tape = std::mem::take(&mut self.tape);
        let is_trained = |layer: &TapeEntry, parameter: &ParameterId| {
            let parameter = &self.graph.parameters[parameter.0];
            parameter.trainable && !parameter.frozen && !layer.frozen
        };
        let trained: Vec<Vec<bool>> =
            tape.iter().map(|layer| layer.parameters.iter().map(|id| is_trained(layer, id)).collect()).collect();
        let mut users: HashMap<ParameterId, usize> = HashMap::new();
        let mut needs_gradient = vec![false; self.graph.nodes.len()];
        for (layer, trained) in tape.iter().zip(&trained) {
            for (id, _) in layer.parameters.iter().zip(trained).filter(|(_, trained)| **trained) {
                *users.entry(*id).or_default() += 1;
            }
            needs_gradient[layer.node.0] =
                trained.contains(&true) || layer.inputs.iter().any(|input| needs_gradient[input.0]);
        }
        let mut pending = Vec::new();
        for (layer, trained) in tape[..layers].iter().zip(&trained).rev() {
            if let Some(gradients) = self.node_gradients.remove(&layer.node)
                && needs_gradient[layer.node.0]
            {
                let gradient = self.sum(gradients);
                let input_gradients = vec![None; layer.inputs.len()];
                let parameter_gradients = vec![None; layer.parameters.len()];
                let mut backward = Backward {
                    graph: &mut self.graph,
                    layer,
                    gradient,
                    needs_grad: layer.inputs.iter().map(|input| needs_gradient[input.0]).collect(),
                    needs_parameter_grad: trained.clone(),
                    input_gradients,
                    parameter_gradients,
                    update: self.update,
                };
                layer.operation.differentiate(&mut backward).map_err(|message| (layer.node, message))?;
                let Backward { input_gradients, parameter_gradients, needs_grad, .. } = backward;
                for ((input, gradient), wants) in layer.inputs.iter().zip(input_gradients).zip(needs_grad) {
                    if let (Some(gradient), true) = (gradient, wants) {
                        self.node_gradients.entry(*input).or_default().push(gradient);
                    }
                }
                for (parameter, gradient) in layer.parameters.iter().zip(parameter_gradients) {
                    if let Some(gradient) = gradient {
                        self.parameter_gradients.entry(*parameter).or_default().push(gradient);
                    }
                }
            }
            for (id, _) in layer.parameters.iter().zip(trained).filter(|(_, trained)| **trained) {
                let remaining = users.entry(*id).or_insert(1);
                *remaining -= 1;
                // A shared parameter is updated after its last use in the backward pass.
                if *remaining == 0
                    && let Some(gradients) = self.parameter_gradients.remove(id)
                {
                    let gradient = self.sum(gradients);
                    pending.push((*id, gradient));
                }
            }
            if self.settings.norm.is_none() {
                for (parameter, gradient) in pending.drain(..) {
                    self.update(parameter, &[gradient]);
                }
            }
        }
        if !pending.is_empty() {
            let gradients: Vec<NodeId> = pending.iter().map(|(_, gradient)| *gradient).collect();
            let lengths = pending.iter().map(|(parameter, _)| self.graph.parameters[parameter.0].len()).collect();
            let step = Lowered::Step(Kernel::GradientNorm(GradientNormStep { lengths }));
            let norm = self.graph.push_lowered("norm", unbatched(&[1]), step, &gradients, &[], 0);
            for (parameter, gradient) in pending {
                self.update(parameter, &[gradient, norm]);
            }
        }
        Ok(())
    }

    /// The sum of gradients that come from several nodes.
    fn sum(&mut self, gradients: Vec<NodeId>) -> NodeId {
        let [first, _, ..] = gradients[..] else { return gradients[0] };
        let output = self.graph.node(first).output.clone();
        let (pixels, channels) = pixels_channels(&output.known().unwrap_or_default());
        let merge = MergeStep { pixels, channels, merge: Merge::Add, activation: Activation::Linear };
        let kernel = match output.batched {
            true => Kernel::Merge(merge),
            false => Kernel::Unbatched(UnbatchedStep { kernel: Box::new(Kernel::Merge(merge)) }),
        };
        let name = format!("{}, summed", self.graph.node(first).name);
        self.graph.push_lowered(&name, output, Lowered::Step(kernel), &gradients, &[], 0)
    }

    /// Adds the optimizer's update of a parameter, from its gradient (and the global norm).
    fn update(&mut self, id: ParameterId, gradients: &[NodeId]) {
        const SLOTS: [&str; 3] = ["slot1", "slot2", "slot3"];
        let parameter = self.graph.parameters[id.0].clone();
        let mut parameters = vec![id];
        for (slot, name) in SLOTS.iter().take(self.settings.rule.slots()).enumerate() {
            self.graph.parameters.push(Parameter {
                layer: format!("{OPTIMIZER}/{}", parameter.path()),
                role: name,
                initializer: Initializer::Constant(f64::from(self.settings.rule.slot_start(slot))),
                trainable: false,
                ..parameter.clone()
            });
            parameters.push(ParameterId(self.graph.parameters.len() - 1));
        }
        let changed = parameters.len();
        parameters.extend([self.rate, self.update]);
        let penalty = self.settings.penalty.as_ref();
        let penalty = penalty.filter(|(_, excluded)| !excluded.iter().any(|role| role == parameter.role));
        let penalty = penalty.map(|(penalty, _)| *penalty);
        let Settings { rule, clip, norm, .. } = *self.settings;
        let step = UpdateStep { len: parameter.len(), rule, penalty, clip, norm };
        let name = format!("update {}", parameter.path());
        let step = Lowered::Step(Kernel::Update(step));
        let node = self.graph.push_lowered(&name, unbatched(&[1]), step, gradients, &parameters, changed);
        if penalty.is_some() {
            self.penalties.push(node);
        }
    }

    /// Adds the sum of the parameters' penalties, if there are any.
    fn sum_penalties(&mut self) -> Option<NodeId> {
        let penalties = std::mem::take(&mut self.penalties);
        (!penalties.is_empty()).then(|| self.sum(penalties))
    }
}
