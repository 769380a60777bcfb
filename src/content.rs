//! Detects the content of a file by its first bytes, as names may be wrong and errors should say what a file really is. All
//! readers and writers take the signature of their format from here.

use crate::file::open_regular;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The number of bytes that [`Content::of`] examines; a short file has fewer.
pub const HEAD: usize = 512;

/// The first bytes of an artifact.
pub const ARTIFACT: [u8; 8] = *b"NETC\x00\x1a\x01\n";
/// The first bytes of a `.npy` file (NEP 1).
pub const NPY: &[u8] = b"\x93NUMPY";
/// The first bytes of an HDF5 file; a user block may precede them.
pub const HDF5: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// What marks a PNG as drawn by this program, in its first text chunk: `Software` is a keyword of the PNG specification (third
/// edition, 11.3.3.1).
pub const DRAWN_PNG: (&str, &str) = ("Software", "netc");

/// JSON, in words.
pub const JSON: &str = "JSON";

/// The content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Jpeg,
    Png,
    Npy,
    /// A ZIP archive: `.npz`, `.keras` or PyTorch's, by its members.
    Zip,
    Hdf5,
    Safetensors,
    Onnx,
    Artifact,
    /// A picture in an unsupported format, with its article.
    OtherPicture(&'static str),
    /// Something else, with its article.
    Other(&'static str),
}

const SIGNATURES: [(&[u8], Content); 22] = [
    (b"\xff\xd8\xff", Content::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Content::Png),
    (NPY, Content::Npy),
    (&HDF5, Content::Hdf5),
    (b"PK\x03\x04", Content::Zip),
    (b"PK\x05\x06", Content::Zip),
    (&ARTIFACT, Content::Artifact),
    (b"GIF8", Content::OtherPicture("a GIF")),
    (b"BM", Content::OtherPicture("a BMP")),
    (b"II*\0", Content::OtherPicture("a TIFF or a camera's raw file")),
    (b"MM\0*", Content::OtherPicture("a TIFF or a camera's raw file")),
    (b"\xff\x0a", Content::OtherPicture("a JPEG XL")),
    (b"\0\0\0\x0cJXL ", Content::OtherPicture("a JPEG XL")),
    (b"\0\0\0\x0cjP  ", Content::OtherPicture("a JPEG 2000")),
    (b"8BPS", Content::OtherPicture("a Photoshop file")),
    (b"%PDF", Content::Other("a PDF")),
    (b"\x1f\x8b", Content::Other("a gzip-compressed file: decompress it first")),
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", Content::Other("an old PyTorch pickle (.pth, .pt)")),
    (b"\x80\x02", Content::Other("a Python pickle")),
    (b"\x80\x04", Content::Other("a Python pickle")),
    (b"\x80\x05", Content::Other("a Python pickle")),
    (b"version https", Content::Other("a Git LFS pointer: the file itself was not downloaded")),
];

impl Content {
    /// Text that is nothing else.
    pub const TEXT: Content = Content::Other("text");
    /// Bytes that are neither text nor of a known format.
    pub const UNKNOWN: Content = Content::Other("a binary file of an unknown format");

    /// The content of a file that begins with `head` (up to [`HEAD`] bytes) and has `length` bytes.
    pub fn of(head: &[u8], length: u64) -> Self {
        // The length of a safetensors header may look like another signature; the brace after it decides.
        if is_safetensors(head, length) {
            return Content::Safetensors;
        }
        if let Some((_, content)) = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)) {
            return *content;
        }
        match (head.get(..4), head.get(4..12)) {
            (None, _) if head.is_empty() => Content::Other("an empty file"),
            (Some(b"RIFF"), Some(kind)) if kind.ends_with(b"WEBP") => Content::OtherPicture("a WebP"),
            (_, Some(b"ftypavif" | b"ftypavis")) => Content::OtherPicture("an AVIF"),
            (_, Some(b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypheim")) => Content::OtherPicture("a HEIC"),
            (_, Some(kind)) if kind.starts_with(b"ftyp") => Content::Other("a video"),
            (_, Some(kind)) if kind.starts_with(b"TFL3") => Content::Other(TFLITE),
            _ if is_onnx(head) => Content::Onnx,
            _ => Self::of_text(head).unwrap_or(Content::UNKNOWN),
        }
    }

    /// The content of a regular file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        let (mut file, length) = open_regular(path)?;
        Self::of_file(&mut file, length)
    }

    /// The content of a file, which is rewound. HDF5 is detected after a user block too.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(file: &mut File, length: u64) -> io::Result<Self> {
        let head = head_of(file)?;
        let mut content = Self::of(&head, length);
        if let Content::Other(_) = content {
            // The signature is at 0, 512, 1024, 2048 and so on.
            let mut signature = [0; HDF5.len()];
            let mut offset = 512;
            while offset + HDF5.len() as u64 <= length {
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(&mut signature)?;
                if signature == HDF5 {
                    content = Content::Hdf5;
                    break;
                }
                offset *= 2;
            }
        }
        file.rewind()?;
        Ok(content)
    }

    /// Detects text by its characters, of which the last may be split at [`HEAD`].
    fn of_text(head: &[u8]) -> Option<Self> {
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
            Err(_) => return None,
        };
        if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return None;
        }
        let start = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
        Some(if start.starts_with("<!doctype html") || start.starts_with("<html") {
            Content::Other("a web page")
        } else if start.starts_with("<svg") || (start.starts_with("<?xml") && start.contains("<svg")) {
            Content::OtherPicture("an SVG")
        } else if start.starts_with(['{', '[']) {
            Content::Other(JSON)
        } else {
            Content::TEXT
        })
    }

    /// Whether the format is known, and not just text.
    pub fn is_known(self) -> bool {
        ![Content::TEXT, Content::UNKNOWN].contains(&self)
    }

    /// Whether it is a Python pickle outside an archive, which is not read.
    pub fn is_pickle(self) -> bool {
        matches!(self, Content::Other(words) if words.contains("pickle"))
    }

    /// The content in words, with its article.
    pub fn in_words(self) -> &'static str {
        match self {
            Content::Jpeg => "a JPEG",
            Content::Png => "a PNG",
            Content::Npy => "a NumPy array (.npy)",
            Content::Zip => "a ZIP archive",
            Content::Hdf5 => "an HDF5 file",
            Content::Safetensors => "a safetensors file",
            Content::Onnx => "an ONNX model",
            Content::Artifact => "an artifact (.netb)",
            Content::OtherPicture(words) | Content::Other(words) => words,
        }
    }
}

