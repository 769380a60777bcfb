//! The graph of a training step: the forward pass, the losses, and the backward pass, which `updates.rs` ends.

use super::settings::{OutputSettings, Settings};
use crate::graph::training::{Backward, Forward, TapeEntry, pixels_channels, unbatched};
use crate::graph::{FusionRole, Graph, Initializer, Lowered, NodeId, Parameter, ParameterId, ParameterKind};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::combine::Merge;
use crate::kernels::training::loss::Loss;
use crate::ops::input::Input;
use crate::plan::Kernel;
use crate::plan::kernel::UnbatchedStep;
use crate::plan::steps::merge::MergeStep;
use crate::plan::steps::training::update::{ACCUMULATION, GradientBy, GradientNormStep, LossGradientStep, LossStep};
use crate::tensor::TensorType;
use crate::train::evaluation::output_loss::loss_rows;
use std::collections::HashMap;
use std::sync::Arc;

/// The layer name of the optimizer's slots in the state.
pub const OPTIMIZER: &str = "optimizer";
/// The role of the moving average of a parameter, whose layer is [`OPTIMIZER`] and the parameter's path.
pub const AVERAGE: &str = "average";

/// The reason why a net cannot be trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Untrainable {
    /// The node of the net that has no gradient.
    pub node: NodeId,
    pub message: String,
}

/// Builds the graph of a training step.
pub(super) struct Trainer<'s> {
    pub(super) settings: &'s Settings,
    pub(super) graph: Graph,
    pub(super) tape: Vec<TapeEntry>,
    /// The parameters for the number of updates so far, that of batches, and the current learning rate.
    pub(super) update: ParameterId,
    pub(super) batch: ParameterId,
    pub(super) rate: ParameterId,
    /// By what gradients are accumulated, if they are: see [`AccumulateStep`].
    pub(super) accumulation: Option<ParameterId>,
    /// The contributions so far to the gradient of each node's output and of each parameter.
    pub(super) node_gradients: HashMap<NodeId, Vec<NodeId>>,
    pub(super) parameter_gradients: HashMap<ParameterId, Vec<NodeId>>,
    pub(super) penalties: Vec<NodeId>,
}

