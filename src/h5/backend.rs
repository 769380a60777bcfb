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
    /// All that this build has, the default first.
    pub const ALL: &[Backend] = &[
        #[cfg(feature = "hdf5")]
        Backend::Library,
        Backend::Rust,
    ];

    /// The one that is used where nothing else is asked for.
    pub const DEFAULT: Backend = Backend::ALL[0];
}

/// The values in one open file.
pub(super) trait Values: fmt::Debug + Send + Sync {
    /// The rows of a dataset that the guard let through, row-major, as f32. The rows are in it, and are not empty.
    fn read(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>, Hdf5Error>;
}

/// Opens the file at `path`, which the guard has walked by `file`; the library opens it by its name.
pub(super) fn values(backend: Backend, path: &Path, file: fs::File) -> Result<Box<dyn Values>, Hdf5Error> {
    match backend {
        #[cfg(feature = "hdf5")]
        Backend::Library => Ok(Box::new(super::library::LibraryValues::open(path, file)?)),
        Backend::Rust => Ok(Box::new(super::rust_values::RustValues::open(path, file)?)),
    }
}

/// Makes room for the values of a dataset, or says that there is none.
pub(super) fn reserve(values: &mut Vec<f32>, count: usize, dataset: &Dataset) -> Result<(), Hdf5Error> {
    let memory = values.try_reserve_exact(count);
    memory.map_err(|_| Hdf5Error::too_large(dataset.place(), format!("its {count} values do not fit into memory")))
}
