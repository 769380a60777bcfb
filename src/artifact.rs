//! The artifact: plan, packed constants and all that prediction needs, in one file that is mapped, not read.
//!
//! ```text
//! 0   magic (8)  version (4)  checksum of bytes 16 to 64 (4)
//! 16  manifest length (8)  constants offset (8)  constants length (8)  manifest checksum (4)  zeros
//! 64  manifest: JSON
//! …   constants: f32, little endian, at a multiple of a page; checksums of its blocks stand in the manifest
//! ```
//! It holds no time, folder or output name: the same inputs give the same bytes.

use crate::file::Draft;
use crate::kernels::loss::Loss;
use crate::ops::ending::Ending;
use crate::ops::preprocessing::Preprocessing;
use crate::plan::Plan;
use crate::source::plain;
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

/// The first bytes of every artifact.
const MAGIC: [u8; 8] = *b"NETC\x00\x1a\x01\n";
/// The version of the format.
pub const VERSION: u32 = 4;
const HEADER: usize = 64;
/// Constants begin at a multiple of this: a page of 64-bit ARM, and of x86.
const PAGE: usize = 1 << 14;
/// Constants are checked in blocks of this many bytes, each before it is used first.
const BLOCK: usize = 1 << 22;
/// Bytes that are written at once. A system that keeps files in large pages makes them as large as what is written, and
/// a large artifact is then mapped in a tenth of the faults and read with as few addresses to look up.
const AT_ONCE: usize = 8 << 20;
/// A manifest beyond this is no manifest.
const LARGEST_MANIFEST: u64 = 1 << 28;

/// Everything but the constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the program that wrote it.
    pub netc: String,
    pub net: String,
    /// `(?, 224, 224, 3) -> [... 39 layers ...] -> (?, 10)`
    pub summary: String,
    pub plan: Plan,
    /// How a photo becomes each input.
    pub preprocessing: Vec<Option<Preprocessing>>,
    /// What each output says.
    pub endings: Vec<Ending>,
    /// The names of the first output's classes.
    pub labels: Option<Vec<String>>,
    /// What the first output learns by, where the spec says how the net is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// The spec's own text.
    pub source: String,
    /// What the artifact was made from: name and BLAKE3 digest of each file.
    pub inputs: Vec<(String, String)>,
    /// Layers whose parameters nothing has trained.
    pub untrained: Vec<String>,
    /// The machine that its algorithms were measured on; none where a cost model chose them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<String>,
    /// CRC-32 of each block of the constants.
    pub blocks: Vec<u32>,
}

impl Manifest {
    /// Of a plan that never leaves memory.
    pub fn of_plan(net: &str, plan: Plan) -> Self {
        Manifest {
            netc: env!("CARGO_PKG_VERSION").to_string(),
            net: net.to_string(),
            summary: String::new(),
            preprocessing: vec![None; plan.inputs.len()],
            endings: vec![Ending::default(); plan.outputs.len()],
            plan,
            labels: None,
            loss: None,
            source: String::new(),
            inputs: Vec::new(),
            untrained: Vec::new(),
            tuned: None,
            blocks: Vec::new(),
        }
    }

    /// What an output says; plain numbers where the file does not tell.
    pub fn ending(&self, output: usize) -> Ending {
        self.endings.get(output).copied().unwrap_or_default()
    }

    /// Classes of an output and their values, as a row of it says, the likeliest first. The names of two classes tell that
    /// one plain number tells them apart.
    pub fn ranked(&self, output: usize, row: &[f32]) -> Vec<(usize, f32)> {
        self.ending(output).ranked(row, output == 0 && self.labels.as_ref().is_some_and(|labels| labels.len() == 2))
    }
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("cannot be read: {}", plain(.0))]
    Unreadable(std::io::Error),
    #[error("is not an artifact")]
    NotAnArtifact,
    #[error("was written in version {0} of the format, this program reads version {VERSION}")]
    Version(u32),
    #[error("is damaged: {0}")]
    Damaged(String),
    #[error("cannot be written: {}", unwritable(.0))]
    Unwritable(std::io::Error),
}

/// Why a file cannot be written, for a path of which the folder may be missing.
fn unwritable(fault: &std::io::Error) -> String {
    match fault.kind() {
        std::io::ErrorKind::NotFound => "its folder is not there".into(),
        _ => plain(fault),
    }
}

/// The constants, wherever they stand.
#[derive(Debug)]
enum Constants {
    Owned(Vec<f32>),
    Mapped { map: Mmap, offset: usize, floats: usize },
}

/// An artifact that was opened.
#[derive(Debug)]
pub struct Artifact {
    pub manifest: Manifest,
    constants: Constants,
    /// For each block: 0 not looked at yet, 1 whole, 2 damaged.
    checked: Vec<AtomicU8>,
}

/// Whether a file begins as an artifact does.
pub fn is_artifact(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == MAGIC
}

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
    whole: Draft,
}

