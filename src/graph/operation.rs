//! [`Operation`]: the semantics of a layer, one trait that each type in `ops` implements. An operation adds nodes to a graph when it
//! is trained, and a node has an operation: the types that are defined by each other are together here, their methods with
//! what they do.

use super::axis::{AxisRule, Cut, ParameterKind};
use super::fusion::{FusionRole, Supports};
use super::id::{NodeId, ParameterId};
use super::initializer::Initializer;
use super::lowering::{Lowered, Lowering};
use super::origin::Origin;
use super::precision::{Int8Lowering, Precision};
use super::shape_error::ShapeError;
use super::signature::argument::Argument;
use super::signature::call::Arguments;
use super::signature::category::Category;
use crate::diagnostics::Diagnostic;
use crate::plan::epilogue::Epilogue;
use crate::source::Span;
use crate::tensor::TensorType;
use ndarray::ArrayD;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

/// A parameter that a layer needs.
#[derive(Clone, Debug)]
pub struct ParameterSpec {
    /// NeuPy's name for it: `weight`, `bias`, `gamma`.
    pub role: &'static str,
    pub kind: ParameterKind,
    pub shape: Vec<usize>,
    pub initializer: Initializer,
    /// Whether gradients update it.
    pub trainable: bool,
}

impl ParameterSpec {
    /// A trainable parameter.
    pub fn new(role: &'static str, kind: ParameterKind, shape: &[usize], initializer: Initializer) -> Self {
        Self { role, kind, shape: shape.to_vec(), initializer, trainable: true }
    }

    /// Running statistics, one value per channel: not trained.
    pub fn gathered(role: &'static str, shape: &[usize], value: f64) -> Self {
        let initializer = Initializer::Constant(value);
        Self { trainable: false, ..Self::new(role, ParameterKind::Vector, shape, initializer) }
    }
}

/// How many inputs a layer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// None where a net begins with it, one inside a net.
    Source,
    One,
    Many,
}

/// One of the layers that a layer is split into: see [`Operation::decompose`].
#[derive(Clone, Debug)]
pub struct Part {
    /// What it computes of the layer: `qkv`. The last part has the layer's own name.
    pub name: &'static str,
    pub operation: Arc<dyn Operation>,
    pub inputs: Vec<PartInput>,
    /// The indices of the layer's parameters that it takes, in its own order.
    pub parameters: Vec<usize>,
}

/// What a part reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartInput {
    /// An input of the layer.
    Layer(usize),
    /// The output of an earlier part.
    Part(usize),
}

impl Part {
    /// The nodes that it reads, given the layer's inputs and the nodes of the parts before it.
    pub fn input_nodes(&self, layer: &[NodeId], parts: &[NodeId]) -> Vec<NodeId> {
        let node = |input: &PartInput| match *input {
            PartInput::Layer(index) => layer[index],
            PartInput::Part(index) => parts[index],
        };
        self.inputs.iter().map(node).collect()
    }

    /// The parameters that it takes of the layer's.
    pub fn parameter_ids(&self, layer: &[ParameterId]) -> Vec<ParameterId> {
        self.parameters.iter().map(|&index| layer[index]).collect()
    }

    /// The name of its node in a layer of this name, of which it is the last part or not.
    pub fn node_name(&self, layer: &str, is_last: bool) -> String {
        if is_last { layer.to_string() } else { format!("{layer}/{}", self.name) }
    }
}

/// The semantics of a layer. One type implements it for each kind of layer.
pub trait Operation: Debug + Send + Sync + Any {
    /// Its names, arguments and documentation.
    fn definition(&self) -> &'static Definition;

