//! What the frozen front of a net makes of each sample, kept on the disk between runs.
//!
//! One file for each front, `FRONT.features`:
//!
//! ```text
//! 0   magic (8)  version (4)  floats a row (4)  digest of the front (32)  zeros (12)  CRC-32 of bytes 0 to 60 (4)
//! 64  records: BLAKE3 digest of the sample (32)  CRC-32 of digest and row (4)  the row: f32, little endian
//! ```
//! Records are only ever added, so that a process that is killed leaves at most one that is torn. Opening reads all
//! records once: what is damaged is left out, and a damaged end is cut off. Nothing that a cache file holds stops a run.

use super::feature_file;
use super::feature_file::Header;
use crate::data::samples::table::{RowFile, Table};
use crate::element::Element;
use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

pub use super::feature_file::{CacheInfo, clear, default_folder, list};

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The index of its record in the file.
    File(u64),
    /// The index of its row among those in memory.
    Memory(usize),
}

/// What a cache could not do, or does otherwise than usual; none of it stops a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheNote {
    /// The file's header was of no use; its content was moved there, and an empty cache begun.
    SetAside { to: PathBuf, reason: String },
    /// Records that were damaged, or torn by a process that was killed; they will be computed again.
    Dropped { records: u64, bytes: u64 },
    /// Another process adds to the file: its rows are read, new ones stay in memory.
    InUse,
    /// The file cannot be used: rows stay in memory, for this run only.
    MemoryOnly { reason: String },
}

impl fmt::Display for CacheNote {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            CacheNote::SetAside { to, reason } => {
                write!(
                    f,
                    "the cache's header {reason}; its content is now {}, and an empty cache was begun",
                    to.display()
                )
            }
            CacheNote::Dropped { records, bytes } => {
                write!(f, "{bytes} bytes of the cache were damaged ({records} whole records); they are computed again")
            }
            CacheNote::InUse => write!(f, "another process adds to the cache; new rows are kept in memory"),
            CacheNote::MemoryOnly { reason } => write!(f, "rows are kept in memory only: {reason}"),
        }
    }
}

/// Why a row cannot be cached or read.
#[derive(Debug, Error)]
pub enum FeatureCacheError {
    #[error("the digest of a front is 64 hexadecimal digits, not `{0}`")]
    Front(String),
    #[error("a row of features has from 1 to {limit} values, not {floats}", limit = feature_file::MAX_FLOATS)]
    Floats { floats: usize },
    #[error("a row of {found} values, where the cache has {wanted}")]
    Row { found: usize, wanted: usize },
    #[error("no row at this position of the cache")]
    Position,
    #[error("{}: record {record} is damaged; clear the cache", path.display())]
    Damaged { path: PathBuf, record: u64 },
    #[error("{}: {}", path.display(), crate::source::plain(source))]
    Io { path: PathBuf, source: io::Error },
}

/// The rows of one front: on the disk, and in memory what could not be written there.
#[derive(Debug)]
pub struct FeatureCache {
    path: PathBuf,
    floats: usize,
    /// `None` where nothing can be read from the disk.
    file: Option<File>,
    /// Whether this process may add to the file; it holds the lock then.
    writes: bool,
    /// How many records the file has, good and bad.
    records: u64,
    index: HashMap<[u8; 32], Position>,
    memory: Vec<f32>,
    notes: Vec<CacheNote>,
    /// A record while it is made or read.
    record: Vec<u8>,
}

impl FeatureCache {
    /// Opens the cache of a front (the BLAKE3 digest of all that its features depend on, in hexadecimal, not of the
    /// photos) with rows of `floats` values, in `folder`; it is made if it is not there.
    ///
    /// Whatever is wrong with folder or file, the cache works, in memory if need be: [`FeatureCache::notes`] tells.
    /// The file is locked while the cache lives.
    ///
    /// # Errors
    /// A front that is not 64 hexadecimal digits, or rows of no size.
    pub fn open(folder: &Path, front: &str, floats: usize) -> Result<FeatureCache, FeatureCacheError> {
        let digest = feature_file::parse_front(front).ok_or_else(|| FeatureCacheError::Front(front.to_owned()))?;
        if floats == 0 || floats > feature_file::MAX_FLOATS {
            return Err(FeatureCacheError::Floats { floats });
        }
        let header = Header { floats: floats as u32, front: digest };
        let mut cache = FeatureCache {
            path: folder.join(header.file_name()),
            floats,
            file: None,
            writes: false,
            records: 0,
            index: HashMap::new(),
            memory: Vec::new(),
            notes: Vec::new(),
            record: Vec::new(),
        };
        if let Err(error) = cache.attach(folder, &header) {
            (cache.file, cache.writes, cache.records) = (None, false, 0);
            cache.index.clear();
            let reason = format!("{}: {}", cache.path.display(), crate::source::plain(&error));
            cache.notes.push(CacheNote::MemoryOnly { reason });
        }
        Ok(cache)
    }

