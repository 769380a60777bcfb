//! The words that have a meaning of their own, and places of words.

use crate::source::{FileId, Span};

/// The words that begin an item.
pub const ITEMS: [&str; 6] = ["use", "net", "weights", "labels", "train", "expect"];

/// The reserved words, as the grammar has them.
pub const KEYWORDS: [&str; 19] = [
    "use", "net", "weights", "labels", "train", "expect", "let", "share", "repeat", "in", "if", "else", "as", "frozen",
    "true", "false", "and", "or", "not",
];

/// A place of a file.
pub(super) fn span(file: FileId, start: usize, end: usize) -> Span {
    Span { file, start: start as u32, end: end as u32 }
}
