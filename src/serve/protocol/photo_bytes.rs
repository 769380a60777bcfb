//! The elements of a BYTES tensor.

use super::{RequestError, invalid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The elements of a binary BYTES tensor: each is its length (u32, little endian) and as many bytes.
pub fn split(mut bytes: &[u8]) -> Result<Vec<&[u8]>, RequestError> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk().ok_or_else(|| invalid("a BYTES tensor ends within a length"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let Some((element, rest)) = rest.split_at_checked(length) else {
            let message = format!("a BYTES tensor ends within an element: {} of {length} bytes", rest.len());
            return Err(invalid(message));
        };
        elements.push(element);
        bytes = rest;
    }
    Ok(elements)
}

/// The elements of a BYTES tensor in JSON, which cannot hold bytes: Base64 (RFC 4648, with padding).
pub fn decode(texts: &[String]) -> Result<Vec<Vec<u8>>, RequestError> {
    let decoded = texts.iter().map(|text| STANDARD.decode(text));
    decoded
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("photos in JSON are BYTES in Base64, and this is not: {error}")))
}

/// Appends an element of a binary BYTES tensor.
pub fn append(out: &mut Vec<u8>, element: &[u8]) {
    out.extend_from_slice(&u32::try_from(element.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(element);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_split_where_their_lengths_say() {
        let mut bytes = Vec::new();
        [&b"abc"[..], b"", b"\xff"].iter().for_each(|element| append(&mut bytes, element));
        assert_eq!(split(&bytes).expect("elements"), [&b"abc"[..], b"", b"\xff"]);
        assert_eq!(split(&[]).expect("none"), [&[] as &[u8]; 0]);
        for end in [1, 3, 5, 9, bytes.len() - 1] {
            assert!(split(&bytes[..end]).is_err(), "{end}");
        }
        assert!(split(&u32::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn texts_are_base64() {
        assert_eq!(decode(&["YWJj".into(), String::new()]).expect("bytes"), [b"abc".to_vec(), Vec::new()]);
        assert!(decode(&["YWJ".into()]).is_err() && decode(&["\u{e9}".into()]).is_err());
    }
}
