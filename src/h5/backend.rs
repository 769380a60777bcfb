//! The two libraries that read values and write files.

use super::dataset::Dataset;
use super::error::Hdf5Error;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// A library that reads the values of datasets and writes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// libhdf5, the reference, in C.
    #[cfg(feature = "hdf5")]
    Library,
    /// hdf5-reader and hdf5-writer, in Rust.
    Rust,
}

impl Backend {
    /// All backends of this build, the default first.
    pub const ALL: &[Backend] = &[
        #[cfg(feature = "hdf5")]
        Backend::Library,
        Backend::Rust,
    ];

    /// The default backend.
    pub const DEFAULT: Backend = Backend::ALL[0];
}

/// The values in one open file.
pub(super) trait Values: fmt::Debug + Send + Sync {
    /// Rows of a dataset that the guard has checked, row-major, as f32. The range is within the dataset and not empty.
    fn read(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>, Hdf5Error>;
}

/// Opens the file at `path`, which the guard has walked through the handle `file`; libhdf5 opens it by name.
pub(super) fn values(backend: Backend, path: &Path, file: fs::File) -> Result<Box<dyn Values>, Hdf5Error> {
    match backend {
        #[cfg(feature = "hdf5")]
        Backend::Library => Ok(Box::new(super::library::LibraryValues::open(path, file)?)),
        Backend::Rust => Ok(Box::new(super::rust_values::RustValues::open(path, file)?)),
    }
}

/// Reserves memory for the values of a dataset.
pub(super) fn reserve(values: &mut Vec<f32>, count: usize, dataset: &Dataset) -> Result<(), Hdf5Error> {
    let memory = values.try_reserve_exact(count);
    memory.map_err(|_| Hdf5Error::too_large(dataset.path(), format!("its {count} values do not fit in memory")))
}
