//! HDF5 as the weights layouts use it: a tree of groups with text attributes, and datasets as tensors. [`h5`](crate::h5) reads
//! it, and its guard checks every file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::element;
use crate::h5::{Attribute, Dataset, File, Hdf5Error};
use crate::request::Layout;
use crate::weights::store::{Entry, MAX_TENSOR_BYTES, Number, Store, StoreError, entry_with_rows, unreadable};

pub(crate) use crate::h5::Kind;

/// The text of an attribute.
#[derive(Debug, PartialEq)]
pub(crate) enum Text {
    One(String),
    Many(Vec<String>),
}

/// A tensor whose declaration has been checked.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub shape: Vec<usize>,
    pub number: Number,
    dataset: Dataset,
}

/// An HDF5 file, opened for reading.
#[derive(Debug)]
pub(crate) struct Tree {
    file: File,
    path: PathBuf,
    temporary: Option<TempPath>,
}

impl Tree {
    pub fn open(path: &Path) -> Result<Tree, StoreError> {
        let file = File::open(path).map_err(|error| of_file(path, error))?;
        Ok(Tree { file, path: path.into(), temporary: None })
    }

    /// Opens a temporary copy, which is deleted with the store; messages name `path`.
    pub fn open_temporary(copy: TempPath, path: &Path) -> Result<Tree, StoreError> {
        let file = File::open(&copy).map_err(|error| of_file(path, error))?;
        Ok(Tree { file, path: path.into(), temporary: Some(copy) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A summary of the root group, for messages about an unknown layout.
    pub fn describe_root(&mut self) -> Result<String, StoreError> {
        let mut attributes = self.file.attributes("/").map_err(|error| of_file(&self.path, error))?;
        let mut members = self.members("/")?;
        attributes.truncate(8);
        members.truncate(8);
        let list = |names: &[String]| if names.is_empty() { "none".to_string() } else { names.join(", ") };
        Ok(format!("attributes at the root: {}; members: {}", list(&attributes), list(&members)))
    }

    /// Names in a group, sorted as text.
    pub fn members(&mut self, group: &str) -> Result<Vec<String>, StoreError> {
        self.file.members(group).map_err(|error| of_file(&self.path, error))
    }

    /// The kind of object at `path`; `None` if a link on the way is missing. A link that leaves the tree is an error.
    pub fn kind(&mut self, path: &str) -> Result<Option<Kind>, StoreError> {
        self.file.kind(path).map_err(|error| of_file(&self.path, error))
    }

    /// The text in attribute `name` of the group `group`, or `None` if there is no such attribute. An empty array is an
    /// empty list, whatever its type (Keras writes such lists as `f64`).
    pub fn text(&self, group: &str, name: &str) -> Result<Option<Text>, StoreError> {
        match self.file.attribute(group, name).map_err(|error| of_file(&self.path, error))? {
            None => Ok(None),
            Some(Attribute::Text(text)) => Ok(Some(Text::One(text))),
            Some(Attribute::Texts(texts)) => Ok(Some(Text::Many(texts))),
            Some(Attribute::Numbers(_) | Attribute::Bool(_)) => {
                let location = format!("attribute '{name}' of {group}");
                Err(corrupt(&location, "it has numbers where text is expected"))
            }
        }
    }

    /// Opens the dataset at `path` and checks its declaration; no values are read.
    pub fn tensor(&mut self, path: &str) -> Result<Tensor, StoreError> {
        let dataset = self.file.dataset(path).map_err(|error| match error {
            Hdf5Error::Missing { location } => {
                corrupt(&location, "the file refers to this dataset but does not contain it")
            }
            error => of_file(&self.path, error),
        })?;
        let bits = dataset.element().size() * 8;
        let number = match dataset.element().kind() {
            element::Kind::Float => Number::Float(bits),
            element::Kind::Bfloat16 => Number::Bfloat16,
            element::Kind::Signed | element::Kind::Unsigned => Number::Integer(bits),
            element::Kind::Bool => {
                return Err(StoreError::NonNumeric { location: path.into(), found: "booleans".into() });
            }
        };
        let elements: usize = dataset.shape().iter().product();
        let bytes = (elements as u64).checked_mul(dataset.element().size().max(4) as u64);
        if bytes.is_none_or(|bytes| bytes > MAX_TENSOR_BYTES) {
            let what = format!("it declares {elements} numbers; the limit is {MAX_TENSOR_BYTES} bytes");
            return Err(StoreError::TooLarge { location: path.into(), what });
        }
        Ok(Tensor { shape: dataset.shape().to_vec(), number, dataset })
    }

    /// Creates the store of the tensors found, in this order.
    pub fn into_store(self, layout: Layout, has_names: bool, found: Vec<(Entry, Tensor)>) -> Box<dyn Store> {
        let (entries, tensors): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let datasets = tensors.into_iter().map(|tensor| tensor.dataset).collect();
        let Tree { file, path, temporary } = self;
        Box::new(Hdf5Store { layout, has_names, entries, datasets, file, path, _temporary: temporary })
    }
}

/// The store of all HDF5 layouts. The temporary file is the last field, so that it is deleted after the file is closed.
#[derive(Debug)]
struct Hdf5Store {
    layout: Layout,
    has_names: bool,
    entries: Vec<Entry>,
    datasets: Vec<Dataset>,
    file: File,
    path: PathBuf,
    _temporary: Option<TempPath>,
}

impl Store for Hdf5Store {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn has_names(&self) -> bool {
        self.has_names
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read_rows(&self, index: usize, rows: Range<usize>) -> Result<Vec<f32>, StoreError> {
        entry_with_rows(&self.entries, index, &rows)?;
        self.file.rows(&self.datasets[index], rows).map_err(|error| of_file(&self.path, error))
    }
}

/// Converts the error; if it concerns the whole file, the message names `path`.
fn of_file(path: &Path, error: Hdf5Error) -> StoreError {
    let named = |location: String| if location == "/" { path.display().to_string() } else { location };
    match error {
        Hdf5Error::Io(source) => unreadable(path, source),
        Hdf5Error::Missing { location } => corrupt(&location, "it is not in the file"),
        Hdf5Error::Short { location, what } => StoreError::Truncated { location: named(location), what },
        Hdf5Error::Damaged { location, what } => StoreError::Corrupt { location: named(location), what },
        Hdf5Error::Refused { location, what } => StoreError::Refused { location: named(location), what },
        Hdf5Error::TooLarge { location, what } => StoreError::TooLarge { location: named(location), what },
        Hdf5Error::NotNumbers { location, found } => StoreError::NonNumeric { location, found },
        Hdf5Error::Unwritable { location, what } => {
            StoreError::Unwritable { path: path.into(), what: format!("{location}: {what}") }
        }
    }
}

pub(crate) fn corrupt(location: &str, what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { location: location.into(), what: what.into() }
}

pub(crate) fn too_many(location: &str, count: u64, of: &str) -> StoreError {
    StoreError::TooLarge { location: location.into(), what: format!("{count} {of}") }
}
