//! The cache of features: the outputs of a net's frozen front for each sample, kept on disk between runs.
//!
//! One file per front, `FRONT.features`:
//!
//! ```text
//! 0   magic (8)  version (4)  floats per row (4)  digest of the front (32)  zeros (12)  CRC-32 of bytes 0 to 60 (4)
//! 64  records: BLAKE3 digest of the sample (32)  CRC-32 of digest and row (4)  the row: f32, little endian
//! ```
//! Records are only appended, so a process that is killed leaves at most one torn record. Opening reads all records once,
//! ignores damaged ones and truncates a damaged end. No content of a cache file can stop a run.

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

/// The position of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The index of its record in the file.
    File(u64),
    /// The index among the rows in memory.
    Memory(usize),
}

/// A problem with the cache, none of which stops a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheNote {
    /// The header of the file was unusable; the content was copied there and an empty cache created.
    SetAside { to: PathBuf, reason: String },
    /// Records that were damaged, or torn by a process that was killed; they will be recomputed.
    Dropped { records: u64, bytes: u64 },
    /// Another process is writing to the file: its rows are read, new ones stay in memory.
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
                    "the header of the cache {reason}; the file was copied to {} and an empty cache was created",
                    to.display()
                )
            }
            CacheNote::Dropped { records, bytes } => {
                write!(f, "{bytes} bytes of the cache were damaged ({records} complete records) and are recomputed")
            }
            CacheNote::InUse => write!(f, "another process is writing to the cache; new rows are kept in memory"),
            CacheNote::MemoryOnly { reason } => write!(f, "rows are kept in memory only: {reason}"),
        }
    }
}

/// Why a row cannot be cached or read.
#[derive(Debug, Error)]
pub enum FeatureCacheError {
    #[error("the digest of a front must be 64 hexadecimal digits, not `{0}`")]
    Front(String),
    #[error("a row of features must have 1 to {limit} values, not {floats}", limit = feature_file::MAX_FLOATS)]
    Floats { floats: usize },
    #[error("a row of {found} values in a cache with {expected} per row")]
    Row { found: usize, expected: usize },
    #[error("no row at this position of the cache")]
    Position,
    #[error("{}: record {record} is damaged; clear the cache", path.display())]
    Damaged { path: PathBuf, record: u64 },
    #[error("{}: {}", path.display(), crate::source::plain(source))]
    Io { path: PathBuf, source: io::Error },
}

/// The rows of one front: on disk, or in memory if they could not be written.
#[derive(Debug)]
pub struct FeatureCache {
    path: PathBuf,
    floats: usize,
    /// `None` if the file cannot be read.
    file: Option<File>,
    /// Whether this process may append to the file; it then holds the lock.
    writes: bool,
    /// The number of records in the file, intact and damaged.
    records: u64,
    index: HashMap<[u8; 32], Position>,
    memory: Vec<f32>,
    notes: Vec<CacheNote>,
    /// A buffer for a record.
    record: Vec<u8>,
}

impl FeatureCache {
    /// Opens the cache of a front with rows of `floats` values in `folder`, or creates it. `front` is the BLAKE3 digest, in
    /// hexadecimal, of everything that the features depend on except the photos.
    ///
    /// If the folder or file is unusable, the cache works in memory: see [`FeatureCache::notes`].
    /// The file is locked until the cache is dropped.
    ///
    /// # Errors
    /// If `front` is not 64 hexadecimal digits, or `floats` is out of range.
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
            // Existing rows are useful even on a read-only disk.
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
                // Without locks, two processes could overwrite each other's records.
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
                // The lock is on this file, so its content is copied instead of renaming it.
                let to = self.path.with_extension("features.damaged");
                std::fs::copy(&self.path, &to)?;
                file.set_len(0)?;
                self.notes.push(CacheNote::SetAside { to, reason });
            }
            Some(reason) => return Err(io::Error::other(format!("the header of the cache {reason}"))),
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

    /// Reads all records; truncates a damaged end if this process may write.
    fn read_index(&mut self, file: &File) -> io::Result<()> {
        let scan = feature_file::scan(file, self.floats)?;
        self.records = scan.records;
        self.index = scan.good.into_iter().map(|(digest, record)| (digest, Position::File(record))).collect();
        if scan.bad > 0 || scan.torn > 0 {
            let bytes = scan.bad * feature_file::record_bytes(self.floats) + scan.torn;
            // A record that another process is writing is not damaged.
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

    /// The position of the row of a sample, by the digest of the sample.
    pub fn get(&self, digest: &[u8; 32]) -> Option<Position> {
        self.index.get(digest).copied()
    }

    /// Reads a row and verifies the checksum of its record again.
    ///
    /// # Errors
    /// If `row` has the wrong length, the position is not from this cache, or the file has changed since it was opened.
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

    /// Adds the row of a sample, unless it is there already.
    ///
    /// # Errors
    /// If `row` has the wrong length, or the file cannot be written, for example on a full disk. In the latter case this row
    /// and all later ones are kept in memory, so the caller may report the error, which occurs once, and continue.
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
            // Remove a partial record; if that fails too, it is dropped when the file is next opened.
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
        if found == self.floats { Ok(()) } else { Err(FeatureCacheError::Row { found, expected: self.floats }) }
    }

    /// Syncs new rows to disk, so that they survive a power failure (killing the process loses nothing anyway).
    ///
    /// # Errors
    /// I/O errors.
    pub fn flush(&mut self) -> Result<(), FeatureCacheError> {
        match &self.file {
            Some(file) if self.writes => {
                file.sync_all().map_err(|source| FeatureCacheError::Io { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// The rows of these samples, by digest, split into tables with these widths. They are read into memory if they are at
    /// most `kept` bytes or not all in the file; otherwise they stay in the file.
    ///
    /// # Errors
    /// If a sample has no row, and those of [`FeatureCache::read`].
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

    /// The number of rows, on disk and in memory.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The number of values in a row.
    pub fn floats(&self) -> usize {
        self.floats
    }

    /// The path of the cache file, whether usable or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file in bytes; 0 if it is not used.
    pub fn bytes(&self) -> u64 {
        if self.file.is_some() { feature_file::offset(self.records, self.floats) } else { 0 }
    }

    /// The problems so far, in order.
    pub fn notes(&self) -> &[CacheNote] {
        &self.notes
    }
}

/// Tables that read the file keep it open; the lock is released with the cache.
impl Drop for FeatureCache {
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(File::unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A read-only file simulates a full disk: every write fails.
    #[test]
    fn a_full_disk_falls_back_to_memory() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut cache = FeatureCache::open(folder.path(), &"0".repeat(64), 2).unwrap();
        cache.append(&[1; 32], &[1.0, 2.0]).unwrap();
        cache.file = Some(File::open(cache.path()).unwrap());
        let error = cache.append(&[2; 32], &[3.0, 4.0]).unwrap_err();
        assert!(matches!(error, FeatureCacheError::Io { .. }), "{error}");
        assert!(matches!(cache.notes(), [CacheNote::MemoryOnly { .. }]));
        cache.append(&[3; 32], &[5.0, 6.0]).unwrap();
        cache.flush().unwrap();
        for (digest, expected) in [([1; 32], [1.0, 2.0]), ([2; 32], [3.0, 4.0]), ([3; 32], [5.0, 6.0])] {
            let mut row = [0.0; 2];
            cache.read(cache.get(&digest).unwrap(), &mut row).unwrap();
            assert_eq!(row, expected);
        }
        drop(cache);
        assert_eq!(FeatureCache::open(folder.path(), &"0".repeat(64), 2).unwrap().len(), 1);
    }
}