    /// NeuPy's class, from which generated names are made.
    fn kind(&self) -> &'static str {
        self.definition().kind
    }

    /// The category under which pictures show it.
    fn category(&self) -> Category {
        self.definition().category
    }

    /// The arguments in effect, in the order of the definition, for the text forms.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// The output's type. Called through [`infer`](super::type_inference::infer) only, which guarantees the number of
    /// inputs that [`Operation::arity`] says, and no known size above
    /// [`MAX_TENSOR_VALUES`](crate::tensor::MAX_TENSOR_VALUES).
    ///
    /// # Errors
    /// If the inputs do not fit the layer.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError>;

    /// The parameters, for valid inputs.
    ///
    /// # Errors
    /// If a parameter's shape depends on an open size.
    fn parameters(&self, _inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        Ok(Vec::new())
    }

    /// How the axis order in which a file's framework sees its inputs carries over to its output, for valid inputs.
    fn axis_rule(&self, _inputs: &[&TensorType]) -> AxisRule {
        AxisRule::Unknown
    }

    /// Multiply-adds per image, for valid inputs.
    fn macs(&self, _inputs: &[&TensorType]) -> u64 {
        0
    }

    /// The output at inference in f64, by plain loops: the reference for every other implementation.
    /// The batch is the first axis. An operation of a training step is evaluated as in training.
    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64>;

    /// Updates the parameters that it changes, the first [`Operation::changes`] ones, in f64 by plain loops.
    fn evaluate_changes(&self, _inputs: &[&ArrayD<f64>], _parameters: &mut [ArrayD<f64>]) {}

    /// The layers that compute it together, in topological order, for valid inputs: the output of the last is the layer's.
    /// `None` if it has a kernel of its own. Passes and training then see the parts in its place, which share its parameters.
    fn decompose(&self, _inputs: &[&TensorType]) -> Option<Vec<Part>> {
        None
    }

    /// The kernel that computes the layer. It is not called for a layer that is decomposed.
    ///
    /// # Errors
    /// Why no plan can compute it.
    fn lower(&self, cx: &Lowering) -> Result<Lowered, String>;

    /// As [`Operation::lower`], on bytes; `None` if no kernel computes it so. By default a view of bytes is one of the same bytes.
    fn lower_int8(&self, cx: &Lowering, formats: &Int8Lowering) -> Option<Lowered> {
        let is_same = formats.output.is_some() && formats.inputs == [formats.output];
        self.lower(cx).ok().filter(|lowered| is_same && matches!(lowered, Lowered::View))
    }

    /// Adds its training-time form to a graph; by default the layer as it is.
    ///
    /// # Errors
    /// Why it cannot be trained.
    fn train(&self, cx: &mut Forward<'_>) -> Result<NodeId, String> {
        cx.add_unchanged()
    }

    /// Adds to a graph the gradients of the loss by its inputs and parameters, given that by its output.
    ///
    /// # Errors
    /// Why there is none.
    fn differentiate(&self, _cx: &mut Backward<'_>) -> Result<(), String> {
        Err("its gradient is not known".into())
    }

    /// How passes can fuse or remove it.
    fn fusion_role(&self) -> FusionRole<'_> {
        FusionRole::None
    }

    /// What it can fuse into its epilogue.
    fn supports(&self) -> Supports {
        Supports::default()
    }

    /// The layer into whose weight and bias a scale and shift per output channel can be folded: this one with a bias.
    /// `None` if there is none.
    fn with_foldable_bias(&self) -> Option<Arc<dyn Operation>> {
        None
    }

    /// How many inputs it takes.
    fn arity(&self) -> Arity {
        Arity::One
    }

    /// Whether it changes values randomly in training.
    fn is_stochastic(&self) -> bool {
        false
    }

    /// Whether each value of its output comes from the value at the same index of its input alone, perhaps reshaped.
    fn keeps_values(&self) -> bool {
        self.fusion_role().is_identity()
    }

    /// The epsilon that is added to a variance before its inverse square root, for a layer that stores such statistics.
    fn epsilon(&self) -> Option<f64> {
        None
    }

    /// For a layer whose input values are indices: the number of valid indices.
    fn index_bound(&self) -> Option<usize> {
        None
    }

    /// How many of its parameters, the first ones, it changes. If any, it is kept even if nothing uses its output.
    fn changes(&self) -> usize {
        0
    }

    /// The layer as its own type, for passes that know it.
    fn as_any(&self) -> &dyn Any;
}

/// A layer of the language.
#[derive(Debug)]
pub struct Definition {
    /// Its full name, `Convolution`.
    pub name: &'static str,
    /// Other names, `Conv`.
    pub aliases: &'static [&'static str],
    /// NeuPy's class, from which generated names are made.
    pub kind: &'static str,
    /// Its category in pictures.
    pub category: Category,
    /// What it does, in one line.
    pub summary: &'static str,
    pub arguments: &'static [Argument],
    /// Formulas, shape rules and sources.
    pub details: &'static str,
    /// A complete spec that uses it.
    pub example: &'static str,
    /// Makes the operation.
    pub build: fn(&Arguments) -> Result<Arc<dyn Operation>, Diagnostic>,
}

/// A layer.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, unique in its graph.
    pub name: String,
    pub operation: Arc<dyn Operation>,
    /// The nodes whose outputs it reads, in order.
    pub inputs: Vec<NodeId>,
    /// Its parameters in the order of [`Operation::parameters`].
    pub parameters: Vec<ParameterId>,
    /// The output type.
    pub output: TensorType,
    pub epilogue: Epilogue,
    pub precision: Precision,
    /// Not trained, and computed as at inference during training.
    pub frozen: bool,
    pub origin: Origin,
    /// The layers that passes fused into this one.
    pub fused_layers: Vec<String>,
    /// The cuts that separated it from its neighbours, innermost nets first.
    pub cuts: Vec<Cut>,
}

