//! Errors of HDF5 files.

use crate::file::in_words;
use std::io;

/// Why an HDF5 file, or an object in it, could not be read or written. `location` is the path of the dataset, group or
/// attribute.
#[derive(Debug, thiserror::Error)]
pub enum Hdf5Error {
    #[error("{0}")]
    Io(#[source] io::Error),
    #[error("`{location}` is not in the file")]
    Missing { location: String },
    #[error("`{location}` is truncated: {what}")]
    Short { location: String, what: String },
    #[error("`{location}` is damaged: {what}")]
    Damaged { location: String, what: String },
    #[error("`{location}` is refused: {what}")]
    Refused { location: String, what: String },
    #[error("`{location}` is too large: {what}")]
    TooLarge { location: String, what: String },
    #[error("`{location}` contains {found} where numbers are expected")]
    NotNumbers { location: String, found: String },
    /// Something that cannot be stored in an HDF5 file.
    #[error("`{location}` cannot be written: {what}")]
    Unwritable { location: String, what: String },
}

impl Hdf5Error {
    /// The error for a file that another program is writing.
    pub(super) fn busy() -> Hdf5Error {
        Hdf5Error::Io(io::Error::new(io::ErrorKind::ResourceBusy, "another program has it open for writing"))
    }

    pub(super) fn damaged(location: &str, what: impl ToString) -> Hdf5Error {
        Hdf5Error::Damaged { location: location.to_owned(), what: what.to_string() }
    }

    pub(super) fn refused(location: &str, what: impl Into<String>) -> Hdf5Error {
        Hdf5Error::Refused { location: location.to_owned(), what: what.into() }
    }

    pub(super) fn too_large(location: &str, what: impl Into<String>) -> Hdf5Error {
        Hdf5Error::TooLarge { location: location.to_owned(), what: what.into() }
    }

    pub(super) fn short(location: &str, what: impl Into<String>) -> Hdf5Error {
        Hdf5Error::Short { location: location.to_owned(), what: what.into() }
    }

    pub(super) fn unwritable(location: &str, what: impl ToString) -> Hdf5Error {
        Hdf5Error::Unwritable { location: location.to_owned(), what: in_words(&what.to_string()) }
    }

    /// An error of libhdf5 about the whole file, without its temporary name.
    #[cfg(feature = "hdf5")]
    pub(super) fn of_writing(error: &hdf5::Error) -> Hdf5Error {
        Hdf5Error::Io(io::Error::other(in_words(&error.to_string())))
    }

    /// An error of hdf5-reader about `location`.
    pub(super) fn of_reader(location: &str, error: hdf5_reader::error::Error) -> Hdf5Error {
        use hdf5_reader::error::Error;
        match error {
            Error::Io(source) => Hdf5Error::Io(source),
            Error::ResourceLimit(what) => Hdf5Error::too_large(location, what),
            Error::UnsupportedLayoutClass(3) => {
                Hdf5Error::refused(location, "it is a virtual dataset, which refers to other files")
            }
            other => Hdf5Error::damaged(location, other),
        }
    }
}
