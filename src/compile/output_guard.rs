//! Refuses output paths that would overwrite an input, or a file of another known kind.

use crate::artifact;
use crate::content;
use crate::data::samples::photo_paths;
use crate::data::samples::photo_paths::InputKind;
use crate::diagnostics::{Code, Diagnostic};
use crate::file::folder_of;
use crate::source::plain;
use crate::weights;
use std::path::Path;

/// The kinds of files that netc recognises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Spec,
    Weights,
    Artifact,
    Arrays,
    Photo,
    Drawing,
    Page,
}

impl FileKind {
    fn name(self) -> &'static str {
        match self {
            FileKind::Spec => "a spec",
            FileKind::Weights => "weights",
            FileKind::Artifact => "an artifact",
            FileKind::Arrays => "arrays",
            FileKind::Photo => "a photo",
            FileKind::Drawing => "a drawing",
            FileKind::Page => "a page",
        }
    }

    /// The kind of a file; none if there is no file, it is empty, or its kind is unknown.
    pub fn of(path: &Path) -> Option<FileKind> {
        if !path.is_file() || std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            return None;
        }
        if path.extension().is_some_and(|ending| ending == "net") {
            return Some(FileKind::Spec);
        }
        if artifact::is_artifact(path) {
            return Some(FileKind::Artifact);
        }
        if content::is_drawn_png(path) {
            return Some(FileKind::Drawing);
        }
        // Before arrays, because weights use the same file formats.
        if weights::open(path, None).is_ok() {
            return Some(FileKind::Weights);
        }
        match photo_paths::kind(path).ok()? {
            InputKind::Photo => Some(FileKind::Photo),
            InputKind::Array => Some(FileKind::Arrays),
        }
    }
}

/// The error of an output that cannot be written.
pub fn unwritable(path: &Path, reason: &str) -> Diagnostic {
    Diagnostic::new(Code::Output, format!("{} cannot be written: {reason}", path.display()))
}

/// Checks, before anything is computed, that a file of this kind may be written by what reads these inputs.
///
/// # Errors
/// The path cannot be written, or would overwrite an input or a file of another kind.
pub fn check(path: &Path, kind: FileKind, inputs: &[&Path]) -> Result<(), Diagnostic> {
    let folder = folder_of(path);
    let cannot = |reason: &str| unwritable(path, reason);
    match std::fs::metadata(&folder) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return Err(cannot("a part of its path is a file, not a folder")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let help = format!("create the folder {} first", folder.display());
            return Err(cannot("its folder does not exist").help(help));
        }
        Err(error) => return Err(cannot(&plain(&error))),
    }
    let Ok(real) = std::fs::canonicalize(path) else { return check_trained(path, kind) };
    if real.is_dir() {
        return Err(cannot("it is a folder"));
    }
    let reason = if inputs.iter().any(|input| std::fs::canonicalize(input).is_ok_and(|input| input == real)) {
        "which this command reads".to_string()
    } else {
        match FileKind::of(&real).filter(|&there| there != kind) {
            Some(there) => format!("which is {}, with {}", there.name(), kind.name()),
            None => return check_trained(path, kind),
        }
    };
    Err(Diagnostic::new(Code::Output, format!("this would overwrite {}, {reason}", path.display()))
        .help("choose another file, or move that one away"))
}

/// Refuses arrays in the place of the trained weights of a spec.
fn check_trained(path: &Path, kind: FileKind) -> Result<(), Diagnostic> {
    let spec = path.with_extension("net");
    if kind != FileKind::Arrays || path.extension().is_none_or(|ending| ending != "h5") || !spec.is_file() {
        return Ok(());
    }
    let message = format!("arrays in {} would be taken for the trained weights of {}", path.display(), spec.display());
    let other = path.with_extension("features.h5");
    Err(Diagnostic::new(Code::Output, message).help(format!("choose another name, such as {}", other.display())))
}
