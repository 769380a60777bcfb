//! Writes files, unless they would overwrite an input, or a file of another known kind.

use super::messages;
use crate::cli::result::CommandResult;
use crate::compile::output_guard;
use crate::file;
use std::path::{Path, PathBuf};

pub use crate::compile::output_guard::{FileKind, unwritable};

/// Checks, before anything is computed, that a command with these inputs may write a file of this kind.
///
/// # Errors
/// As [`output_guard::check`]; the error has been reported.
pub fn check(path: &Path, kind: FileKind, inputs: &[&Path]) -> CommandResult {
    output_guard::check(path, kind, inputs).map_err(messages::fail_with)
}

/// The inputs of a command: the model, files of weights, and others.
pub fn inputs<'a>(model: &'a str, weights: &'a [(String, PathBuf)], others: &'a [PathBuf]) -> Vec<&'a Path> {
    let weights = weights.iter().map(|(_, file)| file.as_path());
    std::iter::once(Path::new(model)).chain(weights).chain(others.iter().map(PathBuf::as_path)).collect()
}

/// Writes a file atomically.
///
/// # Errors
/// The file cannot be written; the error has been reported.
pub fn write_file(path: &Path, bytes: &[u8]) -> CommandResult {
    file::replace(path, |file| file.write_all(bytes))
        .map_err(|error| messages::fail_with(unwritable(path, &error.to_string())))
}
