//! Attributes: text, which may be in a global heap, numbers and booleans.

use super::error::Hdf5Error;
use super::limits::MAX_TEXT_BYTES;
use super::links;
use super::metadata::Metadata;
use crate::element::{Element, Kind};
use hdf5_reader::error::{Error, Result};
use hdf5_reader::global_heap::GlobalHeapCollection;
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::attribute::{self, AttributeMessage};
use hdf5_reader::messages::dataspace::DataspaceType;
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::{Datatype, StringPadding, StringSize, VarLenKind};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Text(String),
    /// An array of texts, or an empty array, whatever its type (Keras writes empty lists as `f64`).
    Texts(Vec<String>),
    /// One or more numbers.
    Numbers(Vec<f32>),
    Bool(bool),
}

/// The names of the attributes of an object, sorted.
pub(super) fn names(
    metadata: &Metadata,
    header: &ObjectHeader,
    location: &str,
) -> std::result::Result<Vec<String>, Hdf5Error> {
    let messages = messages(metadata, header).map_err(|error| Hdf5Error::of_reader(location, error))?;
    let mut names: Vec<String> = messages.into_iter().map(|message| message.name).collect();
    names.sort_unstable();
    Ok(names)
}

/// The value of the attribute `name` of the object at `location`; `None` if it has no such attribute.
pub(super) fn read(
    metadata: &Metadata,
    header: &ObjectHeader,
    location: &str,
    name: &str,
) -> std::result::Result<Option<Attribute>, Hdf5Error> {
    let messages = messages(metadata, header).map_err(|error| Hdf5Error::of_reader(location, error))?;
    let Some(message) = messages.into_iter().find(|message| message.name == name) else { return Ok(None) };
    let location = format!("attribute '{name}' of {location}");
    value(metadata, &message, &location).map(Some)
}

