//! The artifact: plan, packed constants and all that prediction needs, in one file that is mapped, not read.
//!
//! ```text
//! 0   magic (8)  version (4)  checksum of bytes 16 to 64 (4)
//! 16  manifest length (8)  constants offset (8)  constants length (8)  manifest checksum (4)  zeros
//! 64  manifest: JSON
//! …   constants: f32, little endian, at a multiple of a page; checksums of its blocks stand in the manifest
//! ```
//! It holds no time, folder or output name: the same inputs give the same bytes.

pub(crate) mod constants;
#[allow(unsafe_code)]
mod file_bytes;
mod write;

pub use write::{Memory, Sink, Writer};

use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::ops::preprocessing::Preprocessing;
use crate::plan::Plan;
use crate::source::plain;
use file_bytes::FileBytes;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

/// The first bytes of every artifact.
const MAGIC: [u8; 8] = crate::content::ARTIFACT;
/// The version of the format.
pub const VERSION: u32 = 5;
const HEADER: usize = 64;
/// Constants begin at a multiple of this: a page of 64-bit ARM, and of x86.
const PAGE: usize = 1 << 14;
/// Constants are checked in blocks of this many bytes, each before it is used first.
const BLOCK: usize = 1 << 22;
/// Bytes that are written at once. A system that keeps files in large pages makes them as large as what is written, and
/// a large artifact is then mapped in a tenth of the errors and read with as few addresses to look up.
const AT_ONCE: usize = 8 << 20;
/// A manifest beyond this is no manifest.
const MAX_MANIFEST_BYTES: u64 = 1 << 28;

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
    pub endings: Vec<OutputKind>,
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
            endings: vec![OutputKind::default(); plan.outputs.len()],
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

    /// That it describes what can be run, and nothing that only training does.
    fn verify(&self) -> Result<(), ArtifactError> {
        let plan = &self.plan;
        let whole = plan.inputs.iter().chain(&plan.outputs).any(|port| port.whole) || plan.whole_floats > 0;
        if plan.steps.iter().any(|step| step.kernel.trains()) || !plan.state.is_empty() || whole {
            return Err(damaged("it holds a step of training"));
        }
        plan.verify().map_err(|error| match error.too_much {
            true => ArtifactError::TooMuch(error.to_string()),
            false => damaged(&error.to_string()),
        })?;
        if self.preprocessing.len() != plan.inputs.len() {
            return Err(damaged("its plan and its inputs do not belong together"));
        }
        for (image, port) in self.preprocessing.iter().zip(&plan.inputs) {
            let Some(image) = image else { continue };
            image.check().map_err(|error| damaged(&error.to_string()))?;
            if port.sizes.len() != 3 {
                return Err(damaged("an input of photos is no image"));
            }
        }
        let names = plan.steps.iter().flat_map(|step| step.layers.iter().chain([&step.name]));
        let names = names.chain(plan.inputs.iter().chain(&plan.outputs).map(|port| &port.name));
        let names = names.chain(plan.constants.iter().map(|constant| &constant.name)).chain([&self.net, &plan.name]);
        // A spec's names have none either: they would speak to a terminal, or forge a line of a report.
        if names.into_iter().any(|name| name.contains(char::is_control)) {
            return Err(damaged("a name of it holds a control character"));
        }
        let classes = plan.outputs.first().and_then(|port| port.sizes.last()).copied().unwrap_or(1);
        match &self.labels {
            Some(labels) if !self.ending(0).takes_names(classes, labels.len()) => {
                Err(damaged("its labels are not those of its output"))
            }
            _ => Ok(()),
        }
    }

    /// What an output says; plain numbers where the file does not tell.
    pub fn ending(&self, output: usize) -> OutputKind {
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
    #[error("was changed while it was used")]
    Changed,
    #[error("asks for too much: {0}")]
    TooMuch(String),
    #[error("cannot be written: {}", unwritable(.0))]
    Unwritable(std::io::Error),
}

/// Why a file cannot be written, for a path of which the folder may be missing.
fn unwritable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "its folder does not exist".into(),
        _ => plain(error),
    }
}

/// The constants, wherever they stand.
#[derive(Debug)]
enum Constants {
    Owned(Vec<f32>),
    FileBytes { file: FileBytes, offset: usize, floats: usize },
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
    crate::file::open_regular(path).and_then(|(mut file, _)| file.read_exact(&mut head)).is_ok() && head == MAGIC
}

impl Artifact {
    /// An artifact that was not written to a file.
    pub fn in_memory(manifest: Manifest, constants: Memory) -> Self {
        Artifact { manifest, constants: Constants::Owned(constants.0), checked: Vec::new() }
    }

    /// Maps a file, or copies a small one, and checks everything but the constants, which are checked block by block before
    /// they are used.
    ///
    /// # Errors
    /// Anything that is not an artifact of this version, whole and consistent.
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let file = FileBytes::open(path).map_err(ArtifactError::Unreadable)?;
        let size = file.bytes().len() as u64;
        // A copy: what is checked is what is read, whatever becomes of the file meanwhile.
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
            return Err(damaged("the checksum of its header does not hold"));
        }
        let (manifest_len, offset, bytes) = (number(16), number(24), number(32));
        let fits = manifest_len <= MAX_MANIFEST_BYTES
            && offset >= HEADER as u64 + manifest_len
            && offset.is_multiple_of(PAGE as u64)
            && bytes.is_multiple_of(4)
            && offset.checked_add(bytes) == Some(size);
        if !fits {
            return Err(damaged("its parts do not fill the file"));
        }
        let text = file.bytes()[HEADER..HEADER + manifest_len as usize].to_vec();
        if short(40) != crc32fast::hash(&text) {
            return Err(damaged("the checksum of its manifest does not hold"));
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| damaged(&error.to_string()))?;
        manifest.verify()?;
        let floats = (bytes / 4) as usize;
        if manifest.plan.constant_floats() != floats || manifest.blocks.len() != (bytes as usize).div_ceil(BLOCK) {
            return Err(damaged("its plan and its constants do not belong together"));
        }
        let checked = manifest.blocks.iter().map(|_| AtomicU8::new(0)).collect();
        Ok(Artifact { manifest, constants: Constants::FileBytes { file, offset: offset as usize, floats }, checked })
    }

    /// All constants.
    pub fn constants(&self) -> &[f32] {
        match &self.constants {
            Constants::Owned(floats) => floats,
            // Aligned, because the map begins at a page and the constants at a multiple of one.
            Constants::FileBytes { file, offset, floats } => {
                bytemuck::cast_slice(&file.bytes()[*offset..*offset + 4 * floats])
            }
        }
    }

    /// That the file, where it is not held as a copy, is the one that was opened. A file that is overwritten in place while a
    /// prediction runs can still make that prediction wrong, and one that is made shorter ends the program: the system
    /// gives no way to hold it. Artifacts that netc writes replace the old file, whose readers keep what they opened.
    ///
    /// # Errors
    /// [`ArtifactError::Changed`].
    pub fn check_unchanged(&self) -> Result<(), ArtifactError> {
        match &self.constants {
            Constants::FileBytes { file, .. } if !file.is_unchanged() => Err(ArtifactError::Changed),
            _ => Ok(()),
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
