//! Source files and spans.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The index of a file in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A range of bytes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset one past the last byte.
    pub end: u32,
}

impl Span {
    /// The span from the first byte of `self` to the last of `other`, in the file of `self`.
    pub fn to(self, other: Span) -> Span {
        Span { end: other.end.max(self.start), ..self }
    }

    /// The span of the first bytes, such as the name in a call.
    pub fn head(self, bytes: usize) -> Span {
        Span { end: self.start + bytes as u32, ..self }
    }

    /// Whether another span lies inside this one.
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }

    /// The bytes as a range for slicing.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One file's name and text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The name that diagnostics show.
    pub name: String,
    /// The path it was read from; `None` for shipped specs, pipes and text from the command line.
    pub path: Option<PathBuf>,
    pub text: String,
    /// Whether it is a spec embedded in the program.
    pub shipped: bool,
}

impl SourceFile {
    /// Whether it was typed: text from the command line or a pipe.
    pub fn is_typed(&self) -> bool {
        self.path.is_none() && !self.shipped
    }
}

/// The files of one compilation, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
    /// For each file the offsets at which its lines start.
    lines: Vec<Vec<usize>>,
}

impl Sources {
    /// Adds a file. A lone carriage return, which old editors write at the end of a line, becomes a line feed.
    pub fn add(&mut self, mut file: SourceFile) -> FileId {
        if let Some(text) = with_line_feeds(&file.text) {
            file.text = text;
        }
        self.lines.push(line_starts(&file.text));
        self.files.push(file);
        FileId(self.files.len() as u32 - 1)
    }

    /// Adds text that was not read from a file.
    pub fn add_text(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.add(SourceFile { name: name.into(), path: None, text: text.into(), shipped: false })
    }

    /// The file with this id.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// The files with their ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(index, file)| (FileId(index as u32), file))
    }

    /// The paths of those that were read from disk.
    pub fn paths(&self) -> Vec<&Path> {
        self.files.iter().filter_map(|file| file.path.as_deref()).collect()
    }

    /// The text of a span; empty if the span is outside its file.
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).text.get(span.range()).unwrap_or("")
    }

    /// The line of an offset, from 0.
    pub fn line(&self, id: FileId, byte: usize) -> usize {
        self.lines[id.0 as usize].partition_point(|start| *start <= byte).saturating_sub(1)
    }

    /// The byte range of a line with its line ending; `None` after the last line.
    pub fn line_range(&self, id: FileId, line: usize) -> Option<Range<usize>> {
        let lines = &self.lines[id.0 as usize];
        let end = lines.get(line + 1).copied().unwrap_or(self.file(id).text.len());
        Some(*lines.get(line)?..end)
    }

    /// The line and column of the start of a span, both from 1; columns count characters.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let line = self.line(span.file, span.start as usize);
        let start = self.line_range(span.file, line).map_or(0, |range| range.start);
        let before = self.file(span.file).text.get(start..span.start as usize).unwrap_or("");
        (line + 1, before.chars().count() + 1)
    }

    /// The folder that relative paths in a file are resolved against: that of the file, or (empty) the working directory.
    pub fn folder(&self, id: FileId) -> PathBuf {
        self.file(id).path.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
    }

    /// Resolves a path that is written in a file.
    pub fn resolve(&self, id: FileId, path: &str) -> PathBuf {
        let folder = self.folder(id);
        if folder == Path::new(".") { PathBuf::from(path) } else { folder.join(path) }
    }
}

/// The text with line feeds in place of lone carriage returns; `None` if it has none.
fn with_line_feeds(text: &str) -> Option<String> {
    let mut chars = text.chars().peekable();
    let mut found = false;
    let mut out = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        let alone = c == '\r' && chars.peek() != Some(&'\n');
        found |= alone;
        out.push(if alone { '\n' } else { c });
    }
    found.then_some(out)
}

/// The offsets at which the lines of a text start; a line ends with `\n`, `\r\n` or `\r`.
pub fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = |&at: &usize| bytes[at] == b'\n' || (bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
    std::iter::once(0).chain((0..bytes.len()).filter(ends).map(|at| at + 1)).collect()
}

/// A name from an untrusted file, safe to print in one line: control characters and characters that change the direction of
/// the text are escaped.
pub fn shown(name: &str) -> Cow<'_, str> {
    let unseen = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !name.contains(unseen) {
        return Cow::Borrowed(name);
    }
    let escape = |c: char| if unseen(c) { c.escape_default().collect() } else { String::from(c) };
    Cow::Owned(name.chars().map(escape).collect())
}

/// A name as a shell takes it, for commands in messages: in quotes if it has characters with a meaning there.
pub fn in_shell(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./@%+=:,".contains(c);
    match name.is_empty() || name.starts_with('-') || !name.chars().all(is_plain) {
        true => Cow::Owned(format!("'{}'", name.replace('\'', r"'\''"))),
        false => Cow::Borrowed(name),
    }
}

/// The message of an I/O error without the number of the operating system.
pub fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::IsADirectory => "it is a folder".into(),
        std::io::ErrorKind::NotADirectory => "part of its path is a file, not a folder".into(),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::FileTooLarge if error.get_ref().is_some() => {
            error.to_string()
        }
        std::io::ErrorKind::FileTooLarge => "it is too large for the file system".into(),
        std::io::ErrorKind::StorageFull => "the disk is full".into(),
        std::io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_shells() {
        assert_eq!(in_shell("a/b_1.net"), "a/b_1.net");
        assert_eq!(in_shell("a b/it's.net"), r"'a b/it'\''s.net'");
        assert_eq!(in_shell("$x"), "'$x'");
    }

    #[test]
    fn a_lone_carriage_return_ends_a_line() {
        let mut sources = Sources::default();
        let id = sources.add_text("a.net", "# one\r# two\r\n# three\n\rnet");
        assert_eq!(sources.file(id).text, "# one\n# two\r\n# three\n\nnet");
        let at = |start: u32| sources.line_column(Span { file: id, start, end: start });
        assert_eq!([at(0), at(6), at(13), at(22)], [(1, 1), (2, 1), (3, 1), (5, 1)]);
        assert_eq!(line_starts("a\rb\r\nc\nd"), [0, 2, 5, 7]);
    }

    #[test]
    fn control_characters_in_names_are_escaped() {
        assert_eq!(shown("Großer Fuchs 🦊"), "Großer Fuchs 🦊");
        assert_eq!(shown("a\n100 %\u{1b}[2J\u{202e}b\u{9b}"), "a\\n100 %\\u{1b}[2J\\u{202e}b\\u{9b}");
    }
}
