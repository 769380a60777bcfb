//! The format of feature files, and the folder that contains them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const MAGIC: [u8; 8] = *b"NETF\x00\x1a\x01\n";
const VERSION: u32 = 1;
const HEADER: usize = 64;
/// The size of digest and checksum, which precede the row in a record.
const HEAD: usize = 36;
/// The maximum number of values in a row, which take 1 GiB.
pub const MAX_FLOATS: usize = 1 << 28;
const ENDING: &str = "features";

/// The header of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub floats: u32,
    pub front: [u8; 32],
}

impl Header {
    /// The encoded header.
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.floats.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.front);
        let sum = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Decodes the header, if it is intact and of this version.
    fn of_bytes(bytes: &[u8; HEADER]) -> Option<Header> {
        let floats = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        let mut front = [0; 32];
        front.copy_from_slice(&bytes[16..48]);
        let header = Header { floats, front };
        (header.to_bytes() == *bytes && floats > 0 && floats as usize <= MAX_FLOATS).then_some(header)
    }

    /// What is wrong with the header of a file that should have this one, as a predicate for "the header".
    pub fn error_of(&self, file: &File) -> io::Result<Option<String>> {
        let mut bytes = [0; HEADER];
        let found = match read_at(file, 0, &mut bytes) {
            Ok(()) => Header::of_bytes(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some("is truncated".to_owned())),
            Err(error) => return Err(error),
        };
        Ok(match found {
            Some(found) if found == *self => None,
            Some(found) if found.floats != self.floats => {
                Some(format!("declares {} values per row, but the front has {}", found.floats, self.floats))
            }
            Some(_) => Some("is that of a different front".to_owned()),
            None => Some("is damaged or has a different version".to_owned()),
        })
    }

    /// The name of the file.
    pub fn file_name(&self) -> String {
        format!("{}.{ENDING}", blake3::Hash::from_bytes(self.front).to_hex())
    }
}

/// Parses a digest of 64 hexadecimal digits.
pub fn parse_front(front: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(front).ok().map(|hash| *hash.as_bytes())
}

/// The size of a record in bytes.
pub fn record_bytes(floats: usize) -> u64 {
    (HEAD + floats * 4) as u64
}

/// The offset of a record.
pub fn offset(record: u64, floats: usize) -> u64 {
    HEADER as u64 + record * record_bytes(floats)
}

/// The offset of the first row's values, and the stride between rows, in bytes.
pub fn rows(floats: usize) -> (u64, u64) {
    (offset(0, floats) + HEAD as u64, record_bytes(floats))
}

/// Encodes the record of a row.
pub fn fill_record(record: &mut Vec<u8>, digest: &[u8; 32], row: &[f32]) {
    record.clear();
    record.extend_from_slice(digest);
    record.extend_from_slice(&[0; 4]);
    record.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    let sum = checksum(record);
    record[32..HEAD].copy_from_slice(&sum.to_le_bytes());
}

/// The digest of a record, if the record is intact.
pub fn digest_of(record: &[u8]) -> Option<[u8; 32]> {
    let stored: [u8; 4] = record.get(32..HEAD)?.try_into().ok()?;
    let digest = record.get(..32)?.try_into().ok()?;
    // After a crash, a file may have its full length but zeros as content.
    (checksum(record) == u32::from_le_bytes(stored) && digest != [0; 32]).then_some(digest)
}

/// Decodes the row of a record.
pub fn row_of(record: &[u8], row: &mut [f32]) {
    let (values, _) = record.get(HEAD..).unwrap_or_default().as_chunks::<4>();
    row.iter_mut().zip(values).for_each(|(value, bytes)| *value = f32::from_le_bytes(*bytes));
}

/// The CRC-32 of digest and row of a record.
fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..32]);
    hasher.update(&record[HEAD..]);
    hasher.finalize()
}

/// Fills `bytes` from this offset of the file.
#[cfg(unix)]
pub fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Fills `bytes` from this offset of the file.
#[cfg(not(unix))]
pub fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    let mut reader = file;
    reader.seek(SeekFrom::Start(offset))?;
    reader.read_exact(bytes)
}

