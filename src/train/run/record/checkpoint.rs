//! Checkpoints: the state and the progress of a run, from which it continues as if it had never stopped. One file, written
//! atomically after an epoch, or within one when the run is interrupted.
//!
//! ```text
//! 0   magic (8)  version (4)  length of the progress (4)
//! 16  progress: JSON
//! …   the state, then the state of the best epoch if it is another: f32, little endian
//! …   BLAKE3 digest of all bytes before (32)
//! ```

use super::RunRecord;
use crate::graph::outline::Outline;
use crate::lower::State;
use crate::source::plain;
use crate::train::autodiff::training_plans::Trainable;
use crate::train::evaluation::metric_accumulator::MetricAccumulator;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The name of the checkpoint in a run's folder.
pub const FILE: &str = "checkpoint";
const MAGIC: [u8; 8] = *b"NETCRUN\n";
const VERSION: u32 = 5;
/// A longer progress is corrupt.
const MAX_PROGRESS_BYTES: u32 = 1 << 28;

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The digest of net, recipe and data: checkpoints of other runs are refused.
    pub run: String,
    /// The layers of the net, to say what differs in another one; none in checkpoints of earlier versions.
    #[serde(default)]
    pub net: Option<Outline>,
    /// The digests of the photos, as [`PhotoDigests`](crate::train::run::prepare::digest::PhotoDigests) shortens them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub photos: String,
    /// The number of updates, and of batches.
    pub updates: u64,
    pub batches: u64,
    /// Reductions of the learning rate on plateaus, epochs since the last improvement or reduction, and the best loss.
    pub reductions: u32,
    pub since_reduction: usize,
    pub least_for_plateau: Option<f64>,
    /// For early stopping: epochs since the last improvement, and the best loss.
    pub since_best: usize,
    pub least: Option<f64>,
    /// The rank of the epoch that is kept: see [`rank`](super::epoch_rank::rank).
    pub rank: Option<[f64; 2]>,
    /// The record with the epochs so far.
    pub record: RunRecord,
    /// The epoch in which the run was interrupted, if it was.
    #[serde(rename = "begun")]
    pub partial: Option<EpochProgress>,
}

/// The progress within an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochProgress {
    /// The number of samples that were trained on: complete batches, from the start of the epoch's order.
    pub samples: usize,
    /// The training time.
    pub seconds: f64,
    /// The sum of the regularizer's penalties over these samples.
    pub penalties: f64,
    /// The learning rate of the last update.
    pub rate: f64,
    /// Of each output.
    pub outputs: Vec<OutputProgress>,
}

/// The sums of an output over the samples of an epoch so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputProgress {
    /// The samples' weights, and the weighted losses.
    pub weight: f64,
    pub losses: f64,
    pub accumulator: MetricAccumulator,
}

impl EpochProgress {
    /// The start of an epoch, with an accumulator for each output.
    pub fn new(accumulators: Vec<MetricAccumulator>) -> Self {
        let outputs =
            accumulators.into_iter().map(|accumulator| OutputProgress { weight: 0.0, losses: 0.0, accumulator });
        EpochProgress { samples: 0, seconds: 0.0, penalties: 0.0, rate: 0.0, outputs: outputs.collect() }
    }

    /// The mean loss of each output so far.
    pub fn mean_losses(&self) -> impl Iterator<Item = f64> {
        self.outputs.iter().map(|output| output.losses / output.weight.max(f64::MIN_POSITIVE))
    }
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub progress: Progress,
    pub state: Vec<f32>,
    /// The state of the epoch that is kept, if it is another.
    pub best: Option<Vec<f32>>,
}

impl Checkpoint {
    /// The checkpoint for a state of another layout, in which more of the net is trained: what was frozen so far begins as there.
    pub fn for_layout(self, layout: &State, trainable: &Trainable) -> Checkpoint {
        let carry = |state: Vec<f32>| {
            let mut carried = trainable.start.floats().to_vec();
            for tensor in &trainable.layout.tensors {
                if let Some(from) = layout.find(&tensor.name).filter(|from| from.len == tensor.len) {
                    carried[tensor.offset..][..tensor.len].copy_from_slice(&state[from.offset..][..from.len]);
                }
            }
            carried
        };
        Checkpoint { progress: self.progress, state: carry(self.state), best: self.best.map(carry) }
    }
}

/// A checkpoint that cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{} cannot be written: {}", path.display(), plain(source))]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} cannot be read: {}", path.display(), plain(source))]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("{} is truncated or belongs to a net with other layers: its state has another size", path.display())]
    OtherSize { path: PathBuf },
}

/// A writer that computes the digest of the bytes.
struct HashingWriter<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl HashingWriter<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Writes a checkpoint to [`FILE`] in `folder`, which is created if it does not exist. Unless it is `durable`, it survives a
/// killed process, but not a power cut in the next seconds.
///
/// # Errors
/// [`CheckpointError::Unwritable`]; the previous checkpoint stays.
pub fn write(
    folder: &Path,
    progress: &Progress,
    state: &[f32],
    best: Option<&[f32]>,
    durable: bool,
) -> Result<(), CheckpointError> {
    let path = folder.join(FILE);
    let write = || -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let text = serde_json::to_vec(progress).map_err(io::Error::other)?;
        let len = u32::try_from(text.len()).map_err(io::Error::other)?;
        let fill = |out: &mut dyn Write| {
            let mut out = HashingWriter { out, hasher: blake3::Hasher::new() };
            out.put(&MAGIC)?;
            out.put(&VERSION.to_le_bytes())?;
            out.put(&len.to_le_bytes())?;
            out.put(&text)?;
            for floats in [Some(state), best].into_iter().flatten() {
                out.put(bytemuck::cast_slice(floats))?;
            }
            let digest = out.hasher.finalize();
            out.out.write_all(digest.as_bytes())
        };
        if durable { crate::file::replace(&path, fill) } else { crate::file::replace_soon(&path, fill) }
    };
    write().map_err(|source| CheckpointError::Unwritable { path: path.clone(), source })
}

