//! Opening files of weights: the layout is found from a file's content, never from its name, and every tensor's declaration
//! (type, size, where its bytes are) is checked before any of them is read, so that a hostile or damaged file cannot take
//! memory, reach another file or panic.

use super::hdf5_file::Tree;
use super::{keras, keras_archive, keras3, neupy, onnx, safetensors};
use crate::content::Content;
use crate::request::Layout;
use crate::weights::store::{Store, StoreError, unreadable};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Opens a file of weights; `layout` insists on one, otherwise the content tells.
///
/// # Errors
/// [`StoreError`], with the path of the dataset that is at error where there is one. Nothing is read but the
/// declarations; every one of them is checked.
pub fn open(path: &Path, layout: Option<Layout>) -> Result<Box<dyn Store>, StoreError> {
    let other = |asked, found: &str| StoreError::OtherLayout { path: path.into(), asked, found: found.into() };
    if keras_archive::weights_in(path).is_some() {
        return match layout {
            None | Some(Layout::Keras3) => keras_archive::open_folder(path),
            Some(asked) => Err(other(asked, "it is an unpacked `.keras` archive")),
        };
    }
    let (mut file, length) = open_regular(path)?;
    let content = Content::of_file(&mut file, length).map_err(|source| unreadable(path, source))?;
    match (content, layout) {
        (Content::Hdf5, Some(asked @ (Layout::Safetensors | Layout::Onnx))) => Err(other(asked, "it is an HDF5 file")),
        (Content::Hdf5, asked) => open_hdf5(Tree::open(path)?, asked),
        (Content::Zip, None | Some(Layout::Keras3)) => keras_archive::open(path, file),
        (Content::Zip, Some(asked)) => Err(other(asked, "it is a ZIP archive")),
        (Content::Safetensors, None | Some(Layout::Safetensors)) => safetensors::open(path, file, length),
        (Content::Safetensors, Some(asked)) => Err(other(asked, "it seems to be safetensors")),
        (Content::Onnx, None | Some(Layout::Onnx)) => onnx::open(path),
        (Content::Onnx, Some(asked)) => Err(other(asked, "it is an ONNX model")),
        (other, _) => {
            let mut seems = other.in_words().to_string();
            if seems.contains("pickle") {
                seems = format!("{seems}: {}", keras_archive::SAFETENSORS);
            }
            Err(StoreError::NotHdf5 { path: path.into(), seems })
        }
    }
}

/// The file that holds the weights: of an unpacked `.keras` archive the one in its folder.
pub fn file_of(path: &Path) -> PathBuf {
    keras_archive::weights_in(path).unwrap_or_else(|| path.into())
}

/// Opens a regular file and tells its length.
fn open_regular(path: &Path) -> Result<(File, u64), StoreError> {
    let not_a_file = |what| StoreError::NotAFile { path: path.into(), what };
    crate::file::open_regular(path).map_err(|source| match source.kind() {
        io::ErrorKind::IsADirectory => not_a_file("a directory"),
        io::ErrorKind::InvalidInput => not_a_file("a pipe or a device"),
        _ => unreadable(path, source),
    })
}

fn open_hdf5(mut tree: Tree, asked: Option<Layout>) -> Result<Box<dyn Store>, StoreError> {
    let found = if neupy::matches(&tree)? {
        Layout::Neupy
    } else if keras::matches(&mut tree)? {
        Layout::Keras
    } else if keras3::matches(&mut tree)? {
        Layout::Keras3
    } else {
        let (path, found) = (tree.path().into(), tree.describe_root()?);
        return Err(StoreError::UnknownLayout { path, found });
    };
    if let Some(asked) = asked.filter(|asked| *asked != found) {
        let (path, found) = (tree.path().into(), format!("it has the layout {found}"));
        return Err(StoreError::OtherLayout { path, asked, found });
    }
    match found {
        Layout::Neupy => neupy::open(tree),
        Layout::Keras => keras::open(tree),
        Layout::Keras3 | Layout::Safetensors | Layout::Onnx => keras3::open(tree),
    }
}
