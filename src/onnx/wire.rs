//! The wire format of protocol buffers (<https://protobuf.dev/programming-guides/encoding/>): fields of a message, one by one,
//! from a file that is not taken into memory.

use super::error::OnnxError;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;

/// What a model may take of memory besides its weights, in bytes.
const BUDGET: u64 = 256 << 20;
/// The longest name or text that is read.
const MAX_TEXT: u64 = 1 << 20;

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub number: u32,
    pub content: Content,
}

/// What a field holds. The bytes of `Bytes` are not read yet: they begin where the cursor is.
#[derive(Debug)]
pub(super) enum Content {
    Varint(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(Range<u64>),
}

/// A cursor over the bytes of a file.
pub(super) struct Wire<R: Read + Seek> {
    reader: BufReader<R>,
    position: u64,
    length: u64,
    budget: u64,
}

impl<R: Read + Seek> Wire<R> {
    /// A cursor at the start of a file of `length` bytes.
    pub fn new(reader: R, length: u64) -> Self {
        Wire { reader: BufReader::with_capacity(1 << 16, reader), position: 0, length, budget: BUDGET }
    }

    /// The bytes of the whole file, as a message.
    pub fn whole(&self) -> Range<u64> {
        0..self.length
    }

    /// Takes memory for something that is kept.
    ///
    /// # Errors
    /// If the model takes too much in all.
    pub fn take(&mut self, bytes: u64) -> Result<(), OnnxError> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| {
            OnnxError::too_large("the model", format!("without its weights it takes more than {} MB", BUDGET >> 20))
        })?;
        Ok(())
    }

    /// The next field of a message that ends at `end`; none at its end.
    pub fn field(&mut self, end: u64) -> Result<Option<Field>, OnnxError> {
        if self.position >= end {
            return Ok(None);
        }
        let tag = self.varint(end)?;
        let number = u32::try_from(tag >> 3).ok().filter(|&number| number > 0);
        let number = number.ok_or_else(|| self.damaged("a field has no number"))?;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint(end)?),
            1 => {
                self.skip_to(self.within(8, end)?)?;
                Content::Fixed64
            }
            2 => {
                let length = self.varint(end)?;
                let from = self.position;
                Content::Bytes(from..self.within(length, end)?)
            }
            5 => {
                self.within(4, end)?;
                let mut bytes = [0; 4];
                self.read(&mut bytes)?;
                Content::Fixed32(u32::from_le_bytes(bytes))
            }
            other => return Err(self.damaged(&format!("a field has the wire type {other}"))),
        };
        Ok(Some(Field { number, content }))
    }

    /// An integer of variable length, which ends before `end`.
    pub fn varint(&mut self, end: u64) -> Result<u64, OnnxError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            self.within(1, end)?;
            let mut byte = [0];
            self.read(&mut byte)?;
            value |= u64::from(byte[0] & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged("an integer has more than ten bytes"))
    }

    /// The text of a field.
    pub fn text(&mut self, range: Range<u64>) -> Result<String, OnnxError> {
        let length = range.end - range.start;
        if length > MAX_TEXT {
            return Err(OnnxError::too_large("a name", format!("it has {length} bytes")));
        }
        self.take(length + 32)?;
        let mut bytes = vec![0; length as usize];
        self.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The packed integers of a field.
    pub fn integers(&mut self, range: Range<u64>, list: &mut Vec<i64>) -> Result<(), OnnxError> {
        while self.position < range.end {
            let value = self.varint(range.end)?;
            self.take(8)?;
            list.push(value as i64);
        }
        Ok(())
    }

    /// The packed `f32` of a field.
    pub fn floats(&mut self, range: Range<u64>, list: &mut Vec<f32>) -> Result<(), OnnxError> {
        while self.position < range.end {
            self.within(4, range.end)?;
            self.take(4)?;
            let mut bytes = [0; 4];
            self.read(&mut bytes)?;
            list.push(f32::from_le_bytes(bytes));
        }
        Ok(())
    }

    /// Leaves a field out.
    pub fn skip(&mut self, content: &Content) -> Result<(), OnnxError> {
        match content {
            Content::Bytes(range) => self.skip_to(range.end),
            _ => Ok(()),
        }
    }

    pub fn skip_to(&mut self, position: u64) -> Result<(), OnnxError> {
        let offset = position.saturating_sub(self.position);
        match i64::try_from(offset) {
            Ok(offset) => self.reader.seek_relative(offset)?,
            Err(_) => {
                self.reader.seek(SeekFrom::Start(position))?;
            }
        }
        self.position = position;
        Ok(())
    }

    /// Where so many bytes end, if they are inside the message.
    fn within(&self, bytes: u64, end: u64) -> Result<u64, OnnxError> {
        let found = self.position.checked_add(bytes).filter(|&found| found <= end);
        found.ok_or_else(|| OnnxError::Truncated {
            place: format!("the message at byte {}", self.position),
            what: format!("it declares {bytes} bytes, {} are left", end.saturating_sub(self.position)),
        })
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), OnnxError> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => OnnxError::Truncated {
                place: format!("the message at byte {}", self.position),
                what: "the file ends inside it".into(),
            },
            _ => error.into(),
        })?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn damaged(&self, what: &str) -> OnnxError {
        OnnxError::corrupt(&format!("the message at byte {}", self.position), what)
    }
}
