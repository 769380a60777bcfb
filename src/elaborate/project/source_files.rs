//! The files of specs: from the disk, from a pipe, or as an editor holds them.

use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::file::{read_piped as read_pipe, read_regular};
use crate::source::{FileId, SourceFile, Sources, plain};
use std::path::{Component, Path};

/// Reads the text of a file; an editor puts what is being typed in its place.
pub type Reader<'r> = &'r dyn Fn(&Path) -> std::io::Result<Vec<u8>>;

/// A spec of more bytes than this is none.
const LARGEST: u64 = 16 << 20;

/// Reads a regular file from the disk.
///
/// # Errors
/// As [`read_regular`].
pub fn from_disk(path: &Path) -> std::io::Result<Vec<u8>> {
    read_regular(path, LARGEST)
}

/// What a spec is called that comes through a pipe: `-`, `/dev/stdin`, or what a shell writes for `<(command)`.
pub fn piped(path: &Path) -> Option<&'static str> {
    let pipe = std::fs::metadata(path).is_ok_and(|known| !known.is_file() && !known.is_dir());
    match path.to_str() {
        Some("-" | "/dev/stdin") => Some("stdin"),
        _ => pipe.then_some("pipe"),
    }
}

/// Adds a spec that comes through a pipe to the sources; its paths start at the working directory.
pub fn read_piped(sources: &mut Sources, path: &Path, name: &str) -> Result<FileId, Diagnostic> {
    let read = match path.to_str() {
        Some("-") => read_pipe(std::io::stdin().lock(), LARGEST),
        _ => std::fs::File::open(path).and_then(|file| read_pipe(file, LARGEST)),
    };
    let bytes =
        read.map_err(|error| Diagnostic::new(Code::Unreadable, format!("{name} cannot be read: {}", plain(&error))))?;
    Ok(sources.add_text(name, text_of_bytes(name, bytes)?))
}

/// Adds a file to the sources, or says why it cannot be read as a spec.
pub fn read_source(sources: &mut Sources, path: &Path, read: Reader) -> Result<FileId, Diagnostic> {
    let name = path.display().to_string();
    let bytes = read(path).map_err(|error| {
        Diagnostic::new(Code::Unreadable, format!("`{name}` cannot be read: {}", plain(&error)))
            .maybe_help(did_you_mean_file(path))
    })?;
    let text = text_of_bytes(&name, bytes)?;
    Ok(sources.add(SourceFile { name, path: Some(path.to_path_buf()), text, shipped: false }))
}

fn text_of_bytes(name: &str, bytes: Vec<u8>) -> Result<String, Diagnostic> {
    String::from_utf8(bytes).map_err(|error| {
        Diagnostic::new(Code::NotUtf8, format!("`{name}` is not a text file"))
            .note(format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()))
            .help("a spec is a text file with the ending .net")
    })
}

/// A file of nearly that name in its folder; where the folder is not there either, a folder of nearly its name.
pub fn did_you_mean_file(path: &Path) -> Option<String> {
    let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let path = missing.last().unwrap_or(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .take(10_000)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    suggest::did_you_mean(&wanted, names.iter().map(String::as_str).filter(|name| *name != wanted))
}

/// Whether a path stays below a folder, by its words and, where it exists, by where it really leads.
pub fn leads_inside(folder: &Path, target: &Path) -> bool {
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
    let here = Path::new(".");
    let folder = if folder.as_os_str().is_empty() { here } else { folder };
    match (folder.canonicalize(), target.canonicalize()) {
        (Ok(folder), Ok(target)) => target.starts_with(folder),
        _ => true,
    }
}