    /// Opens, locks, checks and reads the file.
    fn attach(&mut self, folder: &Path, header: &Header) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let usual = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path);
        let (file, may_write) = match usual {
            Ok(file) => (file, true),
            // Rows that are there already are of use on a read-only disk.
            Err(error) => match File::open(&self.path) {
                Ok(file) => (file, false),
                Err(_) => return Err(error),
            },
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        self.writes = may_write
            && match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => {
                    self.notes.push(CacheNote::InUse);
                    false
                }
                // Without locks two processes might write over each other.
                Err(TryLockError::Error(error)) => {
                    let reason = format!("the cache cannot be locked: {}", crate::source::plain(&error));
                    self.notes.push(CacheNote::MemoryOnly { reason });
                    false
                }
            };
        let wrong = match file.metadata()?.len() {
            0 => None,
            _ => header.error_of(&file)?,
        };
        match wrong {
            Some(reason) if self.writes => {
                // The lock is on this file, so it stays and its content moves.
                let to = self.path.with_extension("features.damaged");
                std::fs::copy(&self.path, &to)?;
                file.set_len(0)?;
                self.notes.push(CacheNote::SetAside { to, reason });
            }
            Some(reason) => return Err(io::Error::other(format!("the cache's header {reason}"))),
            None => {}
        }
        if self.writes && file.metadata()?.len() == 0 {
            (&file).seek(SeekFrom::Start(0))?;
            (&file).write_all(&header.to_bytes())?;
        }
        self.read_index(&file)?;
        self.file = Some(file);
        Ok(())
    }

    /// Reads all records; cuts a damaged end off where this process may write.
    fn read_index(&mut self, file: &File) -> io::Result<()> {
        let scan = feature_file::scan(file, self.floats)?;
        self.records = scan.records;
        self.index = scan.good.into_iter().map(|(digest, record)| (digest, Position::File(record))).collect();
        if scan.bad > 0 || scan.torn > 0 {
            let bytes = scan.bad * feature_file::record_bytes(self.floats) + scan.torn;
            // A record that another process is just writing is not damaged.
            if self.writes {
                self.notes.push(CacheNote::Dropped { records: scan.bad, bytes });
            }
        }
        if self.writes {
            self.records = scan.good_end;
            file.set_len(feature_file::offset(self.records, self.floats))?;
        }
        Ok(())
    }

    /// Where the row of a sample stands, given the sample's digest.
    pub fn get(&self, digest: &[u8; 32]) -> Option<Position> {
        self.index.get(digest).copied()
    }

    /// Reads a row. The record's checksum is looked at again.
    ///
    /// # Errors
    /// A row of another length, a position that this cache did not give, a file that changed since it was opened.
    pub fn read(&mut self, position: Position, row: &mut [f32]) -> Result<(), FeatureCacheError> {
        self.check(row.len())?;
        let record = match position {
            Position::Memory(at) => {
                let start = at.checked_mul(self.floats).ok_or(FeatureCacheError::Position)?;
                let found = self.memory.get(start..).and_then(|rest| rest.get(..self.floats));
                row.copy_from_slice(found.ok_or(FeatureCacheError::Position)?);
                return Ok(());
            }
            Position::File(record) => record,
        };
        let file = self.file.as_ref().filter(|_| record < self.records).ok_or(FeatureCacheError::Position)?;
        self.record.resize(feature_file::record_bytes(self.floats) as usize, 0);
        let read = feature_file::read_at(file, feature_file::offset(record, self.floats), &mut self.record);
        read.map_err(|source| FeatureCacheError::Io { path: self.path.clone(), source })?;
        if feature_file::digest_of(&self.record).is_none() {
            return Err(FeatureCacheError::Damaged { path: self.path.clone(), record });
        }
        feature_file::row_of(&self.record, row);
        Ok(())
    }

    /// Adds the row of a sample; one that is there already stays as it is.
    ///
    /// # Errors
    /// A row of another length. A file that cannot be written, on a full disk for example: the row, as all that
    /// follow, is in memory then, so the error may be told and otherwise ignored; it comes once.
    pub fn append(&mut self, digest: &[u8; 32], row: &[f32]) -> Result<(), FeatureCacheError> {
        self.check(row.len())?;
        if self.index.contains_key(digest) {
            return Ok(());
        }
        let file = match &self.file {
            Some(file) if self.writes => file,
            _ => {
                self.remember(digest, row);
                return Ok(());
            }
        };
        let end = feature_file::offset(self.records, self.floats);
        feature_file::fill_record(&mut self.record, digest, row);
        let mut at_end = file;
        let written = at_end.seek(SeekFrom::Start(end)).and_then(|_| at_end.write_all(&self.record));
        if let Err(source) = written {
            // What was written of the record goes; if that fails too, the next opening drops it.
            let _ = file.set_len(end);
            self.writes = false;
            self.remember(digest, row);
            self.notes.push(CacheNote::MemoryOnly { reason: crate::source::plain(&source) });
            return Err(FeatureCacheError::Io { path: self.path.clone(), source });
        }
        self.index.insert(*digest, Position::File(self.records));
        self.records += 1;
        Ok(())
    }

    fn remember(&mut self, digest: &[u8; 32], row: &[f32]) {
        self.index.insert(*digest, Position::Memory(self.memory.len() / self.floats));
        self.memory.extend_from_slice(row);
    }

    fn check(&self, found: usize) -> Result<(), FeatureCacheError> {
        if found == self.floats { Ok(()) } else { Err(FeatureCacheError::Row { found, wanted: self.floats }) }
    }

    /// Brings what was added onto the disk, so that it outlasts a power cut too (a killed process loses nothing anyway).
    pub fn flush(&mut self) -> Result<(), FeatureCacheError> {
        match &self.file {
            Some(file) if self.writes => {
                file.sync_all().map_err(|source| FeatureCacheError::Io { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// The rows of these samples, given their digests, as tables that have so many floats of each, side by side. Up to
    /// `kept` bytes they are in memory, and where the file does not hold all of them; else they stay in the file.
    ///
    /// # Errors
    /// A sample whose row is not there, and those of [`FeatureCache::read`].
    pub fn tables(
        &mut self,
        digests: &[[u8; 32]],
        widths: &[usize],
        kept: u64,
    ) -> Result<Vec<Table>, FeatureCacheError> {
        self.check(widths.iter().sum())?;
        let position = |digest| self.get(digest).ok_or(FeatureCacheError::Position);
        let positions: Vec<Position> = digests.iter().map(position).collect::<Result<_, _>>()?;
        let record = |position: &Position| match position {
            Position::File(record) => Some(*record),
            Position::Memory(_) => None,
        };
        let records: Option<Vec<u64>> = positions.iter().map(record).collect();
        if let (Some(records), Some(file)) = (records, &self.file)
            && (positions.len() * self.floats) as u64 * 4 > kept
        {
            let path = self.path.clone();
            let file = file.try_clone().map_err(|source| FeatureCacheError::Io { path: path.clone(), source })?;
            let (offset, stride) = feature_file::rows(self.floats);
            let file = RowFile { path, file, offset, stride, element: Element::F32 };
            return Ok(Table::of_file_columns(file, widths, records));
        }
        let mut values = vec![0.0; positions.len() * self.floats];
        for (position, row) in positions.into_iter().zip(values.chunks_exact_mut(self.floats)) {
            self.read(position, row)?;
        }
        Ok(Table::of_columns(values, widths))
    }

    /// How many rows there are, on the disk and in memory.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many values a row has.
    pub fn floats(&self) -> usize {
        self.floats
    }

    /// The cache's file, whether it could be used or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes the rows take on the disk, with the header; 0 where the file is not used.
    pub fn bytes(&self) -> u64 {
        if self.file.is_some() { feature_file::offset(self.records, self.floats) } else { 0 }
    }

    /// What could not be done, in the order in which it showed.
    pub fn notes(&self) -> &[CacheNote] {
        &self.notes
    }
}

/// Tables that read the file keep it open; the lock goes with the cache.
impl Drop for FeatureCache {
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(File::unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is open for reading only stands for a full disk: every write fails.
    #[test]
    fn on_a_full_disk_it_goes_on_in_memory() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut cache = FeatureCache::open(folder.path(), &"0".repeat(64), 2).unwrap();
        cache.append(&[1; 32], &[1.0, 2.0]).unwrap();
        cache.file = Some(File::open(cache.path()).unwrap());
        let error = cache.append(&[2; 32], &[3.0, 4.0]).unwrap_err();
        assert!(matches!(error, FeatureCacheError::Io { .. }), "{error}");
        assert!(matches!(cache.notes(), [CacheNote::MemoryOnly { .. }]));
        cache.append(&[3; 32], &[5.0, 6.0]).unwrap();
        cache.flush().unwrap();
        for (digest, wanted) in [([1; 32], [1.0, 2.0]), ([2; 32], [3.0, 4.0]), ([3; 32], [5.0, 6.0])] {
            let mut row = [0.0; 2];
            cache.read(cache.get(&digest).unwrap(), &mut row).unwrap();
            assert_eq!(row, wanted);
        }
        drop(cache);
        assert_eq!(FeatureCache::open(folder.path(), &"0".repeat(64), 2).unwrap().len(), 1);
    }
}
