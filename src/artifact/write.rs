//! Writing of artifacts: constants first, to memory or to a file, then the manifest with their checksums.

use super::error::ArtifactError;
use super::format::{AT_ONCE, BLOCK, HEADER, MAGIC, PAGE, VERSION};
use super::manifest::Manifest;
use crate::file::PendingFile;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// The destination of constants: memory or a file.
pub trait Sink {
    /// Appends floats.
    ///
    /// # Errors
    /// If there is not enough memory, or the file cannot be written.
    fn put(&mut self, floats: &[f32]) -> std::io::Result<()>;
}

/// Constants in memory.
#[derive(Debug, Default)]
pub struct Memory(pub Vec<f32>);

impl Sink for Memory {
    fn put(&mut self, floats: &[f32]) -> std::io::Result<()> {
        self.0.try_reserve(floats.len()).map_err(|_| {
            let message = format!("not enough memory for {} constants", self.0.len().saturating_add(floats.len()));
            std::io::Error::new(std::io::ErrorKind::OutOfMemory, message)
        })?;
        self.0.extend_from_slice(floats);
        Ok(())
    }
}

/// Writes an artifact to a temporary file and renames it when it is complete.
#[derive(Debug)]
pub struct Writer {
    /// The file of the constants: they come first, as the manifest has their checksums.
    constants: BufWriter<File>,
    /// The same file.
    temporary: tempfile::NamedTempFile,
    block: crc32fast::Hasher,
    in_block: usize,
    blocks: Vec<u32>,
    bytes: u64,
    target: PendingFile,
}

impl Writer {
    /// Begins an artifact at `path`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn new(path: &Path) -> Result<Self, ArtifactError> {
        let target = PendingFile::for_target(path).map_err(ArtifactError::Unwritable)?;
        let temporary = crate::file::temporary(&target.folder()).map_err(ArtifactError::Unwritable)?;
        // Errors of `temporary` would contain its path.
        let file = temporary.reopen().map_err(ArtifactError::Unwritable)?;
        Ok(Writer {
            constants: BufWriter::with_capacity(1 << 20, file),
            temporary,
            block: crc32fast::Hasher::new(),
            in_block: 0,
            blocks: Vec::new(),
            bytes: 0,
            target,
        })
    }

    /// Writes the manifest and moves the file to its path. Returns its size in bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self, mut manifest: Manifest) -> Result<u64, ArtifactError> {
        if self.in_block > 0 {
            self.blocks.push(self.block.clone().finalize());
        }
        manifest.blocks = std::mem::take(&mut self.blocks);
        let text = serde_json::to_vec(&manifest).map_err(|error| ArtifactError::Unwritable(error.into()))?;
        let offset = (HEADER + text.len()).next_multiple_of(PAGE);
        let mut header = [0u8; HEADER];
        header[16..24].copy_from_slice(&(text.len() as u64).to_le_bytes());
        header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
        header[32..40].copy_from_slice(&self.bytes.to_le_bytes());
        header[40..44].copy_from_slice(&crc32fast::hash(&text).to_le_bytes());
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let sum = crc32fast::hash(&header[16..]);
        header[12..16].copy_from_slice(&sum.to_le_bytes());
        let mut front = header.to_vec();
        front.extend_from_slice(&text);
        front.resize(offset, 0);
        self.constants.into_inner().map_err(|error| ArtifactError::Unwritable(error.into_error()))?;
        let mut target = self.target;
        join_parts(&front, &self.temporary, target.file()).map_err(ArtifactError::Unwritable)?;
        target.persist(true).map_err(ArtifactError::Unwritable)?;
        Ok(offset as u64 + self.bytes)
    }
}

/// Writes header and manifest, then the constants from their temporary file.
fn join_parts(front: &[u8], constants: &tempfile::NamedTempFile, target: &mut File) -> std::io::Result<()> {
    target.write_all(front)?;
    // `io::copy` would let the system copy between files by single pages.
    let mut constants = constants.reopen()?;
    let mut piece = Vec::with_capacity(AT_ONCE);
    while (&mut constants).take(AT_ONCE as u64).read_to_end(&mut piece)? > 0 {
        target.write_all(&piece)?;
        piece.clear();
    }
    target.flush()
}

impl Sink for Writer {
    fn put(&mut self, floats: &[f32]) -> std::io::Result<()> {
        for piece in floats.chunks(1 << 16) {
            let bytes: &[u8] = bytemuck::cast_slice(piece);
            let swapped;
            let bytes = if cfg!(target_endian = "little") {
                bytes
            } else {
                swapped = piece.iter().flat_map(|float| float.to_le_bytes()).collect::<Vec<u8>>();
                &swapped
            };
            self.constants.write_all(bytes)?;
            self.bytes += bytes.len() as u64;
            let mut remaining = bytes;
            while !remaining.is_empty() {
                let (now, later) = remaining.split_at(remaining.len().min(BLOCK - self.in_block));
                self.block.update(now);
                self.in_block += now.len();
                if self.in_block == BLOCK {
                    self.blocks.push(std::mem::take(&mut self.block).finalize());
                    self.in_block = 0;
                }
                remaining = later;
            }
        }
        Ok(())
    }
}
