//! Reading values and writing files with libhdf5.

use super::dataset::Dataset;
use super::error::Hdf5Error;
use super::rust_values::RustValues;
use super::values::{Values, reserve};
use super::writer::{Value, Writer};
use crate::element::Kind;
use hdf5::dataset::Layout;
use hdf5::types::{VarLenAscii, VarLenUnicode};
use hdf5::{Hyperslab, Location, SliceOrIndex};
use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Memory that the library may need to open or create a file, including caches. It dereferences null pointers if an
/// allocation fails (`H5AC_create` in 1.14).
const HEADROOM: usize = 8 << 20;

/// Prepares the library for a file, if there is enough memory.
fn prepare() -> Result<(), Hdf5Error> {
    let room = Vec::<u8>::new().try_reserve_exact(HEADROOM);
    room.map_err(|_| Hdf5Error::Io(std::io::ErrorKind::OutOfMemory.into()))?;
    hdf5::silence_errors(true);
    Ok(())
}

/// The values of an open file. Datasets stay open so that the library caches their chunks between reads.
#[derive(Debug)]
pub(super) struct LibraryValues {
    open: Mutex<HashMap<u64, hdf5::Dataset>>,
    file: hdf5::File,
    path: PathBuf,
    bytes: fs::File,
}

impl LibraryValues {
    pub fn open(path: &Path, bytes: fs::File) -> Result<LibraryValues, Hdf5Error> {
        prepare()?;
        let location = path.display().to_string();
        let file = hdf5::File::open(path).map_err(|error| error_of(&location, &error))?;
        Ok(LibraryValues { open: Mutex::default(), file, path: path.into(), bytes })
    }

    /// The dataset, which must be the same for the library as for the guard.
    fn dataset(&self, dataset: &Dataset) -> Result<hdf5::Dataset, Hdf5Error> {
        let location = dataset.path();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(&dataset.address) {
            return Ok(known.clone());
        }
        let fail = |error: hdf5::Error| error_of(location, &error);
        let found = self.file.dataset(location).map_err(fail)?;
        let creation = found.create_plist().map_err(fail)?;
        let differs = creation.get_layout().map_err(fail)? == Layout::Virtual
            || !creation.get_external().map_err(fail)?.is_empty()
            || found.get_shape().map_err(fail)? != dataset.shape();
        if differs {
            return Err(Hdf5Error::damaged(location, "its path is ambiguous"));
        }
        open.insert(dataset.address, found.clone());
        Ok(found)
    }
}

impl Values for LibraryValues {
    fn read(&self, dataset: &Dataset, rows: Range<usize>) -> Result<Vec<f32>, Hdf5Error> {
        // The library does not convert untyped bytes.
        if dataset.untyped {
            return RustValues::open(&self.path, self.bytes.try_clone().map_err(Hdf5Error::Io)?)?.read(dataset, rows);
        }
        let found = self.dataset(dataset)?;
        let fail = |error: hdf5::Error| error_of(dataset.path(), &error);
        if dataset.element().kind() == Kind::Bool {
            let values = part::<bool>(&found, dataset, rows).map_err(fail)?;
            return Ok(values.into_iter().map(f32::from).collect());
        }
        let mut values = Vec::new();
        reserve(&mut values, rows.len() * dataset.row_len(), dataset)?;
        if rows != (0..dataset.rows()) {
            return part::<f32>(&found, dataset, rows).map_err(fail);
        }
        values.resize(dataset.rows() * dataset.row_len(), 0.0);
        found.read_into_raw(&mut values).map_err(fail)?;
        Ok(values)
    }
}

fn part<T: hdf5::H5Type>(found: &hdf5::Dataset, dataset: &Dataset, rows: Range<usize>) -> hdf5::Result<Vec<T>> {
    if rows == (0..dataset.rows()) {
        return found.read_raw::<T>();
    }
    let mut axes: Vec<SliceOrIndex> = dataset.shape().iter().map(|side| (0..*side).into()).collect();
    axes[0] = rows.into();
    Ok(found.read_slice::<T, _, ndarray::IxDyn>(Hyperslab::from(axes))?.into_raw_vec_and_offset().0)
}

