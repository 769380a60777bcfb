//! Stores of pretrained tensors: one interface over the layouts in which weights are found on disk.
//!
//! [`open`](super::open()) makes one of a file.

use super::bind::axis_permutation::Framework;
use super::keras_model::model::Model;
use crate::request::Layout;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The most bytes that one tensor may take, in the file or as `f32` in memory.
pub const MAX_TENSOR_BYTES: u64 = 4 << 30;
/// The most tensors, layers or members of a group that a file may have.
pub const MAX_ITEMS: usize = 100_000;

/// What parameter of its layer a tensor is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Kernel of a convolution (height, width, in, out) or dense layer (in, out); rows of an embedding.
    Weight,
    /// One value for each output channel.
    Bias,
    /// Slope of a parametric ReLU.
    Alpha,
    /// Scale after a normalisation.
    Gamma,
    /// Shift after a normalisation.
    Beta,
    /// Mean that a batch normalisation subtracts.
    RunningMean,
    /// Variance, without epsilon (Keras `moving_variance`; Keras 1 calls it `running_std`).
    RunningVariance,
    /// `1 / sqrt(variance + epsilon)`, which NeuPy stores in place of the variance.
    RunningInvStd,
    /// Recurrent layers of NeuPy: from the input.
    InputWeights,
    /// Recurrent layers of NeuPy: from the previous state.
    HiddenWeights,
    /// Recurrent layers of NeuPy: of all gates together.
    Biases,
    /// Recurrent layers of NeuPy: first state of the cell.
    CellInit,
    /// Recurrent layers of NeuPy: first hidden state.
    HiddenInit,
    /// A parameter by the name that the file gives it.
    Other(String),
}

/// Names of the parameters as NeuPy stores them, in the order in which a layer's parameters are listed.
const ROLE_NAMES: [(&str, Role); 13] = [
    ("weight", Role::Weight),
    ("bias", Role::Bias),
    ("alpha", Role::Alpha),
    ("gamma", Role::Gamma),
    ("beta", Role::Beta),
    ("running_mean", Role::RunningMean),
    ("running_variance", Role::RunningVariance),
    ("running_inv_std", Role::RunningInvStd),
    ("input_weights", Role::InputWeights),
    ("hidden_weights", Role::HiddenWeights),
    ("biases", Role::Biases),
    ("cell_init", Role::CellInit),
    ("hidden_init", Role::HiddenInit),
];

impl Role {
    /// The role of a parameter that NeuPy calls `name`.
    pub fn from_neupy(name: &str) -> Role {
        let known = ROLE_NAMES.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| Role::Other(name.to_string()), |(_, role)| role.clone())
    }

    /// The name that NeuPy gives this parameter (`weight`, `running_inv_std`); the file's own name for others.
    pub fn name(&self) -> &str {
        if let Role::Other(name) = self {
            return name;
        }
        ROLE_NAMES.iter().find(|(_, role)| role == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The numbers that a file stores a tensor's values as, by their bits. They are read as `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    Float(usize),
    /// The upper half of an `f32`.
    Bfloat16,
    /// With or without a sign: no values of parameters, but indices, or values that a quantisation has scaled.
    Integer(usize),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Float(bits) => write!(f, "float{bits}"),
            Number::Bfloat16 => f.write_str("bfloat16"),
            Number::Integer(bits) => write!(f, "integers of {bits} bits"),
        }
    }
}

/// One tensor of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The file's name of the layer (`conv1_1`, `block1_conv1`); in Keras 3 files without names the group,
    /// `conv2d_3`. The layers of a nested model have their own names; where two such models share a name, it is
    /// `model/layer`.
    pub layer: String,
    /// What parameter of the layer it is.
    pub role: Role,
    /// The full path of the dataset, for messages.
    pub key: String,
    /// Sizes of the axes, outermost first.
    pub shape: Vec<usize>,
    pub number: Number,
    /// The layer's class where the file tells it: `Convolution` (NeuPy), `Conv2D` (Keras full model), `conv2d` (Keras 3).
    pub class: Option<String>,
}

impl Entry {
    /// How many numbers the tensor has.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The tensors of one open file.
pub trait Store: fmt::Debug + Send + Sync {
    /// The layout that was found.
    fn layout(&self) -> Layout;

    /// Whether the file names its layers. Without names, only a layer's class and its place among the layers of
    /// that class tell (Keras 3 files written before Keras 3.6).
    fn has_names(&self) -> bool;

    /// The framework whose conventions the tensors follow.
    fn framework(&self) -> Framework {
        Framework::Keras
    }

    /// What the report says of how the file was read.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// All tensors, in the file's order of layers: `layer_names` for NeuPy and Keras, the numeric order within
    /// each class for Keras 3, the order of the bytes for safetensors.
    fn entries(&self) -> &[Entry];

    /// What the file says of the model, where it does.
    fn model(&self) -> Option<&Model> {
        None
    }

    /// Rows `rows` (indices of the first axis; a scalar has one row) of tensor `index`, row-major, as `f32`
    /// whatever number type the file has.
    fn read_rows(&self, index: usize, rows: Range<usize>) -> Result<Vec<f32>, StoreError>;

    /// All of tensor `index`, row-major, as `f32`.
    fn read(&self, index: usize) -> Result<Vec<f32>, StoreError> {
        let rows = self.entries().get(index).map_or(0, |entry| row_count(&entry.shape));
        self.read_rows(index, 0..rows)
    }
}

/// How many rows a tensor of this shape has: the first axis, or one for a scalar.
pub fn row_count(shape: &[usize]) -> usize {
    shape.first().copied().unwrap_or(1)
}

/// Why a file of weights could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} does not exist", path.display())]
    NotFound { path: PathBuf },
    #[error("{} is not a file but {what}", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not a file of weights: it seems to be {seems}", path.display())]
    NotHdf5 { path: PathBuf, seems: String },
    #[error("{place} is cut short: {what}")]
    Truncated { place: String, what: String },
    #[error("{place} is damaged: {what}")]
    Corrupt { place: String, what: String },
    #[error("{} has none of the layouts neupy, keras, keras3, safetensors and onnx: {found}", path.display())]
    UnknownLayout { path: PathBuf, found: String },
    #[error("{} does not have the layout {asked}: {found}", path.display())]
    OtherLayout { path: PathBuf, asked: Layout, found: String },
    #[error("{place} is refused: {what}")]
    Refused { place: String, what: String },
    #[error("{place} does not hold numbers but {found}")]
    NonNumeric { place: String, found: String },
    #[error("{place} is too large: {what}")]
    TooLarge { place: String, what: String },
    #[error("there is no row {end} in {place}, which has {rows}")]
    NoSuchRows { place: String, end: usize, rows: usize },
    #[error("the store has no tensor {index}")]
    NoSuchEntry { index: usize },
    #[error("{} cannot be written: {what}", path.display())]
    Unwritable { path: PathBuf, what: String },
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> StoreError {
    if source.kind() == io::ErrorKind::NotFound {
        return StoreError::NotFound { path: path.into() };
    }
    StoreError::Unreadable { path: path.into(), source }
}
