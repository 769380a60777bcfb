//! What can be wrong with an HDF5 file.

use crate::file::in_words;
use std::io;

/// Why an HDF5 file, or something in it, could not be read or written. `place` is the path of the dataset, group or
/// attribute.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
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

impl Fault {
    /// Of a file that another program writes.
    pub(super) fn busy() -> Fault {
        Fault::Io(io::Error::new(io::ErrorKind::ResourceBusy, "another program has it open for writing"))
    }

    pub(super) fn damaged(place: &str, what: impl ToString) -> Fault {
        Fault::Damaged { place: place.to_owned(), what: what.to_string() }
    }

    pub(super) fn refused(place: &str, what: impl Into<String>) -> Fault {
        Fault::Refused { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn too_large(place: &str, what: impl Into<String>) -> Fault {
        Fault::TooLarge { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn short(place: &str, what: impl Into<String>) -> Fault {
        Fault::Short { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn unwritable(place: &str, what: impl ToString) -> Fault {
        Fault::Unwritable { place: place.to_owned(), what: in_words(&what.to_string()) }
    }

    /// What the library says of a whole file, whose name is a temporary one.
    #[cfg(feature = "hdf5")]
    pub(super) fn of_writing(error: &hdf5::Error) -> Fault {
        Fault::Io(io::Error::other(in_words(&error.to_string())))
    }

    /// What the pure reader says of `place`.
    pub(super) fn of_reader(place: &str, error: hdf5_reader::error::Error) -> Fault {
        use hdf5_reader::error::Error;
        match error {
            Error::Io(source) => Fault::Io(source),
            Error::ResourceLimit(what) => Fault::too_large(place, what),
            Error::UnsupportedLayoutClass(3) => Fault::refused(place, "it is a virtual dataset, made of other files"),
            other => Fault::damaged(place, other),
        }
    }
}