/// An error of the library about `location`, with its message, unless another program is writing the file.
fn error_of(location: &str, error: &hdf5::Error) -> Hdf5Error {
    let text = error.to_string();
    if text.contains("unable to lock file") {
        return Hdf5Error::busy();
    }
    Hdf5Error::damaged(location, text)
}

/// A file written by libhdf5.
pub(super) struct LibraryWriter {
    file: hdf5::File,
}

impl LibraryWriter {
    pub fn create(path: &Path) -> Result<LibraryWriter, Hdf5Error> {
        prepare()?;
        // The earliest version of each structure, which every HDF5 since 1.8 reads and which has no timestamps.
        let file = hdf5::File::with_options().with_fapl(|access| access.libver_earliest()).create(path);
        Ok(LibraryWriter { file: file.map_err(|error| Hdf5Error::of_writing(&error))? })
    }

    fn object(&self, path: &str) -> hdf5::Result<Location> {
        match path.trim_start_matches('/') {
            "" => Ok((**self.file).clone()),
            path => match self.file.group(path) {
                Ok(group) => Ok((*group).clone()),
                Err(_) => Ok((**self.file.dataset(path)?).clone()),
            },
        }
    }
}

impl Writer for LibraryWriter {
    fn group(&mut self, path: &str) -> Result<(), Hdf5Error> {
        let path = path.trim_start_matches('/');
        // It may have been created as the parent of another group (`fire2/squeeze`).
        if self.file.group(path).is_ok() {
            return Ok(());
        }
        let created = self.file.create_group_builder().obj_track_times(false).create(path);
        created.map(drop).map_err(|error| Hdf5Error::unwritable(path, error))
    }

    fn dataset(&mut self, path: &str, shape: &[usize], values: &[f32]) -> Result<(), Hdf5Error> {
        let path = path.trim_start_matches('/');
        let builder = self.file.new_dataset::<f32>().obj_track_times(false);
        let created = match shape.is_empty() {
            true => builder.shape(()).create(path),
            false => builder.shape(shape.to_vec()).create(path),
        };
        created.and_then(|dataset| dataset.write_raw(values)).map_err(|error| Hdf5Error::unwritable(path, error))
    }

    fn attribute(&mut self, path: &str, name: &str, value: Value<'_>) -> Result<(), Hdf5Error> {
        let put = || {
            let object = self.object(path)?;
            match value {
                Value::Text(text) => {
                    let text = unicode(text)?;
                    object.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text)
                }
                Value::Ascii(text) => {
                    let text = ascii(text)?;
                    object.new_attr::<VarLenAscii>().create(name)?.write_scalar(&text)
                }
                // An empty list is an empty f64 array, as in Keras.
                Value::Texts([]) => object.new_attr::<f64>().shape([0]).create(name).map(drop),
                Value::Texts(texts) if !texts.iter().all(|text| text.is_ascii()) => {
                    let texts = texts.iter().map(|text| unicode(text)).collect::<hdf5::Result<Vec<_>>>()?;
                    object.new_attr::<VarLenUnicode>().shape([texts.len()]).create(name)?.write_raw(&texts)
                }
                Value::Texts(texts) => {
                    let texts = texts.iter().map(|text| ascii(text)).collect::<hdf5::Result<Vec<_>>>()?;
                    object.new_attr::<VarLenAscii>().shape([texts.len()]).create(name)?.write_raw(&texts)
                }
                Value::Bool(value) => object.new_attr::<bool>().create(name)?.write_scalar(&value),
            }
        };
        put().map_err(|error: hdf5::Error| Hdf5Error::unwritable(&format!("attribute '{name}' of {path}"), error))
    }

    fn finish(self: Box<Self>) -> Result<(), Hdf5Error> {
        self.file.flush().and_then(|()| self.file.close()).map_err(|error| Hdf5Error::of_writing(&error))
    }
}

fn ascii(text: &str) -> hdf5::Result<VarLenAscii> {
    VarLenAscii::from_ascii(text).map_err(|error| format!("'{text}' is not ASCII: {error}").into())
}

fn unicode(text: &str) -> hdf5::Result<VarLenUnicode> {
    VarLenUnicode::from_str(text).map_err(|error| format!("'{text}': {error}").into())
}
