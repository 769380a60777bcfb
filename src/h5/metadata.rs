//! A file's metadata: its superblock, object headers and heaps, read within limits.

use super::error::Hdf5Error;
use super::storage::Metered;
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::storage::Storage;
use hdf5_reader::{Hdf5File, OpenOptions};
use std::fs;
use std::sync::Arc;

/// The maximum size of an object header: its messages, with attributes of up to 64 KiB each.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// An open file's metadata.
pub(super) struct Metadata {
    /// Reopened for each object, so that no headers are cached.
    storage: Arc<Metered>,
    file: Hdf5File,
}

impl Metadata {
    /// Reads the superblock.
    pub fn of(file: fs::File) -> Result<Metadata, Hdf5Error> {
        let fail = |error| Hdf5Error::of_reader("/", error);
        let storage = Arc::new(Metered::new(file).map_err(fail)?);
        let file = open(&storage).map_err(fail)?;
        let (end, length) = (file.superblock().eof_address, storage.len());
        if end > length {
            return Err(Hdf5Error::short("/", format!("it has {length} of {end} bytes")));
        }
        Ok(Metadata { storage, file })
    }

    /// The address of the root group's header.
    pub fn root(&self) -> Result<u64, Hdf5Error> {
        let root = self.file.superblock().root_object_header_address();
        root.map_err(|error| Hdf5Error::of_reader("/", error))
    }

    /// The header of the object at `location`.
    pub fn header(&self, address: u64, location: &str) -> Result<Arc<ObjectHeader>, Hdf5Error> {
        let parsed = open(&self.storage).and_then(|file| file.get_or_parse_header(address));
        parsed.map_err(|error| Hdf5Error::of_reader(location, error))
    }

    /// The encoded datatype of the dataset at `location`; the parsed datatype lacks the bit layout of numbers.
    pub fn raw_type(&self, address: u64, location: &str) -> Result<Vec<u8>, Hdf5Error> {
        let dataset = self.file.dataset(location).map_err(|error| Hdf5Error::of_reader(location, error))?;
        if dataset.address() != address {
            return Err(Hdf5Error::damaged(location, "its path is ambiguous"));
        }
        dataset.raw_datatype().map_err(|error| Hdf5Error::of_reader(location, error))
    }

    /// The bytes of the file, by HDF5 address.
    pub fn storage(&self) -> &dyn Storage {
        self.file.storage()
    }

    /// Counts bytes that are copied from what has been read.
    pub fn take(&self, bytes: u64) -> hdf5_reader::error::Result<()> {
        self.storage.take(bytes)
    }

    /// The number of bytes after the user block.
    pub fn length(&self) -> u64 {
        self.storage().len()
    }

    /// The offset of address zero: after the user block.
    pub fn base(&self) -> u64 {
        self.file.superblock().base_address
    }

    pub fn offset_size(&self) -> u8 {
        self.file.superblock().offset_size
    }

    pub fn length_size(&self) -> u8 {
        self.file.superblock().length_size
    }
}

fn open(storage: &Arc<Metered>) -> hdf5_reader::error::Result<Hdf5File> {
    let options = OpenOptions::default().with_max_object_header_bytes(MAX_HEADER_BYTES);
    Hdf5File::from_storage_with_options(storage.clone(), options)
}