/// A trainable parameter, or running statistics.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The layer that owns it.
    pub layer: String,
    /// NeuPy's name for it: `weight`, `bias`, `running_mean`.
    pub role: &'static str,
    pub shape: Vec<usize>,
    pub initializer: Initializer,
    /// Whether gradients update it, unlike running statistics.
    pub trainable: bool,
    /// Whether the spec froze it.
    pub frozen: bool,
    /// The nets that contain its layer and the layer's name in each, innermost first.
    pub layers: Vec<(Rc<str>, Rc<str>)>,
    /// The span of its layer.
    pub span: Span,
    /// How a pass derived it from others, if one did.
    pub derived: Option<Derivation>,
    /// Its kind, which decides its layout in files.
    pub kind: ParameterKind,
}

impl Parameter {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a constant of its layer (`BatchNorm(gamma=false)`): it is not trained and not stored in files.
    pub fn is_fixed(&self) -> bool {
        !self.trainable && matches!(self.role, "gamma" | "beta")
    }

    /// The axis of the layer's outputs in a weight of one group.
    pub fn output_axis(&self) -> usize {
        let axes = self.shape.len();
        axes.saturating_sub(if self.kind == ParameterKind::TransposedKernel { 2 } else { 1 })
    }

    /// `conv1_1/weight`
    pub fn path(&self) -> String {
        format!("{}/{}", self.layer, self.role)
    }
}

/// How a pass derived a parameter from others: by folding a scale and shift per output channel into the layer before it.
#[derive(Clone, Debug)]
pub enum Derivation {
    /// The weight times the scale of each output channel, along [`Parameter::output_axis`].
    ScaledWeight { weight: ParameterId, norm: Arc<dyn Operation>, parameters: Vec<ParameterId> },
    /// The bias (or zero) times the scale, plus the shift.
    ShiftedBias { bias: Option<ParameterId>, norm: Arc<dyn Operation>, parameters: Vec<ParameterId> },
}

impl Derivation {
    /// The parameters that it is derived from.
    pub fn sources(&self) -> Vec<ParameterId> {
        match self {
            Derivation::ScaledWeight { weight, parameters, .. } => {
                std::iter::once(*weight).chain(parameters.iter().copied()).collect()
            }
            Derivation::ShiftedBias { bias, parameters, .. } => {
                bias.iter().copied().chain(parameters.iter().copied()).collect()
            }
        }
    }

    pub(super) fn sources_mut(&mut self) -> Vec<&mut ParameterId> {
        match self {
            Derivation::ScaledWeight { weight, parameters, .. } => std::iter::once(weight).chain(parameters).collect(),
            Derivation::ShiftedBias { bias, parameters, .. } => bias.iter_mut().chain(parameters).collect(),
        }
    }
}

/// A network.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The net's name.
    pub name: String,
    /// The layers in topological order.
    pub nodes: Vec<Node>,
    pub parameters: Vec<Parameter>,
    /// The nodes whose outputs are the net's outputs, in order.
    pub outputs: Vec<NodeId>,
    /// The number of nodes at the front that are placeholders for the inputs of a fragment, not layers.
    pub open_inputs: usize,
    /// The highest number in generated names of each kind, before any cut.
    pub counters: BTreeMap<String, usize>,
}

/// A layer of the forward pass, with what its gradient needs.
#[derive(Clone, Debug)]
pub struct TapeEntry {
    pub operation: Arc<dyn Operation>,
    pub node: NodeId,
    /// The layer's inputs; the node may have more.
    pub inputs: Vec<NodeId>,
    pub parameters: Vec<ParameterId>,
    pub frozen: bool,
    /// Other tensors that the forward pass computed for the gradient.
    pub saved: Vec<NodeId>,
}

/// The forward pass of a training step, at one layer.
#[derive(Debug)]
pub struct Forward<'g> {
    pub graph: &'g mut Graph,
    /// The layers so far, in order.
    pub tape: &'g mut Vec<TapeEntry>,
    pub operation: Arc<dyn Operation>,
    pub name: String,
    pub inputs: Vec<NodeId>,
    pub parameters: Vec<ParameterId>,
    /// Not trained, and computed as at inference.
    pub frozen: bool,
    pub origin: Origin,
    /// The number of updates so far, as the bits of an integer: random values depend on it.
    pub update: ParameterId,
    /// The seed of random values.
    pub seed: u64,
    /// The layer's index, so that each layer has other random values.
    pub layer_index: u32,
}

/// The backward pass of a training step, at one layer.
#[derive(Debug)]
pub struct Backward<'g> {
    pub graph: &'g mut Graph,
    pub layer: &'g TapeEntry,
    /// The gradient of the loss by the layer's output.
    pub gradient: NodeId,
    /// Which inputs and parameters need a gradient.
    pub needs_grad: Vec<bool>,
    pub needs_parameter_grad: Vec<bool>,
    /// The gradients so far.
    pub input_gradients: Vec<Option<NodeId>>,
    pub parameter_gradients: Vec<Option<NodeId>>,
    pub update: ParameterId,
}
