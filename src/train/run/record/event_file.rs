//! TensorBoard's event files: scalars by epoch.
//!
//! An event file is a list of records (TensorFlow's TFRecord), each with the length of its data (u64), the masked CRC-32C of that
//! length (u32), the data, and the masked CRC-32C of the data (u32), little endian. The data is a protocol buffer `Event`
//! (tensorflow/core/util/event.proto) with scalars as `simple_value`, as PyTorch's `SummaryWriter` writes them.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The start of the names of event files; TensorBoard looks for it.
pub const PREFIX: &str = "events.out.tfevents";

/// The fields of the messages that are written, with their wire types.
mod field {
    pub const EVENT_WALL_TIME: u8 = 1 << 3 | 1;
    pub const EVENT_STEP: u8 = 2 << 3;
    pub const EVENT_FILE_VERSION: u8 = 3 << 3 | 2;
    pub const EVENT_SUMMARY: u8 = 5 << 3 | 2;
    pub const EVENT_SESSION_LOG: u8 = 7 << 3 | 2;
    pub const SESSION_LOG_STATUS: u8 = 1 << 3;
    pub const SUMMARY_VALUE: u8 = 1 << 3 | 2;
    pub const VALUE_TAG: u8 = 1 << 3 | 2;
    pub const VALUE_SIMPLE_VALUE: u8 = 2 << 3 | 5;
}

/// The status of a session log that starts: TensorBoard forgets the events of this step and of later ones.
const START: u64 = 1;

/// The end of the names of the files that are written here.
const SUFFIX: &str = ".netc";

/// The scalars of a step, by their tags.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub number: u64,
    pub scalars: Vec<(String, f64)>,
}

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Creates a file in `folder` with these steps, in place of those that were written here before. It has another name than
    /// those: TensorBoard, while it runs, reads on where it was in a file of the same name.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn replace(folder: &Path, steps: &[Step]) -> io::Result<EventFile> {
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(PREFIX) && name.ends_with(SUFFIX)
        };
        let earlier: Vec<PathBuf> =
            std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect();
        let now = now();
        let names = (0..).map(|number| folder.join(format!("{PREFIX}.{}.{number}{SUFFIX}", now as u64)));
        let path = names.into_iter().find(|path| !earlier.contains(path)).ok_or(io::ErrorKind::AlreadyExists)?;

        let mut bytes = Vec::new();
        let mut version = event(now, 0);
        put_bytes(&mut version, field::EVENT_FILE_VERSION, b"brain.Event:2");
        put_record(&mut bytes, &version);
        let mut start = event(now, steps.first().map_or(1, |step| step.number));
        let mut log = vec![field::SESSION_LOG_STATUS];
        put_varint(&mut log, START);
        put_bytes(&mut start, field::EVENT_SESSION_LOG, &log);
        put_record(&mut bytes, &start);
        steps.iter().for_each(|step| put_record(&mut bytes, &summary(now, step)));
        crate::file::replace_soon(&path, |file| file.write_all(&bytes))?;
        earlier.iter().try_for_each(std::fs::remove_file)?;
        let file = File::options().append(true).open(&path)?;
        Ok(EventFile { path, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a step, by one write, so that a reader sees whole records.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn add(&mut self, step: &Step) -> io::Result<()> {
        let mut record = Vec::new();
        put_record(&mut record, &summary(now(), step));
        self.file.write_all(&record)
    }
}

/// The event of a step.
fn summary(time: f64, step: &Step) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in &step.scalars {
        let mut scalar = Vec::new();
        put_bytes(&mut scalar, field::VALUE_TAG, tag.as_bytes());
        scalar.push(field::VALUE_SIMPLE_VALUE);
        scalar.extend((*value as f32).to_le_bytes());
        put_bytes(&mut summary, field::SUMMARY_VALUE, &scalar);
    }
    let mut event = event(time, step.number);
    put_bytes(&mut event, field::EVENT_SUMMARY, &summary);
    event
}