impl Writer {
    /// Begins an artifact that will stand at `path`.
    pub fn new(path: &Path) -> Result<Self, ArtifactError> {
        let whole = Draft::beside(path).map_err(ArtifactError::Unwritable)?;
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
        let text = serde_json::to_vec(&manifest).map_err(|fault| ArtifactError::Unwritable(fault.into()))?;
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
        self.constants.into_inner().map_err(|fault| ArtifactError::Unwritable(fault.into_error()))?;
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

impl Artifact {
    /// An artifact that was not written to a file.
    pub fn in_memory(manifest: Manifest, constants: Memory) -> Self {
        Artifact { manifest, constants: Constants::Owned(constants.0), checked: Vec::new() }
    }

    /// Maps a file and checks everything but the constants, which are checked block by block before they are used.
    ///
    /// # Errors
    /// Anything that is not an artifact of this version, whole and consistent.
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let file = File::open(path).map_err(ArtifactError::Unreadable)?;
        let size = file.metadata().map_err(ArtifactError::Unreadable)?.len();
        if size < HEADER as u64 {
            let mut first = Vec::new();
            let read = std::io::Read::read_to_end(&mut &file, &mut first);
            return Err(match read {
                Ok(_) if first.len() >= 8 && first[..8] == MAGIC => damaged("it ends within its header"),
                Ok(_) => ArtifactError::NotAnArtifact,
                Err(fault) => ArtifactError::Unreadable(fault),
            });
        }
        // SAFETY: the file is mapped read-only. That nobody changes it meanwhile cannot be promised by any program;
        // what is read of it is checked before it is used as anything but numbers.
        let map = unsafe { Mmap::map(&file) }.map_err(ArtifactError::Unreadable)?;
        let number = |at: usize| u64::from_le_bytes(map[at..at + 8].try_into().unwrap_or_default());
        let short = |at: usize| u32::from_le_bytes(map[at..at + 4].try_into().unwrap_or_default());
        if map[..8] != MAGIC {
            return Err(ArtifactError::NotAnArtifact);
        }
        if short(8) != VERSION {
            return Err(ArtifactError::Version(short(8)));
        }
        if short(12) != crc32fast::hash(&map[16..HEADER]) {
            return Err(damaged("the checksum of its header does not hold"));
        }
        let (manifest_len, offset, bytes) = (number(16), number(24), number(32));
        let fits = manifest_len <= LARGEST_MANIFEST
            && offset >= HEADER as u64 + manifest_len
            && offset.is_multiple_of(PAGE as u64)
            && bytes.is_multiple_of(4)
            && offset.checked_add(bytes) == Some(size);
        if !fits {
            return Err(damaged("its parts do not fill the file"));
        }
        let text = &map[HEADER..HEADER + manifest_len as usize];
        if short(40) != crc32fast::hash(text) {
            return Err(damaged("the checksum of its manifest does not hold"));
        }
        let manifest: Manifest = serde_json::from_slice(text).map_err(|fault| damaged(&fault.to_string()))?;
        let plan = &manifest.plan;
        let whole = plan.inputs.iter().chain(&plan.outputs).any(|port| port.whole) || plan.whole_floats > 0;
        if plan.steps.iter().any(|step| step.kernel.trains()) || !plan.state.is_empty() || whole {
            return Err(damaged("it holds a step of training"));
        }
        manifest.plan.verify().map_err(|fault| damaged(&fault.to_string()))?;
        let floats = (bytes / 4) as usize;
        let ends_match = manifest.plan.constant_floats() == floats
            && manifest.blocks.len() == (bytes as usize).div_ceil(BLOCK)
            && manifest.preprocessing.len() == manifest.plan.inputs.len();
        if !ends_match {
            return Err(damaged("its plan and its constants do not belong together"));
        }
        let checked = manifest.blocks.iter().map(|_| AtomicU8::new(0)).collect();
        Ok(Artifact { manifest, constants: Constants::Mapped { map, offset: offset as usize, floats }, checked })
    }

    /// All constants.
    pub fn constants(&self) -> &[f32] {
        match &self.constants {
            Constants::Owned(floats) => floats,
            // Aligned, because the map begins at a page and the constants at a multiple of one.
            Constants::Mapped { map, offset, floats } => bytemuck::cast_slice(&map[*offset..*offset + 4 * floats]),
        }
    }

    /// Checks the blocks that some constants stand in, unless they were checked before. Each block is read once.
    pub fn check(&self, floats: std::ops::Range<usize>) -> Result<(), ArtifactError> {
        for block in self.blocks_of(floats) {
            self.check_block(block)?;
        }
        Ok(())
    }

    /// The blocks that some constants stand in and that were not checked yet.
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
    pub fn check_block(&self, block: usize) -> Result<(), ArtifactError> {
        if self.checked[block].load(Ordering::Acquire) == 1 {
            return Ok(());
        }
        let bytes: &[u8] = bytemuck::cast_slice(self.constants());
        let bytes = &bytes[block * BLOCK..((block + 1) * BLOCK).min(bytes.len())];
        let whole = crc32fast::hash(bytes) == self.manifest.blocks[block];
        self.checked[block].store(if whole { 1 } else { 2 }, Ordering::Release);
        if whole { Ok(()) } else { Err(damaged("a checksum of its constants does not hold")) }
    }
}

fn damaged(what: &str) -> ArtifactError {
    ArtifactError::Damaged(what.to_string())
}
