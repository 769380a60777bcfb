//! The file of a model: opening it with all its checks, and reading the values of its tensors.

use super::error::OnnxError;
use super::messages;
use super::model::{Model, Storage, Tensor, Value};
use super::tensor_values::{self, Format};
use super::wire::Wire;
use crate::file::{folder_of, open_regular};
use crate::size;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The format's own limit for a file: protocol buffers count in 31 bits.
const MAX_FILE: u64 = 2 << 30;
/// The most integers of a tensor that is a shape or a list of indices.
const MAX_INTEGERS: usize = 1 << 20;

/// The file of a model and its folder, in which tensors may have files of their own.
#[derive(Debug)]
pub struct Source {
    file: Mutex<File>,
    folder: PathBuf,
}

impl Source {
    /// Reads a model, and checks that the bytes of every tensor are where it says.
    ///
    /// # Errors
    /// If the file is cut short, damaged, too large, or refers to files outside its folder.
    pub fn open(path: &Path) -> Result<(Model, Source), OnnxError> {
        let (file, length) = open_regular(path)?;
        if length > MAX_FILE {
            return Err(OnnxError::too_large(
                "the file",
                format!("it has {length} bytes; ONNX has at most {MAX_FILE}"),
            ));
        }
        let mut wire = Wire::new(file.try_clone()?, length);
        let model = messages::read(&mut wire)?;
        let source = Source { file: Mutex::new(file), folder: folder_of(path) };
        let of_nodes =
            model.graph.nodes.iter().flat_map(|node| &node.attributes).filter_map(|(_, value)| match value {
                Value::Tensor(tensor) => Some(tensor),
                _ => None,
            });
        for tensor in model.graph.initializers.iter().chain(of_nodes) {
            source.check(tensor)?;
        }
        Ok((model, source))
    }

    /// Whether the shape of a tensor agrees with the bytes that it has.
    fn check(&self, tensor: &Tensor) -> Result<(), OnnxError> {
        let place = tensor_values::place(tensor);
        if !tensor.is_empty() && !size::is_tensor(&tensor.shape) {
            return Err(OnnxError::too_large(place, format!("its shape is {:?}", tensor.shape)));
        }
        let Some(format) = Format::of(tensor) else { return Ok(()) };
        let bytes = tensor.len() as u64 * format.bytes() as u64;
        let found = match &tensor.storage {
            Storage::Raw(range) => range.end - range.start,
            Storage::External { file, offset, length } => {
                let (_, there) = self.open_beside(place, file)?;
                let length = length.unwrap_or(there.saturating_sub(*offset));
                if offset.checked_add(length).is_none_or(|end| end > there) {
                    let what = format!("{file} has {there} bytes; it would be at {offset}, of {length} bytes");
                    return Err(OnnxError::Truncated { place: place.into(), what });
                }
                length
            }
            Storage::Listed { field, places } => {
                let found: u64 = places.iter().map(|place| place.end - place.start).sum();
                // Integers take one byte or more each.
                match format.listed_bytes(*field) {
                    Some(size) if size * tensor.len() as u64 == found => bytes,
                    None if found >= tensor.len() as u64 => bytes,
                    _ => found,
                }
            }
            Storage::Nothing => 0,
        };
        if found != bytes {
            let what = format!("its shape {:?} takes {bytes} bytes, it has {found}", tensor.shape);
            return Err(OnnxError::corrupt(place, what));
        }
        Ok(())
    }

    /// Opens a file that holds a tensor: inside the folder of the model, whatever its name or links say.
    fn open_beside(&self, place: &str, name: &str) -> Result<(File, u64), OnnxError> {
        let refused = |what: &str| OnnxError::Refused { place: place.into(), what: format!("{what}: {name}") };
        let path = Path::new(name);
        if name.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(refused("its values are in a file outside the folder of the model"));
        }
        let missing = |error| OnnxError::Io(std::io::Error::other(format!("{name}, which holds {place}: {error}")));
        let folder = self.folder.canonicalize()?;
        let path = folder.join(path).canonicalize().map_err(missing)?;
        if !path.starts_with(&folder) {
            return Err(refused("its values are in a file outside the folder of the model"));
        }
        open_regular(&path).map_err(missing)
    }

    /// Some values of a tensor, in their order, as `f32`.
    ///
    /// # Errors
    /// If they cannot be read (any more), or are no floating-point numbers.
    pub fn floats(&self, tensor: &Tensor, range: Range<usize>) -> Result<Vec<f32>, OnnxError> {
        let format = Format::of(tensor).filter(|format| format.is_float()).ok_or_else(|| not_numbers(tensor))?;
        match &tensor.storage {
            Storage::Raw(_) | Storage::External { .. } => {
                let bytes = self.bytes(tensor, format.bytes(), range)?;
                Ok(format.floats(&bytes))
            }
            _ => {
                let all = self.listed(tensor)?;
                let mut values = format.listed_floats(tensor, &all)?;
                Ok(values.drain(range.start.min(values.len())..range.end.min(values.len())).collect())
            }
        }
    }

    /// The integers of a small tensor.
    ///
    /// # Errors
    /// If they cannot be read, or it has other values.
    pub fn integers(&self, tensor: &Tensor) -> Result<Vec<i64>, OnnxError> {
        let format = Format::of(tensor).filter(|format| !format.is_float()).ok_or_else(|| not_numbers(tensor))?;
        if tensor.len() > MAX_INTEGERS {
            return Err(OnnxError::too_large(tensor_values::place(tensor), format!("its shape is {:?}", tensor.shape)));
        }
        match &tensor.storage {
            Storage::Raw(_) | Storage::External { .. } => {
                let bytes = self.bytes(tensor, format.bytes(), 0..tensor.len())?;
                Ok(format.integers(&bytes))
            }
            _ => tensor_values::varints(tensor, &self.listed(tensor)?),
        }
    }

    fn bytes(&self, tensor: &Tensor, size: usize, range: Range<usize>) -> Result<Vec<u8>, OnnxError> {
        let (first, count) = ((range.start * size) as u64, range.len() * size);
        match &tensor.storage {
            Storage::Raw(place) => self.read(place.start + first, count),
            Storage::External { file, offset, .. } => {
                let (mut file, _) = self.open_beside(tensor_values::place(tensor), file)?;
                let mut bytes = vec![0; count];
                file.seek(SeekFrom::Start(offset + first))?;
                file.read_exact(&mut bytes)?;
                Ok(bytes)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The bytes of all fields of a list.
    fn listed(&self, tensor: &Tensor) -> Result<Vec<u8>, OnnxError> {
        let Storage::Listed { places, .. } = &tensor.storage else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for place in places {
            all.extend(self.read(place.start, (place.end - place.start) as usize)?);
        }
        Ok(all)
    }

    fn read(&self, start: u64, count: usize) -> Result<Vec<u8>, OnnxError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; count];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn not_numbers(tensor: &Tensor) -> OnnxError {
    let found = tensor_values::type_name(tensor.element).to_string();
    OnnxError::NotNumbers { place: tensor_values::place(tensor).into(), found }
}
