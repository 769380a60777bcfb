//! The specs that a command takes as files and folders.

use crate::cli::output::messages;
use crate::cli::result::Failed;
use crate::diagnostics::{Code, Diagnostic};
use crate::source::plain;
use std::path::{Path, PathBuf};

/// The maximum depth of searched folders.
const MAX_DEPTH: usize = 32;

/// The files of the arguments; a folder is replaced by the specs below it, sorted by name. Hidden folders and links are
/// skipped. Other arguments, such as `-`, stay as they are.
///
/// # Errors
/// A folder that cannot be read, or no specs; the error has been reported.
pub fn find(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Failed> {
    let mut files = Vec::new();
    for path in arguments {
        visit(path, 0, &mut files)?;
    }
    match files.is_empty() {
        true => {
            let paths: Vec<String> = arguments.iter().map(|path| path.display().to_string()).collect();
            Err(messages::error(Code::Inputs, format!("there are no specs (*.net) in {}", paths.join(", "))))
        }
        false => Ok(files),
    }
}

fn visit(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let unreadable = |error: std::io::Error| {
        let message = format!("`{}` cannot be read: {}", path.display(), plain(&error));
        messages::fail_with(Diagnostic::new(Code::Unreadable, message))
    };
    let mut entries =
        std::fs::read_dir(path).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let kind = entry.file_type().map_err(unreadable)?;
        let name = entry.file_name();
        // Paths below `.` are shown without it.
        let inner = if path == Path::new(".") { PathBuf::from(&name) } else { entry.path() };
        if kind.is_dir() && depth < MAX_DEPTH && !name.to_string_lossy().starts_with('.') {
            visit(&inner, depth + 1, files)?;
        } else if !kind.is_dir() && inner.extension().is_some_and(|ending| ending == "net") {
            files.push(inner);
        }
    }
    Ok(())
}
