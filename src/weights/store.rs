//! Stores of pretrained tensors: one interface to all layouts of weights files.
//!
//! [`open`](super::open()) opens one.

use super::bind::axis_permutation::Framework;
use super::keras_model::model::Model;
use crate::request::Layout;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The maximum size of a tensor in bytes, in the file or as `f32` in memory.
pub const MAX_TENSOR_BYTES: u64 = 4 << 30;
/// The maximum number of tensors, layers or members of a group in a file.
pub const MAX_ITEMS: usize = 100_000;

/// Which parameter of its layer a tensor is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Kernel of a convolution (height, width, in, out) or dense layer (in, out); rows of an embedding.
    Weight,
    /// One value for each output channel.
    Bias,
    /// Slope of a PReLU.
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
    /// Recurrent layers of NeuPy: weights of the input.
    InputWeights,
    /// Recurrent layers of NeuPy: weights of the previous state.
    HiddenWeights,
    /// Recurrent layers of NeuPy: biases of all gates.
    Biases,
    /// Recurrent layers of NeuPy: initial cell state.
    CellInit,
    /// Recurrent layers of NeuPy: initial hidden state.
    HiddenInit,
    /// Any other parameter, by its name in the file.
    Other(String),
}

/// NeuPy's names of the parameters, in the order in which the parameters of a layer are listed.
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

    /// NeuPy's name of this parameter (`weight`, `running_inv_std`); for others, the name in the file.
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

/// The element type of a tensor in a file, by its size in bits. Values are read as `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    Float(usize),
    /// The upper half of an `f32`.
    Bfloat16,
    /// Signed or unsigned: not parameter values but indices, or quantised values.
    Integer(usize),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Float(bits) => write!(f, "float{bits}"),
            Number::Bfloat16 => f.write_str("bfloat16"),
            Number::Integer(bits) => write!(f, "{bits}-bit integers"),
        }
    }
}

/// One tensor of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name of the layer in the file (`conv1_1`, `block1_conv1`); in Keras 3 files without names its group,
    /// `conv2d_3`. Layers of nested models have their own names, with the model as a prefix where two models share a name:
    /// `model/layer`.
    pub layer: String,
    /// Which parameter of the layer it is.
    pub role: Role,
    /// The full path of the dataset, for messages.
    pub key: String,
    /// Sizes of the axes, outermost first.
    pub shape: Vec<usize>,
    pub number: Number,
    /// The class of the layer, if the file states it: `Convolution` (NeuPy), `Conv2D` (Keras full model), `conv2d` (Keras 3).
    pub class: Option<String>,
}

impl Entry {
    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The tensors of one open file.
pub trait Store: fmt::Debug + Send + Sync {
    /// The layout of the file.
    fn layout(&self) -> Layout;

    /// Whether the file names its layers. Otherwise layers are identified only by class and by their order within it
    /// (Keras 3 files written before Keras 3.6).
    fn has_names(&self) -> bool;

    /// The framework whose conventions the tensors follow.
    fn framework(&self) -> Framework {
        Framework::Keras
    }

    /// Remarks for the report on how the file was read.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// All tensors, in the order of layers in the file: `layer_names` for NeuPy and Keras, numeric order within
    /// each class for Keras 3, byte order for safetensors.
    fn entries(&self) -> &[Entry];

    /// The description of the model, if the file has one.
    fn model(&self) -> Option<&Model> {
        None
    }

    /// Rows `rows` (indices of the first axis; a scalar has one row) of tensor `index`, row-major, converted to `f32`.
    fn read_rows(&self, index: usize, rows: Range<usize>) -> Result<Vec<f32>, StoreError>;

    /// All of tensor `index`, row-major, as `f32`.
    fn read(&self, index: usize) -> Result<Vec<f32>, StoreError> {
        let rows = self.entries().get(index).map_or(0, |entry| row_count(&entry.shape));
        self.read_rows(index, 0..rows)
    }
}

/// The number of rows of a tensor of this shape: the size of the first axis, or one for a scalar.
pub fn row_count(shape: &[usize]) -> usize {
    shape.first().copied().unwrap_or(1)
}

/// The entry at `index`, which must have these rows.
pub(crate) fn entry_with_rows<'e>(
    entries: &'e [Entry],
    index: usize,
    rows: &Range<usize>,
) -> Result<&'e Entry, StoreError> {
    let entry = entries.get(index).ok_or(StoreError::NoSuchEntry { index })?;
    let count = row_count(&entry.shape);
    match rows.end > count {
        true => Err(StoreError::NoSuchRows { location: entry.key.clone(), end: rows.end, rows: count }),
        false => Ok(entry),
    }
}

/// Why a weights file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} does not exist", path.display())]
    NotFound { path: PathBuf },
    #[error("{} is not a file but {what}", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not a weights file: it seems to be {seems}", path.display())]
    NotHdf5 { path: PathBuf, seems: String },
    #[error("{location} is truncated: {what}")]
    Truncated { location: String, what: String },
    #[error("{location} is damaged: {what}")]
    Corrupt { location: String, what: String },
    #[error("{} has none of the layouts {}: {found}", path.display(), Layout::list())]
    UnknownLayout { path: PathBuf, found: String },
    #[error("{} does not have the layout {asked}; {found}", path.display())]
    OtherLayout { path: PathBuf, asked: Layout, found: String },
    #[error("{location} is refused: {what}")]
    Refused { location: String, what: String },
    #[error("{location} contains {found} instead of numbers")]
    NonNumeric { location: String, found: String },
    #[error("{location} is too large: {what}")]
    TooLarge { location: String, what: String },
    #[error("{location} has {rows} rows, fewer than {end}")]
    NoSuchRows { location: String, end: usize, rows: usize },
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
