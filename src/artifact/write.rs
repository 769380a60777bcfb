//! Artifacts are written: constants first, to memory or to a file, then the manifest that holds their checksums.

use super::{AT_ONCE, ArtifactError, BLOCK, HEADER, MAGIC, Manifest, PAGE, VERSION};
use crate::file::PendingFile;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// Where constants go while they are made: memory or a file.
pub trait Sink {
    /// Takes the next floats.
    fn put(&mut self, floats: &[f32]) -> std::io::Result<()>;
}

/// Constants in memory, for a net that is used at once.
#[derive(Debug, Default)]
pub struct Memory(pub Vec<f32>);

impl Sink for Memory {
    fn put(&mut self, floats: &[f32]) -> std::io::Result<()> {
        self.0.try_reserve(floats.len()).map_err(|_| {
            let message = format!("{} constants and more do not fit the memory", self.0.len());
            std::io::Error::new(std::io::ErrorKind::OutOfMemory, message)
        })?;
        self.0.extend_from_slice(floats);
        Ok(())
    }
}

/// Writes an artifact beside its final place and renames it when it is whole.
#[derive(Debug)]
pub struct Writer {
    /// Constants first: the manifest holds their checksums.
    constants: BufWriter<File>,
    /// Where they stand meanwhile.
    temporary: tempfile::NamedTempFile,
    block: crc32fast::Hasher,
    in_block: usize,
    blocks: Vec<u32>,
    bytes: u64,
    whole: PendingFile,
}

impl Writer {
    /// Begins an artifact that will stand at `path`.
    pub fn new(path: &Path) -> Result<Self, ArtifactError> {
        let whole = PendingFile::for_target(path).map_err(ArtifactError::Unwritable)?;
        let temporary = crate::file::temporary(&whole.folder()).map_err(ArtifactError::Unwritable)?;
        // By itself it would name itself in what it says of a full disk.
        let file = temporary.reopen().map_err(ArtifactError::Unwritable)?;
        Ok(Writer {
            constants: BufWriter::with_capacity(1 << 20, file),
            temporary,
            block: crc32fast::Hasher::new(),
            in_block: 0,
            blocks: Vec::new(),
            bytes: 0,
            whole,
        })
    }

    /// Adds the manifest and gives the file its name; returns its size in bytes.
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
        let mut whole = self.whole;
        put_in_front(&front, &self.temporary, whole.file()).map_err(ArtifactError::Unwritable)?;
        whole.settle(true).map_err(ArtifactError::Unwritable)?;
        Ok(offset as u64 + self.bytes)
    }
}

/// Writes header and manifest, then the constants, which were written first.
fn put_in_front(front: &[u8], constants: &tempfile::NamedTempFile, whole: &mut File) -> std::io::Result<()> {
    whole.write_all(front)?;
    // Not left to the system, which copies between files by single pages.
    let mut constants = constants.reopen()?;
    let mut piece = Vec::with_capacity(AT_ONCE);
    while (&mut constants).take(AT_ONCE as u64).read_to_end(&mut piece)? > 0 {
        whole.write_all(&piece)?;
        piece.clear();
    }
    whole.flush()
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
            let mut rest = bytes;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(BLOCK - self.in_block));
                self.block.update(now);
                self.in_block += now.len();
                if self.in_block == BLOCK {
                    self.blocks.push(std::mem::take(&mut self.block).finalize());
                    self.in_block = 0;
                }
                rest = later;
            }
        }
        Ok(())
    }
}
