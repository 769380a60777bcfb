//! `.keras`: a ZIP archive, or the folder that it unpacks to, with the weights in `model.weights.h5` and the configuration of
//! the model in `config.json`.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zip::ZipArchive;

use super::keras3;
use crate::h5::MAX_TEXT_BYTES;
use crate::size::MAX_EXPANSION;
use crate::weights::keras_model::{Configuration, names_of_groups, with_model};
use crate::weights::layouts::hdf5_file::{Tree, corrupt};
use crate::weights::layouts::zip_file;
use crate::weights::store::{MAX_TENSOR_BYTES, Store, StoreError, unreadable};

const WEIGHTS: &str = "model.weights.h5";
const CONFIG: &str = "config.json";
const METADATA: &str = "metadata.json";
/// The maximum size of the unpacked weights in bytes.
const MAX_WEIGHTS: u64 = 16 * MAX_TENSOR_BYTES;

/// The weights file in the folder of an unpacked `.keras` archive.
pub(crate) fn weights_in(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(WEIGHTS)).filter(|path| path.is_file())
}

/// Opens an unpacked archive.
pub(crate) fn open_folder(folder: &Path) -> Result<Box<dyn Store>, StoreError> {
    let text = |name: &str| -> Result<Option<String>, StoreError> {
        let path = folder.join(name);
        match File::open(&path) {
            Ok(file) => {
                let location = path.display().to_string();
                let bytes = zip_file::read_limited(file, &location, MAX_TEXT_BYTES)?;
                text_of(bytes, &location).map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, error)),
        }
    };
    let path = folder.join(WEIGHTS);
    open_weights(Tree::open(&path)?, &path, configured(text, &path)?)
}

/// Whether an archive has weights of Keras.
pub(crate) fn matches<R: Read + Seek>(archive: &ZipArchive<R>) -> bool {
    archive.index_for_name(WEIGHTS).is_some() || !top_folder(archive).is_empty()
}

/// What stands before the names of all members, where an unpacked archive was packed again with its folder: `bird/`; nothing where
/// Keras wrote it.
fn top_folder<R: Read + Seek>(archive: &ZipArchive<R>) -> String {
    let folders = || archive.file_names().filter_map(|name| name.strip_suffix(WEIGHTS));
    let is_one = |folder: &str| folder.strip_suffix('/').is_some_and(|name| !name.is_empty() && !name.contains('/'));
    match folders().next() {
        Some(folder) if is_one(folder) && archive.file_names().all(|name| name.starts_with(folder)) => folder.into(),
        _ => String::new(),
    }
}

/// Opens an archive. The weights are unpacked to a temporary file, which is deleted when the store is dropped.
pub(crate) fn open(path: &Path, mut archive: ZipArchive<File>) -> Result<Box<dyn Store>, StoreError> {
    let configuration = configuration(path, &mut archive)?;
    let name = format!("{}{WEIGHTS}", top_folder(&archive));
    let mut member = archive.by_name(&name).map_err(|error| zip_file::error(path, error))?;
    let location = format!("{WEIGHTS} in {}", path.display());
    let (declared, stored) = (member.size(), member.compressed_size());
    if declared > MAX_WEIGHTS || declared > stored.saturating_mul(MAX_EXPANSION) {
        let what = format!("it declares {declared} bytes, but stores {stored}");
        return Err(StoreError::TooLarge { location, what });
    }
    let mut copy = tempfile::NamedTempFile::new().map_err(|source| unreadable(&std::env::temp_dir(), source))?;
    // The reader verifies the checksum at the end.
    let copied = io::copy(&mut member.by_ref().take(declared + 1), copy.as_file_mut());
    let copied = copied.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => unreadable(&std::env::temp_dir(), error),
        _ => corrupt(&location, error.to_string()),
    })?;
    if copied != declared {
        return Err(corrupt(&location, format!("the archive declares {declared} bytes, but it has {copied}")));
    }
    open_weights(Tree::open_temporary(copy.into_temp_path(), path)?, path, configuration)
}

/// The configuration in an archive.
pub(crate) fn configuration(path: &Path, archive: &mut ZipArchive<File>) -> Result<Option<Configuration>, StoreError> {
    let folder = top_folder(archive);
    let text = |name: &str| -> Result<Option<String>, StoreError> {
        let bytes = zip_file::member(archive, path, &format!("{folder}{name}"), MAX_TEXT_BYTES)?;
        bytes.map(|bytes| text_of(bytes, &format!("{name} in {}", path.display()))).transpose()
    };
    configured(text, path)
}

