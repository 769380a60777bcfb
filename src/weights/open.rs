//! Opening files of weights: the layout is found from a file's content, never from its name, and every tensor's declaration
//! (type, size, where its bytes are) is checked before any of them is read, so that a hostile or damaged file cannot take
//! memory, reach another file or panic.

use super::hdf5_file::Tree;
use super::store::{Layout, Store, StoreError, unreadable};
use super::{keras, keras3, neupy, safetensors};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Opens a file of weights; `layout` insists on one, otherwise the content tells.
///
/// # Errors
/// [`StoreError`], with the path of the dataset that is at fault where there is one. Nothing is read but the
/// declarations; every one of them is checked.
pub fn open(path: &Path, layout: Option<Layout>) -> Result<Box<dyn Store>, StoreError> {
    let (mut file, length) = open_regular(path)?;
    let content = Content::of(&mut file, length).map_err(|source| unreadable(path, source))?;
    let other = |asked, found: &str| StoreError::OtherLayout { path: path.into(), asked, found: found.into() };
    match (content, layout) {
        (Content::Hdf5, Some(asked @ Layout::Safetensors)) => Err(other(asked, "it is an HDF5 file")),
        (Content::Hdf5, asked) => open_hdf5(Tree::open(path)?, asked),
        (Content::Zip, None | Some(Layout::Keras3)) => keras3::open_archive(path, file, length),
        (Content::Zip, Some(asked)) => Err(other(asked, "it is a ZIP archive")),
        (Content::Safetensors, None | Some(Layout::Safetensors)) => safetensors::open(path, file, length),
        (Content::Safetensors, Some(asked)) => Err(other(asked, "it seems to be safetensors")),
        (Content::Other(seems), _) => Err(StoreError::NotHdf5 { path: path.into(), seems: seems.into() }),
    }
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
        Ok(Content::of_other(&head, length))
    }

    fn of_other(head: &[u8], length: u64) -> Content {
        const KNOWN: [(&[u8], &str); 9] = [
            (b"\x89PNG", "a PNG picture"),
            (b"\xff\xd8\xff", "a JPEG picture"),
            (b"GIF8", "a GIF picture"),
            (b"\x93NUMPY", "a NumPy array (.npy)"),
            (b"\x1f\x8b", "gzip-compressed: decompress it first"),
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
        if let [a, b, c, d, e, f, g, h, b'{', ..] = *head {
            let header = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            if header.checked_add(8).is_some_and(|end| end <= length) {
                return Content::Safetensors;
            }
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
