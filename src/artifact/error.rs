//! Why an artifact cannot be read or written.

use super::format::VERSION;
use crate::content::Content;
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic};
use crate::source::plain;
use std::path::Path;

/// Why an artifact cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("cannot be read: {}", plain(.0))]
    Unreadable(std::io::Error),
    #[error("is not an artifact")]
    NotAnArtifact,
    #[error("was written in version {0} of the format, this program reads version {VERSION}")]
    Version(u32),
    #[error("is damaged: {0}")]
    Damaged(String),
    #[error("was changed while it was used")]
    Changed,
    #[error("is too large to run: {0}")]
    TooMuch(String),
    #[error("cannot be written: {}", unwritable(.0))]
    Unwritable(std::io::Error),
}

/// Why a file cannot be written; its folder may be missing.
fn unwritable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "its folder does not exist".into(),
        _ => plain(error),
    }
}

impl ArtifactError {
    /// The diagnostic of an artifact at `path` that cannot be opened.
    pub fn diagnostic(&self, path: &Path) -> Diagnostic {
        let code = match self {
            ArtifactError::Unreadable(_) => Code::Unreadable,
            ArtifactError::NotAnArtifact => Code::NotAnArtifact,
            ArtifactError::Version(_) => Code::ArtifactVersion,
            _ => Code::ArtifactDamaged,
        };
        let known = Content::of_path(path).ok().filter(|content| content.is_known());
        let message = match (self, known) {
            (ArtifactError::NotAnArtifact, Some(content)) => {
                format!("{} is {}, not an artifact", path.display(), content.in_words())
            }
            _ => format!("{} {self}", path.display()),
        };
        let mut diagnostic = Diagnostic::new(code, message);
        if let ArtifactError::Unreadable(_) = self {
            diagnostic = diagnostic.maybe_help(did_you_mean_file(path));
        }
        diagnostic.help("`netc build SPEC` writes an artifact")
    }
}

/// An artifact that is not what its writer wrote.
pub(super) fn damaged(reason: &str) -> ArtifactError {
    ArtifactError::Damaged(reason.to_string())
}
