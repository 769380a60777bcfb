//! Errors of array files, and the choice of an array in a file.

use crate::h5::Hdf5Error;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The size as f32 up to which an array may be compressed arbitrarily well.
const FREE_BYTES: u64 = 256 << 20;
/// The maximum ratio for larger arrays: real data does not compress better.
const FREE_RATIO: u64 = 100;

/// Checks that the size of an array in memory is proportionate to its stored size.
pub(crate) fn check_density(values: usize, stored: u64) -> Result<(), ArrayErrorKind> {
    let floats = (values as u64).saturating_mul(4);
    match floats > FREE_BYTES.max(stored.saturating_mul(FREE_RATIO)) {
        true => Err(ArrayErrorKind::TooDense { floats, stored }),
        false => Ok(()),
    }
}

/// An array file that cannot be read or written, and why.
#[derive(Debug, Error)]
#[error("{}: {error}", path.display())]
pub struct ArrayError {
    pub path: PathBuf,
    #[source]
    pub error: ArrayErrorKind,
}

/// What is wrong with an array file, or with the request.
#[derive(Debug, Error)]
pub enum ArrayErrorKind {
    #[error("no such file")]
    NotFound,
    #[error("not a regular file")]
    NotAFile,
    #[error("{0}")]
    Io(#[source] io::Error),
    #[error("not an array, but {looks_like}; arrays are .npy, .npz or HDF5")]
    NotAnArray { looks_like: &'static str },
    #[error("it is {found}, not {expected}")]
    OtherFormat { found: &'static str, expected: &'static str },
    #[error("truncated: the file ends before the array does")]
    Short,
    #[error("truncated: its shape needs {declared} bytes, the file has {available}")]
    Truncated { declared: u64, available: u64 },
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("it contains {found} instead of numbers")]
    Type { found: String },
    #[error("it contains {value:e}, which is more than float32 can express")]
    Range { value: f64 },
    #[error("it claims to expand {stored} bytes to {declared}, which no compression achieves")]
    Bomb { declared: u64, stored: u64 },
    #[error("{0}")]
    Hdf5(#[source] Hdf5Error),
    #[error(
        "it expands {stored} bytes to {floats} as f32; above {} MiB, the limit is {FREE_RATIO} times the stored size",
        FREE_BYTES >> 20
    )]
    TooDense { floats: u64, stored: u64 },
    #[error("its {bytes} bytes do not fit in memory")]
    Memory { bytes: u64 },
    #[error("it has no array `{name}`; available: {}", listed(available))]
    NoSuchArray { name: String, available: Vec<String> },
    #[error("it has several arrays, {}, but one is expected", listed(available))]
    SeveralArrays { available: Vec<String> },
    #[error("a .npy file contains a single array without a name")]
    OneArray,
    #[error("the extension of an array file must be .npy, .npz, .h5 or .hdf5")]
    UnknownExtension,
    #[error("array `{name}`: {error}")]
    In {
        name: String,
        #[source]
        error: Box<ArrayErrorKind>,
    },
}

impl From<Hdf5Error> for ArrayErrorKind {
    fn from(error: Hdf5Error) -> ArrayErrorKind {
        match error {
            Hdf5Error::Io(source) => ArrayErrorKind::Io(source),
            other => ArrayErrorKind::Hdf5(other),
        }
    }
}

/// `a`, `b` and 3 more.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        _ if names.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The name and shape of an array in a file; the array of a `.npy` file has an empty name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayInfo {
    pub name: String,
    pub shape: Vec<usize>,
}

/// Adds the path to an error.
pub(crate) fn at<T>(path: &Path, work: impl FnOnce() -> Result<T, ArrayErrorKind>) -> Result<T, ArrayError> {
    work().map_err(|error| ArrayError { path: path.to_owned(), error })
}

/// Adds the name of the array to an error.
pub(crate) fn within<T>(name: &str, result: Result<T, ArrayErrorKind>) -> Result<T, ArrayErrorKind> {
    result.map_err(|error| ArrayErrorKind::In { name: name.to_owned(), error: Box::new(error) })
}

/// The name of the array to read: the given one, or the only one.
pub(crate) fn choose(name: Option<&str>, mut available: Vec<String>) -> Result<String, ArrayErrorKind> {
    match (name, available.len()) {
        (Some(name), _) if available.iter().any(|known| known == name) => Ok(name.to_owned()),
        (Some(name), _) => Err(ArrayErrorKind::NoSuchArray { name: name.to_owned(), available }),
        (None, 1) => Ok(available.remove(0)),
        (None, 0) => Err(ArrayErrorKind::Damaged("it contains no arrays".to_owned())),
        (None, _) => Err(ArrayErrorKind::SeveralArrays { available }),
    }
}
