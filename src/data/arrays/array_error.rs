//! What can be wrong with a file of arrays, and which array of it is meant.

use crate::h5::Hdf5Error;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How many times its stored bytes an array may hold: deflate, which is the tightest of the filters, reaches 1032.
pub(crate) const MAX_RATIO: u64 = 1100;

/// What an array may take as f32, however few bytes it was compressed to.
const FREE_BYTES: u64 = 256 << 20;
/// And a larger one so many times its stored bytes: what is measured does not compress further.
const FREE_RATIO: u64 = 100;

/// That an array of so many values does not take memory out of proportion to the bytes that it is stored in.
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

/// What is wrong with an array file, or with what is asked of it.
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
    #[error("{found}, where {wanted} is wanted")]
    OtherFormat { found: &'static str, wanted: &'static str },
    #[error("truncated: the file ends before the array does")]
    Short,
    #[error("truncated: its shape needs {declared} bytes, the file has {available}")]
    Truncated { declared: u64, available: u64 },
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("it holds {found}; numbers that become f32 are wanted")]
    Type { found: String },
    #[error("it claims {declared} bytes from {stored} stored ones, which no compression reaches")]
    Bomb { declared: u64, stored: u64 },
    #[error("{0}")]
    Hdf5(#[source] Hdf5Error),
    #[error(
        "its {floats} bytes as f32 come from {stored} stored ones; beyond {} MiB, no more than {FREE_RATIO} times the stored \
         bytes are taken",
        FREE_BYTES >> 20
    )]
    TooDense { floats: u64, stored: u64 },
    #[error("its {bytes} bytes do not fit into memory")]
    Memory { bytes: u64 },
    #[error("no array `{name}` in it; it holds {}", listed(available))]
    NoSuchArray { name: String, available: Vec<String> },
    #[error("several arrays are in it, name one of {}", listed(available))]
    SeveralArrays { available: Vec<String> },
    #[error("a .npy file holds one array without a name")]
    OneArray,
    #[error("the ending of an array file is .npy, .npz, .h5 or .hdf5")]
    UnknownEnding,
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

/// Names the file of what is wrong.
pub(crate) fn at<T>(path: &Path, work: impl FnOnce() -> Result<T, ArrayErrorKind>) -> Result<T, ArrayError> {
    work().map_err(|error| ArrayError { path: path.to_owned(), error })
}

/// Names the array of what is wrong.
pub(crate) fn within<T>(name: &str, result: Result<T, ArrayErrorKind>) -> Result<T, ArrayErrorKind> {
    result.map_err(|error| ArrayErrorKind::In { name: name.to_owned(), error: Box::new(error) })
}

/// The array that is meant: the named one, or the only one.
pub(crate) fn choose(name: Option<&str>, mut available: Vec<String>) -> Result<String, ArrayErrorKind> {
    match (name, available.len()) {
        (Some(name), _) if available.iter().any(|known| known == name) => Ok(name.to_owned()),
        (Some(name), _) => Err(ArrayErrorKind::NoSuchArray { name: name.to_owned(), available }),
        (None, 1) => Ok(available.remove(0)),
        (None, 0) => Err(ArrayErrorKind::Damaged("it holds no array".to_owned())),
        (None, _) => Err(ArrayErrorKind::SeveralArrays { available }),
    }
}