impl<'s> Trainer<'s> {
    pub(super) fn new(net: &Graph, settings: &'s Settings) -> Self {
        let mut graph = Graph { name: format!("{}/step", net.name), ..Graph::default() };
        graph.parameters.clone_from(&net.parameters);
        let mut add_slot = |role, len| {
            graph.parameters.push(Parameter {
                layer: OPTIMIZER.into(),
                role,
                shape: vec![len],
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
        let (rate, update) = (add_slot("rate", 1), add_slot("update", 1));
        // Random numbers differ from batch to batch, also where several batches make an update.
        let accumulation = settings.accumulated.then(|| (add_slot("batch", 1), add_slot("accumulation", ACCUMULATION)));
        Trainer {
            settings,
            graph,
            tape: Vec::new(),
            update,
            batch: accumulation.map_or(update, |(batch, _)| batch),
            rate,
            accumulation: accumulation.map(|(_, accumulation)| accumulation),
            node_gradients: HashMap::new(),
            parameter_gradients: HashMap::new(),
            penalties: Vec::new(),
        }
    }

    pub(super) fn step(mut self, net: &Graph) -> Result<(Graph, bool), Untrainable> {
        let nodes = self.forward(net)?;
        let error = |step_node: NodeId, message: String| {
            // The layer of the net that this node of the step belongs to.
            let node = net.ids().rev().find(|id| nodes[id.0] <= step_node).unwrap_or(NodeId(0));
            Untrainable { node, message }
        };
        let predictions: Vec<NodeId> = net.outputs.iter().map(|output| nodes[output.0]).collect();
        let outputs: Vec<(NodeId, OutputSettings)> =
            predictions.iter().copied().zip(self.settings.outputs.iter().copied()).collect();
        let mut losses = Vec::with_capacity(outputs.len());
        let mut loss_inputs = Vec::with_capacity(outputs.len());
        for (prediction, settings) in &outputs {
            let (inputs, loss) = add_loss(&mut self.graph, *prediction, settings.loss, settings.weighted);
            losses.push(loss);
            loss_inputs.push(inputs);
        }
        let mut skipped = Vec::new();
        for ((prediction, settings), inputs) in outputs.into_iter().zip(&loss_inputs) {
            skipped.extend(self.add_loss_gradient(prediction, inputs, settings));
        }
        self.backward(&skipped).map_err(|(node, message)| error(node, message))?;
        self.graph.outputs = losses.into_iter().chain(predictions).collect();
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
                update: self.batch,
                seed: self.settings.seed,
                layer_index: id.0 as u32,
            };
            let added = node.operation.train(&mut forward);
            nodes.push(added.map_err(|message| Untrainable { node: id, message })?);
        }
        Ok(nodes)
    }

    /// Starts the backward pass of an output with the gradient of its loss by the prediction, or by the logits of a softmax or
    /// sigmoid. Returns that layer, which the backward pass then leaves out.
    fn add_loss_gradient(
        &mut self,
        prediction: NodeId,
        loss_inputs: &[NodeId],
        settings: OutputSettings,
    ) -> Option<NodeId> {
        let OutputSettings { loss, factor, weighted, .. } = settings;
        // The gradient by the logits is that of this loss alone: nothing else may use the prediction.
        let is_only_use = |node: &TapeEntry| {
            let used = self.tape.iter().any(|other| other.inputs.contains(&node.node));
            let outputs = self.graph.ids().filter(|&id| self.graph.node(id).inputs.contains(&node.node)).count();
            !used && outputs <= 1
        };
        let last = self.tape.iter().find(|entry| entry.node == prediction).filter(|entry| is_only_use(entry));
        let by = match (loss, last.map(|last| last.operation.fusion_role())) {
            (Loss::CategoricalCrossentropy | Loss::KlDivergence, Some(FusionRole::Softmax)) => {
                GradientBy::SoftmaxLogits
            }
            (Loss::BinaryCrossentropy, Some(FusionRole::Activation(Activation::Sigmoid))) => GradientBy::SigmoidLogits,
            _ => GradientBy::Prediction,
        };
        let skipped = last.filter(|_| by != GradientBy::Prediction).map(|last| (last.node, last.inputs[0]));
        let shape = self.graph.node(prediction).output.clone();
        let (pixels, features) = loss_rows(loss, weighted, &shape.known().unwrap_or_default());
        let step = LossGradientStep { loss, by, pixels, features, weighted, factor };
        let node =
            self.graph.push_lowered("d loss", shape, Lowered::Step(Kernel::LossGradient(step)), loss_inputs, &[], 0);
        self.node_gradients.entry(skipped.map_or(prediction, |(_, logits)| logits)).or_default().push(node);
        skipped.map(|(layer, _)| layer)
    }

    /// The backward pass through the tape without the `skipped` layers. Parameters are updated as soon as no gradient needs
    /// them.
    fn backward(&mut self, skipped: &[NodeId]) -> Result<(), (NodeId, String)> {
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
        for (layer, trained) in tape.iter().zip(&trained).rev() {
            if let Some(gradients) = self.node_gradients.remove(&layer.node)
                && needs_gradient[layer.node.0]
                && !skipped.contains(&layer.node)
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
                    update: self.batch,
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
                    let gradient = self.accumulate(*id, gradient);
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
    pub(super) fn sum(&mut self, gradients: Vec<NodeId>) -> NodeId {
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
}

/// Adds the inputs for targets and weights, and the loss. Returns the loss's inputs and the loss.
pub(super) fn add_loss(graph: &mut Graph, prediction: NodeId, loss: Loss, weighted: bool) -> (Vec<NodeId>, NodeId) {
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
