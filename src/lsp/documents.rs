//! The open documents with their analyses, and the conversion of offsets to the positions of editors: lines and UTF-16 units.

use crate::check::{Checked, check};
use crate::diagnostics::Diagnostics;
use crate::elaborate;
use crate::elaborate::Spec;
use crate::elaborate::names::Names;
use crate::elaborate::project::source_files;
use crate::graph::Graph;
use crate::source::{FileId, Span, line_starts};
use crate::syntax::{self, ast::File};
use lsp_types::{Position, Range, Uri};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A text with the offsets of its lines.
#[derive(Debug)]
pub struct Text {
    pub text: String,
    starts: Vec<usize>,
}

impl Text {
    /// Splits a text into lines, which end with `\n`, `\r\n` or `\r`.
    pub fn new(text: String) -> Self {
        let starts = line_starts(&text);
        Text { text, starts }
    }

    /// The offset of a position; a position past the end of a line is its end.
    pub fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(&start) = self.starts.get(line) else { return self.text.len() };
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        let mut units = 0;
        for (at, c) in self.text[start..end].char_indices() {
            if units >= position.character as usize || c == '\n' || c == '\r' {
                return start + at;
            }
            units += c.len_utf16();
        }
        end
    }

    /// The position of an offset.
    pub fn position(&self, offset: usize) -> Position {
        let offset = (0..=offset.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0);
        let line = self.starts.partition_point(|&start| start <= offset).saturating_sub(1);
        let units = self.text[self.starts[line]..offset].chars().map(char::len_utf16).sum::<usize>();
        Position { line: line as u32, character: units as u32 }
    }

    /// The range of a byte range.
    pub fn range(&self, bytes: std::ops::Range<usize>) -> Range {
        Range { start: self.position(bytes.start), end: self.position(bytes.end.max(bytes.start)) }
    }
}

/// The graphs of the last valid version of a text, and that version.
#[derive(Debug)]
pub struct GraphSnapshot {
    pub text: String,
    pub root: FileId,
    pub graphs: Vec<Graph>,
    /// Whether that version is the current one.
    pub is_current: bool,
}

/// The analysis of a text.
#[derive(Debug)]
pub struct Analysis {
    pub spec: Spec,
    pub tree: File,
    /// Whether the text has no syntax error.
    pub parsed: bool,
    pub diagnostics: Diagnostics,
}

/// An open document.
#[derive(Debug)]
pub struct Document {
    pub uri: Uri,
    pub version: i32,
    pub text: Text,
    path: PathBuf,
    pub analysis: Analysis,
    /// The graphs of the last valid version.
    pub snapshot: GraphSnapshot,
}

impl Document {
    /// The folder that relative paths in the text start at; `None` if the text is not a file.
    pub fn folder(&self) -> Option<&Path> {
        self.path.parent().filter(|_| self.uri.as_str().starts_with("file:"))
    }

    /// Translates an offset to the text of the snapshot; `None` in the part that has changed.
    pub fn to_snapshot(&self, offset: usize) -> Option<usize> {
        moved(&self.text.text, &self.snapshot.text, offset)
    }

    /// The graph of a net in scope; while the text has errors, the last valid one.
    pub fn graph(&self, net: &str) -> Option<Cow<'_, Graph>> {
        self.current_graph(net).or_else(|| self.snapshot_graph(net))
    }

    /// The graph of a net in scope, with spans in the current texts.
    pub fn current_graph(&self, net: &str) -> Option<Cow<'_, Graph>> {
        let fresh = || {
            let net = self.analysis.spec.project.find(net, self.analysis.spec.root())?;
            self.analysis.spec.graph(net).ok().map(|(graph, _)| Cow::Owned(graph))
        };
        self.snapshot_graph(net).filter(|_| self.snapshot.is_current).or_else(fresh)
    }

    fn snapshot_graph(&self, net: &str) -> Option<Cow<'_, Graph>> {
        self.snapshot.graphs.iter().find(|graph| graph.name == net).map(Cow::Borrowed)
    }

    /// The resolved names of the text.
    pub fn names(&self) -> Names {
        self.analysis.spec.names(&self.analysis.tree)
    }

    /// Whether a span is in this text.
    pub fn owns(&self, span: Span) -> bool {
        span.file == self.analysis.spec.root()
    }
}

/// Translates an offset between two texts that differ in one part.
fn moved(from: &str, to: &str, offset: usize) -> Option<usize> {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    if from.get(..offset)? == to.get(..offset).unwrap_or_default() {
        return Some(offset);
    }
    let rest = from.get(offset..)?;
    to.ends_with(rest).then(|| to.len() - rest.len())
}

/// All open documents.
#[derive(Debug, Default)]
pub struct Documents {
    open: BTreeMap<String, Document>,
    /// New texts that are not analysed yet.
    pending: BTreeMap<String, (Uri, i32, String)>,
}

impl Documents {
    /// The open document with this URI.
    pub fn get(&self, uri: &Uri) -> Option<&Document> {
        self.open.get(uri.as_str())
    }

    /// All open documents.
    pub fn all(&self) -> impl Iterator<Item = &Document> {
        self.open.values()
    }

