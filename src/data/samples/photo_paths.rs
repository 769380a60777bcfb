//! Expanding the paths in a command line or a recipe to a list of files.

use crate::content::Content;
use crate::file::open_regular;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The maximum nesting depth of folders.
const MAX_DEPTH: usize = 64;

/// The kind of an input file, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A JPEG or a PNG.
    Photo,
    /// A `.npy`, `.npz` or HDF5 file.
    Array,
}

/// One file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub path: PathBuf,
    pub kind: InputKind,
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub path: PathBuf,
    /// Why, as a clause: "a WebP, which is not supported; photos are JPEG or PNG".
    pub reason: String,
}

/// The expanded inputs of a command line, and files that cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    pub inputs: Vec<Input>,
    pub skipped: Vec<Skipped>,
}

/// Whether subfolders are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    OneLevel,
    Recursive,
}

/// One photo of an [`ImageFolder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub path: PathBuf,
    /// The index of its class in [`ImageFolder::classes`].
    pub class: usize,
}

/// A folder with a subfolder of photos for each class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFolder {
    /// The names of the subfolders, sorted.
    pub classes: Vec<String>,
    /// The photos, class by class, sorted by path within each.
    pub samples: Vec<Sample>,
    pub skipped: Vec<Skipped>,
}

/// Why a folder or a list of inputs cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    #[error("{}: no such file or folder", path.display())]
    NotFound { path: PathBuf },
    #[error("{}: not a folder", path.display())]
    NotAFolder { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: folders are nested more than {MAX_DEPTH} deep", path.display())]
    TooDeep { path: PathBuf },
    #[error("{} contains no photos or arrays{}", path.display(), of_skipped(skipped))]
    Empty { path: PathBuf, skipped: Vec<Skipped> },
    #[error("{} contains no class folders; `images` expects a folder of photos for each class", path.display())]
    NoClasses { path: PathBuf },
    #[error("the class folder {} contains no photos{}", path.display(), of_skipped(skipped))]
    EmptyClass { path: PathBuf, skipped: Vec<Skipped> },
    #[error("{}: the name of a class must be UTF-8", path.display())]
    ClassName { path: PathBuf },
}

/// "; 3 files were skipped, the first one x.webp: a WebP, ...".
fn of_skipped(skipped: &[Skipped]) -> String {
    match skipped {
        [] => String::new(),
        [one] => format!("; {} was skipped: {}", one.path.display(), one.reason),
        [first, ..] => {
            let (count, path, reason) = (skipped.len(), first.path.display(), &first.reason);
            format!("; {count} files were skipped, the first one {path}: {reason}")
        }
    }
}

/// Expands `paths`: a folder is replaced by the photos and arrays in it, sorted by name.
///
/// The order of `paths` is kept, and so are duplicates. Hidden files in a folder are ignored; files that cannot be read, or are
/// neither photos nor arrays, are listed in `skipped`.
///
/// # Errors
/// A path that does not exist, or a folder that cannot be read or contains no usable files.
pub fn expand<P: AsRef<Path>>(paths: &[P], walk: Walk) -> Result<Inputs, FolderError> {
    let mut found = Inputs::default();
    for path in paths.iter().map(AsRef::as_ref) {
        let metadata = fs::metadata(path).map_err(|source| io_error(path, source))?;
        if !metadata.is_dir() {
            found.add(path.to_owned());
            continue;
        }
        let mut inside = Inputs::default();
        visit(path, walk, &mut HashSet::new(), 0, &mut inside)?;
        if inside.inputs.is_empty() {
            return Err(FolderError::Empty { path: path.to_owned(), skipped: inside.skipped });
        }
        found.inputs.append(&mut inside.inputs);
        found.skipped.append(&mut inside.skipped);
    }
    Ok(found)
}

/// The photos in `folder`, with a subfolder for each class: classes sorted by name, photos by path, at any depth in the
/// folder of their class.
///
/// Hidden files and folders are ignored; files outside the class folders, unreadable ones and those that are not photos
/// are listed in `skipped`.
///
/// # Errors
/// A folder that cannot be read, no class folders, or a class without photos.
pub fn images(folder: &Path) -> Result<ImageFolder, FolderError> {
    let mut found = ImageFolder::default();
    for path in entries(folder)? {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                found.skipped.push(Skipped { path, reason: "not in the folder of a class".to_owned() });
                continue;
            }
            Err(error) => {
                found.skipped.push(Skipped { path, reason: error.to_string() });
                continue;
            }
        }
        let Some(name) = path.file_name().and_then(OsStr::to_str).map(str::to_owned) else {
            return Err(FolderError::ClassName { path });
        };
        let mut inside = Inputs::default();
        visit(&path, Walk::Recursive, &mut HashSet::new(), 0, &mut inside)?;
        let (photos, arrays): (Vec<Input>, Vec<Input>) =
            inside.inputs.into_iter().partition(|input| input.kind == InputKind::Photo);
        let reason = "an array, not a photo";
        let arrays = arrays.into_iter().map(|array| Skipped { path: array.path, reason: reason.to_owned() });
        inside.skipped.extend(arrays);
        if photos.is_empty() {
            return Err(FolderError::EmptyClass { path, skipped: inside.skipped });
        }
        let class = found.classes.len();
        found.samples.extend(photos.into_iter().map(|photo| Sample { path: photo.path, class }));
        found.skipped.append(&mut inside.skipped);
        found.classes.push(name);
    }
    if found.classes.is_empty() {
        return Err(FolderError::NoClasses { path: folder.to_owned() });
    }
    Ok(found)
}

