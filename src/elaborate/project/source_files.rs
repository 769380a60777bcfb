//! Reads the files of specs from the disk, from a pipe or from an editor.

use crate::content::{Content, HEAD};
use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::file::{read_piped as read_pipe, read_regular};
use crate::source::{FileId, SourceFile, Sources, in_shell, plain};
use std::path::{Component, Path};

/// Reads the bytes of a file; an editor returns its unsaved text instead.
pub type Reader<'r> = &'r dyn Fn(&Path) -> std::io::Result<Vec<u8>>;

/// Max size of a spec file, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What a spec is, for help.
const SPEC: &str = "a spec is a UTF-8 text file with the extension `.net`";

/// Reads a regular file from the disk.
///
/// # Errors
/// As [`read_regular`].
pub fn from_disk(path: &Path) -> std::io::Result<Vec<u8>> {
    read_regular(path, MAX_FILE_BYTES)
}

/// The name to show for a spec that comes through a pipe (`-`, `/dev/stdin`, or a path from `<(command)`); `None` for a file.
pub fn piped(path: &Path) -> Option<&'static str> {
    let pipe = std::fs::metadata(path).is_ok_and(|known| !known.is_file() && !known.is_dir());
    match path.to_str() {
        Some("-" | "/dev/stdin") => Some("stdin"),
        _ => pipe.then_some("pipe"),
    }
}

/// Reads a spec from a pipe and adds it to the sources. Its relative paths start at the working directory.
///
/// # Errors
/// A pipe that cannot be read or is not UTF-8.
pub fn read_piped(sources: &mut Sources, path: &Path, name: &str) -> Result<FileId, Diagnostic> {
    let read = match path.to_str() {
        Some("-") => read_pipe(std::io::stdin().lock(), MAX_FILE_BYTES),
        _ => std::fs::File::open(path).and_then(|file| read_pipe(file, MAX_FILE_BYTES)),
    };
    let bytes =
        read.map_err(|error| Diagnostic::new(Code::Unreadable, format!("{name} cannot be read: {}", plain(&error))))?;
    Ok(sources.add_text(name, text_of_bytes(name, bytes)?))
}

/// Reads a spec file and adds it to the sources.
///
/// # Errors
/// A file that cannot be read or is not UTF-8.
pub fn read_source(sources: &mut Sources, path: &Path, read: Reader) -> Result<FileId, Diagnostic> {
    let name = path.display().to_string();
    let bytes = read(path).map_err(|error| {
        Diagnostic::new(Code::Unreadable, format!("`{name}` cannot be read: {}", plain(&error)))
            .maybe_help(suggest::did_you_mean_file(path))
    })?;
    let text = text_of_bytes(&name, bytes)?;
    Ok(sources.add(SourceFile { name, path: Some(path.to_path_buf()), text, shipped: false }))
}

fn text_of_bytes(name: &str, bytes: Vec<u8>) -> Result<String, Diagnostic> {
    let content = Content::of(bytes.get(..HEAD).unwrap_or(&bytes), bytes.len() as u64);
    let valid = match String::from_utf8(bytes) {
        Ok(text) if content != Content::Artifact => return Ok(text),
        Ok(text) => text.len(),
        Err(error) => error.utf8_error().valid_up_to(),
    };
    Err(match content {
        Content::Artifact => {
            let file = in_shell(name);
            let help = format!("`netc inspect {file}` describes it, `netc inspect {file} --source` prints its spec");
            Diagnostic::new(Code::NotASpec, format!("`{name}` is an artifact; expected a spec")).help(help)
        }
        known if known.is_known() => {
            Diagnostic::new(Code::NotASpec, format!("`{name}` is {}; expected a spec", known.in_words())).help(SPEC)
        }
        _ => Diagnostic::new(Code::NotASpec, format!("`{name}` is not a text file"))
            .note(format!("byte {valid} is not valid UTF-8"))
            .help(SPEC),
    })
}

/// Whether a path is inside a folder: by its components and, if it exists, after resolving symbolic links.
pub fn is_inside(folder: &Path, target: &Path) -> bool {
    let mut depth = 0i32;
    for part in target.strip_prefix(folder).unwrap_or(target).components() {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match (folder.canonicalize(), target.canonicalize()) {
        (Ok(folder), Ok(target)) => target.starts_with(folder),
        _ => true,
    }
}
