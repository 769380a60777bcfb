//! The two libraries that read values and write files.

use super::error::Hdf5Error;
use super::values::Values;
use super::writer::Writer;
use std::fs;
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

/// Opens the file at `path`, which the guard has walked through the handle `file`; libhdf5 opens it by name.
pub(super) fn values(backend: Backend, path: &Path, file: fs::File) -> Result<Box<dyn Values>, Hdf5Error> {
    match backend {
        #[cfg(feature = "hdf5")]
        Backend::Library => Ok(Box::new(super::library::LibraryValues::open(path, file)?)),
        Backend::Rust => Ok(Box::new(super::rust_values::RustValues::open(path, file)?)),
    }
}

/// Creates a file at `path`.
///
/// # Errors
/// I/O errors.
pub fn writer(path: &Path, backend: Backend) -> Result<Box<dyn Writer>, Hdf5Error> {
    match backend {
        #[cfg(feature = "hdf5")]
        Backend::Library => Ok(Box::new(super::library::LibraryWriter::create(path)?)),
        Backend::Rust => Ok(Box::new(super::rust_writer::RustWriter::create(path))),
    }
}
