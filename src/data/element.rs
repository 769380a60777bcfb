//! The types of NumPy's numbers (`<f4`, `|u1`, ...), and how each becomes f32.

use super::array_fault::ArrayFault;

/// The type of a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

impl Element {
    /// `<f4`
    pub const F32: Element = Element { kind: Kind::Float, size: 4, big_endian: false };

    /// Parses NumPy's `<f4`: byte order, kind, size in bytes.
    pub fn parse(text: &str) -> Result<Self, ArrayFault> {
        let found = |words: &str| Err(ArrayFault::Type { found: format!("{words} ({text})") });
        let (order, rest) = match text.as_bytes().first() {
            Some(order @ (b'<' | b'>' | b'|' | b'=')) => (*order, &text[1..]),
            _ => (b'=', text),
        };
        let big_endian = order == b'>' || (order == b'=' && cfg!(target_endian = "big"));
        let kind = match rest.as_bytes().first() {
            Some(b'f') => Kind::Float,
            Some(b'i') => Kind::Signed,
            Some(b'u') => Kind::Unsigned,
            Some(b'b') => Kind::Bool,
            Some(b'O') => return found("Python objects"),
            Some(b'U' | b'S' | b'a') => return found("text"),
            Some(b'c') => return found("complex numbers"),
            Some(b'M' | b'm') => return found("dates or durations"),
            _ => return found("an unknown type"),
        };
        match (kind, rest.get(1..).and_then(|size| size.parse().ok())) {
            (Kind::Bool, Some(size @ 1))
            | (Kind::Float, Some(size @ (2 | 4 | 8)))
            | (Kind::Signed | Kind::Unsigned, Some(size @ (1 | 2 | 4 | 8))) => Ok(Self { kind, size, big_endian }),
            _ => found("an unknown type"),
        }
    }

    /// The bytes that one value takes in the file.
    pub fn size(self) -> usize {
        self.size
    }

    /// Appends the values in `bytes`, a whole number of them, as f32.
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
            (Kind::Float, 2) => self.convert(bytes, values, |x| half_to_f32(u16::from_le_bytes(x))),
            (Kind::Float, 4) => self.convert(bytes, values, f32::from_le_bytes),
            (Kind::Float, _) => self.convert(bytes, values, |x| f64::from_le_bytes(x) as f32),
        }
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

/// IEEE 754 binary16 to f32, exactly.
fn half_to_f32(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(half & 0x3ff);
    match (half >> 10) & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1024.0 + fraction) * 2f32.powi(i32::from(exponent) - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(descr: &str, values: &[u8]) -> Vec<f32> {
        let mut found = Vec::new();
        Element::parse(descr).unwrap().append(values, &mut found);
        found
    }

    #[test]
    fn every_type_of_number() {
        assert_eq!(of("<f4", &[1.5f32, -0.25].map(f32::to_le_bytes).concat()), [1.5, -0.25]);
        assert_eq!(of(">f4", &[1.5f32, -0.25].map(f32::to_be_bytes).concat()), [1.5, -0.25]);
        assert_eq!(of("<f8", &[0.1f64, 1e300].map(f64::to_le_bytes).concat()), [0.1, f32::INFINITY]);
        assert_eq!(of("<f2", &[0x3c00u16, 0xfbff].map(u16::to_le_bytes).concat()), [1.0, -65504.0]);
        assert_eq!(of("<f2", &[0x0001u16, 0x7c00].map(u16::to_le_bytes).concat()), [5.960_464_5e-8, f32::INFINITY]);
        assert_eq!(of("|b1", &[0, 1]), [0.0, 1.0]);
        assert_eq!(of("|i1", &[0xff, 1]), [-1.0, 1.0]);
        assert_eq!(of("|u1", &[0xff, 1]), [255.0, 1.0]);
        assert_eq!(of(">i2", &[0xff, 0xfe, 0, 1]), [-2.0, 1.0]);
        assert_eq!(of("<u2", &[0xff, 0xfe, 0, 1]), [65279.0, 256.0]);
        assert_eq!(of("<i4", &[-7i32, 9].map(i32::to_le_bytes).concat()), [-7.0, 9.0]);
        assert_eq!(of(">u4", &[7u32, u32::MAX].map(u32::to_be_bytes).concat()), [7.0, u32::MAX as f32]);
        assert_eq!(of("<i8", &[-7i64, 9].map(i64::to_le_bytes).concat()), [-7.0, 9.0]);
        assert_eq!(of("<u8", &[7u64, 9].map(u64::to_le_bytes).concat()), [7.0, 9.0]);
    }
}
