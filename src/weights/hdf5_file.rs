//! HDF5 as the readers and writers of weights use it: paths walked over hard links only, attributes as text,
//! datasets whose declarations are checked before anything is read, files replaced as a whole.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5::dataset::Layout as Storage;
use hdf5::filters::Filter;
use hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, Extents, Group, Hyperslab, IndexType, IterationOrder, LinkType, LocationType, SliceOrIndex};
use tempfile::TempPath;

use super::hdf5_heaps::{MAX_TEXT_BYTES, check_heaps};
use super::store::{
    Entry, Layout, MAX_EXPANSION, MAX_ITEMS, MAX_TENSOR_BYTES, Number, Store, StoreError, row_count, unreadable,
};
use crate::file::locked;

/// The largest chunk that is decompressed in one piece.
const MAX_CHUNK_BYTES: u64 = 256 << 20;

/// What the text of an attribute is.
#[derive(Debug, PartialEq)]
pub(super) enum Text {
    One(String),
    Many(Vec<String>),
}

/// What a link of a group leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Group,
    Dataset,
    Other,
}

/// A tensor whose declaration was checked.
#[derive(Debug)]
pub(super) struct Tensor {
    pub shape: Vec<usize>,
    pub number: Number,
    dataset: Dataset,
}

/// An HDF5 file opened for reading, walked from the root; never through soft, external or user-defined links.
#[derive(Debug)]
pub(super) struct Tree {
    file: hdf5::File,
    path: PathBuf,
    length: u64,
    links: HashMap<String, BTreeMap<String, LinkType>>,
    temporary: Option<TempPath>,
}

