//! A net to the graph of one step of its training: forward, loss, gradients in reverse, updates. And to the graph that
//! tells its loss without training. Both go through passes and lowering like any other graph.

pub mod frozen_backbone;
pub mod loss_compatibility;
pub mod training_plans;

use crate::graph::training::{Backward, Forward, TapeEntry, pixels_channels, whole};
use crate::graph::{Graph, Initializer, Lowered, NodeId, Parameter, ParameterId, ParameterKind};
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
use std::collections::HashMap;
use std::sync::Arc;

/// The layer that owns what an optimizer keeps for itself.
pub const OPTIMIZER: &str = "optimizer";

/// How a net is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub loss: Loss,
    pub rule: UpdateRule,
    /// What parameters add to the loss, but for those of the given roles.
    pub penalty: Option<(Regularizer, Vec<String>)>,
    /// Each value of a gradient stays within plus and minus this.
    pub clip: Option<f32>,
    /// The norm of all gradients together stays within this.
    pub norm: Option<f32>,
    /// Whether each image, or of an output with places each place, has a weight in the loss.
    pub weighted: bool,
    /// Whether it has one when the net is tried too.
    pub tried_weighted: bool,
    /// What random values are made from.
    pub seed: u64,
}

/// The graphs of training.
#[derive(Debug)]
pub struct Differentiated {
    /// Takes the net's inputs, the targets, and the weights where there are any. Gives the loss, the prediction,
    /// and the penalty where there is one.
    pub step: Graph,
    /// Takes the net's inputs, the targets, and the weights where trials have some. Gives the loss and the prediction.
    pub evaluation: Graph,
    /// Whether the step gives a penalty.
    pub penalized: bool,
}

/// Why a net cannot be trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Untrainable {
    /// The node of the net that is at error.
    pub node: NodeId,
    pub message: String,
}

/// Differentiates a net with one output.
///
/// # Errors
/// A layer without a gradient on the way from the loss to what is trained.
pub fn differentiate(net: &Graph, settings: &Settings) -> Result<Differentiated, Untrainable> {
    let output = net.outputs[0];
    let mut evaluation = net.clone();
    let (_, loss) = add_loss(&mut evaluation, output, settings.loss, settings.tried_weighted);
    evaluation.outputs = vec![loss, output];
    let (step, penalized) = Trainer::new(net, settings).step(net)?;
    Ok(Differentiated { step, evaluation, penalized })
}

/// Adds the targets, the weights, and the loss. Returns what it is computed from, and itself.
fn add_loss(graph: &mut Graph, prediction: NodeId, loss: Loss, weighted: bool) -> (Vec<NodeId>, NodeId) {
    let shape = graph.node(prediction).output.clone();
    let mut from = vec![prediction, add_input(graph, "targets", shape.clone())];
    let (pixels, features) = rows(loss, weighted, &shape.known().unwrap_or_default());
    if weighted {
        from.push(add_input(graph, "weights", TensorType::of(&[pixels])));
    }
    let step = LossStep { loss, pixels, features, weighted };
    let node = graph.compute("loss", whole(&[1]), Lowered::Step(Kernel::Loss(step)), &from, &[], 0);
    (from, node)
}

/// Rows of an output that a loss looks at alone, or that have weights of their own, and their length.
pub fn rows(loss: Loss, weighted: bool, sizes: &[usize]) -> (usize, usize) {
    if loss.is_categorical() || weighted { pixels_channels(sizes) } else { (1, sizes.iter().product()) }
}

fn add_input(graph: &mut Graph, name: &str, shape: TensorType) -> NodeId {
    let origin = graph.nodes[0].origin.clone();
    let operation = Arc::new(Input { shape: shape.clone(), image: None });
    graph.attach(name, operation, &[], &[], shape, origin)
}

/// A step of training in the making.
struct Trainer<'s> {
    settings: &'s Settings,
    graph: Graph,
    passed: Vec<TapeEntry>,
    /// The number of updates so far, and the learning rate now.
    update: ParameterId,
    rate: ParameterId,
    /// The gradients by each node's output, and by each parameter, that are known so far.
    by_node: HashMap<NodeId, Vec<NodeId>>,
    by_parameter: HashMap<ParameterId, Vec<NodeId>>,
    penalties: Vec<NodeId>,
}