fn head_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether a file is a PNG that this program drew.
pub fn is_drawn_png(path: &Path) -> bool {
    open_regular(path).and_then(|(mut file, _)| head_of(&mut file)).is_ok_and(|head| is_marked_png(&head))
}

/// Whether a file with these first bytes is a PNG that this program drew.
pub(crate) fn is_marked_png(head: &[u8]) -> bool {
    let mark = format!("tEXt{}\0{}", DRAWN_PNG.0, DRAWN_PNG.1);
    Content::of(head, head.len() as u64) == Content::Png
        && head.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// Whether a file starts like safetensors: with the length of a JSON object that fits in it.
fn is_safetensors(head: &[u8], length: u64) -> bool {
    let [a, b, c, d, e, f, g, h, b'{', ..] = *head else { return false };
    u64::from_le_bytes([a, b, c, d, e, f, g, h]).checked_add(8).is_some_and(|end| end <= length)
}

const TFLITE: &str = "a TensorFlow Lite model, which has no layer names: use the model that it was converted from";

/// An ONNX file starts with its version and the name of its producer, as protocol buffers.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x2a | 0x30 | 0x3a | 0x42, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_by_the_first_bytes() {
        for (head, words) in [
            (&b"\xff\xd8\xff\xe0"[..], "a JPEG"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
            (b"\x08\0\0\0\0\0\0\0{\"a\":{}}", "a safetensors file"),
            (b"NETC\x00\x1a\x01\n\x05\0\0\0", "an artifact (.netb)"),
            (b"\x80\x02}q\0", "a Python pickle"),
            (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
            (b"  <!DOCTYPE html>\n<html>", "a web page"),
            (b"<?xml version='1.0'?>\n<svg xmlns=''>", "an SVG"),
            (b"{\"a\": 1}", "JSON"),
            ("r\u{e9}sum\u{e9}".as_bytes(), "text"),
            (&"r\u{e9}".as_bytes()[..2], "text"),
            (b"", "an empty file"),
            (b"\0\x01\x02", "a binary file of an unknown format"),
        ] {
            assert_eq!(Content::of(head, 64).in_words(), words, "{head:?}");
        }
    }

    #[test]
    fn hdf5_behind_a_user_block() {
        let mut bytes = vec![1u8; 1024];
        bytes.extend(HDF5);
        let mut file = tempfile::tempfile().expect("a temporary file");
        io::Write::write_all(&mut file, &bytes).expect("it is written");
        file.rewind().expect("it is rewound");
        assert_eq!(Content::of_file(&mut file, bytes.len() as u64).expect("it is read"), Content::Hdf5);
    }
}
