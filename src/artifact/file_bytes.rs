//! The bytes of a file while an artifact is used: copied where they are few, else mapped and watched.

use crate::file::open_regular;
use memmap2::{Mmap, MmapMut};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

/// Files of up to so many bytes are copied: 16 MiB take a few milliseconds.
const COPIED: u64 = 16 << 20;

/// Bytes of a file.
#[derive(Debug)]
pub(super) struct FileBytes {
    bytes: Mmap,
    /// The file that was mapped, and its state then; none of a copy.
    watched: Option<(File, State)>,
}

/// What changes when a file is written to.
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
    /// Of a regular file.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (mut file, length) = open_regular(path)?;
        if length <= COPIED {
            // In pages of its own: constants are read as floats, which must be aligned. An empty map is refused.
            let mut copy = MmapMut::map_anon((length as usize).max(1))?;
            file.read_exact(&mut copy[..length as usize])?;
            return Ok(FileBytes { bytes: copy.make_read_only()?, watched: None });
        }
        let state = State::of(&file.metadata()?);
        // SAFETY: the file is mapped read-only. That nobody changes it meanwhile cannot be promised by any program; what is
        // read of it is checked before it is used as anything but numbers.
        let bytes = unsafe { Mmap::map(&file) }?;
        Ok(FileBytes { bytes, watched: Some((file, state)) })
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the file is as long as it was and was not written to, as far as its time tells.
    pub fn is_unchanged(&self) -> bool {
        let Some((file, state)) = &self.watched else { return true };
        file.metadata().is_ok_and(|known| State::of(&known) == *state)
    }
}
