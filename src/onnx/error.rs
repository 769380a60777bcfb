//! What is wrong with an ONNX file.

use crate::source::plain;
use std::io;

/// Why an ONNX file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    #[error("it cannot be read: {}", plain(.0))]
    Io(#[from] io::Error),
    #[error("{place} is cut short: {what}")]
    Truncated { place: String, what: String },
    #[error("{place} is damaged: {what}")]
    Corrupt { place: String, what: String },
    #[error("{place} is too large: {what}")]
    TooLarge { place: String, what: String },
    #[error("{place} is refused: {what}")]
    Refused { place: String, what: String },
    #[error("{place} contains {found} instead of numbers")]
    NotNumbers { place: String, found: String },
}

impl OnnxError {
    pub(super) fn corrupt(place: &str, what: impl Into<String>) -> OnnxError {
        OnnxError::Corrupt { place: place.into(), what: what.into() }
    }

    pub(super) fn too_large(place: &str, what: impl Into<String>) -> OnnxError {
        OnnxError::TooLarge { place: place.into(), what: what.into() }
    }
}
