//! An HDF5 file, opened for reading.

use super::attribute::{self, Attribute};
use super::backend::{self, Backend};
use super::dataset::{self, Dataset};
use super::error::Hdf5Error;
use super::guard::{Guard, Target};
use super::values::Values;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

/// The kind of object at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Group,
    Dataset,
    /// A committed datatype.
    Other,
}

/// An HDF5 file, opened for reading and checked. Paths start at the root, with or without the leading `/`.
#[derive(Debug)]
pub struct File {
    guard: Guard,
    values: Box<dyn Values>,
}

impl File {
    /// Opens the file with the default backend and walks its groups.
    ///
    /// # Errors
    /// I/O errors, [`io::ErrorKind::ResourceBusy`] if another program has the file open for writing, and errors about a
    /// tree of groups that is damaged or too large.
    pub fn open(path: &Path) -> Result<File, Hdf5Error> {
        File::open_with(path, Backend::DEFAULT)
    }

    /// Opens the file with a backend.
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn open_with(path: &Path, backend: Backend) -> Result<File, Hdf5Error> {
        // Opening a pipe would block until there is a writer.
        if !fs::metadata(path).map_err(Hdf5Error::Io)?.is_file() {
            return Err(Hdf5Error::Io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let file = fs::File::open(path).map_err(Hdf5Error::Io)?;
        check_lock(&file)?;
        let guard = Guard::of(file.try_clone().map_err(Hdf5Error::Io)?)?;
        let values = backend::values(backend, path, file)?;
        Ok(File { guard, values })
    }

    /// The kind of object at the path; `None` if there is none.
    ///
    /// # Errors
    /// If a link on the way is refused or points to a damaged object.
    pub fn kind(&self, path: &str) -> Result<Option<Kind>, Hdf5Error> {
        Ok(self.guard.find(path)?.map(|target| match target {
            Target::Group(_) => Kind::Group,
            Target::Dataset(_) => Kind::Dataset,
            Target::Other | Target::Again(_) | Target::Refused(_) | Target::Damaged(_) => Kind::Other,
        }))
    }

    /// The names in a group, sorted alphabetically.
    ///
    /// # Errors
    /// If the path is not that of a group.
    pub fn members(&self, group: &str) -> Result<Vec<String>, Hdf5Error> {
        Ok(self.guard.group(group)?.links.keys().cloned().collect())
    }

    /// The paths of all datasets, without the leading `/`, sorted.
    ///
    /// # Errors
    /// If there is a second link to a group.
    pub fn datasets(&self) -> Result<Vec<String>, Hdf5Error> {
        self.guard.datasets()
    }

    /// The names of the attributes of a group or dataset, sorted.
    ///
    /// # Errors
    /// If there is no object at the path, or its header is damaged.
    pub fn attributes(&self, path: &str) -> Result<Vec<String>, Hdf5Error> {
        let header = self.guard.metadata().header(self.address(path)?, path)?;
        attribute::names(self.guard.metadata(), &header, path)
    }

    /// The attribute `name` of a group or dataset; `None` if there is no such attribute.
    ///
    /// # Errors
    /// If there is no object at the path, or the attribute is damaged or too large.
    pub fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>, Hdf5Error> {
        let header = self.guard.metadata().header(self.address(path)?, path)?;
        attribute::read(self.guard.metadata(), &header, path, name)
    }

    /// The dataset at the path, with its declaration checked; no values are read.
    ///
    /// # Errors
    /// If there is no dataset at the path, or the guard refuses it.
    pub fn dataset(&self, path: &str) -> Result<Dataset, Hdf5Error> {
        match self.guard.find(path)? {
            Some(Target::Dataset(address)) => {
                let location = format!("/{}", path.trim_start_matches('/'));
                let header = self.guard.metadata().header(address, &location)?;
                let dataset = dataset::of_header(self.guard.metadata(), &header, address, &location)?;
                self.guard.count(&dataset)?;
                Ok(dataset)
            }
            Some(Target::Group(_)) => Err(Hdf5Error::damaged(path, "it is a group where a dataset is expected")),
            Some(_) => Err(Hdf5Error::damaged(path, "it is not a dataset")),
            None => Err(Hdf5Error::Missing { location: path.to_owned() }),
        }
    }

    /// Rows of a dataset of this file, row-major, converted to f32.
    ///
    /// # Errors
    /// I/O errors, and values that are not as declared.
    ///
    /// # Panics
    /// If the rows are out of range.
    pub fn rows(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>, Hdf5Error> {
        assert!(rows.end <= dataset.rows(), "{rows:?} of {}", dataset.rows());
        let count = rows.len() * dataset.row_len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let values = self.values.read(dataset, rows)?;
        match values.len() == count {
            true => Ok(values),
            false => {
                Err(Hdf5Error::damaged(dataset.path(), format!("it has {} values instead of {count}", values.len())))
            }
        }
    }

    /// All values of a dataset.
    ///
    /// # Errors
    /// As [`File::rows`].
    pub fn read(&self, dataset: &Dataset) -> Result<Vec<f32>, Hdf5Error> {
        self.rows(dataset, 0..dataset.rows())
    }

    fn address(&self, path: &str) -> Result<u64, Hdf5Error> {
        match self.guard.find(path)? {
            Some(Target::Dataset(address)) => Ok(address),
            _ => Ok(self.guard.group(path)?.address),
        }
    }
}

/// HDF5 locks files that it writes. As in HDF5 itself, `HDF5_USE_FILE_LOCKING=FALSE` disables the check.
fn check_lock(file: &fs::File) -> Result<(), Hdf5Error> {
    let ignored = std::env::var("HDF5_USE_FILE_LOCKING").is_ok_and(|value| matches!(&value[..], "FALSE" | "0"));
    if ignored {
        return Ok(());
    }
    match file.try_lock_shared() {
        Err(fs::TryLockError::WouldBlock) => Err(Hdf5Error::busy()),
        // Not every file system supports locks.
        Err(fs::TryLockError::Error(_)) => Ok(()),
        Ok(()) => {
            let _ = file.unlock();
            Ok(())
        }
    }
}