/// Appends a record with these data.
fn put_record(to: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    to.extend(length);
    to.extend(masked_crc(&length).to_le_bytes());
    to.extend(data);
    to.extend(masked_crc(data).to_le_bytes());
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The checksum of TFRecords.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The start of an event: its time and step.
fn event(time: f64, step: u64) -> Vec<u8> {
    let mut event = vec![field::EVENT_WALL_TIME];
    event.extend(time.to_le_bytes());
    event.push(field::EVENT_STEP);
    put_varint(&mut event, step);
    event
}

fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 1 << 7 {
        to.push(value as u8 | 1 << 7);
        value >>= 7;
    }
    to.push(value as u8);
}

fn put_bytes(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    to.push(field);
    put_varint(to, bytes.len() as u64);
    to.extend(bytes);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The test vector of RFC 3720 for 32 bytes of zeros, and its mask by TensorFlow's formula: `((crc >> 15) | (crc << 17)) +
    /// 0xa282ead8`.
    #[test]
    fn checksums_are_those_of_tensorflow() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked_crc(&[0; 32]), 0x0fd7_fffa);
    }

    /// Reads a protocol buffer's fields: number, and bytes or number.
    fn fields(mut data: &[u8]) -> Vec<(u8, Vec<u8>, u64)> {
        fn varint(data: &mut &[u8]) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = data[0];
                *data = &data[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }
        let mut list = Vec::new();
        while !data.is_empty() {
            let key = varint(&mut data);
            let number = (key >> 3) as u8;
            let len = match key & 7 {
                0 => {
                    let value = varint(&mut data);
                    list.push((number, Vec::new(), value));
                    continue;
                }
                1 => 8,
                5 => 4,
                _ => varint(&mut data) as usize,
            };
            list.push((number, data[..len].to_vec(), 0));
            data = &data[len..];
        }
        list
    }

    /// The steps of a file, which starts as TensorBoard expects it.
    pub fn read(path: &Path) -> Vec<Step> {
        let file = std::fs::read(path).expect("the file");
        let mut bytes = &file[..];
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked_crc(&bytes[..8]).to_le_bytes());
            let data = &bytes[12..12 + len];
            assert_eq!(bytes[12 + len..16 + len], masked_crc(data).to_le_bytes());
            events.push(fields(data));
            bytes = &bytes[16 + len..];
        }
        assert_eq!(events[0][2], (3, b"brain.Event:2".to_vec(), 0));
        assert_eq!(fields(&events[1][2].1)[0].2, START);
        let scalar = |value: &[u8]| {
            let parts = fields(value);
            assert_eq!((parts[0].0, parts[1].0), (1, 2));
            let bytes = parts[1].1[..].try_into().expect("four bytes");
            (String::from_utf8(parts[0].1.clone()).expect("text"), f64::from(f32::from_le_bytes(bytes)))
        };
        let steps = events[2..].iter().map(|event| Step {
            number: event[1].2,
            scalars: fields(&event[2].1).iter().map(|(_, value, _)| scalar(value)).collect(),
        });
        steps.collect()
    }

    #[test]
    fn a_reader_finds_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let step = |number, value| Step {
            number,
            scalars: vec![("loss/training".into(), value), ("accuracy/validation".into(), 0.5)],
        };
        let mut first = EventFile::replace(folder.path(), &[]).expect("a file");
        first.add(&step(1, 0.75)).expect("an event");
        std::fs::write(folder.path().join("events.out.tfevents.1.other"), "another program's").expect("a file");
        let mut second = EventFile::replace(folder.path(), &[step(1, 0.25)]).expect("a file within the same second");
        second.add(&step(300, -1.0)).expect("an event");
        assert_eq!(read(second.path()), [step(1, 0.25), step(300, -1.0)]);
        assert_ne!(first.path(), second.path());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }
}
