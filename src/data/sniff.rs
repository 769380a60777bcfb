//! What a file is, told from its first bytes: names lie, and a good error says what is really there.

/// How many bytes [`Content::of`] wants to see; fewer are enough for a short file.
pub const HEAD: usize = 512;

/// What the first bytes of a file look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Jpeg,
    Png,
    Npy,
    /// A zip archive: `.npz` if its name says so.
    Zip,
    Hdf5,
    /// A picture in a format that is not read here, with its article.
    OtherPicture(&'static str),
    /// Something else, with its article.
    Other(&'static str),
}

impl Content {
    /// Tells a file from its beginning (up to [`HEAD`] bytes).
    pub fn of(head: &[u8]) -> Self {
        const SIGNATURES: [(&[u8], Content); 17] = [
            (b"\xff\xd8\xff", Content::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Content::Png),
            (b"\x93NUMPY", Content::Npy),
            (b"\x89HDF\r\n\x1a\n", Content::Hdf5),
            (b"PK\x03\x04", Content::Zip),
            (b"PK\x05\x06", Content::Zip),
            (b"GIF8", Content::OtherPicture("a GIF")),
            (b"BM", Content::OtherPicture("a BMP")),
            (b"II*\0", Content::OtherPicture("a TIFF or a camera's raw file")),
            (b"MM\0*", Content::OtherPicture("a TIFF or a camera's raw file")),
            (b"\xff\x0a", Content::OtherPicture("a JPEG XL")),
            (b"\0\0\0\x0cJXL ", Content::OtherPicture("a JPEG XL")),
            (b"\0\0\0\x0cjP  ", Content::OtherPicture("a JPEG 2000")),
            (b"8BPS", Content::OtherPicture("a Photoshop file")),
            (b"%PDF", Content::Other("a PDF")),
            (b"\x1f\x8b", Content::Other("a gzip archive")),
            (b"netb", Content::Other("a compiled net")),
        ];
        if let Some((_, content)) = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)) {
            return *content;
        }
        match (head.get(..4), head.get(4..12)) {
            (None, _) if head.is_empty() => Content::Other("an empty file"),
            (Some(b"RIFF"), Some(kind)) if kind.ends_with(b"WEBP") => Content::OtherPicture("a WebP"),
            (_, Some(b"ftypavif" | b"ftypavis")) => Content::OtherPicture("an AVIF"),
            (_, Some(b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypheim")) => Content::OtherPicture("a HEIC"),
            (_, Some(kind)) if kind.starts_with(b"ftyp") => Content::Other("a video"),
            _ => Self::of_text(head).unwrap_or(Content::Other("neither a picture nor an array")),
        }
    }

    /// Text, told by its characters; the cut at [`HEAD`] may split the last one.
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
        if start.starts_with("<!doctype html") || start.starts_with("<html") {
            Some(Content::Other("a web page"))
        } else if start.starts_with("<svg") || (start.starts_with("<?xml") && start.contains("<svg")) {
            Some(Content::OtherPicture("an SVG"))
        } else {
            Some(Content::Other("text"))
        }
    }

    /// The kind in words, with its article.
    pub fn in_words(self) -> &'static str {
        match self {
            Content::Jpeg => "a JPEG",
            Content::Png => "a PNG",
            Content::Npy => "a NumPy array (.npy)",
            Content::Zip => "a zip archive",
            Content::Hdf5 => "an HDF5 file",
            Content::OtherPicture(words) | Content::Other(words) => words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_beginning() {
        for (head, words) in [
            (&b"\xff\xd8\xff\xe0"[..], "a JPEG"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
            (b"  <!DOCTYPE html>\n<html>", "a web page"),
            (b"<?xml version='1.0'?>\n<svg xmlns=''>", "an SVG"),
            ("r\u{e9}sum\u{e9}".as_bytes(), "text"),
            (&"r\u{e9}".as_bytes()[..2], "text"),
            (b"", "an empty file"),
            (b"\0\x01\x02", "neither a picture nor an array"),
        ] {
            assert_eq!(Content::of(head).in_words(), words, "{head:?}");
        }
    }
}
