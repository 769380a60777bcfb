//! The errors of running a net.

use super::messages::error;
use crate::cli::result::Failed;
use crate::diagnostics::{Code, Diagnostic};
use crate::runtime::RunError;
use crate::runtime::non_finite::Origin;

/// Reports a failed run.
pub fn run_failed(cause: &RunError) -> Failed {
    let code = match cause {
        RunError::Artifact(_) => Code::ArtifactDamaged,
        RunError::Memory { .. } => Code::Memory,
        RunError::Step { .. } | RunError::Length { .. } | RunError::Count { .. } => Code::Array,
    };
    error(code, cause.to_string())
}

/// The error of an output that is not finite, for a photo or a row.
pub fn non_finite(input: &str, origin: Option<&Origin>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NoNumber, format!("{input}: the net's output is not a finite number"));
    origin.into_iter().fold(diagnostic, |diagnostic, origin| diagnostic.note(origin.to_string()))
}
