//! Completion of the paths in strings, from the files that exist.

use super::documents::Document;
use std::path::Path;

/// What a string names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A spec, inside the folder of its file.
    Spec,
    /// A file with one of these extensions.
    File(&'static [&'static str]),
    Folder,
}

/// Weights; `.h5` is Keras' too.
pub const WEIGHTS: PathKind =
    PathKind::File(&["h5", "hdf5", "keras", "safetensors", "json", "pth", "pt", "bin", "onnx"]);
/// Class names, one on a line.
pub const LABELS: PathKind = PathKind::File(&["txt", "csv", "names"]);

/// What the first argument of a data source names.
pub fn of_source(source: &str) -> Option<PathKind> {
    match source {
        "images" => Some(PathKind::Folder),
        "csv" => Some(PathKind::File(&["csv", "tsv", "txt"])),
        "arrays" => Some(PathKind::File(&["npy", "npz", "h5", "hdf5"])),
        "top1" => Some(PathKind::File(&["jpg", "jpeg", "png"])),
        _ => None,
    }
}

/// Max entries of a folder that are read.
const MAX_ENTRIES: usize = 10_000;

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub is_file: bool,
    pub name: String,
}

/// The files and folders that continue a path, folders first: those of the folder that `written` names up to its last `/`.
/// Hidden ones and names that a string would have to escape are left out.
pub fn entries(document: &Document, kind: PathKind, written: &str) -> Vec<Entry> {
    let Some(folder) = document.folder() else { return Vec::new() };
    let parent = written.rfind('/').map_or("", |end| &written[..=end]);
    let leaves = Path::new(parent).is_absolute() || Path::new(parent).components().any(|part| part.as_os_str() == "..");
    if kind == PathKind::Spec && leaves {
        return Vec::new();
    }
    let Ok(listed) = std::fs::read_dir(folder.join(parent)) else { return Vec::new() };
    let mut entries: Vec<Entry> = listed
        .flatten()
        .take(MAX_ENTRIES)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            // A link counts as what it leads to.
            let known = std::fs::metadata(entry.path()).ok()?;
            let is_plain = !name.contains(['"', '\\', '{', '}']) && !name.chars().any(char::is_control);
            let is_wanted = known.is_dir() || known.is_file() && kind.takes(Path::new(&name));
            (is_plain && is_wanted && !name.starts_with('.')).then_some(Entry { is_file: known.is_file(), name })
        })
        .collect();
    entries.sort();
    entries
}

impl PathKind {
    /// Whether a file of this name can be meant.
    fn takes(self, name: &Path) -> bool {
        let extension = name.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match self {
            PathKind::Spec => extension == "net",
            PathKind::File(extensions) => extensions.iter().any(|known| known.eq_ignore_ascii_case(extension)),
            PathKind::Folder => false,
        }
    }
}
