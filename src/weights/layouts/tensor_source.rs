//! The tensors of a file, and how the values of an entry follow from them.

use crate::weights::store::Number;

/// A tensor of a file.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub name: String,
    pub number: Number,
    pub shape: Vec<usize>,
    pub location: Location,
}

/// Where the values of a tensor are.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    /// The index of the file.
    pub file: usize,
    /// The first byte.
    pub start: u64,
    /// The size of each axis and its stride in values; none for values in row-major order without gaps.
    pub axes: Option<Vec<(usize, usize)>>,
    /// Whether the values have the other sign than those in the file.
    pub negated: bool,
}

/// How the values of an entry follow from tensors.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Tensor(Location),
    /// The matrix with its axes exchanged.
    Transposed(Location),
    Sum([Location; 2]),
    /// Two vectors as the rows of a matrix.
    Rows([Location; 2]),
}
