//! The reserved words.

use crate::source::{FileId, Span};

/// The keywords that start an item.
pub const ITEMS: [&str; 6] = ["use", "net", "weights", "labels", "train", "expect"];

/// The reserved words of the grammar.
pub const KEYWORDS: [&str; 19] = [
    "use", "net", "weights", "labels", "train", "expect", "let", "share", "repeat", "in", "if", "else", "as", "frozen",
    "true", "false", "and", "or", "not",
];

/// The span of a byte range.
pub(super) fn span(file: FileId, start: usize, end: usize) -> Span {
    Span { file, start: start as u32, end: end as u32 }
}
