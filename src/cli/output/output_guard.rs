//! Writes files, unless they would overwrite an input, or a file of another known kind.

use super::messages;
use crate::cli::result::CommandResult;
use crate::compile::output_guard;
use crate::data::arrays::array_file;
use crate::diagnostics::Code;
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

/// As [`check`], for arrays: the ending of the file says how they are written.
///
/// # Errors
/// As [`check`], and another ending; the error has been reported.
pub fn check_arrays(path: &Path, inputs: &[&Path]) -> CommandResult {
    array_file::format_of_ending(path).map_err(|cause| messages::error(Code::Output, cause.to_string()))?;
    check(path, FileKind::Arrays, inputs)
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