/// The classes of [`images`], whose photos are not opened.
///
/// # Errors
/// No class folders.
pub fn class_names(folder: &Path) -> Result<Vec<String>, FolderError> {
    let folders = entries(folder)?.into_iter().filter(|path| path.is_dir());
    let name = |path: PathBuf| match path.file_name().and_then(OsStr::to_str) {
        Some(name) => Ok(name.to_owned()),
        None => Err(FolderError::ClassName { path }),
    };
    let names: Vec<String> = folders.map(name).collect::<Result<_, _>>()?;
    match names.is_empty() {
        true => Err(FolderError::NoClasses { path: folder.to_owned() }),
        false => Ok(names),
    }
}

impl Inputs {
    /// Adds the file to the inputs or to the skipped files, by its first bytes.
    fn add(&mut self, path: PathBuf) {
        match kind(&path) {
            Ok(kind) => self.inputs.push(Input { path, kind }),
            Err(reason) => self.skipped.push(Skipped { path, reason }),
        }
    }
}

/// Adds the files in `folder`. `above` contains the canonical paths of the enclosing folders: a link to one of them would be a
/// cycle.
fn visit(
    folder: &Path,
    walk: Walk,
    above: &mut HashSet<PathBuf>,
    depth: usize,
    found: &mut Inputs,
) -> Result<(), FolderError> {
    if depth > MAX_DEPTH {
        return Err(FolderError::TooDeep { path: folder.to_owned() });
    }
    let real = fs::canonicalize(folder).map_err(|source| io_error(folder, source))?;
    if !above.insert(real.clone()) {
        let reason = "a link to an enclosing folder".to_owned();
        found.skipped.push(Skipped { path: folder.to_owned(), reason });
        return Ok(());
    }
    for path in entries(folder)? {
        if !path.is_dir() {
            found.add(path);
        } else if walk == Walk::Recursive {
            visit(&path, walk, above, depth + 1, found)?;
        }
    }
    above.remove(&real);
    Ok(())
}

/// The entries of the folder that are not hidden, sorted by the bytes of their names, so that the order is the same everywhere.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |source| io_error(folder, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !is_hidden(&name) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Dot files, and files created by file managers.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || ["Thumbs.db", "desktop.ini", "__MACOSX"].iter().any(|&x| name == x)
}

/// The kind of a file.
///
/// # Errors
/// Why the file cannot be used.
pub fn kind(path: &Path) -> Result<InputKind, String> {
    let in_words = |error: io::Error| match error.kind() {
        // A link in a folder without its target.
        io::ErrorKind::NotFound => "a broken link".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => "not a regular file".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let (mut file, length) = open_regular(path).map_err(in_words)?;
    match Content::of_file(&mut file, length).map_err(in_words)? {
        Content::Jpeg | Content::Png => Ok(InputKind::Photo),
        Content::Npy | Content::Hdf5 => Ok(InputKind::Array),
        Content::Zip if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) => {
            Ok(InputKind::Array)
        }
        Content::OtherPicture(words) => Err(format!("{words}, which is not supported; photos are JPEG or PNG")),
        other => Err(format!("{}, not a photo", other.in_words())),
    }
}