fn messages(metadata: &Metadata, header: &ObjectHeader) -> Result<Vec<AttributeMessage>> {
    let mut found = Vec::new();
    for message in &header.messages {
        match message {
            HdfMessage::Attribute(attribute) => found.push(attribute.clone()),
            HdfMessage::AttributeInfo(info) => {
                for object in links::indexed(metadata, info.fractal_heap_address, &[info.btree_name_index_address])? {
                    let mut cursor = Cursor::new(&object);
                    found.push(attribute::parse(
                        &mut cursor,
                        metadata.offset_size(),
                        metadata.length_size(),
                        object.len(),
                    )?);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn value(metadata: &Metadata, message: &AttributeMessage, location: &str) -> std::result::Result<Attribute, Hdf5Error> {
    let space = &message.dataspace;
    let count = match space.dataspace_type {
        DataspaceType::Null => Some(0),
        DataspaceType::Scalar => Some(1),
        DataspaceType::Simple => space.dims.iter().try_fold(1u64, |product, side| product.checked_mul(*side)),
    };
    let count = count.ok_or_else(|| Hdf5Error::too_large(location, format!("its shape is {:?}", space.dims)))?;
    if count == 0 {
        return Ok(Attribute::Texts(Vec::new()));
    }
    let size = match &message.datatype {
        Datatype::String { size: StringSize::Fixed(size), .. } => *size as usize,
        Datatype::VarLen { kind: VarLenKind::String, base, .. } if base.is_vlen_string_base() => {
            8 + usize::from(metadata.offset_size())
        }
        Datatype::Enum { base, .. } => element(base).map_or(0, Element::size),
        other => element(other).map_or(0, Element::size),
    };
    if size == 0 {
        let what = "its value is not text, numbers or a boolean";
        return Err(Hdf5Error::damaged(location, what));
    }
    // The elements are in the message, which has been read from the file.
    let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(size));
    let Some(bytes) = length.and_then(|length| message.raw_data.get(..length)) else {
        let what = format!("it declares {count} elements of {size} bytes, but has {} bytes", message.raw_data.len());
        return Err(Hdf5Error::damaged(location, what));
    };
    let texts = match &message.datatype {
        Datatype::String { padding, .. } => bytes
            .chunks_exact(size)
            .map(|text| utf8(trimmed(text, *padding), location))
            .collect::<std::result::Result<_, _>>()?,
        Datatype::VarLen { .. } => from_heaps(metadata, bytes, size, location)?,
        Datatype::Enum { .. } if count == 1 && is_bool(&message.datatype) => return Ok(Attribute::Bool(bytes[0] != 0)),
        Datatype::Enum { base, .. } => return Ok(numbers(base, bytes)),
        other => return Ok(numbers(other, bytes)),
    };
    Ok(match (space.dataspace_type, <[String; 1]>::try_from(texts)) {
        (DataspaceType::Scalar, Ok([text])) => Attribute::Text(text),
        (_, Ok(texts)) => Attribute::Texts(texts.into()),
        (_, Err(texts)) => Attribute::Texts(texts),
    })
}

/// The texts that these references point to, in global heaps.
fn from_heaps(
    metadata: &Metadata,
    references: &[u8],
    size: usize,
    location: &str,
) -> std::result::Result<Vec<String>, Hdf5Error> {
    let fail = |error| Hdf5Error::of_reader(location, error);
    let mut heaps: HashMap<u64, GlobalHeapCollection> = HashMap::new();
    let (mut texts, mut total) = (Vec::new(), 0);
    for reference in references.chunks_exact(size) {
        let mut cursor = Cursor::new(reference);
        let length = cursor.read_u32_le().map_err(fail)? as usize;
        let address = cursor.read_offset(metadata.offset_size()).map_err(fail)?;
        let index = cursor.read_u32_le().map_err(fail)?;
        if index == 0 || Cursor::is_undefined_offset(address, metadata.offset_size()) {
            texts.push(String::new());
            continue;
        }
        let heap = match heaps.entry(address) {
            Entry::Occupied(heap) => heap.into_mut(),
            Entry::Vacant(free) => {
                let (offsets, lengths) = (metadata.offset_size(), metadata.length_size());
                let heap = GlobalHeapCollection::parse_at_storage(metadata.storage(), address, offsets, lengths);
                free.insert(heap.map_err(|error| in_heap(location, error))?)
            }
        };
        let object = u16::try_from(index).ok().and_then(|index| heap.get_object(index));
        let Some(text) = object.and_then(|object| object.data.get(..length)) else {
            return Err(Hdf5Error::damaged(location, "it refers to text that is not in its global heap"));
        };
        // Many references may point to the same text.
        total += length as u64;
        metadata.take(length as u64).map_err(fail)?;
        if total > MAX_TEXT_BYTES {
            return Err(Hdf5Error::too_large(location, format!("it has more than {MAX_TEXT_BYTES} bytes of text")));
        }
        texts.push(utf8(trimmed(text, StringPadding::NullTerminate), location)?);
    }
    Ok(texts)
}

fn in_heap(location: &str, error: Error) -> Hdf5Error {
    match Hdf5Error::of_reader(location, error) {
        Hdf5Error::Damaged { location, what } => {
            Hdf5Error::Damaged { location, what: format!("its global heap: {what}") }
        }
        other => other,
    }
}

fn trimmed(text: &[u8], padding: StringPadding) -> &[u8] {
    let end = match padding {
        StringPadding::NullTerminate => text.iter().position(|byte| *byte == 0),
        StringPadding::NullPad => Some(text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)),
        StringPadding::SpacePad => Some(text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1)),
    };
    &text[..end.unwrap_or(text.len())]
}

fn utf8(bytes: &[u8], location: &str) -> std::result::Result<String, Hdf5Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Hdf5Error::damaged(location, "its text is not UTF-8"))
}

fn numbers(kind: &Datatype, bytes: &[u8]) -> Attribute {
    let mut values = Vec::new();
    if let Some(element) = element(kind) {
        element.append(bytes, &mut values);
    }
    Attribute::Numbers(values)
}

/// The element type, if it is numeric.
pub(super) fn element(kind: &Datatype) -> Option<Element> {
    let big = |order: &hdf5_reader::ByteOrder| *order == hdf5_reader::ByteOrder::BigEndian;
    match kind {
        Datatype::FixedPoint { size, signed, byte_order } => {
            let kind = if *signed { Kind::Signed } else { Kind::Unsigned };
            Element::new(kind, usize::from(*size), big(byte_order))
        }
        Datatype::FloatingPoint { size, byte_order } => Element::new(Kind::Float, usize::from(*size), big(byte_order)),
        _ => None,
    }
}

/// Whether a type is h5py's boolean: an enumeration of FALSE and TRUE in a byte.
pub(super) fn is_bool(kind: &Datatype) -> bool {
    let Datatype::Enum { base, members } = kind else { return false };
    let named = |name: &str, value: &[u8]| members.iter().any(|member| member.name == name && member.value == value);
    element(base).is_some_and(|element| element.size() == 1)
        && members.len() == 2
        && named("FALSE", &[0])
        && named("TRUE", &[1])
}
