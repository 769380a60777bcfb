//! The guard's access to a file: positioned reads that are counted, so that structures that overlap or are referenced repeatedly
//! cannot make time or memory disproportionate to the size of the file.

use hdf5_reader::error::{Error, Result};
use hdf5_reader::storage::{FileStorage, Storage, StorageBuffer};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// The base allowance of bytes read, for a file of any size.
const ALLOWANCE: u64 = 32 << 20;
/// How many times the file may be read in total: groups and headers are read about three times, index nodes once for each
/// dataset that is opened.
const MAX_READS: u64 = 16;

/// A file whose reads are counted.
pub(super) struct Metered {
    file: FileStorage,
    /// The bytes that may still be read.
    left: AtomicU64,
}

impl Metered {
    pub fn new(file: fs::File) -> Result<Metered> {
        let file = FileStorage::from_file(file)?;
        let left = ALLOWANCE.saturating_add(file.len().saturating_mul(MAX_READS));
        Ok(Metered { file, left: AtomicU64::new(left) })
    }

    /// Counts `bytes` that are copied from what has been read.
    pub fn take(&self, bytes: u64) -> Result<()> {
        let less = |left: u64| left.checked_sub(bytes);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::ResourceLimit("its structures overlap, or are referenced too often".to_owned())),
        }
    }
}

impl Storage for Metered {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_range(&self, offset: u64, len: usize) -> Result<StorageBuffer> {
        // A read past the end of the file fails before it allocates.
        if offset.checked_add(len as u64).is_some_and(|end| end <= self.file.len()) {
            self.take(len as u64)?;
        }
        self.file.read_range(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn repeated_reads_are_limited() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 1 << 16]).unwrap();
        let storage = Metered::new(file).unwrap();
        let allowed = (ALLOWANCE >> 16) + MAX_READS;
        for _ in 0..allowed {
            assert_eq!(storage.read_range(0, 1 << 16).unwrap().len(), 1 << 16);
        }
        assert!(matches!(storage.read_range(0, 1), Err(Error::ResourceLimit(_))));
        // A read past the end of the file is reported as such.
        assert!(matches!(storage.read_range(0, usize::MAX), Err(Error::UnexpectedEof { .. })));
    }
}
