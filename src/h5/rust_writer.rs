//! Writing files with hdf5-writer, which builds the whole file in memory.
//!
//! It supports variable-length text only in arrays, so single texts have a fixed length, of at most 64 KiB: h5py returns them
//! as bytes, which NeuPy and Keras accept.

use super::error::Hdf5Error;
use super::writer::{Value, Writer};
use hdf5_writer::{
    AttributeBuilder, ByteOrder, DatasetBuilder, Datatype, EnumMember, Hdf5Builder, StringEncoding, StringPadding,
    StringSize, WriteOptions,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The maximum size of an attribute, which is a message in an object header.
const MAX_ATTRIBUTE_BYTES: usize = 60 << 10;

/// A file being built.
pub(super) struct RustWriter {
    path: PathBuf,
    groups: BTreeSet<String>,
    /// Shape, bytes and attributes by path.
    datasets: BTreeMap<String, DatasetBuilder>,
    attributes: Vec<(String, AttributeBuilder)>,
}

impl RustWriter {
    pub fn create(path: &Path) -> RustWriter {
        RustWriter { path: path.to_owned(), groups: BTreeSet::new(), datasets: BTreeMap::new(), attributes: Vec::new() }
    }

    /// Creates the parent groups of `path`.
    fn create_parents(&mut self, path: &str) -> Result<(), Hdf5Error> {
        for (end, _) in path.match_indices('/') {
            self.group(&path[..end])?;
        }
        Ok(())
    }
}

impl Writer for RustWriter {
    fn group(&mut self, path: &str) -> Result<(), Hdf5Error> {
        let path = path.trim_start_matches('/');
        if self.datasets.contains_key(path) {
            return Err(Hdf5Error::unwritable(path, "it is a dataset"));
        }
        if self.groups.insert(path.to_owned()) {
            self.create_parents(path)?;
        }
        Ok(())
    }

    fn dataset(&mut self, path: &str, shape: &[usize], values: &[f32]) -> Result<(), Hdf5Error> {
        let path = path.trim_start_matches('/');
        self.create_parents(path)?;
        if self.groups.contains(path) || self.datasets.contains_key(path) {
            return Err(Hdf5Error::unwritable(path, "the path is taken"));
        }
        let shape: Vec<u64> = shape.iter().map(|side| *side as u64).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let builder = DatasetBuilder::typed_with_order::<f32>(path, shape, ByteOrder::LittleEndian).raw_data(bytes);
        self.datasets.insert(path.to_owned(), builder);
        Ok(())
    }

    fn attribute(&mut self, path: &str, name: &str, value: Value<'_>) -> Result<(), Hdf5Error> {
        let path = path.trim_start_matches('/');
        let location = format!("attribute '{name}' of {path}");
        let attribute = match value {
            Value::Text(text) => text_of(name, text, &location)?,
            Value::Ascii(text) => text_of(name, ascii(text, &location)?, &location)?,
            Value::Texts([]) => {
                AttributeBuilder::vector::<f64>(name, &[]).map_err(|error| of_writer(&location, error))?
            }
            Value::Texts(texts) => {
                AttributeBuilder::vlen_strings(name, texts).map_err(|error| of_writer(&location, error))?
            }
            Value::Bool(value) => AttributeBuilder::new(name, bool_type(), Vec::new(), vec![u8::from(value)]),
        };
        match self.datasets.remove(path) {
            Some(dataset) => drop(self.datasets.insert(path.to_owned(), dataset.attribute(attribute))),
            None => self.attributes.push((path.to_owned(), attribute)),
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Hdf5Error> {
        let location = self.path.display().to_string();
        // Groups are written only as parents of their members.
        for group in &self.groups {
            let within = |path: &String| path.strip_prefix(&group[..]).is_some_and(|rest| rest.starts_with('/'));
            let used = self.datasets.range(group.clone()..).any(|(path, _)| within(path))
                || self.attributes.iter().any(|(path, _)| path == group || within(path));
            if !used {
                return Err(Hdf5Error::unwritable(group, "it is an empty group without attributes"));
            }
        }
        let mut builder = Hdf5Builder::new();
        for dataset in self.datasets.into_values() {
            builder = builder.dataset(dataset);
        }
        for (path, attribute) in self.attributes {
            builder = match path.is_empty() {
                true => builder.attribute(attribute),
                false => builder.group_attribute(path, attribute),
            };
        }
        let plan = builder.into_plan().map_err(|error| of_writer(&location, error))?;
        let options = WriteOptions { byte_order: ByteOrder::LittleEndian, ..WriteOptions::default() };
        let bytes = plan.encode(options).map_err(|error| of_writer(&location, error))?;
        fs::write(&self.path, bytes).map_err(Hdf5Error::Io)
    }
}

fn text_of(name: &str, text: &str, location: &str) -> Result<AttributeBuilder, Hdf5Error> {
    if text.len() > MAX_ATTRIBUTE_BYTES {
        let what = format!("its text has {} bytes, more than {MAX_ATTRIBUTE_BYTES}", text.len());
        return Err(Hdf5Error::unwritable(location, what));
    }
    let encoding = if text.is_ascii() { StringEncoding::Ascii } else { StringEncoding::Utf8 };
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    let size = StringSize::Fixed(bytes.len() as u32);
    let kind = Datatype::String { size, encoding, padding: StringPadding::NullTerminate };
    Ok(AttributeBuilder::new(name, kind, Vec::new(), bytes))
}

fn ascii<'a>(text: &'a str, location: &str) -> Result<&'a str, Hdf5Error> {
    match text.is_ascii() && !text.contains('\0') {
        true => Ok(text),
        false => Err(Hdf5Error::unwritable(location, format!("'{}' is not ASCII", text.escape_debug()))),
    }
}

/// The boolean type of h5py.
fn bool_type() -> Datatype {
    let member = |name: &str, value| EnumMember { name: name.to_owned(), value: vec![value] };
    let base = Datatype::FixedPoint { size: 1, signed: true, byte_order: ByteOrder::LittleEndian };
    Datatype::Enum { base: Box::new(base), members: vec![member("FALSE", 0), member("TRUE", 1)] }
}

fn of_writer(location: &str, error: hdf5_writer::Error) -> Hdf5Error {
    match error {
        hdf5_writer::Error::Io(source) => Hdf5Error::Io(source),
        other => Hdf5Error::unwritable(location, other),
    }
}
