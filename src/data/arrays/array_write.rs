//! Writing array files, atomically.

use super::array_error::{ArrayError, ArrayErrorKind, at};
use super::{hdf5_arrays, npy, npz};
use crate::file::PendingFile;
use ndarray::ArrayViewD;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes the named arrays to `path`, in the format of its extension: `.npy` (one array, without its name), `.npz`,
/// `.h5` or `.hdf5`.
///
/// Like all writers here, it writes a temporary file in the same folder, syncs it to disk and renames it to `path`; on an
/// error, an existing file at `path` is unchanged and the temporary file is removed.
pub fn write(path: &Path, arrays: &[(&str, ArrayViewD<f32>)]) -> Result<(), ArrayError> {
    match (format_of_ending(path)?, arrays) {
        (Format::Npy, [(_, array)]) => write_npy(path, array.view()),
        (Format::Npy, _) => at(path, || Err(ArrayErrorKind::OneArray)),
        (Format::Npz, arrays) => write_npz(path, arrays),
        (Format::Hdf5, arrays) => write_hdf5(path, arrays),
    }
}

/// The formats. Files that are read are told by their first bytes, those that are written by their ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Npy,
    Npz,
    Hdf5,
}

impl Format {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Format::Npy => "a .npy file",
            Format::Npz => "a .npz file",
            Format::Hdf5 => "an HDF5 file",
        }
    }
}

/// The format of a file's ending.
///
/// # Errors
/// [`ArrayErrorKind::UnknownExtension`].
pub fn format_of_ending(path: &Path) -> Result<Format, ArrayError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    match ending.as_deref() {
        Some("npy") => Ok(Format::Npy),
        Some("npz") => Ok(Format::Npz),
        Some("h5" | "hdf5") => Ok(Format::Hdf5),
        _ => at(path, || Err(ArrayErrorKind::UnknownExtension)),
    }
}

/// Writes a `.npy` file (`<f4`, C order), atomically.
pub fn write_npy(path: &Path, array: ArrayViewD<f32>) -> Result<(), ArrayError> {
    at(path, || {
        replace(path, |file| {
            let mut writer = BufWriter::new(file.file());
            npy::write(&mut writer, &array).and_then(|()| writer.flush()).map_err(ArrayErrorKind::Io)
        })
    })
}

/// Writes a `.npz` file (uncompressed), atomically. Names must be unique.
pub fn write_npz(path: &Path, arrays: &[(&str, ArrayViewD<f32>)]) -> Result<(), ArrayError> {
    at(path, || {
        replace(path, |file| {
            let writer = BufWriter::new(file.file());
            npz::write(writer, arrays).and_then(|mut writer| writer.flush()).map_err(ArrayErrorKind::Io)
        })
    })
}

/// Writes an HDF5 file (contiguous f32 datasets; a `/` in a name creates groups), atomically.
pub fn write_hdf5(path: &Path, arrays: &[(&str, ArrayViewD<f32>)]) -> Result<(), ArrayError> {
    at(path, || replace(path, |file| file.by_name(|path| hdf5_arrays::write(path, arrays))))
}

/// Lets `fill` write a temporary file, then renames it to `path`.
fn replace(
    path: &Path,
    fill: impl FnOnce(&mut PendingFile) -> Result<(), ArrayErrorKind>,
) -> Result<(), ArrayErrorKind> {
    if fs::metadata(path).is_ok_and(|known| !known.is_file()) {
        return Err(ArrayErrorKind::NotAFile);
    }
    let mut draft = PendingFile::for_target(path).map_err(ArrayErrorKind::Io)?;
    fill(&mut draft)?;
    draft.persist(true).map_err(ArrayErrorKind::Io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::arrays::array_file::read;
    use ndarray::{ArrayD, IxDyn};
    use tempfile::TempDir;

    fn names(folder: &TempDir) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let folder = TempDir::new().unwrap();
        let (old, new) = (ArrayD::zeros(IxDyn(&[2])), ArrayD::ones(IxDyn(&[3])));
        for name in ["a.npz", "a.h5"] {
            let path = folder.path().join(name);
            write(&path, &[("x", old.view())]).unwrap();
            // Duplicate names are detected after the first array was written.
            assert!(write(&path, &[("x", new.view()), ("x", new.view())]).is_err(), "{name}");
            assert_eq!(read(&path, Some("x")).unwrap(), old);
            write(&path, &[("x", new.view())]).unwrap();
            assert_eq!(read(&path, Some("x")).unwrap(), new);
        }
        assert_eq!(names(&folder), ["a.h5", "a.npz"]);
    }

    #[test]
    fn write_errors() {
        let folder = TempDir::new().unwrap();
        let array = ArrayD::<f32>::zeros(IxDyn(&[2]));
        let error = |name: &str, arrays: &[(&str, ArrayViewD<f32>)]| {
            write(&folder.path().join(name), arrays).unwrap_err().error.to_string()
        };
        let one = [("x", array.view())];
        assert_eq!(error("x.txt", &one), "the extension of an array file must be .npy, .npz, .h5 or .hdf5");
        assert_eq!(error("x", &one), "the extension of an array file must be .npy, .npz, .h5 or .hdf5");
        assert_eq!(error("x.npy", &[]), "a .npy file contains a single array without a name");
        assert!(error("no/such/folder/x.npy", &one).contains("No such file"));
        fs::create_dir(folder.path().join("taken.npy")).unwrap();
        assert_eq!(error("taken.npy", &one), "not a regular file");
        assert_eq!(names(&folder), ["taken.npy"]);
    }

    #[test]
    fn writing_is_deterministic() {
        let folder = TempDir::new().unwrap();
        let array = ArrayD::<f32>::ones(IxDyn(&[2, 3]));
        for ending in ["npy", "npz", "h5"] {
            let [a, b] = ["a", "b"].map(|name| folder.path().join(name).with_extension(ending));
            write(&a, &[("x", array.view())]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(if ending == "h5" { 1100 } else { 0 }));
            write(&b, &[("x", array.view())]).unwrap();
            assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap(), "{ending}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = TempDir::new().unwrap();
        let (file, link) = (folder.path().join("x.npy"), folder.path().join("link.npy"));
        let array = ArrayD::<f32>::ones(IxDyn(&[2]));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write_npy(&link, array.view()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&file, None).unwrap(), array);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o600, 0o600);
        let error = write_npy(Path::new("/dev/null"), array.view()).unwrap_err().to_string();
        assert_eq!(error, "/dev/null: not a regular file");
    }
}
