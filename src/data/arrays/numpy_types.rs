//! NumPy's names of numeric types (`<f4`, `|u1`, ...).

use super::array_error::ArrayErrorKind;
use crate::element::{Element, Kind};

/// Parses NumPy's `<f4`: byte order, kind, size in bytes.
pub fn parse(text: &str) -> Result<Element, ArrayErrorKind> {
    let found = |words: &str| Err(ArrayErrorKind::Type { found: format!("{words} ({text})") });
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
    let size = rest.get(1..).and_then(|size| size.parse().ok());
    match size.and_then(|size| Element::new(kind, size, big_endian)) {
        Some(element) => Ok(element),
        None => found("an unknown type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(descr: &str, values: &[u8]) -> Vec<f32> {
        let mut found = Vec::new();
        parse(descr).unwrap().append(values, &mut found);
        found
    }

    #[test]
    fn every_numeric_type() {
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
