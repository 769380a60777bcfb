//! TensorBoard's event files: scalars by epoch.
//!
//! An event file is a list of records (TensorFlow's TFRecord), each with the length of its data (u64), the masked CRC-32C of that
//! length (u32), the data, and the masked CRC-32C of the data (u32), little endian. The data is a protocol buffer `Event`
//! (tensorflow/core/util/event.proto) with scalars as `simple_value`, as PyTorch's `SummaryWriter` writes them.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
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

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    file: File,
}

impl EventFile {
    /// Creates a file in `folder` whose first step is `step`: where an earlier file has events of it or of later ones, they no
    /// longer count (as `purge_step` of PyTorch's `SummaryWriter`).
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(folder: &Path, step: u64) -> io::Result<EventFile> {
        let now = now();
        // A run that is started twice within a second has two files.
        let names = (0..).map(|number| format!("{PREFIX}.{}.{number}.netc", now as u64));
        let mut file = None;
        for name in names.take(1000) {
            match File::options().write(true).create_new(true).open(folder.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => {
                    file = Some(opened?);
                    break;
                }
            }
        }
        let mut file = EventFile { file: file.ok_or(io::ErrorKind::AlreadyExists)? };
        let mut version = event(now, 0);
        put_bytes(&mut version, field::EVENT_FILE_VERSION, b"brain.Event:2");
        file.put(&version)?;
        let mut start = event(now, step);
        let mut log = vec![field::SESSION_LOG_STATUS];
        put_varint(&mut log, START);
        put_bytes(&mut start, field::EVENT_SESSION_LOG, &log);
        file.put(&start)?;
        Ok(file)
    }

    /// Adds scalars of a step, by their tags.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn add(&mut self, step: u64, scalars: &[(String, f64)]) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut scalar = Vec::new();
            put_bytes(&mut scalar, field::VALUE_TAG, tag.as_bytes());
            scalar.push(field::VALUE_SIMPLE_VALUE);
            scalar.extend((*value as f32).to_le_bytes());
            put_bytes(&mut summary, field::SUMMARY_VALUE, &scalar);
        }
        let mut event = event(now(), step);
        put_bytes(&mut event, field::EVENT_SUMMARY, &summary);
        self.put(&event)
    }

    /// Writes a record, at once so that a reader rarely sees a part of it.
    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend(length);
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked_crc(data).to_le_bytes());
        self.file.write_all(&record)
    }
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
mod tests {
    use super::*;

    /// The test vector of RFC 3720 for 32 bytes of zeros, and its mask as TensorFlow's `crc32c::Mask` computes it.
    #[test]
    fn checksums_are_those_of_tensorflow() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let (crc, mask_delta) = (0x8a91_36aau32, 0xa282_ead8u32);
        assert_eq!(masked_crc(&[0; 32]), crc.rotate_right(15).wrapping_add(mask_delta));
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

    #[test]
    fn a_reader_finds_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = EventFile::create(folder.path(), 3).expect("a file");
        file.add(300, &[("loss/training".into(), 0.25), ("accuracy/validation".into(), 0.5)]).expect("an event");
        EventFile::create(folder.path(), 4).expect("a second file within the second");
        let mut paths: Vec<_> =
            std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let mut bytes = &std::fs::read(&paths[0]).expect("the file")[..];
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked_crc(&bytes[..8]).to_le_bytes());
            let data = &bytes[12..12 + len];
            assert_eq!(bytes[12 + len..16 + len], masked_crc(data).to_le_bytes());
            events.push(fields(data));
            bytes = &bytes[16 + len..];
        }
        assert_eq!(events.len(), 3);
        assert_eq!(events[0][2], (3, b"brain.Event:2".to_vec(), 0));
        assert_eq!((events[1][1].2, fields(&events[1][2].1)[0].2), (3, START), "the steps from 3 on begin anew");
        assert_eq!(events[2][1], (2, Vec::new(), 300));
        let values: Vec<_> = fields(&events[2][2].1).into_iter().map(|(_, value, _)| fields(&value)).collect();
        assert_eq!(values[0][0].1, b"loss/training");
        assert_eq!(values[0][1], (2, 0.25f32.to_le_bytes().to_vec(), 0));
        assert_eq!(values[1][0].1, b"accuracy/validation");
    }
}
