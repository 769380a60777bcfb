//! Where a command may write: never over what it reads, nor over a file of another kind that netc can tell.

use super::messages;
use crate::artifact;
use crate::cli::Done;
use crate::data::samples::photo_paths;
use crate::data::samples::photo_paths::InputKind;
use crate::diagnostics::{Code, Diagnostic};
use crate::file::folder_of;
use crate::source::plain;
use crate::weights;
use std::path::{Path, PathBuf};

/// What a file holds, as far as netc can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Spec,
    Weights,
    Artifact,
    Arrays,
    Photo,
    Drawing,
    Page,
}

impl Kind {
    fn in_words(self) -> &'static str {
        match self {
            Kind::Spec => "a spec",
            Kind::Weights => "weights",
            Kind::Artifact => "an artifact",
            Kind::Arrays => "arrays",
            Kind::Photo => "a photo",
            Kind::Drawing => "a drawing",
            Kind::Page => "a page",
        }
    }

    /// What stands at a path; none where that is nothing, no file, or of no kind that netc can tell.
    pub fn of(path: &Path) -> Option<Kind> {
        if !path.is_file() || std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            return None;
        }
        if path.extension().is_some_and(|ending| ending == "net") {
            return Some(Kind::Spec);
        }
        if artifact::is_artifact(path) {
            return Some(Kind::Artifact);
        }
        // Before arrays: weights stand in the same formats.
        if weights::open(path, None).is_ok() {
            return Some(Kind::Weights);
        }
        match photo_paths::kind(path).ok()? {
            InputKind::Photo => Some(Kind::Photo),
            InputKind::Array => Some(Kind::Arrays),
        }
    }
}

/// An output that cannot be written, and why.
pub fn unwritable(path: &Path, why: &str) -> Diagnostic {
    Diagnostic::new(Code::Output, format!("{} cannot be written: {why}", path.display()))
}

/// Checks before anything is computed whether a command that reads `inputs` may write a file of a kind at `path`.
pub fn check(path: &Path, kind: Kind, inputs: &[&Path]) -> Done {
    let folder = folder_of(path);
    let cannot = |why: &str| unwritable(path, why);
    match std::fs::metadata(&folder) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return Err(messages::fail_with(cannot("a part of its path is a file, not a folder"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let help = format!("make the folder {} first", folder.display());
            return Err(messages::fail_with(cannot("its folder is not there").help(help)));
        }
        Err(error) => return Err(messages::fail_with(cannot(&plain(&error)))),
    }
    let Ok(real) = std::fs::canonicalize(path) else { return Ok(()) };
    if real.is_dir() {
        return Err(messages::fail_with(cannot("it is a folder")));
    }
    let why = if inputs.iter().any(|input| std::fs::canonicalize(input).is_ok_and(|input| input == real)) {
        "which this command reads".to_string()
    } else {
        match Kind::of(&real).filter(|&there| there != kind) {
            Some(there) => format!("which holds {}, with {}", there.in_words(), kind.in_words()),
            None => return Ok(()),
        }
    };
    Err(messages::fail_with(
        Diagnostic::new(Code::Output, format!("this would write over {}, {why}", path.display()))
            .help("name another file, or move that one away"),
    ))
}

/// What a command reads: the model that it was given, files of weights, and others.
pub fn inputs<'a>(model: &'a str, weights: &'a [(String, PathBuf)], others: &'a [PathBuf]) -> Vec<&'a Path> {
    let weights = weights.iter().map(|(_, file)| file.as_path());
    std::iter::once(Path::new(model)).chain(weights).chain(others.iter().map(PathBuf::as_path)).collect()
}