/// A checkpoint that is being read, with the digest of the bytes so far.
struct Reader {
    path: PathBuf,
    file: File,
    size: u64,
    hasher: blake3::Hasher,
}

impl Reader {
    fn damaged(&self, what: &'static str) -> CheckpointError {
        CheckpointError::Damaged { path: self.path.clone(), what }
    }

    /// Opens the checkpoint in `folder`; none if there is no checkpoint.
    fn open(folder: &Path) -> Result<Option<Reader>, CheckpointError> {
        let path = folder.join(FILE);
        match crate::file::open_regular(&path) {
            Ok((file, size)) => Ok(Some(Reader { path, file, size, hasher: blake3::Hasher::new() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CheckpointError::Unreadable { path, source }),
        }
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        self.file.read_exact(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it is truncated"),
            _ => CheckpointError::Unreadable { path: self.path.clone(), source },
        })?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// The text of the progress, which comes first.
    fn progress(&mut self) -> Result<Vec<u8>, CheckpointError> {
        let mut head = [0; 16];
        self.take(&mut head)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let len = word(12);
        if head[..8] != MAGIC || word(8) != VERSION || len > MAX_PROGRESS_BYTES || u64::from(len) > self.size {
            return Err(self.damaged("it is not a checkpoint of this version"));
        }
        let mut text = vec![0; len as usize];
        self.take(&mut text)?;
        Ok(text)
    }

    fn parse(&self, text: &[u8]) -> Result<Progress, CheckpointError> {
        serde_json::from_slice(text).map_err(|_| self.damaged("its progress is invalid"))
    }
}

/// The progress of the run in `folder`; `None` if there is no checkpoint. [`read`] checks the rest of the file.
///
/// # Errors
/// A file that is unreadable or damaged.
pub fn progress(folder: &Path) -> Result<Option<Progress>, CheckpointError> {
    let Some(mut reader) = Reader::open(folder)? else { return Ok(None) };
    let text = reader.progress()?;
    let progress = reader.parse(&text)?;
    match progress.net.as_ref().is_none_or(Outline::is_valid) {
        true => Ok(Some(progress)),
        false => Err(reader.damaged("its net is invalid")),
    }
}

impl Progress {
    /// The epoch that the checkpoint was written in, from 1.
    pub fn epoch(&self) -> usize {
        (self.record.epochs.len() + usize::from(self.partial.is_some())).max(1)
    }
}

/// Reads the checkpoint in `folder` of a run whose state has this number of floats; `None` if there is no checkpoint.
///
/// # Errors
/// A file that is unreadable, damaged or of another net.
pub fn read(folder: &Path, floats: usize) -> Result<Option<Checkpoint>, CheckpointError> {
    let Some(mut reader) = Reader::open(folder)? else { return Ok(None) };
    let text = reader.progress()?;
    let (body, one) = (reader.size.saturating_sub(48 + text.len() as u64), floats as u64 * 4);
    let count = match body {
        body if body == one => 1,
        body if body == 2 * one => 2,
        // The digest would find it too, but this message says more.
        _ => return Err(CheckpointError::OtherSize { path: reader.path }),
    };
    let mut tensors = Vec::new();
    for _ in 0..count {
        let mut state = vec![0.0f32; floats];
        reader.take(bytemuck::cast_slice_mut(&mut state))?;
        tensors.push(state);
    }
    let expected = reader.hasher.finalize();
    let mut digest = [0; 32];
    reader.file.read_exact(&mut digest).map_err(|_| reader.damaged("it is truncated"))?;
    if digest != *expected.as_bytes() {
        return Err(reader.damaged("its checksum is wrong"));
    }
    let progress = reader.parse(&text)?;
    let best = (tensors.len() == 2).then(|| tensors.pop()).flatten();
    let state = tensors.pop().unwrap_or_default();
    Ok(Some(Checkpoint { progress, state, best }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_writing_and_reading_and_damage_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path(), 3).expect("no checkpoint"), None);
        let mut partial = EpochProgress { samples: 2, ..EpochProgress::new(vec![MetricAccumulator::numbers(2)]) };
        partial.outputs[0].losses = 0.1 + 0.2;
        partial.outputs[0].accumulator.add(&[0.1, 0.7], &[1.0 / 3.0, 0.3]).expect("numbers");
        let progress =
            Progress { run: "a".into(), updates: 7, least: Some(0.25), partial: Some(partial), ..Progress::default() };
        let (state, best) = ([1.0, 2.0, f32::MIN_POSITIVE], [3.0, 4.0, 5.0]);
        write(folder.path(), &progress, &state, Some(&best), true).expect("a file");
        let found = read(folder.path(), 3).expect("a valid file").expect("a checkpoint");
        assert_eq!(found, Checkpoint { progress, state: state.to_vec(), best: Some(best.to_vec()) });
        let path = folder.path().join(FILE);
        let bytes = std::fs::read(&path).expect("the file");
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            std::fs::write(&path, other).expect("a damaged file");
            read(folder.path(), 3).expect_err("damage");
        }
        for len in 0..bytes.len() {
            std::fs::write(&path, &bytes[..len]).expect("a short file");
            read(folder.path(), 3).expect_err("a short file");
        }
    }
}
