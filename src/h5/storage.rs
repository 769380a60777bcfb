//! The bytes of a file as the guard reads them: positioned reads, counted, so that structures which overlap or are listed
//! again and again cannot make the work or the memory larger than the file warrants.

use hdf5_reader::error::{Error, Result};
use hdf5_reader::storage::{FileStorage, Storage, StorageBuffer};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// What may be read of any file's structure, before its length counts.
const ALLOWANCE: u64 = 32 << 20;
/// How often the structure may be read over: groups and headers are read some three times, nodes of an index once for each
/// dataset that is opened.
const TIMES: u64 = 16;

/// A file whose reads are counted.
pub(super) struct Metered {
    file: FileStorage,
    /// The bytes that may still be read.
    left: AtomicU64,
}

impl Metered {
    pub fn new(file: fs::File) -> Result<Metered> {
        let file = FileStorage::from_file(file)?;
        let left = ALLOWANCE.saturating_add(file.len().saturating_mul(TIMES));
        Ok(Metered { file, left: AtomicU64::new(left) })
    }

    /// Counts `bytes` that are taken again from what was read.
    pub fn take(&self, bytes: u64) -> Result<()> {
        let less = |left: u64| left.checked_sub(bytes);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::ResourceLimit("its parts overlap, or are listed too often".to_owned())),
        }
    }
}

impl Storage for Metered {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_range(&self, offset: u64, len: usize) -> Result<StorageBuffer> {
        // What is not in the file is told by the read itself, before it takes memory.
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
    fn what_is_read_again_and_again_has_an_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 1 << 16]).unwrap();
        let storage = Metered::new(file).unwrap();
        let allowed = (ALLOWANCE >> 16) + TIMES;
        for _ in 0..allowed {
            assert_eq!(storage.read_range(0, 1 << 16).unwrap().len(), 1 << 16);
        }
        assert!(matches!(storage.read_range(0, 1), Err(Error::ResourceLimit(_))));
        // A size that is not the file's is no matter of how much was read.
        assert!(matches!(storage.read_range(0, usize::MAX), Err(Error::UnexpectedEof { .. })));
    }
}
