//! PyTorch's `torch.save`: a ZIP archive with a pickle that describes the tensors (`data.pkl`) and the bytes of each storage
//! (`data/0`, `data/1`, …), which are not compressed. A state dict is read, alone or as an entry of a checkpoint.

mod pickle;

use super::hdf5_file::corrupt;
use super::tensor_file::TensorFile;
use super::tensor_source::{Location, Tensor};
use super::{wrappers, zip_file};
use crate::request::Layout;
use crate::size::MAX_EXPANSION;
use crate::weights::bind::axis_permutation::Framework;
use crate::weights::store::{MAX_TENSOR_BYTES, Store, StoreError};
use pickle::{Pickle, Value};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// The most bytes of a pickle: a tensor takes about a hundred.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// The entries of a checkpoint under which training scripts save a state dict.
const STATE_DICTS: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "module"];
/// The entry of a checkpoint of Lightning with its version.
const LIGHTNING_VERSION: &str = "pytorch-lightning_version";

/// Whether an archive is PyTorch's.
pub(crate) fn matches<R: Read + Seek>(archive: &ZipArchive<R>) -> bool {
    root(archive).is_some()
}

/// The folder of the archive that contains the pickle, with its slash: `archive/`.
fn root<R: Read + Seek>(archive: &ZipArchive<R>) -> Option<String> {
    let root = archive.file_names().find_map(|name| name.strip_suffix("data.pkl"))?;
    (root.is_empty() || root.ends_with('/')).then(|| root.to_string())
}

/// Opens an archive.
pub(crate) fn open(path: &Path, mut archive: ZipArchive<File>) -> Result<Box<dyn Store>, StoreError> {
    let location = path.display().to_string();
    let root = root(&archive).unwrap_or_default();
    let order = zip_file::member(&mut archive, path, &format!("{root}byteorder"), 16)?;
    if order.is_some_and(|order| order.trim_ascii() != b"little") {
        return Err(StoreError::Refused { location, what: "its numbers are big-endian".into() });
    }
    let bytes = zip_file::member(&mut archive, path, &format!("{root}data.pkl"), MAX_PICKLE_BYTES)?.unwrap_or_default();
    let pickle = Pickle::read(&bytes, &location)?;
    drop(bytes);
    let state = state_dict(&pickle, &location)?;
    let mut starts = HashMap::new();
    let mut tensors = Vec::with_capacity(state.len());
    for (name, tensor) in state {
        let storage = &tensor.storage;
        let start = match starts.get(&*storage.key) {
            Some(&(start, elements, number)) if (elements, number) == (storage.elements, storage.number) => start,
            Some(_) => return Err(corrupt(name, "two tensors describe one storage differently")),
            None => {
                let start = storage_start(&mut archive, path, &root, name, storage)?;
                starts.insert(&*storage.key, (start, storage.elements, storage.number));
                start
            }
        };
        let elements: usize = tensor.shape.iter().product();
        if elements > storage.elements.saturating_mul(MAX_EXPANSION as usize) {
            let what = format!(
                "it repeats the {} values of its storage to {elements}, as `expand` does: save `tensor.contiguous()`",
                storage.elements
            );
            return Err(StoreError::TooLarge { location: name.into(), what });
        }
        let start = start + (tensor.offset * storage.number.bytes()) as u64;
        let axes = (!is_contiguous(tensor))
            .then(|| tensor.shape.iter().copied().zip(tensor.strides.iter().copied()).collect());
        let location = Location { file: 0, start, axes, negated: tensor.negated };
        let name = name.to_string();
        tensors.push(Tensor { name, number: storage.number, shape: tensor.shape.clone(), location });
    }
    drop(starts);
    let of_lightning = pickle.entries(&pickle.root).any(|(key, _)| key == LIGHTNING_VERSION);
    let wrappers = [wrappers::DATA_PARALLEL, wrappers::COMPILED, wrappers::LIGHTNING];
    let remark = wrappers::unwrap(&mut tensors, if of_lightning { &wrappers } else { &wrappers[..2] });
    let files = vec![(path.into(), archive.into_inner())];
    Ok(Box::new(TensorFile::new(Layout::PyTorch, files, tensors, (Framework::PyTorch, remark))))
}

/// The tensors of the state dict: those of the entry of a checkpoint, which may have tensors beside it, else of the dictionary that was
/// saved.
fn state_dict<'p>(pickle: &'p Pickle, location: &str) -> Result<Vec<(&'p str, &'p pickle::Tensor)>, StoreError> {
    let tensors = |value: &'p Value| -> Vec<(&'p str, &'p pickle::Tensor)> {
        let tensor = |(name, value): (&'p str, &'p Value)| match value {
            Value::Tensor(tensor) => Some((name, tensor.as_ref())),
            _ => None,
        };
        pickle.entries(value).filter_map(tensor).collect()
    };
    let entries: Vec<(&str, &Value)> = pickle.entries(&pickle.root).collect();
    let known =
        STATE_DICTS.iter().filter_map(|key| entries.iter().find(|(name, _)| name == key).map(|(_, value)| *value));
    let found = known.chain([&pickle.root]).map(tensors).find(|tensors| !tensors.is_empty());
    found.ok_or_else(|| {
        let keys: Vec<String> = entries.iter().take(8).map(|(key, _)| format!("`{key}`")).collect();
        let what = match &pickle.root {
            Value::Tensor(_) => "it contains one tensor without a name".into(),
            _ if keys.is_empty() => "it contains no dictionary of tensors".into(),
            _ => format!("none of its entries is a state dict; it has {}", keys.join(", ")),
        };
        StoreError::Refused {
            location: location.into(),
            what: format!("{what}: `torch.save(model.state_dict(), …)` writes one"),
        }
    })
}

/// Whether the values are in row-major order without gaps. Strides of axes of size 1 mean nothing.
fn is_contiguous(tensor: &pickle::Tensor) -> bool {
    let mut expected = 1;
    tensor.shape.iter().zip(&tensor.strides).rev().all(|(&size, &stride)| {
        let fits = size <= 1 || stride == expected;
        expected *= size;
        fits
    })
}

/// The first byte of a storage in the file, whose member is checked.
fn storage_start(
    archive: &mut ZipArchive<File>,
    path: &Path,
    root: &str,
    tensor: &str,
    storage: &pickle::Storage,
) -> Result<u64, StoreError> {
    let name = format!("{root}data/{}", storage.key);
    let bytes = (storage.elements as u64).checked_mul(storage.number.bytes() as u64);
    let Some(bytes) = bytes.filter(|bytes| *bytes <= 4 * MAX_TENSOR_BYTES) else {
        let what = format!("its storage declares {} values", storage.elements);
        return Err(StoreError::TooLarge { location: tensor.into(), what });
    };
    let member = archive.by_name(&name).map_err(|error| match error {
        ZipError::FileNotFound => corrupt(tensor, format!("the archive has no member `{name}`")),
        error => zip_file::error(path, error),
    })?;
    if member.compression() != CompressionMethod::Stored {
        return Err(StoreError::Refused {
            location: tensor.into(),
            what: format!(
                "`{name}` is compressed: unpack the archive and pack it without compression, or save it anew"
            ),
        });
    }
    let (start, size) = (member.data_start(), member.size());
    drop(member);
    if size != bytes {
        return Err(corrupt(tensor, format!("its storage has {bytes} bytes, `{name}` {size}")));
    }
    Ok(start)
}