/// The configuration among the texts of an archive.
fn configured(
    mut text: impl FnMut(&str) -> Result<Option<String>, StoreError>,
    path: &Path,
) -> Result<Option<Configuration>, StoreError> {
    let (config, metadata) = (text(CONFIG)?, text(METADATA)?);
    let metadata: Value = metadata.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let version = metadata["keras_version"].as_str().map(str::to_string);
    config.map(|text| Configuration::parse(&text, version, format!("{CONFIG} of {}", path.display()))).transpose()
}

fn open_weights(
    mut tree: Tree,
    path: &Path,
    configuration: Option<Configuration>,
) -> Result<Box<dyn Store>, StoreError> {
    if !keras3::matches(&mut tree)? {
        let found = tree.describe_root()?;
        return Err(StoreError::UnknownLayout { path: path.into(), found });
    }
    let names = configuration.as_ref().map(|found| names_of_groups(&found.value)).unwrap_or_default();
    let model = configuration.map(|found| found.model()).transpose()?;
    Ok(with_model(keras3::open_named(tree, names)?, model))
}

fn text_of(bytes: Vec<u8>, location: &str) -> Result<String, StoreError> {
    String::from_utf8(bytes).map_err(|_| corrupt(location, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use crate::request::Layout;
    use crate::weights::layouts::zip_file;
    use crate::weights::open;
    use crate::weights::store::StoreError;
    use crate::weights::store_tests::{NEUPY, error, fixture, folder, read_all, written};
    use std::fs;
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    fn archive(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, data) in members {
            archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            archive.write_all(data).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn archives_and_folders_are_read() {
        let folder = folder();
        let inner = fs::read(fixture("keras_models/branches.weights.h5")).unwrap();
        let right = read_all(&fixture("keras_models/branches.weights.h5")).unwrap();
        let config = br#"{"class_name": "Functional", "config": {"layers": []}}"#;
        let members: [(&str, &[u8]); 2] = [("config.json", config), ("model.weights.h5", &inner)];
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let path = written(&folder, &archive(&members, method));
            assert_eq!(open(&path, None).unwrap().layout(), Layout::Keras3);
            assert_eq!(read_all(&path).unwrap(), right, "{method}");
        }
        // Packed again with its folder.
        let inside = members.map(|(name, data)| (format!("bird/{name}"), data));
        let inside = [("bird/", &b""[..])].into_iter().chain(inside.iter().map(|(name, data)| (name.as_str(), *data)));
        let inside: Vec<(&str, &[u8])> = inside.collect();
        let path = written(&folder, &archive(&inside, CompressionMethod::Stored));
        assert_eq!(read_all(&path).unwrap(), right);
        assert!(
            super::configuration(&path, &mut zip_file::open(&path, fs::File::open(&path).unwrap()).unwrap())
                .unwrap()
                .is_some()
        );
        let two = [inside, vec![("other/readme.txt", &b"text"[..])]].concat();
        assert!(open(&written(&folder, &archive(&two, CompressionMethod::Stored)), None).is_err());
        let unpacked = folder.path().join("unpacked.keras");
        fs::create_dir(&unpacked).unwrap();
        for (name, data) in members {
            fs::write(unpacked.join(name), data).unwrap();
        }
        assert_eq!(read_all(&unpacked).unwrap(), right);
    }

    #[test]
    fn damaged_archives_are_refused() {
        let folder = folder();
        let inner = fs::read(fixture("keras_models/branches.weights.h5")).unwrap();
        let good = archive(&[("model.weights.h5", &inner)], CompressionMethod::Stored);
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let found = error(&written(&folder, &flipped)).to_string();
        assert!(found.contains("checksum"), "{found}");
        for length in [4, 30, 5000, good.len() - 30, good.len() - 1] {
            assert!(open(&written(&folder, &good[..length]), None).is_err(), "{length}");
        }
        let bomb = archive(&[("model.weights.h5", &vec![0; 8 << 20])], CompressionMethod::Deflated);
        assert!(matches!(error(&written(&folder, &bomb)), StoreError::Corrupt { .. }), "zeros, maximally compressed");
        let neupy = archive(&[("model.weights.h5", &fs::read(fixture(NEUPY)).unwrap())], CompressionMethod::Stored);
        assert!(matches!(error(&written(&folder, &neupy)), StoreError::UnknownLayout { .. }));
        let config = archive(&[("config.json", b"{"), ("model.weights.h5", &inner)], CompressionMethod::Stored);
        assert!(
            matches!(error(&written(&folder, &config)), StoreError::Corrupt { location, .. } if location.contains("config.json"))
        );
    }
}
