//! Class names from a file: one per line, in the order of the outputs of the net.

use crate::file::read_regular;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The maximum size of a labels file.
pub const MAX_BYTES: u64 = 16 << 20;

/// Why a labels file cannot be used. Lines count from 1.
#[derive(Debug, Error)]
pub enum LabelsError {
    #[error("{} cannot be read: {}", path.display(), crate::source::plain(source))]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is larger than {} MiB", path.display(), MAX_BYTES >> 20)]
    TooLarge { path: PathBuf },
    #[error("{}:{line}: not UTF-8 text", path.display())]
    NotText { path: PathBuf, line: usize },
    #[error("{}:{line}: an empty line between labels; each line must be a label", path.display())]
    EmptyLine { path: PathBuf, line: usize },
    #[error("{}:{line}: the label contains a control character", path.display())]
    Control { path: PathBuf, line: usize },
    #[error("{} contains no labels", path.display())]
    Empty { path: PathBuf },
}

/// The labels of the file at `path`; see [`parse`].
///
/// # Errors
/// A file that cannot be read or is too large, and as [`parse`].
pub fn read(path: &Path) -> Result<Vec<String>, LabelsError> {
    let bytes = read_regular(path, MAX_BYTES).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => LabelsError::TooLarge { path: path.to_owned() },
        _ => LabelsError::Io { path: path.to_owned(), source },
    })?;
    parse(path, &bytes)
}

/// The labels in `bytes`, which came from `path`: UTF-8, with or without a byte order mark, lines ending in LF or CRLF.
///
/// Blanks around a label are dropped, and so are empty lines at the end. Two classes may have the same name
/// (ImageNet has two cranes).
///
/// # Errors
/// Bytes that are not UTF-8, an empty line between labels, a control character, or no labels.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<String>, LabelsError> {
    let path = || path.to_owned();
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        LabelsError::NotText { path: path(), line }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
    if text.is_empty() {
        return Err(LabelsError::Empty { path: path() });
    }
    let labels = text.lines().map(str::trim).enumerate().map(|(i, label)| match label {
        "" => Err(LabelsError::EmptyLine { path: path(), line: i + 1 }),
        label if label.contains(char::is_control) => Err(LabelsError::Control { path: path(), line: i + 1 }),
        label => Ok(label.to_owned()),
    });
    labels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::seeded_rng::SeededRng;

    #[test]
    fn control_characters_are_refused() {
        let error = parse(Path::new("labels.txt"), b"owl\nwr\x1b[31men\n").expect_err("a colour");
        assert_eq!(error.to_string(), "labels.txt:2: the label contains a control character");
    }

    fn of(bytes: &[u8]) -> Result<Vec<String>, String> {
        parse(Path::new("species.txt"), bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn every_line_ending() {
        for text in ["owl\nred kite", "owl\nred kite\n", "owl\r\nred kite\r\n", "\u{feff}owl\n red kite \n\n \n"] {
            assert_eq!(of(text.as_bytes()), Ok(vec!["owl".to_owned(), "red kite".to_owned()]), "{text:?}");
        }
        assert_eq!(of("na\u{ef}f\nna\u{ef}f".as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn errors_name_the_line() {
        let empty = "species.txt:2: an empty line between labels; each line must be a label";
        assert_eq!(of(b"owl\r\n\r\nkite\n").unwrap_err(), empty);
        assert_eq!(of(b"\n\nowl\n").unwrap_err(), empty.replace(":2:", ":1:"));
        assert_eq!(of(b"owl\nkite\nb\xff").unwrap_err(), "species.txt:3: not UTF-8 text");
        for text in ["", "\n\r\n", "\u{feff}\n"] {
            assert_eq!(of(text.as_bytes()).unwrap_err(), "species.txt contains no labels");
        }
    }

    #[test]
    fn a_missing_file() {
        let error = read(Path::new("no/such/file.txt")).unwrap_err().to_string();
        assert_eq!(error, "no/such/file.txt cannot be read: there is no such file");
    }

    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let mut rng = SeededRng::new([0; 4]);
        for length in 0..300 {
            let bytes: Vec<u8> = (0..length).map(|_| b"\n\r\xef\xbb\xbf a\xc3\xa9\0\xff"[rng.below(11)]).collect();
            let _ = of(&bytes);
        }
    }
}