impl Tree {
    pub fn open(path: &Path) -> Result<Tree, StoreError> {
        let bytes = fs::File::open(path).map_err(|source| unreadable(path, source))?;
        let length = bytes.metadata().map_err(|source| unreadable(path, source))?.len();
        let place = path.display().to_string();
        check_heaps(&bytes, length).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => corrupt(&place, error.to_string()),
            _ => unreadable(path, error),
        })?;
        hdf5::silence_errors(true);
        let file = hdf5::File::open(path).map_err(|error| match locked(&error.to_string()) {
            Some(busy) => unreadable(path, busy),
            None => damaged(&place, &error),
        })?;
        Ok(Tree { file, path: path.into(), length, links: HashMap::new(), temporary: None })
    }

    /// Opens a temporary copy, which is deleted with the store; messages name `path`.
    pub fn open_temporary(copy: TempPath, path: &Path) -> Result<Tree, StoreError> {
        let tree = Tree::open(&copy)?;
        Ok(Tree { path: path.into(), temporary: Some(copy), ..tree })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands at the root, for a message about an unknown layout.
    pub fn describe_root(&mut self) -> Result<String, StoreError> {
        let mut attributes = self.file.attr_names().map_err(|error| damaged("/", &error))?;
        let mut members = self.members("/")?;
        attributes.truncate(8);
        members.truncate(8);
        let list = |names: &[String]| if names.is_empty() { "none".to_string() } else { names.join(", ") };
        Ok(format!("attributes at the root: {}; members: {}", list(&attributes), list(&members)))
    }

    /// Names in a group, sorted as text.
    pub fn members(&mut self, group: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.links_of(group)?.keys().cloned().collect())
    }

    /// What is at `path`; `None` if a link on the way is missing. A link out of the tree is an error.
    pub fn kind(&mut self, path: &str) -> Result<Option<Kind>, StoreError> {
        let mut place = String::new();
        let mut kind = Kind::Group;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if kind != Kind::Group {
                return Ok(None);
            }
            let parent = if place.is_empty() { "/" } else { place.as_str() };
            let link = self.links_of(parent)?.get(part).copied();
            place = format!("{place}/{part}");
            match link {
                None => return Ok(None),
                Some(LinkType::Hard) => {}
                Some(link) => {
                    let what = if link == LinkType::Soft { "a soft link" } else { "an external link" };
                    return Err(StoreError::Refused {
                        place,
                        what: format!("it is {what}, which could lead anywhere"),
                    });
                }
            }
            let found = self.file.loc_type_by_name(&place).map_err(|error| damaged(&place, &error))?;
            kind = match found {
                LocationType::Group => Kind::Group,
                LocationType::Dataset => Kind::Dataset,
                _ => Kind::Other,
            };
        }
        Ok(Some(kind))
    }

    fn links_of(&mut self, group: &str) -> Result<&BTreeMap<String, LinkType>, StoreError> {
        if !self.links.contains_key(group) {
            let handle = self.open_group(group)?;
            let count = handle.len();
            if count > MAX_ITEMS as u64 {
                return Err(too_many(group, count, "members"));
            }
            let links = handle.links(IndexType::Name, IterationOrder::Native);
            let links = links.map_err(|error| damaged(group, &error))?;
            let links = links.into_iter().map(|(name, info)| (name, info.link_type)).collect();
            self.links.insert(group.to_string(), links);
        }
        Ok(&self.links[group])
    }

    /// The caller has made sure that the way to `path` is made of hard links.
    fn open_group(&self, path: &str) -> Result<Group, StoreError> {
        self.file.group(path).map_err(|error| damaged(path, &error))
    }

    /// The text in attribute `name` of the group `group`: `None` if there is no such attribute. An array without
    /// elements is an empty list whatever its type (Keras writes such lists as `f64`).
    pub fn text(&self, group: &str, name: &str) -> Result<Option<Text>, StoreError> {
        let place = format!("attribute '{name}' of {group}");
        let fail = |error: hdf5::Error| damaged(&place, &error);
        let holder = self.open_group(group)?;
        if !holder.attr_names().map_err(fail)?.iter().any(|known| known == name) {
            return Ok(None);
        }
        let attribute = holder.attr(name).map_err(fail)?;
        let extents = attribute.space().and_then(|space| space.extents()).map_err(fail)?;
        let count = checked_elements(&extents, &place)?;
        if count == 0 {
            return Ok(Some(Text::Many(Vec::new())));
        }
        let datatype = attribute.dtype().map_err(fail)?;
        let descriptor = datatype.to_descriptor().map_err(fail)?;
        let bytes = count.checked_mul(datatype.size() as u64);
        if bytes.is_none_or(|bytes| bytes > MAX_TEXT_BYTES as u64) || count > MAX_ITEMS as u64 {
            return Err(too_many(&place, count, "elements"));
        }
        macro_rules! read {
            ($type:ty) => {{
                let texts = attribute.read_raw::<$type>().map_err(fail)?;
                texts.iter().map(|text| utf8(text.as_bytes(), &place)).collect::<Result<Vec<_>, _>>()?
            }};
        }
        // The lengths of fixed strings are types here: a few sizes serve, HDF5 pads.
        let mut texts = match descriptor {
            TypeDescriptor::VarLenAscii => read!(VarLenAscii),
            TypeDescriptor::VarLenUnicode => read!(VarLenUnicode),
            TypeDescriptor::FixedAscii(..=64) => read!(FixedAscii<64>),
            TypeDescriptor::FixedAscii(..=1024) => read!(FixedAscii<1024>),
            TypeDescriptor::FixedAscii(..=65536) => read!(FixedAscii<65536>),
            TypeDescriptor::FixedUnicode(..=64) => read!(FixedUnicode<64>),
            TypeDescriptor::FixedUnicode(..=1024) => read!(FixedUnicode<1024>),
            TypeDescriptor::FixedUnicode(..=65536) => read!(FixedUnicode<65536>),
            other => return Err(StoreError::Corrupt { place, what: format!("text is expected, it has {other}") }),
        };
        match extents {
            Extents::Scalar => Ok(texts.pop().map(Text::One)),
            _ => Ok(Some(Text::Many(texts))),
        }
    }

    /// Opens the dataset at `path` and checks what it declares, before anything of it is read.
    pub fn tensor(&mut self, path: &str) -> Result<Tensor, StoreError> {
        match self.kind(path)? {
            Some(Kind::Dataset) => {}
            None => return Err(corrupt(path, "the file refers to this dataset and does not have it")),
            Some(Kind::Group) => return Err(corrupt(path, "it is a group where a dataset is expected")),
            Some(Kind::Other) => return Err(corrupt(path, "it is not a dataset")),
        }
        let dataset = self.file.dataset(path).map_err(|error| damaged(path, &error))?;
        let (shape, number) = self.check(&dataset, path)?;
        Ok(Tensor { shape, number, dataset })
    }

    fn check(&self, dataset: &Dataset, place: &str) -> Result<(Vec<usize>, Number), StoreError> {
        let fail = |error: hdf5::Error| damaged(place, &error);
        let refuse = |what: String| Err(StoreError::Refused { place: place.into(), what });
        // Where the bytes are comes first: the extent of a virtual dataset is found by opening other files.
        let creation = dataset.create_plist().map_err(fail)?;
        let storage = creation.get_layout().map_err(fail)?;
        if storage == Storage::Virtual {
            return refuse("it is a virtual dataset, made of other files".into());
        }
        if !creation.get_external().map_err(fail)?.is_empty() {
            return refuse("its bytes are in another file (external storage)".into());
        }
        for filter in creation.get_filters().map_err(fail)? {
            if !matches!(filter, Filter::Deflate(_) | Filter::Shuffle | Filter::Fletcher32) {
                return refuse(format!("it is compressed with a filter other than gzip: {filter:?}"));
            }
        }
        let datatype = dataset.dtype().map_err(fail)?;
        let bits = datatype.size() * 8;
        let number = match datatype.to_descriptor() {
            Ok(TypeDescriptor::Float(_)) => Number::Float(bits),
            Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => Number::Integer(bits),
            // Half precision has no descriptor, and converts.
            Err(_) if bits == 16 && datatype.conv_to::<f32>().is_some() => Number::Float(bits),
            Ok(other) => return Err(StoreError::NonNumeric { place: place.into(), found: other.to_string() }),
            Err(error) => return Err(StoreError::NonNumeric { place: place.into(), found: error.to_string() }),
        };
        let extents = dataset.space().and_then(|space| space.extents()).map_err(fail)?;
        if extents.is_null() {
            return Err(corrupt(place, "it has no extent"));
        }
        let elements = checked_elements(&extents, place)?;
        let bytes = elements.checked_mul(datatype.size().max(4) as u64).filter(|bytes| *bytes <= MAX_TENSOR_BYTES);
        let Some(declared) = bytes.map(|_| elements * datatype.size() as u64) else {
            let what = format!("it declares {elements} numbers; at most {MAX_TENSOR_BYTES} bytes are read");
            return Err(StoreError::TooLarge { place: place.into(), what });
        };
        if declared > 0 {
            self.check_stored(dataset, storage, declared, place)?;
        }
        Ok((extents.dims(), number))
    }

    /// Compares the bytes that a dataset declares with those that the file has.
    fn check_stored(&self, set: &Dataset, storage: Storage, declared: u64, place: &str) -> Result<(), StoreError> {
        let stored = set.storage_size();
        let cut = |what: String| Err(StoreError::Truncated { place: place.into(), what });
        if stored == 0 {
            return cut(format!("it declares {declared} bytes and stores none"));
        }
        let end = set.offset().unwrap_or(0).checked_add(stored);
        if end.is_none_or(|end| end > self.length) {
            return cut(format!("its {stored} bytes end after the end of the file, which has {}", self.length));
        }
        if storage != Storage::Chunked {
            return if stored < declared { cut(format!("it stores {stored} of {declared} bytes")) } else { Ok(()) };
        }
        let item = set.dtype().map_err(|error| damaged(place, &error))?.size() as u64;
        let sides = set.chunk().unwrap_or_default();
        let chunk = sides.iter().try_fold(item, |bytes, side| bytes.checked_mul(*side as u64)).unwrap_or(u64::MAX);
        let expansion = declared.max(chunk) / stored;
        if chunk > MAX_CHUNK_BYTES || expansion > MAX_EXPANSION {
            let what = format!("it declares {declared} bytes in chunks of {chunk} and stores {stored}");
            return Err(StoreError::TooLarge { place: place.into(), what });
        }
        Ok(())
    }

    /// Makes the store of the tensors that were found, in their order.
    pub fn into_store(self, layout: Layout, has_names: bool, found: Vec<(Entry, Tensor)>) -> Box<dyn Store> {
        let (entries, tensors): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let datasets = tensors.into_iter().map(|tensor| tensor.dataset).collect();
        Box::new(Hdf5Store { layout, has_names, entries, datasets, _file: self.file, _temporary: self.temporary })
    }
}

