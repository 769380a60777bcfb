//! Number types of files, and their conversion to f32.

use half::{bf16, f16};

/// The format of a stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

/// The kind of a number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One byte; nonzero is true.
    Bool,
    Signed,
    Unsigned,
    /// IEEE 754.
    Float,
    /// The upper half of an f32.
    Bfloat16,
}

impl Element {
    /// Little-endian f32.
    pub const F32: Element = Element { kind: Kind::Float, size: 4, big_endian: false };

    /// A format of `size` bytes; `None` if it is unsupported.
    pub fn new(kind: Kind, size: usize, big_endian: bool) -> Option<Element> {
        let known = match kind {
            Kind::Bool => size == 1,
            Kind::Float => matches!(size, 2 | 4 | 8),
            Kind::Bfloat16 => size == 2,
            Kind::Signed | Kind::Unsigned => matches!(size, 1 | 2 | 4 | 8),
        };
        known.then_some(Element { kind, size, big_endian })
    }

    /// Its kind.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// Bytes per value.
    pub fn size(self) -> usize {
        self.size
    }

    /// Appends the values in `bytes`, whose length is a multiple of the size, as f32.
    pub fn append(self, bytes: &[u8], values: &mut Vec<f32>) {
        match (self.kind, self.size) {
            (Kind::Bool, _) => values.extend(bytes.iter().map(|&x| f32::from(u8::from(x != 0)))),
            (Kind::Signed, 1) => values.extend(bytes.iter().map(|&x| f32::from(x as i8))),
            (Kind::Unsigned, 1) => values.extend(bytes.iter().map(|&x| f32::from(x))),
            (Kind::Signed, 2) => self.convert(bytes, values, |x| f32::from(i16::from_le_bytes(x))),
            (Kind::Unsigned, 2) => self.convert(bytes, values, |x| f32::from(u16::from_le_bytes(x))),
            (Kind::Signed, 4) => self.convert(bytes, values, |x| i32::from_le_bytes(x) as f32),
            (Kind::Unsigned, 4) => self.convert(bytes, values, |x| u32::from_le_bytes(x) as f32),
            (Kind::Signed, _) => self.convert(bytes, values, |x| i64::from_le_bytes(x) as f32),
            (Kind::Unsigned, _) => self.convert(bytes, values, |x| u64::from_le_bytes(x) as f32),
            (Kind::Bfloat16, _) => self.convert(bytes, values, |x| bf16::from_le_bytes(x).to_f32()),
            (Kind::Float, 2) => self.convert(bytes, values, |x| f16::from_le_bytes(x).to_f32()),
            (Kind::Float, 4) => self.convert(bytes, values, f32::from_le_bytes),
            (Kind::Float, _) => self.convert(bytes, values, |x| f64::from_le_bytes(x) as f32),
        }
    }

    /// The first of the values in `bytes` that is a number, but larger than any f32.
    pub fn beyond_f32(self, bytes: &[u8]) -> Option<f64> {
        if (self.kind, self.size) != (Kind::Float, 8) {
            return None;
        }
        let (chunks, _) = bytes.as_chunks::<8>();
        let value = |&chunk| if self.big_endian { f64::from_be_bytes(chunk) } else { f64::from_le_bytes(chunk) };
        chunks.iter().map(value).find(|value| value.is_finite() && (*value as f32).is_infinite())
    }

    fn convert<const N: usize>(self, bytes: &[u8], values: &mut Vec<f32>, from_le: impl Fn([u8; N]) -> f32) {
        let (chunks, _) = bytes.as_chunks::<N>();
        if self.big_endian {
            values.extend(chunks.iter().map(|&(mut chunk)| {
                chunk.reverse();
                from_le(chunk)
            }));
        } else {
            values.extend(chunks.iter().map(|&chunk| from_le(chunk)));
        }
    }
}
