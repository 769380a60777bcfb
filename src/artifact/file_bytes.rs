//! The bytes of an open artifact: a small file is copied, a large one is mapped and checked for changes.

use crate::file::open_regular;
use memmap2::{Mmap, MmapMut};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

/// Files of up to this many bytes are copied: 16 MiB take a few milliseconds.
const MAX_COPIED: u64 = 16 << 20;

/// Bytes of a file.
#[derive(Debug)]
pub(super) struct FileBytes {
    bytes: Mmap,
    /// A mapped file and its state when it was mapped; `None` for a copy.
    mapped: Option<(File, State)>,
}

/// The metadata that change when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    length: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn of(known: &Metadata) -> Self {
        State { length: known.len(), modified: known.modified().ok() }
    }
}

impl FileBytes {
    /// Opens a regular file.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (mut file, length) = open_regular(path)?;
        if length <= MAX_COPIED {
            // In separate pages: constants are read as floats, which must be aligned. An empty map is an error.
            let mut copy = MmapMut::map_anon((length as usize).max(1))?;
            file.read_exact(&mut copy[..length as usize])?;
            return Ok(FileBytes { bytes: copy.make_read_only()?, mapped: None });
        }
        let state = State::of(&file.metadata()?);
        // SAFETY: the file is mapped read-only. No program can guarantee that others do not change it; everything read from it
        // is validated before it is used as anything but numbers.
        let bytes = unsafe { Mmap::map(&file) }?;
        Ok(FileBytes { bytes, mapped: Some((file, state)) })
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether length and modification time of the file are unchanged.
    pub fn is_unchanged(&self) -> bool {
        let Some((file, state)) = &self.mapped else { return true };
        file.metadata().is_ok_and(|known| State::of(&known) == *state)
    }
}
