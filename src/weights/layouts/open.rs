//! Opening weights files. The layout is detected from the content of a file, never from its name, and the declaration of every
//! tensor (type, size, offset) is checked before any values are read, so that a malicious or damaged file can neither exhaust
//! memory, nor refer to another file, nor cause a panic.

use super::hdf5_file::Tree;
use super::keras::{archive, keras3};
use super::safetensors::sharded;
use super::{keras, neupy, onnx, safetensors, torch_archive, zip_file};
use crate::content::{Content, JSON};
use crate::request::Layout;
use crate::weights::keras_model::Configuration;
use crate::weights::store::{Store, StoreError, unreadable};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Opens a weights file. `layout` requires a layout; by default it is detected.
///
/// # Errors
/// [`StoreError`], with the path of the dataset if one is to blame. Only declarations are read, and all of them are
/// checked.
pub fn open(path: &Path, layout: Option<Layout>) -> Result<Box<dyn Store>, StoreError> {
    let other = |asked, found: &str| StoreError::OtherLayout { path: path.into(), asked, found: found.into() };
    if archive::weights_in(path).is_some() {
        return match layout {
            None | Some(Layout::Keras3) => archive::open_folder(path),
            Some(asked) => Err(other(asked, "it is an unpacked `.keras` archive")),
        };
    }
    let (mut file, length) = open_regular(path)?;
    let content = Content::of_file(&mut file, length).map_err(|source| unreadable(path, source))?;
    match (content, layout) {
        (Content::Hdf5, Some(asked @ (Layout::Safetensors | Layout::PyTorch | Layout::Onnx))) => {
            Err(other(asked, "it is an HDF5 file"))
        }
        (Content::Hdf5, asked) => open_container(path, Tree::open(path)?, &IN_HDF5, asked)?.or_else(|mut tree| {
            Err(StoreError::UnknownLayout { path: tree.path().into(), found: tree.describe_root()? })
        }),
        (Content::Zip, asked) => open_container(path, zip_file::open(path, file)?, &IN_ZIP, asked)?
            .map_err(|archive| StoreError::NotHdf5 { path: path.into(), seems: zip_file::seems(&archive).into() }),
        (Content::Safetensors, None | Some(Layout::Safetensors)) => safetensors::open(path, file, length),
        (Content::Safetensors, Some(asked)) => Err(other(asked, "it seems to be safetensors")),
        (Content::Onnx, None | Some(Layout::Onnx)) => onnx::open(path),
        (Content::Onnx, Some(asked)) => Err(other(asked, "it is an ONNX model")),
        (Content::Other(words), None | Some(Layout::Safetensors)) if words == JSON => {
            let sharded = sharded::open(path, file)?;
            sharded.ok_or_else(|| StoreError::NotHdf5 { path: path.into(), seems: words.into() })
        }
        (other, _) => {
            let mut seems = other.in_words().to_string();
            if other.is_pickle() {
                seems = format!("{seems}: {SAVE_ANEW}");
            }
            Err(StoreError::NotHdf5 { path: path.into(), seems })
        }
    }
}

/// The model configuration in a file of Keras; none if it has only weights.
///
/// # Errors
/// If the file is neither HDF5 nor a ZIP archive, or is damaged.
pub fn keras_configuration(path: &Path) -> Result<Option<Configuration>, StoreError> {
    let (mut file, length) = open_regular(path)?;
    match Content::of_file(&mut file, length).map_err(|source| unreadable(path, source))? {
        Content::Hdf5 => keras::configuration(&Tree::open(path)?),
        Content::Zip => archive::configuration(path, &mut zip_file::open(path, file)?),
        other => Err(StoreError::NotHdf5 { path: path.into(), seems: other.in_words().into() }),
    }
}

/// The file that contains the weights: for an unpacked `.keras` archive, the one in its folder.
pub fn file_of(path: &Path) -> PathBuf {
    archive::weights_in(path).unwrap_or_else(|| path.into())
}

/// Opens a regular file and returns its length too.
fn open_regular(path: &Path) -> Result<(File, u64), StoreError> {
    let not_a_file = |what| StoreError::NotAFile { path: path.into(), what };
    crate::file::open_regular(path).map_err(|source| match source.kind() {
        io::ErrorKind::IsADirectory => not_a_file("a directory"),
        io::ErrorKind::InvalidInput => not_a_file("a pipe or a device"),
        _ => unreadable(path, source),
    })
}

/// What to do about a pickle that is not in an archive.
const SAVE_ANEW: &str =
    "`torch.save(torch.load(\"old.pth\", weights_only=True), \"new.pth\")` writes a file that can be read";

/// Opens a container, the file at a path.
type Open<Container> = fn(&Path, Container) -> Result<Box<dyn Store>, StoreError>;

/// A layout of files in a container: whether a file has it, and its reader.
struct Reader<Container> {
    layout: Layout,
    matches: fn(&mut Container) -> Result<bool, StoreError>,
    open: Open<Container>,
}

/// The layouts of ZIP archives, in the order in which they are tried.
const IN_ZIP: [Reader<ZipArchive<File>>; 2] = [
    Reader { layout: Layout::Keras3, matches: |archive| Ok(archive::matches(archive)), open: archive::open },
    Reader {
        layout: Layout::PyTorch,
        matches: |archive| Ok(torch_archive::matches(archive)),
        open: torch_archive::open,
    },
];

/// The layouts of HDF5 files, in the order in which they are tried.
const IN_HDF5: [Reader<Tree>; 3] = [
    Reader { layout: Layout::Neupy, matches: |tree| neupy::matches(tree), open: |_, tree| neupy::open(tree) },
    Reader { layout: Layout::Keras, matches: keras::matches, open: |_, tree| keras::open(tree) },
    Reader { layout: Layout::Keras3, matches: keras3::matches, open: |_, tree| keras3::open(tree) },
];

/// Opens a container by the first reader that knows its layout; none if no reader does.
fn open_container<Container>(
    path: &Path,
    mut container: Container,
    readers: &[Reader<Container>],
    asked: Option<Layout>,
) -> Result<Result<Box<dyn Store>, Container>, StoreError> {
    for reader in readers {
        if !(reader.matches)(&mut container)? {
            continue;
        }
        if let Some(asked) = asked.filter(|asked| *asked != reader.layout) {
            let found = format!("it has the layout {}", reader.layout);
            return Err(StoreError::OtherLayout { path: path.into(), asked, found });
        }
        return (reader.open)(path, container).map(Ok);
    }
    Ok(Err(container))
}
