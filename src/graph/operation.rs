//! What a layer does: one trait, which each type in `ops` implements.

use super::training::{Backward, Forward};
use super::{AxisRule, Definition, Epilogue, Initializer, NodeId, ParameterKind};
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
    /// NeuPy's word for it: `weight`, `bias`, `gamma`.
    pub role: &'static str,
    pub kind: ParameterKind,
    pub shape: Vec<usize>,
    pub initializer: Initializer,
    /// Whether gradients change it.
    pub trainable: bool,
}

impl ParameterSpec {
    /// A parameter that training changes.
    pub fn new(role: &'static str, kind: ParameterKind, shape: &[usize], initializer: Initializer) -> Self {
        Self { role, kind, shape: shape.to_vec(), initializer, trainable: true }
    }

    /// Statistics, a value for each channel: gathered, not trained.
    pub fn gathered(role: &'static str, shape: &[usize], value: f64) -> Self {
        let initializer = Initializer::Constant(value);
        Self { trainable: false, ..Self::new(role, ParameterKind::Vector, shape, initializer) }
    }
}

/// Why a layer cannot take what it gets.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeError {
    pub code: Code,
    /// One sentence about the layer.
    pub message: String,
    /// What it expects, to stand at its place.
    pub expected: String,
    pub help: Option<String>,
    /// Layers of which each mends it where it stands before this one.
    pub before: &'static [&'static str],
    /// The input that is at error, where it is one of several.
    pub input: Option<usize>,
}

impl ShapeError {
    /// An error of a code.
    pub fn new(code: Code, message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { code, message: message.into(), expected: expected.into(), help: None, before: &[], input: None }
    }

    /// With a fix.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// With layers of which each mends it where it stands before this one.
    pub fn before(mut self, layers: &'static [&'static str]) -> Self {
        self.before = layers;
        self
    }

    /// At one of several inputs.
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

/// What a layer can do to its result before it stores it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Supports {
    /// A scale and shift per output channel, folded into weight and bias (see [`Operation::with_bias`]).
    pub affine: bool,
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

/// What lowering a node starts from. All sizes are known.
#[derive(Debug)]
pub struct Lowering {
    /// The sizes of each input without the batch; a residual is not among them.
    pub inputs: Vec<Vec<usize>>,
    pub epilogue: Epilogue,
    /// Whether algorithms that round otherwise than the direct one are forbidden.
    pub exact: bool,
}

/// What a node becomes in the plan.
#[derive(Clone, Debug)]
pub enum Lowered {
    /// A step that runs a kernel on the node's inputs and parameters.
    Step(Kernel),
    /// A step that may write over its first input, where nothing else needs that.
    InPlace(Kernel),
    /// Nothing: the same values in the same places.
    View,
    /// Channels of its input, from this one on: nothing is moved.
    Channels(usize),
    /// Its inputs beside each other: so many rows, each made of a row of every input. They are written where they belong.
    Concatenate { rows: usize },
}

/// A layer's meaning. One type implements it for each kind of layer.
pub trait Operation: Debug + Send + Sync + Any {
    /// Its names, arguments and documentation.
    fn definition(&self) -> &'static Definition;

    /// NeuPy's class, from which generated names are made.
    fn kind(&self) -> &'static str {
        self.definition().kind
    }

    /// The arguments as they are in force, in the order of the definition: what the text forms print.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// The output's type, or why the inputs do not fit. Asked through [`inference::infer`](super::type_inference::infer) alone:
    /// there is an input where the layer does not begin a net, one where it does not merge several, and no known size is
    /// larger than [`MAX_TENSOR_VALUES`](crate::tensor::MAX_TENSOR_VALUES).
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError>;

    /// What it learns, given inputs that fit.
    fn parameters(&self, _inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        Ok(Vec::new())
    }

    /// How the order in which the framework of a file sees its inputs goes over to its output, given inputs that fit.
    fn axis_rule(&self, _inputs: &[&TensorType]) -> AxisRule {
        AxisRule::Unknown
    }

    /// Multiply-adds per image, given inputs that fit.
    fn macs(&self, _inputs: &[&TensorType]) -> u64 {
        0
    }

    /// The output at inference in f64, by plain loops: what every other way of computing it is measured against.
    /// The batch is the first axis.
    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64>;

    /// How the plan computes it.
    fn lower(&self, cx: &Lowering) -> Result<Lowered, String>;

    /// Adds to a graph what it does while the net is trained: itself, where that is no other.
    ///
    /// # Errors
    /// Why it cannot be trained.
    fn train(&self, cx: &mut Forward<'_>) -> Result<NodeId, String> {
        cx.same()
    }

    /// Adds to a graph the gradients of the loss by its inputs and parameters, given that by its output.
    ///
    /// # Errors
    /// Why there is none.
    fn differentiate(&self, _cx: &mut Backward<'_>) -> Result<(), String> {
        Err("its gradient is not known".into())
    }

    /// Whether it lets its input through at inference (dropout, noise, identity).
    fn is_identity_at_inference(&self) -> bool {
        false
    }

    /// Whether it changes values by chance in training.
    fn is_stochastic(&self) -> bool {
        false
    }

    /// Whether its output holds the same values in the same places as its input, in another shape perhaps.
    fn keeps_values(&self) -> bool {
        self.is_identity_at_inference()
    }

    /// Whether a net may begin with it: it needs no input.
    fn begins(&self) -> bool {
        false
    }

    /// Whether it joins several inputs.
    fn merges(&self) -> bool {
        false
    }

    /// Whether it is the sum of its inputs.
    fn adds(&self) -> bool {
        false
    }

    /// The elementwise function that it is.
    fn activation(&self) -> Option<Activation> {
        None
    }

    /// Whether it is a softmax over the last axis, without parameters.
    fn is_softmax(&self) -> bool {
        false
    }

    /// Whether it is the maximum over 2x2 pixels without overlap, borders dropped.
    fn is_pool_2x2(&self) -> bool {
        false
    }

    /// The scale and shift that it is at inference.
    fn affine(&self) -> Option<&dyn Affine> {
        None
    }

    /// What is added to a variance before its inverse root is taken, for a layer that stores such statistics.
    fn epsilon(&self) -> Option<f64> {
        None
    }

    /// For a layer whose input's values are indices: they must be below this.
    fn index_bound(&self) -> Option<usize> {
        None
    }

    /// What it can do to its result before it stores it.
    fn supports(&self) -> Supports {
        Supports::default()
    }

    /// The same layer with a bias, for a layer that can take in a scale and shift.
    fn with_bias(&self) -> Option<Arc<dyn Operation>> {
        None
    }

    /// How many of its parameters, the first ones, it changes: it is kept though nothing takes what it gives.
    fn changes(&self) -> usize {
        0
    }

    /// The layer as its own type, for passes that know it.
    fn as_any(&self) -> &dyn Any;
}