/// The store of every layout that is in HDF5. The temporary file is last: it goes after the file is closed.
#[derive(Debug)]
struct Hdf5Store {
    layout: Layout,
    has_names: bool,
    entries: Vec<Entry>,
    datasets: Vec<Dataset>,
    _file: hdf5::File,
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
        let (Some(entry), Some(dataset)) = (self.entries.get(index), self.datasets.get(index)) else {
            return Err(StoreError::NoSuchEntry { index });
        };
        let fail = |error: hdf5::Error| damaged(&entry.key, &error);
        let count = row_count(&entry.shape);
        if rows.end > count {
            return Err(StoreError::NoSuchRows { place: entry.key.clone(), end: rows.end, rows: count });
        }
        if rows.is_empty() || entry.elements() == 0 {
            return Ok(Vec::new());
        }
        if rows == (0..count) {
            return dataset.read_raw::<f32>().map_err(fail);
        }
        let mut axes: Vec<SliceOrIndex> = entry.shape.iter().map(|side| (0..*side).into()).collect();
        axes[0] = rows.into();
        let values = dataset.read_slice::<f32, _, ndarray::IxDyn>(Hyperslab::from(axes)).map_err(fail)?;
        Ok(values.into_raw_vec_and_offset().0)
    }
}

fn checked_elements(extents: &Extents, place: &str) -> Result<u64, StoreError> {
    if extents.is_null() {
        return Ok(0);
    }
    let sides = extents.dims();
    sides.iter().try_fold(1u64, |product, side| product.checked_mul(*side as u64)).ok_or_else(|| StoreError::TooLarge {
        place: place.into(),
        what: format!("the product of its sides {sides:?} is beyond 64 bits"),
    })
}

fn utf8(bytes: &[u8], place: &str) -> Result<String, StoreError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| corrupt(place, "its text is not UTF-8"))
}

pub(super) fn corrupt(place: &str, what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { place: place.into(), what: what.into() }
}

pub(super) fn too_many(place: &str, count: u64, of: &str) -> StoreError {
    StoreError::TooLarge { place: place.into(), what: format!("{count} {of}") }
}

/// HDF5 itself tells when a file is shorter than its superblock says.
fn damaged(place: &str, error: &hdf5::Error) -> StoreError {
    let what = error.to_string();
    match what.contains("truncated file") {
        true => StoreError::Truncated { place: place.into(), what: cut_short(&what).unwrap_or(what) },
        false => corrupt(place, what),
    }
}

/// `… eof = 600, …, stored_eof = 611736` in a user's words.
fn cut_short(what: &str) -> Option<String> {
    let number = |key: &str| -> Option<u64> {
        let rest = what.split_once(key)?.1;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    Some(format!("it has {} of {} bytes", number(" eof = ")?, number("stored_eof = ")?))
}