/// The result of scanning a file.
#[derive(Debug, Default)]
pub struct Scan {
    /// The number of records, intact and damaged.
    pub records: u64,
    /// The intact ones: record index by digest.
    pub good: HashMap<[u8; 32], u64>,
    /// The number of records up to and including the last intact one.
    pub good_end: u64,
    /// The number of damaged ones.
    pub bad: u64,
    /// The number of bytes after the last complete record.
    pub torn: u64,
}

/// Reads every record of a file and verifies its checksum.
pub fn scan(file: &File, floats: usize) -> io::Result<Scan> {
    let length = file.metadata()?.len().saturating_sub(HEADER as u64);
    let mut scan = Scan { records: length / record_bytes(floats), ..Scan::default() };
    scan.torn = length % record_bytes(floats);
    let mut reader = BufReader::with_capacity(1 << 20, file);
    reader.seek(SeekFrom::Start(HEADER as u64))?;
    let mut record = Vec::new();
    for index in 0..scan.records {
        record.resize(record_bytes(floats) as usize, 0);
        reader.read_exact(&mut record)?;
        match digest_of(&record) {
            Some(digest) => {
                scan.good.insert(digest, index);
                scan.good_end = index + 1;
            }
            None => scan.bad += 1,
        }
    }
    Ok(scan)
}

/// A cache in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheInfo {
    pub path: PathBuf,
    /// The digest of its front, in hexadecimal.
    pub front: String,
    /// The number of values in a row.
    pub floats: usize,
    /// The number of rows, by the size of the file.
    pub rows: u64,
    /// The size of the file.
    pub bytes: u64,
    /// The time of the last modification, if known.
    pub modified: Option<SystemTime>,
}

/// The cache folder: `$NETC_CACHE`, else `netc` in the platform's cache folder; `None` if there is none.
pub fn default_folder() -> Option<PathBuf> {
    match std::env::var_os("NETC_CACHE").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(folder.into()),
        None => dirs::cache_dir().map(|folder| folder.join("netc")),
    }
}

/// The caches in `folder`, sorted by path: files with the extension and the header of a cache. There are none in a folder that
/// does not exist.
pub fn list(folder: &Path) -> io::Result<Vec<CacheInfo>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(info(entry?.path()));
    }
    found.sort_by(|a: &CacheInfo, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Removes the caches in `folder`, or only that of one front (64 hexadecimal digits), and returns them. Other files in the
/// folder are kept. A process that is using a cache is not affected, if the operating system allows that.
pub fn clear(folder: &Path, front: Option<&str>) -> io::Result<Vec<CacheInfo>> {
    let mut caches = list(folder)?;
    caches.retain(|cache| front.is_none_or(|front| front.eq_ignore_ascii_case(&cache.front)));
    caches.iter().try_for_each(|cache| fs::remove_file(&cache.path))?;
    Ok(caches)
}

/// The description of a file, if it is a cache. A damaged one that was set aside counts if its header is intact.
fn info(path: PathBuf) -> Option<CacheInfo> {
    let name = path.file_name()?.to_str()?;
    let ours = [".features", ".features.damaged"].iter().any(|ending| name.ends_with(ending));
    // Links are not followed, and a pipe would block.
    let metadata = fs::symlink_metadata(&path).ok().filter(|metadata| ours && metadata.is_file())?;
    let mut bytes = [0; HEADER];
    File::open(&path).ok()?.read_exact(&mut bytes).ok()?;
    let header = Header::of_bytes(&bytes)?;
    let floats = header.floats as usize;
    Some(CacheInfo {
        front: blake3::Hash::from_bytes(header.front).to_hex().to_string(),
        floats,
        rows: metadata.len().saturating_sub(HEADER as u64) / record_bytes(floats),
        bytes: metadata.len(),
        modified: metadata.modified().ok(),
        path,
    })
}
