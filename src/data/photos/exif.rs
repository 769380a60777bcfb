//! The orientation in EXIF data.

use image::metadata::Orientation;

/// The orientation tag.
const ORIENTATION: u16 = 0x0112;

/// The orientation of a photo by its EXIF data, which starts with the TIFF header; `None` if there is none.
///
/// Any integer type is accepted, in both byte orders: the standard requires SHORT, but some phones write LONG (which
/// Pillow reads) and some programs BYTE.
pub fn orientation(exif: &[u8]) -> Option<Orientation> {
    let little_endian = match exif.first_chunk()? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = long(4)? as usize;
    // Entries of 12 bytes: tag, type, count, and the value if it fits in four bytes.
    for entry in (0..usize::from(short(directory)?)).map(|entry| directory + 2 + 12 * entry) {
        if short(entry)? != ORIENTATION || long(entry + 4)? != 1 {
            continue;
        }
        let value = match short(entry + 2)? {
            1 | 6 => u32::from(*exif.get(entry + 8)?),
            3 | 8 => u32::from(short(entry + 8)?),
            4 | 9 => long(entry + 8)?,
            _ => return None,
        };
        return Orientation::from_exif(u8::try_from(value).ok()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EXIF data with two entries, the second of which is the orientation of `kind` and `count`.
    fn exif(little_endian: bool, kind: u16, count: u32, value: &[u8; 4]) -> Vec<u8> {
        let short = |x: u16| if little_endian { x.to_le_bytes() } else { x.to_be_bytes() };
        let long = |x: u32| if little_endian { x.to_le_bytes() } else { x.to_be_bytes() };
        let mut exif = if little_endian { b"II".to_vec() } else { b"MM".to_vec() };
        exif.extend([&short(42)[..], &long(8), &short(2)].concat());
        exif.extend([&short(0x0100)[..], &short(4), &long(1), &long(640)].concat());
        exif.extend([&short(ORIENTATION)[..], &short(kind), &long(count), value, &long(0)].concat());
        exif
    }

    /// Pillow 13 reads SHORT, LONG and their signed forms.
    #[test]
    fn any_integer_type_in_both_byte_orders_is_read() {
        let rotated = Some(Orientation::Rotate90);
        for kind in [1, 6] {
            assert_eq!(orientation(&exif(true, kind, 1, &[6, 0, 0, 0])), rotated, "type {kind}");
            assert_eq!(orientation(&exif(false, kind, 1, &[6, 0, 0, 0])), rotated, "type {kind}");
        }
        for kind in [3, 8] {
            assert_eq!(orientation(&exif(true, kind, 1, &[6, 0, 0, 0])), rotated, "type {kind}");
            assert_eq!(orientation(&exif(false, kind, 1, &[0, 6, 0, 0])), rotated, "type {kind}");
        }
        for kind in [4, 9] {
            assert_eq!(orientation(&exif(true, kind, 1, &[6, 0, 0, 0])), rotated, "type {kind}");
            assert_eq!(orientation(&exif(false, kind, 1, &[0, 0, 0, 6])), rotated, "type {kind}");
        }
    }

    #[test]
    fn invalid_orientations_are_ignored() {
        assert_eq!(orientation(&exif(true, 2, 1, b"6\0\0\0")), None);
        assert_eq!(orientation(&exif(true, 3, 2, &[6, 0, 6, 0])), None);
        for value in [0, 9, 255] {
            assert_eq!(orientation(&exif(true, 4, 1, &[value, 0, 0, 0])), None);
        }
        assert_eq!(orientation(&exif(true, 4, 1, &[6, 1, 0, 0])), None);
        let whole = exif(true, 4, 1, &[6, 0, 0, 0]);
        for length in 0..whole.len() - 5 {
            assert_eq!(orientation(&whole[..length]), None, "{length} bytes");
        }
        let beyond = [b"II*\0".as_slice(), &u32::MAX.to_le_bytes()].concat();
        assert_eq!(orientation(&beyond), None);
    }
}
