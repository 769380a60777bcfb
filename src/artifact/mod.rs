//! The artifact: plan, packed constants and everything else that prediction needs, in one memory-mapped file.
//!
//! ```text
//! 0   magic (8)  version (4)  checksum of bytes 16 to 64 (4)
//! 16  manifest length (8)  constants offset (8)  constants length (8)  manifest checksum (4)  zeros
//! 64  manifest: JSON
//! …   constants: f32, little endian, at a multiple of a page; the manifest has the checksums of its blocks
//! ```
//! It contains no time, folder or output name: the same inputs give the same bytes.

pub(crate) mod constants;
mod error;
#[allow(unsafe_code)]
mod file_bytes;
mod format;
mod manifest;
mod write;

pub use error::ArtifactError;
pub use format::VERSION;
pub use manifest::Manifest;
pub use write::{Memory, Sink, Writer};

use error::damaged;
use file_bytes::FileBytes;
use format::{BLOCK, HEADER, MAGIC, MAX_MANIFEST_BYTES, PAGE};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

/// The constants, in memory or in the file.
#[derive(Debug)]
enum Constants {
    Owned(Vec<f32>),
    FileBytes { file: FileBytes, offset: usize, floats: usize },
}

/// An open artifact.
#[derive(Debug)]
pub struct Artifact {
    pub manifest: Manifest,
    constants: Constants,
    /// For each block: 0 unchecked, 1 intact, 2 damaged.
    checked: Vec<AtomicU8>,
}

/// Whether a file begins with an artifact's magic number.
pub fn is_artifact(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    crate::file::open_regular(path).and_then(|(mut file, _)| file.read_exact(&mut head)).is_ok() && head == MAGIC
}

impl Artifact {
    /// An artifact that exists in memory only.
    pub fn in_memory(manifest: Manifest, constants: Memory) -> Self {
        Artifact { manifest, constants: Constants::Owned(constants.0), checked: Vec::new() }
    }

    /// Maps a file, or copies a small one, and checks everything but the constants, which are checked block by block before
    /// they are used.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a complete and consistent artifact of this version.
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let file = FileBytes::open(path).map_err(ArtifactError::Unreadable)?;
        let size = file.bytes().len() as u64;
        // A copy: the file may be overwritten between the check and the use.
        let Some(head) = file.bytes().first_chunk::<HEADER>().copied() else {
            return Err(match file.bytes().starts_with(&MAGIC) {
                true => damaged("it ends within its header"),
                false => ArtifactError::NotAnArtifact,
            });
        };
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let short = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap_or_default());
        if head[..8] != MAGIC {
            return Err(ArtifactError::NotAnArtifact);
        }
        if short(8) != VERSION {
            return Err(ArtifactError::Version(short(8)));
        }
        if short(12) != crc32fast::hash(&head[16..]) {
            return Err(damaged("the checksum of its header is wrong"));
        }
        let (manifest_len, offset, bytes) = (number(16), number(24), number(32));
        let fits = manifest_len <= MAX_MANIFEST_BYTES
            && offset >= HEADER as u64 + manifest_len
            && offset.is_multiple_of(PAGE as u64)
            && bytes.is_multiple_of(4)
            && offset.checked_add(bytes) == Some(size);
        if !fits {
            return Err(damaged("the sizes in its header do not match the file"));
        }
        let text = file.bytes()[HEADER..HEADER + manifest_len as usize].to_vec();
        if short(40) != crc32fast::hash(&text) {
            return Err(damaged("the checksum of its manifest is wrong"));
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| damaged(&error.to_string()))?;
        manifest.verify()?;
        let floats = (bytes / 4) as usize;
        if manifest.plan.constant_floats() != floats || manifest.blocks.len() != (bytes as usize).div_ceil(BLOCK) {
            return Err(damaged("its constants do not match its plan"));
        }
        let checked = manifest.blocks.iter().map(|_| AtomicU8::new(0)).collect();
        Ok(Artifact { manifest, constants: Constants::FileBytes { file, offset: offset as usize, floats }, checked })
    }

    /// All constants.
    pub fn constants(&self) -> &[f32] {
        match &self.constants {
            Constants::Owned(floats) => floats,
            // Aligned: the map begins at a page, and the constants at a multiple of one.
            Constants::FileBytes { file, offset, floats } => {
                bytemuck::cast_slice(&file.bytes()[*offset..*offset + 4 * floats])
            }
        }
    }

    /// Checks that a mapped file was not changed since it was opened. A file that is overwritten in place while a prediction runs
    /// can still make that prediction wrong, and truncating it ends the program: no system prevents that. Artifacts that
    /// netc writes replace the old file, whose readers keep the old content.
    ///
    /// # Errors
    /// [`ArtifactError::Changed`].
    pub fn check_unchanged(&self) -> Result<(), ArtifactError> {
        match &self.constants {
            Constants::FileBytes { file, .. } if !file.is_unchanged() => Err(ArtifactError::Changed),
            _ => Ok(()),
        }
    }

    /// Checks the blocks that contain some constants, unless they were checked before. Each block is read once.
    ///
    /// # Errors
    /// [`ArtifactError::Damaged`].
    pub fn check(&self, floats: std::ops::Range<usize>) -> Result<(), ArtifactError> {
        for block in self.blocks_of(floats) {
            self.check_block(block)?;
        }
        Ok(())
    }

    /// The unchecked blocks that contain some constants.
    pub fn unchecked_blocks(&self, floats: std::ops::Range<usize>) -> impl Iterator<Item = usize> + '_ {
        self.blocks_of(floats).filter(|&block| self.checked[block].load(Ordering::Acquire) != 1)
    }

    fn blocks_of(&self, floats: std::ops::Range<usize>) -> std::ops::Range<usize> {
        match self.checked.is_empty() {
            true => 0..0,
            false => floats.start * 4 / BLOCK..(floats.end * 4).div_ceil(BLOCK).min(self.checked.len()),
        }
    }

    /// Checks one block.
    ///
    /// # Errors
    /// [`ArtifactError::Damaged`].
    pub fn check_block(&self, block: usize) -> Result<(), ArtifactError> {
        if self.checked[block].load(Ordering::Acquire) == 1 {
            return Ok(());
        }
        let bytes: &[u8] = bytemuck::cast_slice(self.constants());
        let bytes = &bytes[block * BLOCK..((block + 1) * BLOCK).min(bytes.len())];
        let is_intact = crc32fast::hash(bytes) == self.manifest.blocks[block];
        self.checked[block].store(if is_intact { 1 } else { 2 }, Ordering::Release);
        if is_intact { Ok(()) } else { Err(damaged("a checksum of its constants is wrong")) }
    }
}
