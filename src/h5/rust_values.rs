//! Reading values with hdf5-reader or, if they are contiguous, directly from the file.

use super::dataset::{Dataset, Stored};
use super::error::Hdf5Error;
use super::limits::MAX_CHUNK_BYTES;
use super::values::{Values, reserve};
use crate::element::Element;
use bytemuck::{Pod, Zeroable};
use hdf5_reader::error::{Error, Result};
use hdf5_reader::storage::{FileStorage, Storage};
use hdf5_reader::{Datatype, H5Type, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The size of the cache of decompressed chunks: rows are read in batches.
const CACHE_BYTES: usize = 16 << 20;

/// The values of an open file.
pub(super) struct RustValues {
    bytes: Arc<FileStorage>,
    file: Hdf5File,
}

impl RustValues {
    pub fn open(path: &Path, file: fs::File) -> std::result::Result<RustValues, Hdf5Error> {
        let location = path.display().to_string();
        let fail = |error| Hdf5Error::of_reader(&location, error);
        let bytes = Arc::new(FileStorage::from_file(file).map_err(fail)?);
        let options =
            OpenOptions::default().with_chunk_cache_bytes(CACHE_BYTES).with_max_chunk_bytes(MAX_CHUNK_BYTES as usize);
        let file = Hdf5File::from_storage_with_options(bytes.clone(), options).map_err(fail)?;
        Ok(RustValues { bytes, file })
    }

    /// Rows of a chunked dataset; a scalar has one chunk.
    fn chunked(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>> {
        let found = self.file.dataset(dataset.path())?;
        let shape: Vec<u64> = dataset.shape().iter().map(|side| *side as u64).collect();
        if found.address() != dataset.address || found.shape() != shape {
            return Err(Error::InvalidData("its path is ambiguous".to_owned()));
        }
        let mut selections = vec![SliceInfoElem::Slice { start: rows.start as u64, end: rows.end as u64, step: 1 }];
        selections.extend(shape.iter().skip(1).map(|side| SliceInfoElem::Slice { start: 0, end: *side, step: 1 }));
        let (element, selection) = (dataset.element(), SliceInfo { selections });
        match element.size() {
            1 => converted::<1>(&found, element, &selection),
            2 => converted::<2>(&found, element, &selection),
            4 => converted::<4>(&found, element, &selection),
            _ => converted::<8>(&found, element, &selection),
        }
    }
}

impl Values for RustValues {
    fn read(&self, dataset: &Dataset, rows: Range<usize>) -> std::result::Result<Vec<f32>, Hdf5Error> {
        let fail = |error| Hdf5Error::of_reader(dataset.path(), error);
        let size = dataset.row_len() * dataset.element().size();
        let bytes = rows.start * size..rows.end * size;
        let mut values = Vec::new();
        reserve(&mut values, rows.len() * dataset.row_len(), dataset)?;
        match dataset.stored() {
            Stored::Chunked => return self.chunked(dataset, rows).map_err(fail),
            Stored::Compact(data) => dataset.element().append(&data[bytes], &mut values),
            Stored::Contiguous { offset } => {
                // In pieces, so that not all bytes are in memory along with the values.
                const PIECE: usize = 1 << 20;
                for start in bytes.clone().step_by(PIECE) {
                    let length = PIECE.min(bytes.end - start);
                    let piece = self.bytes.read_range(offset + start as u64, length).map_err(fail)?;
                    dataset.element().append(&piece, &mut values);
                }
            }
        }
        Ok(values)
    }
}

fn converted<const N: usize>(found: &hdf5_reader::Dataset, element: Element, selection: &SliceInfo) -> Result<Vec<f32>>
where
    [u8; N]: Pod,
{
    let (stored, _) = found.read_slice::<Bytes<N>>(selection)?.into_raw_vec_and_offset();
    let mut values = Vec::new();
    let memory = values.try_reserve_exact(stored.len());
    memory.map_err(|_| Error::ResourceLimit(format!("its {} values do not fit in memory", stored.len())))?;
    element.append(bytemuck::cast_slice(&stored), &mut values);
    Ok(values)
}

/// The bytes of a number as stored in the file.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Bytes<const N: usize>([u8; N])
where
    [u8; N]: Pod;

impl<const N: usize> H5Type for Bytes<N>
where
    [u8; N]: Pod,
{
    fn hdf5_type() -> Datatype {
        Datatype::Opaque { size: N as u32, tag: String::new() }
    }

    fn from_bytes(bytes: &[u8], _kind: &Datatype) -> Result<Self> {
        let bytes = bytes.get(..N).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Bytes).ok_or_else(|| Error::InvalidData("a value is truncated".to_owned()))
    }

    fn element_size(_kind: &Datatype) -> usize {
        N
    }

    fn native_copy_compatible(_kind: &Datatype) -> bool {
        true
    }
}

impl std::fmt::Debug for RustValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RustValues")
    }
}
