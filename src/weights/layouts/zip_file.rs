//! ZIP archives with weights: their members, read within limits.

use super::hdf5_file::corrupt;
use crate::weights::store::{MAX_ITEMS, StoreError, unreadable};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// Opens an archive.
pub(crate) fn open(path: &Path, file: File) -> Result<ZipArchive<File>, StoreError> {
    let archive = ZipArchive::new(file).map_err(|cause| error(path, cause))?;
    match archive.len() > MAX_ITEMS {
        true => Err(StoreError::TooLarge {
            location: path.display().to_string(),
            what: format!("{} members", archive.len()),
        }),
        false => Ok(archive),
    }
}

/// The bytes of a member of up to `most` bytes, if it exists.
pub(crate) fn member(
    archive: &mut ZipArchive<File>,
    path: &Path,
    name: &str,
    most: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let location = format!("{name} in {}", path.display());
    let member = match archive.by_name(name) {
        Ok(member) => member,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(cause) => return Err(error(path, cause)),
    };
    read_limited(member, &location, most).map(Some)
}

/// The bytes of a small file or member, which has up to `most`.
pub(crate) fn read_limited(from: impl Read, location: &str, most: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).map_err(|cause| corrupt(location, cause.to_string()))?;
    match bytes.len() as u64 > most {
        true => Err(StoreError::TooLarge { location: location.into(), what: format!("more than {most} bytes") }),
        false => Ok(bytes),
    }
}

/// The error of an archive.
pub(crate) fn error(path: &Path, cause: ZipError) -> StoreError {
    match cause {
        ZipError::Io(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => unreadable(path, cause),
        cause => corrupt(&path.display().to_string(), cause.to_string()),
    }
}

/// What an archive without weights seems to be.
pub(crate) fn seems<R: Read + Seek>(archive: &ZipArchive<R>) -> &'static str {
    let any = |end: &str| archive.file_names().any(|name| name.ends_with(end));
    if any("model.weights.npz") {
        "a `.keras` archive whose weights are in `model.weights.npz`: save the model again with h5py installed"
    } else if any(".npy") {
        "NumPy arrays (.npz), which do not say of which layers they are"
    } else if any("saved_model.pb") {
        "a zipped SavedModel of TensorFlow: load it and save the model as `.keras`"
    } else {
        "a ZIP archive that neither Keras nor PyTorch wrote"
    }
}

#[cfg(test)]
mod tests {
    use crate::weights::store_tests::{error, folder, written};
    use std::io::{Cursor, Write};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    #[test]
    fn archives_without_weights_say_what_they_are() {
        let folder = folder();
        for (member, seems) in [
            ("x.npy", "NumPy arrays (.npz)"),
            ("model.weights.npz", "model.weights.npz"),
            ("readme.txt", "a ZIP archive"),
        ] {
            let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
            archive.start_file(member, SimpleFileOptions::default()).unwrap();
            archive.write_all(b"data").unwrap();
            let found = error(&written(&folder, &archive.finish().unwrap().into_inner())).to_string();
            assert!(found.contains(seems), "{found}");
        }
    }
}
