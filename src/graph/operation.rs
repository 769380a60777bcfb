//! [`Operation`]: the semantics of a layer, one trait that each type in `ops` implements.

use super::training::{Backward, Forward};
use super::{AxisRule, Category, Definition, Epilogue, Initializer, Int8Lowering, NodeId, ParameterId, ParameterKind};
use crate::diagnostics::Code;
use crate::kernels::elementwise::activation::Activation;
use crate::plan::kernel::Kernel;
use crate::tensor::{MAX_AXES, TensorType};
use ndarray::ArrayD;
use std::any::Any;
use std::fmt::Debug;
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

/// Why a layer cannot take its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeError {
    pub code: Code,
    /// One sentence about the layer.
    pub message: String,
    /// The expectation, for the label at the layer's span.
    pub expected: String,
    pub help: Option<String>,
    /// Layers each of which fixes the error if put before this one.
    pub before: &'static [&'static str],
    /// The index of the wrong input, if there are several.
    pub input: Option<usize>,
}

impl ShapeError {
    /// An error with a code.
    pub fn new(code: Code, message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { code, message: message.into(), expected: expected.into(), help: None, before: &[], input: None }
    }

    /// With a fix.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// With layers each of which fixes it if put before this one.
    pub fn before(mut self, layers: &'static [&'static str]) -> Self {
        self.before = layers;
        self
    }

    /// Caused by this input of several.
    pub fn at_input(mut self, index: usize) -> Self {
        self.input = Some(index);
        self
    }

    pub(super) fn needs_input(layer: &str) -> Self {
        Self::new(Code::Fragment, format!("`{layer}` gets no input"), "expects an input")
            .help(format!("put `Input(…) >>` before it: `Input(224x224x3) >> {layer}`"))
    }

    pub(super) fn needs_merge(layer: &str, count: usize) -> Self {
        Self::new(
            Code::NeedsMerge,
            format!("`{layer}` takes one input, but {count} branches lead to it"),
            "expects one input",
        )
        .help(format!("join them first: `(… | …) >> Concatenate >> {layer}`, or `Add`"))
        .before(&["Concatenate", "Add"])
    }

    pub(super) fn too_large(output: &TensorType) -> Self {
        Self::new(Code::TooLarge, format!("the output {output} is too large"), "more than 2^33 values per image")
    }

    pub(super) fn too_many_axes(axes: usize) -> Self {
        Self::new(Code::TooLarge, format!("the output has {axes} sizes"), format!("a tensor has at most {MAX_AXES}"))
    }

    pub(super) fn parameter_too_large(role: &str, shape: &[usize]) -> Self {
        Self::new(Code::TooLarge, format!("the {role} {shape:?} is too large"), "more than 2^33 values")
    }
}

/// What a layer can fuse into its epilogue: what it does to a result before storing it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Supports {
    pub activation: bool,
    pub residual: bool,
    pub pool: bool,
    pub softmax: bool,
}

/// A layer that scales and shifts each channel at inference.
pub trait Affine {
    /// Scale and shift per channel, from the layer's parameters in order.
    fn scale_shift(&self, parameters: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>);
}

/// How a pass can fuse a layer into the one before it, or remove it.
#[derive(Clone, Copy)]
pub enum FusionRole<'a> {
    /// Not at all: it needs a step of its own.
    None,
    /// Its output is its input at inference (dropout, noise, an `Input` inside a net).
    Identity,
    /// An elementwise function. [`Activation::Linear`] is an identity.
    Activation(Activation),
    /// Softmax over the last axis, without parameters.
    Softmax,
    /// On an image, the maximum over 2x2 pixels without overlap, borders dropped.
    MaxPool2x2,
    /// The sum of its inputs.
    Sum,
    /// A scale and shift per channel.
    Affine(&'a dyn Affine),
}

impl<'a> FusionRole<'a> {
    /// Whether the layer does nothing at inference.
    pub fn is_identity(self) -> bool {
        matches!(self, FusionRole::Identity | FusionRole::Activation(Activation::Linear))
    }

    /// The scale and shift, if it is one.
    pub fn affine(self) -> Option<&'a dyn Affine> {
        match self {
            FusionRole::Affine(affine) => Some(affine),
            _ => None,
        }
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

/// What a node is lowered from. All sizes are known.
#[derive(Debug)]
pub struct Lowering {
    /// The sizes of each input without the batch; a residual is not among them.
    pub inputs: Vec<Vec<usize>>,
    pub epilogue: Epilogue,
    /// Whether only algorithms that round like the direct one are allowed.
    pub exact: bool,
}

/// What a node becomes in the plan.
#[derive(Clone, Debug)]
pub enum Lowered {
    /// A step that runs a kernel on the node's inputs and parameters.
    Step(Kernel),
    /// A step that may overwrite its first input, if no other node reads that.
    InPlace(Kernel),
    /// No step: a view of its input in another shape.
    View,
    /// No step: a view of its input's channels from this one on.
    Channels(usize),
    /// A concatenation of `rows` rows, each made of a row of every input. Its inputs are written to their part directly.
    Concatenate { rows: usize },
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
