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

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Group,
    Dataset,
    /// A stored type.
    Other,
}

/// An HDF5 file, opened for reading and checked; paths go from the root, with or without the first `/`.
#[derive(Debug)]
pub struct File {
    guard: Guard,
    values: Box<dyn Values>,
}

impl File {
    /// Opens the file by the default backend and walks its groups.
    ///
    /// # Errors
    /// Of the file system, [`io::ErrorKind::ResourceBusy`] where another program has the file open for writing, and
    /// those of a file whose tree of groups is damaged or too large.
    pub fn open(path: &Path) -> Result<File, Hdf5Error> {
        File::open_with(path, Backend::DEFAULT)
    }

    /// Opens the file by a backend.
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn open_with(path: &Path, backend: Backend) -> Result<File, Hdf5Error> {
        // Opening a pipe would wait for a writer.
        if !fs::metadata(path).map_err(Hdf5Error::Io)?.is_file() {
            return Err(Hdf5Error::Io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let file = fs::File::open(path).map_err(Hdf5Error::Io)?;
        check_lock(&file)?;
        let guard = Guard::of(file.try_clone().map_err(Hdf5Error::Io)?)?;
        let values = backend::values(backend, path, file)?;
        Ok(File { guard, values })
    }

    /// What the path leads to; `None` if nothing is there.
    ///
    /// # Errors
    /// A link on the way that is refused, or leads to what is damaged.
    pub fn kind(&self, path: &str) -> Result<Option<Kind>, Hdf5Error> {
        Ok(self.guard.find(path)?.map(|target| match target {
            Target::Group(_) => Kind::Group,
            Target::Dataset(_) => Kind::Dataset,
            Target::Other | Target::Again(_) | Target::Refused(_) | Target::Damaged(_) => Kind::Other,
        }))
    }

    /// The names in a group, sorted as text.
    ///
    /// # Errors
    /// Where the path leads to no group.
    pub fn members(&self, group: &str) -> Result<Vec<String>, Hdf5Error> {
        Ok(self.guard.group(group)?.links.keys().cloned().collect())
    }

    /// The paths of all datasets, without the first `/`, sorted.
    ///
    /// # Errors
    /// A second link to a group.
    pub fn datasets(&self) -> Result<Vec<String>, Hdf5Error> {
        self.guard.datasets()
    }

    /// The names of a group's or dataset's attributes, sorted.
    ///
    /// # Errors
    /// Where nothing is at the path, or its header is damaged.
    pub fn attributes(&self, path: &str) -> Result<Vec<String>, Hdf5Error> {
        let header = self.guard.metadata().header(self.address(path)?, path)?;
        attribute::names(self.guard.metadata(), &header, path)
    }

    /// The attribute `name` of a group or dataset; `None` if it has none of this name.
    ///
    /// # Errors
    /// Where nothing is at the path, and those of a damaged or too large attribute.
    pub fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>, Hdf5Error> {
        let header = self.guard.metadata().header(self.address(path)?, path)?;
        attribute::read(self.guard.metadata(), &header, path, name)
    }

    /// The dataset at the path, its declaration checked; nothing of its values is read.
    ///
    /// # Errors
    /// Where no dataset is at the path, and whatever the guard refuses of it.
    pub fn dataset(&self, path: &str) -> Result<Dataset, Hdf5Error> {
        match self.guard.find(path)? {
            Some(Target::Dataset(address)) => {
                let place = format!("/{}", path.trim_start_matches('/'));
                let header = self.guard.metadata().header(address, &place)?;
                let dataset = dataset::of_header(self.guard.metadata(), &header, address, &place)?;
                self.guard.count(&dataset)?;
                Ok(dataset)
            }
            Some(Target::Group(_)) => Err(Hdf5Error::damaged(path, "it is a group where a dataset is expected")),
            Some(_) => Err(Hdf5Error::damaged(path, "it is not a dataset")),
            None => Err(Hdf5Error::Missing { place: path.to_owned() }),
        }
    }

    /// Rows of a dataset of this file, row-major, as f32 whatever numbers are stored.
    ///
    /// # Errors
    /// Those of reading, and of values that are not as declared.
    ///
    /// # Panics
    /// Rows that are not in the dataset.
    pub fn rows(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>, Hdf5Error> {
        assert!(rows.end <= dataset.rows(), "{rows:?} of {}", dataset.rows());
        let count = rows.len() * dataset.row_len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let values = self.values.read(dataset, rows)?;
        match values.len() == count {
            true => Ok(values),
            false => Err(Hdf5Error::damaged(dataset.place(), format!("it gives {} values of {count}", values.len()))),
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

/// HDF5 locks a file that it writes; as it does itself, `HDF5_USE_FILE_LOCKING=FALSE` makes locks mean nothing.
fn check_lock(file: &fs::File) -> Result<(), Hdf5Error> {
    let ignored = std::env::var("HDF5_USE_FILE_LOCKING").is_ok_and(|value| matches!(&value[..], "FALSE" | "0"));
    if ignored {
        return Ok(());
    }
    match file.try_lock_shared() {
        Err(fs::TryLockError::WouldBlock) => Err(Hdf5Error::busy()),
        // Not every file system has locks.
        Err(fs::TryLockError::Error(_)) => Ok(()),
        Ok(()) => {
            let _ = file.unlock();
            Ok(())
        }
    }
}