impl<'s> Trainer<'s> {
    fn new(net: &Graph, settings: &'s Settings) -> Self {
        let mut graph = Graph { name: format!("{}/step", net.name), ..Graph::default() };
        graph.parameters.clone_from(&net.parameters);
        let mut own = |role| {
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
        let (rate, update) = (own("rate"), own("update"));
        Trainer {
            settings,
            graph,
            passed: Vec::new(),
            update,
            rate,
            by_node: HashMap::new(),
            by_parameter: HashMap::new(),
            penalties: Vec::new(),
        }
    }

    fn step(mut self, net: &Graph) -> Result<(Graph, bool), Untrainable> {
        let places = self.forward(net)?;
        let error = |place: NodeId, message: String| {
            // The layer of the net that the node of the step was made for.
            let node = net.ids().rev().find(|id| places[id.0] <= place).unwrap_or(NodeId(0));
            Untrainable { node, message }
        };
        let prediction = places[net.outputs[0].0];
        let (from, loss) = add_loss(&mut self.graph, prediction, self.settings.loss, self.settings.weighted);
        let last = self.seed(prediction, &from);
        self.backward(last).map_err(|(place, message)| error(place, message))?;
        self.graph.outputs = vec![loss, prediction];
        let penalty = self.sum_penalties();
        self.graph.outputs.extend(penalty);
        Ok((self.graph, penalty.is_some()))
    }

    /// Adds the layers as they are in training. Returns the node of each.
    fn forward(&mut self, net: &Graph) -> Result<Vec<NodeId>, Untrainable> {
        let mut places: Vec<NodeId> = Vec::with_capacity(net.nodes.len());
        for id in net.ids() {
            let node = net.node(id);
            let inputs: Vec<NodeId> = node.inputs.iter().map(|input| places[input.0]).collect();
            if inputs.is_empty() {
                let (operation, output) = (Arc::clone(&node.operation), node.output.clone());
                let origin = node.origin.clone();
                places.push(self.graph.attach(&node.name, operation, &[], &[], output, origin));
                continue;
            }
            let mut forward = Forward {
                graph: &mut self.graph,
                passed: &mut self.passed,
                operation: Arc::clone(&node.operation),
                name: node.name.clone(),
                inputs,
                parameters: node.parameters.clone(),
                frozen: node.frozen,
                origin: node.origin.clone(),
                update: self.update,
                seed: self.settings.seed,
                place: id.0 as u32,
            };
            let made = node.operation.train(&mut forward);
            places.push(made.map_err(|message| Untrainable { node: id, message })?);
        }
        Ok(places)
    }

    /// Begins the way back: the gradient of the loss by the prediction, or by what its softmax or sigmoid was made from.
    /// Returns how many layers are still to be gone back through.
    fn seed(&mut self, prediction: NodeId, from: &[NodeId]) -> usize {
        let Settings { loss, weighted, .. } = *self.settings;
        let last = self.passed.last().filter(|last| last.node == prediction);
        let gradient_by = match last {
            Some(last) if loss == Loss::CategoricalCrossentropy && last.operation.is_softmax() => {
                GradientBy::SoftmaxLogits
            }
            Some(last)
                if loss == Loss::BinaryCrossentropy && last.operation.activation() == Some(Activation::Sigmoid) =>
            {
                GradientBy::SigmoidLogits
            }
            _ => GradientBy::Prediction,
        };
        let (by, left) = match last {
            Some(last) if gradient_by != GradientBy::Prediction => (last.inputs[0], self.passed.len() - 1),
            _ => (prediction, self.passed.len()),
        };
        let shape = self.graph.node(prediction).output.clone();
        let (pixels, features) = rows(loss, weighted, &shape.known().unwrap_or_default());
        let step = LossGradientStep { loss, by: gradient_by, pixels, features, weighted };
        let node = self.graph.compute("d loss", shape, Lowered::Step(Kernel::LossGradient(step)), from, &[], 0);
        self.by_node.insert(by, vec![node]);
        left
    }

    /// Goes back through the first so many layers, and updates parameters as soon as nothing needs them any more.
    fn backward(&mut self, layers: usize) -> Result<(), (NodeId, String)> {
        let passed = std::mem::take(&mut self.passed);
        let learns = |layer: &TapeEntry, parameter: &ParameterId| {
            let parameter = &self.graph.parameters[parameter.0];
            parameter.trainable && !parameter.frozen && !layer.frozen
        };
        let wanted: Vec<Vec<bool>> =
            passed.iter().map(|layer| layer.parameters.iter().map(|id| learns(layer, id)).collect()).collect();
        let mut users: HashMap<ParameterId, usize> = HashMap::new();
        let mut reached = vec![false; self.graph.nodes.len()];
        for (layer, wanted) in passed.iter().zip(&wanted) {
            for (id, _) in layer.parameters.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
                *users.entry(*id).or_default() += 1;
            }
            reached[layer.node.0] = wanted.contains(&true) || layer.inputs.iter().any(|input| reached[input.0]);
        }
        let mut waiting = Vec::new();
        for (layer, wanted) in passed[..layers].iter().zip(&wanted).rev() {
            if let Some(gradients) = self.by_node.remove(&layer.node)
                && reached[layer.node.0]
            {
                let gradient = self.sum(gradients);
                let (by_input, by_parameter) = (vec![None; layer.inputs.len()], vec![None; layer.parameters.len()]);
                let mut backward = Backward {
                    graph: &mut self.graph,
                    layer,
                    gradient,
                    needs_grad: layer.inputs.iter().map(|input| reached[input.0]).collect(),
                    wants_parameter: wanted.clone(),
                    by_input,
                    by_parameter,
                    update: self.update,
                };
                layer.operation.differentiate(&mut backward).map_err(|message| (layer.node, message))?;
                let Backward { by_input, by_parameter, needs_grad, .. } = backward;
                for ((input, gradient), wants) in layer.inputs.iter().zip(by_input).zip(needs_grad) {
                    if let (Some(gradient), true) = (gradient, wants) {
                        self.by_node.entry(*input).or_default().push(gradient);
                    }
                }
                for (parameter, gradient) in layer.parameters.iter().zip(by_parameter) {
                    if let Some(gradient) = gradient {
                        self.by_parameter.entry(*parameter).or_default().push(gradient);
                    }
                }
            }
            for (id, _) in layer.parameters.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
                let left = users.entry(*id).or_insert(1);
                *left -= 1;
                // A parameter that several layers share changes when the first of them has used it for the last time.
                if *left == 0
                    && let Some(gradients) = self.by_parameter.remove(id)
                {
                    let gradient = self.sum(gradients);
                    waiting.push((*id, gradient));
                }
            }
            if self.settings.norm.is_none() {
                for (parameter, gradient) in waiting.drain(..) {
                    self.update(parameter, &[gradient]);
                }
            }
        }
        if !waiting.is_empty() {
            let gradients: Vec<NodeId> = waiting.iter().map(|(_, gradient)| *gradient).collect();
            let lengths = waiting.iter().map(|(parameter, _)| self.graph.parameters[parameter.0].len()).collect();
            let step = Lowered::Step(Kernel::GradientNorm(GradientNormStep { lengths }));
            let norm = self.graph.compute("norm", whole(&[1]), step, &gradients, &[], 0);
            for (parameter, gradient) in waiting {
                self.update(parameter, &[gradient, norm]);
            }
        }
        Ok(())
    }

    /// The sum of gradients that come from several places.
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
        self.graph.compute(&name, output, Lowered::Step(kernel), &gradients, &[], 0)
    }

    /// Adds the update of a parameter.
    fn update(&mut self, id: ParameterId, from: &[NodeId]) {
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
        let changes = parameters.len();
        parameters.extend([self.rate, self.update]);
        let penalty = self.settings.penalty.as_ref();
        let penalty = penalty.filter(|(_, excluded)| !excluded.iter().any(|role| role == parameter.role));
        let penalty = penalty.map(|(penalty, _)| *penalty);
        let Settings { rule, clip, norm, .. } = *self.settings;
        let step = UpdateStep { len: parameter.len(), rule, penalty, clip, norm };
        let name = format!("update {}", parameter.path());
        let step = Lowered::Step(Kernel::Update(step));
        let node = self.graph.compute(&name, whole(&[1]), step, from, &parameters, changes);
        if penalty.is_some() {
            self.penalties.push(node);
        }
    }

    fn sum_penalties(&mut self) -> Option<NodeId> {
        let penalties = std::mem::take(&mut self.penalties);
        (!penalties.is_empty()).then(|| self.sum(penalties))
    }
}
