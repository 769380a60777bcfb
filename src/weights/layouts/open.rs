//! Opening files of weights: the layout is found from a file's content, never from its name, and every tensor's declaration
//! (type, size, where its bytes are) is checked before any of them is read, so that a hostile or damaged file cannot take
//! memory, reach another file or panic.

use super::hdf5_file::Tree;
use super::{keras, keras_archive, keras3, neupy, safetensors};
use crate::weights::store::{Layout, Store, StoreError, unreadable};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
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
    let content = Content::of(&mut file, length).map_err(|source| unreadable(path, source))?;
    match (content, layout) {
        (Content::Hdf5, Some(asked @ Layout::Safetensors)) => Err(other(asked, "it is an HDF5 file")),
        (Content::Hdf5, asked) => open_hdf5(Tree::open(path)?, asked),
        (Content::Zip, None | Some(Layout::Keras3)) => keras_archive::open(path, file),
        (Content::Zip, Some(asked)) => Err(other(asked, "it is a ZIP archive")),
        (Content::Safetensors, None | Some(Layout::Safetensors)) => safetensors::open(path, file, length),
        (Content::Safetensors, Some(asked)) => Err(other(asked, "it seems to be safetensors")),
        (Content::Other(seems), _) => {
            let advised = seems.contains("pickle");
            let seems = if advised { format!("{seems}: {}", keras_archive::SAFETENSORS) } else { seems.into() };
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
        Layout::Keras3 | Layout::Safetensors => keras3::open(tree),
    }
}

/// An ONNX file begins with its version and the name of what wrote it, as protocol buffers.
const ONNX: &str =
    "an ONNX model: `numpy_helper.to_array` of its initialisers and `safetensors.numpy.save_file` make weights of it";

/// What a file's bytes say that it is.
enum Content {
    Hdf5,
    Zip,
    Safetensors,
    Other(&'static str),
}

impl Content {
    fn of(file: &mut File, length: u64) -> io::Result<Content> {
        const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
        let mut head = Vec::new();
        file.by_ref().take(16).read_to_end(&mut head)?;
        // A user block may precede the signature: it stands at 0, 512, 1024, 2048, ...
        let mut offset = 512;
        // The length of safetensors' header may begin like a pickle: what follows it decides.
        if safetensors::begins(&head, length) {
            file.rewind()?;
            return Ok(Content::Safetensors);
        }
        let mut signature = [0; 8];
        signature[..head.len().min(8)].copy_from_slice(&head[..head.len().min(8)]);
        while signature != HDF5 && offset + 8 <= length {
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut signature)?;
            offset *= 2;
        }
        file.rewind()?;
        if signature == HDF5 {
            return Ok(Content::Hdf5);
        }
        Ok(Content::of_other(&head))
    }

    fn of_other(head: &[u8]) -> Content {
        const KNOWN: [(&[u8], &str); 10] = [
            (b"\x89PNG", "a PNG picture"),
            (b"\xff\xd8\xff", "a JPEG picture"),
            (b"GIF8", "a GIF picture"),
            (b"\x93NUMPY", "a NumPy array (.npy)"),
            (b"\x1f\x8b", "gzip-compressed: decompress it first"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "an old Python pickle of PyTorch (.pth, .pt)"),
            (b"\x80\x02", "a Python pickle"),
            (b"\x80\x04", "a Python pickle"),
            (b"\x80\x05", "a Python pickle"),
            (b"version https", "a Git LFS pointer: the file itself was not downloaded"),
        ];
        if head.is_empty() {
            return Content::Other("empty");
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Content::Zip;
        }
        if let Some((_, seems)) = KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Content::Other(seems);
        }
        if head.get(4..8) == Some(&b"TFL3"[..]) {
            return Content::Other(
                "a TensorFlow Lite model, which holds no names of layers: take the model that it was made from",
            );
        }
        if let [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x2a | 0x30 | 0x3a | 0x42, ..] = head {
            return Content::Other(ONNX);
        }
        let text = head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace() || *byte >= 0x80);
        match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'<') if text => Content::Other("a web page or XML: the download may have failed"),
            Some(b'{' | b'[') if text => Content::Other("JSON"),
            _ if text => Content::Other("text"),
            _ => Content::Other("some other binary file, or the start of it is damaged"),
        }
    }
}
