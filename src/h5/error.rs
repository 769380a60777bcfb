//! What can be wrong with an HDF5 file.

use crate::file::in_words;
use std::io;

/// Why an HDF5 file, or something in it, could not be read or written. `place` is the path of the dataset, group or
/// attribute.
#[derive(Debug, thiserror::Error)]
pub enum Hdf5Error {
    #[error("{0}")]
    Io(#[source] io::Error),
    #[error("`{place}` is not in the file")]
    Missing { place: String },
    #[error("`{place}` is cut short: {what}")]
    Short { place: String, what: String },
    #[error("`{place}` is damaged: {what}")]
    Damaged { place: String, what: String },
    #[error("`{place}` is refused: {what}")]
    Refused { place: String, what: String },
    #[error("`{place}` is too large: {what}")]
    TooLarge { place: String, what: String },
    #[error("`{place}` holds {found}, where numbers are expected")]
    NotNumbers { place: String, found: String },
    /// What cannot be put into an HDF5 file.
    #[error("`{place}` cannot be written: {what}")]
    Unwritable { place: String, what: String },
}

impl Hdf5Error {
    /// Of a file that another program writes.
    pub(super) fn busy() -> Hdf5Error {
        Hdf5Error::Io(io::Error::new(io::ErrorKind::ResourceBusy, "another program has it open for writing"))
    }

    pub(super) fn damaged(place: &str, what: impl ToString) -> Hdf5Error {
        Hdf5Error::Damaged { place: place.to_owned(), what: what.to_string() }
    }

    pub(super) fn refused(place: &str, what: impl Into<String>) -> Hdf5Error {
        Hdf5Error::Refused { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn too_large(place: &str, what: impl Into<String>) -> Hdf5Error {
        Hdf5Error::TooLarge { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn short(place: &str, what: impl Into<String>) -> Hdf5Error {
        Hdf5Error::Short { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn unwritable(place: &str, what: impl ToString) -> Hdf5Error {
        Hdf5Error::Unwritable { place: place.to_owned(), what: in_words(&what.to_string()) }
    }

    /// What the library says of a whole file, whose name is a temporary one.
    #[cfg(feature = "hdf5")]
    pub(super) fn of_writing(error: &hdf5::Error) -> Hdf5Error {
        Hdf5Error::Io(io::Error::other(in_words(&error.to_string())))
    }

    /// What the pure reader says of `place`.
    pub(super) fn of_reader(place: &str, error: hdf5_reader::error::Error) -> Hdf5Error {
        use hdf5_reader::error::Error;
        match error {
            Error::Io(source) => Hdf5Error::Io(source),
            Error::ResourceLimit(what) => Hdf5Error::too_large(place, what),
            Error::UnsupportedLayoutClass(3) => {
                Hdf5Error::refused(place, "it is a virtual dataset, made of other files")
            }
            other => Hdf5Error::damaged(place, other),
        }
    }
}