    /// The analysis of a document with other texts in place of some open ones, by their URIs.
    pub fn preview(&self, document: &Document, texts: &BTreeMap<&str, String>) -> Document {
        let of = |open: &Document| texts.get(open.uri.as_str()).unwrap_or(&open.text.text).clone();
        let open: BTreeMap<PathBuf, String> = self.open.values().map(|open| (open.path.clone(), of(open))).collect();
        let read = |path: &Path| match open.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => source_files::from_disk(path),
        };
        analyse(document.uri.clone(), document.version, of(document), None, &read)
    }

    /// Stores a new or changed text until the next [`Documents::analyse`].
    pub fn put(&mut self, uri: Uri, version: i32, text: String) {
        self.pending.insert(uri.as_str().to_string(), (uri, version, text));
    }

    /// Removes a document.
    pub fn close(&mut self, uri: &Uri) {
        self.open.remove(uri.as_str());
        self.pending.remove(uri.as_str());
    }

    /// Analyses the changed texts and those that use them; returns their URIs.
    pub fn analyse(&mut self) -> Vec<Uri> {
        let mut changed = std::mem::take(&mut self.pending);
        if changed.is_empty() {
            return Vec::new();
        }
        let paths: Vec<PathBuf> = changed.values().map(|(uri, _, _)| path_of(uri)).collect();
        for (key, document) in &self.open {
            let uses = |path: &PathBuf| {
                document.analysis.spec.sources.iter().any(|(_, file)| file.path.as_ref() == Some(path))
            };
            if !changed.contains_key(key) && paths.iter().any(uses) {
                changed.insert(key.clone(), (document.uri.clone(), document.version, document.text.text.clone()));
            }
        }
        let mut texts: BTreeMap<PathBuf, String> =
            self.open.values().map(|document| (document.path.clone(), document.text.text.clone())).collect();
        texts.extend(changed.values().map(|(uri, _, text)| (path_of(uri), text.clone())));
        // Open texts have priority over the files on disk, also for used files.
        let read = |path: &Path| match texts.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => source_files::from_disk(path),
        };
        let mut uris = Vec::new();
        for (key, (uri, version, text)) in changed {
            let before = self.open.remove(&key).map(|document| document.snapshot);
            uris.push(uri.clone());
            self.open.insert(key, analyse(uri, version, text, before, &read));
        }
        uris
    }
}

fn analyse(
    uri: Uri,
    version: i32,
    text: String,
    before: Option<GraphSnapshot>,
    read: source_files::Reader,
) -> Document {
    let path = path_of(&uri);
    let spec = elaborate::load_text(&path, &text, read);
    let (tree, errors) = syntax::parse(&spec.sources, spec.root());
    let Checked { diagnostics, graphs, .. } = check(&spec, None);
    let fresh = GraphSnapshot { text: text.clone(), root: spec.root(), graphs, is_current: true };
    let snapshot = match before {
        Some(before) if diagnostics.has_errors() => GraphSnapshot { is_current: false, ..before },
        _ => fresh,
    };
    let analysis = Analysis { parsed: !errors.has_errors(), spec, tree, diagnostics };
    Document { uri, version, text: Text::new(text), path, analysis, snapshot }
}

/// The path of a file URI, percent-decoded. Other URIs become relative paths.
pub fn path_of(uri: &Uri) -> PathBuf {
    let text = uri.as_str();
    let rest = text.strip_prefix("file://").or_else(|| text.split_once(':').map(|(_, rest)| rest)).unwrap_or(text);
    let mut bytes = Vec::with_capacity(rest.len());
    let mut left = rest.as_bytes();
    while let Some((&byte, after)) = left.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let resolved = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| byte == b'%');
        bytes.push(resolved.unwrap_or(byte));
        left = if resolved.is_some() { &after[2..] } else { after };
    }
    let path = String::from_utf8_lossy(&bytes).into_owned();
    // `/c:/nets` is a drive of Windows.
    let drive = cfg!(windows) && path.as_bytes().get(2) == Some(&b':');
    PathBuf::from(if drive { path.trim_start_matches('/') } else { &path })
}

/// The URI of a file.
pub fn uri_of(path: &Path) -> Option<Uri> {
    let path = std::path::absolute(path).ok()?;
    let text = path.to_str()?.replace('\\', "/");
    let mut address = String::from(if text.starts_with('/') { "file://" } else { "file:///" });
    for &byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => address.push(byte as char),
            _ => address += &format!("%{byte:02X}"),
        }
    }
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_utf16() {
        let text = Text::new("a🐦b\r\nç\rd".into());
        for (offset, line, character) in
            [(0, 0, 0), (1, 0, 1), (5, 0, 3), (6, 0, 4), (8, 1, 0), (10, 1, 1), (11, 2, 0), (12, 2, 1)]
        {
            let position = Position { line, character };
            assert_eq!(text.position(offset), position);
            assert_eq!(text.offset(position), offset);
        }
        assert_eq!(text.offset(Position { line: 0, character: 99 }), 6);
        assert_eq!(text.offset(Position { line: 99, character: 0 }), 12);
        assert_eq!(text.position(3), Position { line: 0, character: 1 });
    }

    #[test]
    fn uris_convert_to_paths_and_back() {
        let uri = uri_of(Path::new("/a b/ü.net")).expect("an address");
        assert_eq!(uri.as_str(), "file:///a%20b/%C3%BC.net");
        assert_eq!(path_of(&uri), Path::new("/a b/ü.net"));
    }

    #[test]
    fn offsets_move_with_the_text_around_them() {
        assert_eq!(moved("abc def", "abc x def", 2), Some(2));
        assert_eq!(moved("abc def", "abc x def", 5), Some(7));
        assert_eq!(moved("abc 1 def", "abc 2 def", 5), Some(5));
        assert_eq!(moved("ab", "ab", 9), None);
    }
}