fn io_error(path: &Path, source: io::Error) -> FolderError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => FolderError::NotFound { path },
        io::ErrorKind::NotADirectory => FolderError::NotAFolder { path },
        _ => FolderError::Io { path, source },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tempfile::TempDir;

    pub const JPEG: &[u8] = b"\xff\xd8\xff\xe0";

    /// A folder with these files; the content follows `=`, by default the first bytes of a JPEG.
    pub fn tree(files: &[&str]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for name in files {
            let (name, content) = name.split_once('=').map_or((*name, JPEG), |(name, text)| (name, text.as_bytes()));
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn names<'a>(root: &TempDir, paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(root.path()).unwrap().to_str().unwrap().replace('\\', "/");
        paths.into_iter().map(name).collect()
    }

    #[test]
    fn folders_are_expanded_sorted() {
        let root = tree(&["b.jpg", "a2.jpg", "a10.JPG", "B.png", ".hidden.jpg", "m/c.jpg", "m/.x/d.jpg", "Thumbs.db"]);
        fs::write(root.path().join("x.npy"), b"\x93NUMPY\x01\0").unwrap();
        let one = expand(&[root.path()], Walk::OneLevel).unwrap();
        let paths = one.inputs.iter().map(|input| &input.path);
        assert_eq!(names(&root, paths), ["B.png", "a10.JPG", "a2.jpg", "b.jpg", "x.npy"]);
        assert_eq!(one.inputs[4].kind, InputKind::Array);
        let all = expand(&[root.path()], Walk::Recursive).unwrap();
        let paths = all.inputs.iter().map(|input| &input.path);
        assert_eq!(names(&root, paths), ["B.png", "a10.JPG", "a2.jpg", "b.jpg", "m/c.jpg", "x.npy"]);
        assert_eq!(all.skipped, []);
    }

    #[test]
    fn the_order_of_the_command_line_is_kept() {
        let root = tree(&["b.jpg", "a.jpg", "in/c.jpg"]);
        let paths = ["b.jpg", "in", "a.jpg", "b.jpg"].map(|name| root.path().join(name));
        let found = expand(&paths, Walk::OneLevel).unwrap();
        let paths = found.inputs.iter().map(|input| &input.path);
        assert_eq!(names(&root, paths), ["b.jpg", "in/c.jpg", "a.jpg", "b.jpg"]);
        let gone = root.path().join("gone.jpg");
        assert!(matches!(expand(&[&gone], Walk::OneLevel), Err(FolderError::NotFound { path }) if path == gone));
        assert_eq!(expand::<&Path>(&[], Walk::Recursive).unwrap(), Inputs::default());
    }

    #[test]
    fn unusable_files_are_listed() {
        let root = tree(&["a.jpg", "b.jpg=<html>", "c.gif=GIF89a", "d.txt=words", "e.jpg="]);
        fs::write(root.path().join("f.zip"), b"PK\x03\x04").unwrap();
        let found = expand(&[root.path()], Walk::OneLevel).unwrap();
        let reasons: Vec<&str> = found.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "a web page, not a photo",
                "a GIF, which is not supported; photos are JPEG or PNG",
                "text, not a photo",
                "an empty file, not a photo",
                "a ZIP archive, not a photo",
            ]
        );
        fs::remove_file(root.path().join("a.jpg")).unwrap();
        let error = expand(&[root.path()], Walk::OneLevel).unwrap_err().to_string();
        assert!(error.contains("contains no photos or arrays; 5 files were skipped, the first one "), "{error}");
    }

    #[test]
    fn one_folder_for_each_class() {
        let root = tree(&[
            "owl/2.jpg",
            "owl/1.jpg",
            "kite/x/9.jpg",
            "kite/1.jpg",
            "LICENSE=text",
            "owl/n.txt=n",
            ".git/x.jpg",
        ]);
        let found = images(root.path()).unwrap();
        assert_eq!(found.classes, ["kite", "owl"]);
        let paths = found.samples.iter().map(|sample| &sample.path);
        assert_eq!(names(&root, paths), ["kite/1.jpg", "kite/x/9.jpg", "owl/1.jpg", "owl/2.jpg"]);
        let classes: Vec<usize> = found.samples.iter().map(|sample| sample.class).collect();
        assert_eq!(classes, [0, 0, 1, 1]);
        let skipped = found.skipped.iter().map(|skipped| &skipped.path);
        assert_eq!(names(&root, skipped), ["LICENSE", "owl/n.txt"]);
    }

    #[test]
    fn classes_without_photos_are_errors() {
        let root = tree(&["owl/1.jpg", "kite/1.txt=words"]);
        let error = images(root.path()).unwrap_err();
        assert!(matches!(&error, FolderError::EmptyClass { path, .. } if path.ends_with("kite")));
        assert!(error.to_string().ends_with("1.txt was skipped: text, not a photo"), "{error}");
        let flat = tree(&["1.jpg"]);
        assert!(matches!(images(flat.path()), Err(FolderError::NoClasses { .. })));
        assert!(matches!(images(&flat.path().join("1.jpg")), Err(FolderError::NotAFolder { .. })));
        assert!(matches!(images(&flat.path().join("gone")), Err(FolderError::NotFound { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        use std::os::unix::fs::symlink;
        let root = tree(&["a/b/1.jpg", "other/2.jpg"]);
        symlink(root.path(), root.path().join("a/b/up")).unwrap();
        symlink(root.path().join("gone"), root.path().join("a/lost.jpg")).unwrap();
        symlink(root.path().join("other"), root.path().join("a/side")).unwrap();
        let found = expand(&[root.path()], Walk::Recursive).unwrap();
        let paths = found.inputs.iter().map(|input| &input.path);
        assert_eq!(names(&root, paths), ["a/b/1.jpg", "a/side/2.jpg", "other/2.jpg"]);
        let reasons: Vec<&str> = found.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
        assert_eq!(reasons, ["a link to an enclosing folder", "a broken link"]);
    }
}
