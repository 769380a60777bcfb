//! The declaration of a dataset, checked before any values are read.

use super::attribute::{self, Attribute, element, is_bool};
use super::error::Hdf5Error;
use super::limits::{MAX_CHUNK_BYTES, MAX_DATASET_BYTES};
use super::metadata::Metadata;
use crate::element::{Element, Kind};
use crate::size::MAX_EXPANSION;
use hdf5_reader::chunk_index::{self, ChunkEntry};
use hdf5_reader::error::{Error, Result};
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::dataspace::{DataspaceMessage, DataspaceType};
use hdf5_reader::messages::filter_pipeline::{
    FILTER_DEFLATE, FILTER_FLETCHER32, FILTER_SHUFFLE, FilterPipelineMessage,
};
use hdf5_reader::messages::layout::{ChunkIndexing, DataLayout};
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::{Datatype, btree_v1, extensible_array, fixed_array};
use std::collections::HashSet;

/// A numeric dataset whose declaration has been checked.
#[derive(Clone, Debug)]
pub struct Dataset {
    path: String,
    /// The address of its header.
    pub(super) address: u64,
    shape: Vec<usize>,
    element: Element,
    /// Whether the element type comes from an attribute, not from the datatype.
    #[cfg_attr(not(feature = "hdf5"), allow(dead_code))] // Only libhdf5 needs to know.
    pub(super) untyped: bool,
    stored: Stored,
}

/// How the values of a dataset are stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Contiguous, at this offset in the file.
    Contiguous { offset: u64 },
    /// In the header of the dataset.
    Compact(Vec<u8>),
    /// In chunks, which may be compressed.
    Chunked,
}

impl Dataset {
    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Sizes of the axes, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type; booleans are [`Kind::Bool`].
    pub fn element(&self) -> Element {
        self.element
    }

    /// How the values are stored.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// The number of rows: the size of the first axis, or one for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The number of elements in a row.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The size of its values in bytes, uncompressed.
    pub(super) fn declared(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64 * self.element.size() as u64
    }
}

/// The dataset at `location`, with this header.
pub(super) fn of_header(
    metadata: &Metadata,
    header: &ObjectHeader,
    address: u64,
    location: &str,
) -> std::result::Result<Dataset, Hdf5Error> {
    let (mut space, mut kind, mut layout, mut filters) = (None, None, None, None);
    for message in &header.messages {
        match message {
            HdfMessage::Dataspace(found) => space = Some(found),
            HdfMessage::Datatype(found) => kind = Some(&found.datatype),
            HdfMessage::DataLayout(found) => layout = Some(&found.layout),
            HdfMessage::FilterPipeline(found) => filters = Some(found),
            HdfMessage::ExternalFiles(_) => {
                return Err(Hdf5Error::refused(location, "its bytes are in another file (external storage)"));
            }
            _ => {}
        }
    }
    let (Some(space), Some(kind), Some(layout)) = (space, kind, layout) else {
        return Err(Hdf5Error::damaged(location, "it has no shape, type or layout"));
    };
    check_filters(filters, location)?;
    let element = match element(kind) {
        _ if is_bool(kind) => Element::new(Kind::Bool, 1, false),
        Some(element) => in_format(element, metadata.raw_type(address, location)?.get(1..).unwrap_or_default()),
        None if is_bfloat16_of_keras(metadata, header, kind, location)? => Element::new(Kind::Bfloat16, 2, false),
        None => None,
    };
    let untyped = matches!(kind, Datatype::Opaque { .. });
    let Some(element) = element else {
        return Err(Hdf5Error::NotNumbers { location: location.to_owned(), found: in_words(kind).to_owned() });
    };
    let shape = shape(space, location)?;
    let size = element.size() as u64;
    let count = shape.iter().try_fold(1u64, |product, side| product.checked_mul(*side as u64));
    let Some(declared) = count.and_then(|count| count.checked_mul(size)).filter(|bytes| *bytes <= MAX_DATASET_BYTES)
    else {
        return Err(Hdf5Error::too_large(location, format!("its shape is {shape:?}, with {size} bytes per element")));
    };
    let stored = stored(metadata, layout, space, declared, size, location)?;
    Ok(Dataset { path: location.to_owned(), address, shape, element, untyped, stored })
}

/// NumPy has no bfloat16, so Keras 3 stores two untyped bytes and states the type in an attribute, except in its `.h5` files.
fn is_bfloat16_of_keras(
    metadata: &Metadata,
    header: &ObjectHeader,
    kind: &Datatype,
    location: &str,
) -> std::result::Result<bool, Hdf5Error> {
    if !matches!(kind, Datatype::Opaque { size: 2, .. }) {
        return Ok(false);
    }
    match attribute::read(metadata, header, location, "dtype")? {
        Some(Attribute::Text(text)) if text == "bfloat16" => Ok(true),
        Some(_) => Ok(false),
        None => {
            let what = "its elements are pairs of untyped bytes, as Keras writes bfloat16 in `.h5`: save it as `.keras` or \
                        `.weights.h5`, which state the type";
            Err(Hdf5Error::refused(location, what))
        }
    }
}

fn shape(space: &DataspaceMessage, location: &str) -> std::result::Result<Vec<usize>, Hdf5Error> {
    if space.dataspace_type == DataspaceType::Null {
        return Err(Hdf5Error::damaged(location, "it has no extent"));
    }
    let sides: std::result::Result<_, _> = space.dims.iter().map(|side| usize::try_from(*side)).collect();
    sides.map_err(|_| Hdf5Error::too_large(location, format!("its shape is {:?}", space.dims)))
}

fn check_filters(filters: Option<&FilterPipelineMessage>, location: &str) -> std::result::Result<(), Hdf5Error> {
    let mut known = HashSet::new();
    for filter in filters.into_iter().flat_map(|pipeline| &pipeline.filters) {
        if !matches!(filter.id, FILTER_DEFLATE | FILTER_SHUFFLE | FILTER_FLETCHER32) {
            let name = filter.name.as_deref().map(|name| format!(" ({})", name.escape_debug())).unwrap_or_default();
            let what = format!("it is compressed by filter {}{name}; only gzip is supported", filter.id);
            return Err(Hdf5Error::refused(location, what));
        }
        // Each gzip may expand a thousandfold.
        if !known.insert(filter.id) {
            return Err(Hdf5Error::refused(location, "it is compressed twice by the same filter"));
        }
    }
    Ok(())
}

/// Compares the size that a dataset declares with what the file contains.
fn stored(
    metadata: &Metadata,
    layout: &DataLayout,
    space: &DataspaceMessage,
    declared: u64,
    size: u64,
    location: &str,
) -> std::result::Result<Stored, Hdf5Error> {
    let short = |stored: u64| {
        Hdf5Error::short(location, format!("it declares {declared} bytes, of which the file has {stored}"))
    };
    match layout {
        DataLayout::Compact { data } if (data.len() as u64) < declared => Err(short(data.len() as u64)),
        DataLayout::Compact { data } => Ok(Stored::Compact(data.clone())),
        DataLayout::Contiguous { address, size } => {
            if declared == 0 {
                return Ok(Stored::Contiguous { offset: 0 });
            }
            if Cursor::is_undefined_offset(*address, metadata.offset_size()) {
                return Err(short(0));
            }
            let available = metadata.length().saturating_sub(*address).min(*size);
            let offset = address.checked_add(metadata.base()).filter(|_| available >= declared);
            offset.map(|offset| Stored::Contiguous { offset }).ok_or_else(|| short(available))
        }
        DataLayout::Chunked { address, dims, chunk_indexing, .. } => {
            // Since HDF5 1.10 the element size follows the dimensions.
            let sides = dims.get(..space.dims.len()).unwrap_or_default();
            let rest = dims.get(sides.len()..).unwrap_or_default();
            if sides.is_empty()
                || sides.contains(&0)
                || !(rest.is_empty() || rest.len() == 1 && u64::from(rest[0]) == size)
            {
                return Err(Hdf5Error::damaged(location, format!("its chunks have the shape {dims:?}")));
            }
            let chunk = sides.iter().try_fold(size, |bytes, side| bytes.checked_mul(u64::from(*side)));
            let Some(chunk) = chunk.filter(|bytes| *bytes <= MAX_CHUNK_BYTES) else {
                let what = format!("its chunks have the shape {sides:?}; the limit is {MAX_CHUNK_BYTES} bytes");
                return Err(Hdf5Error::too_large(location, what));
            };
            if declared == 0 {
                return Ok(Stored::Chunked);
            }
            let bytes = match Cursor::is_undefined_offset(*address, metadata.offset_size()) {
                true => 0,
                false => {
                    let chunks = chunks(metadata, *address, sides, chunk_indexing.as_ref(), space, chunk, size);
                    stored_in(metadata, &chunks.map_err(|error| Hdf5Error::of_reader(location, error))?, location)?
                }
            };
            if bytes == 0 {
                return Err(short(0));
            }
            if declared.max(chunk) / bytes > MAX_EXPANSION {
                let what = format!("it declares {declared} bytes in chunks of {chunk}, but stores {bytes}");
                return Err(Hdf5Error::too_large(location, what));
            }
            Ok(Stored::Chunked)
        }
    }
}

/// The total size of the chunks, which must be within the file and not overlap.
fn stored_in(metadata: &Metadata, chunks: &[ChunkEntry], location: &str) -> std::result::Result<u64, Hdf5Error> {
    let (mut total, mut addresses) = (0u64, HashSet::new());
    for chunk in chunks {
        if !addresses.insert(chunk.address) {
            return Err(Hdf5Error::damaged(location, "two of its chunks have the same address"));
        }
        if chunk.address.checked_add(chunk.size).is_none_or(|end| end > metadata.length()) {
            return Err(Hdf5Error::short(location, "one of its chunks extends past the end of the file"));
        }
        total = total.saturating_add(chunk.size);
    }
    match total > metadata.length() {
        true => Err(Hdf5Error::damaged(location, "its chunks overlap")),
        false => Ok(total),
    }
}

/// The chunks listed in the index of the dataset.
fn chunks(
    metadata: &Metadata,
    address: u64,
    sides: &[u32],
    index: Option<&ChunkIndexing>,
    space: &DataspaceMessage,
    chunk: u64,
    size: u64,
) -> Result<Vec<ChunkEntry>> {
    let (storage, offsets, lengths) = (metadata.storage(), metadata.offset_size(), metadata.length_size());
    let rank = space.dims.len();
    match index {
        None => {
            let leaves = btree_v1::collect_btree_v1_leaves_storage(
                storage,
                address,
                offsets,
                lengths,
                Some(rank as u32),
                sides,
                None,
            )?;
            leaves.into_iter().map(|(key, address)| of_leaf(key, address, rank)).collect()
        }
        // Without a filter, the size is not stored.
        Some(ChunkIndexing::SingleChunk { filtered_size: 0, .. }) => {
            Ok(vec![chunk_index::single_chunk_entry(address, chunk, 0, rank)])
        }
        Some(ChunkIndexing::SingleChunk { filtered_size, filters }) => {
            Ok(vec![chunk_index::single_chunk_entry(address, *filtered_size, *filters, rank)])
        }
        Some(ChunkIndexing::BTreeV2) => {
            chunk_index::collect_v2_chunk_entries_storage(storage, address, offsets, lengths, rank as u32, sides, None)
                .map(|entries| sized(entries, chunk))
        }
        Some(ChunkIndexing::Implicit) => {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            chunk_index::collect_implicit_chunk_entries(address, &space.dims, sides, size, None, metadata.length())
        }
        Some(ChunkIndexing::FixedArray { .. }) => fixed_array::collect_fixed_array_chunk_entries_storage(
            storage,
            address,
            offsets,
            lengths,
            &space.dims,
            sides,
            None,
        )
        .map(|entries| sized(entries, chunk)),
        Some(ChunkIndexing::ExtensibleArray { .. }) => {
            extensible_array::collect_extensible_array_chunk_entries_storage(
                storage,
                address,
                offsets,
                lengths,
                &space.dims,
                space.max_dims.as_deref(),
                sides,
                None,
            )
            .map(|entries| sized(entries, chunk))
        }
    }
}

fn of_leaf(key: btree_v1::BTreeV1Key, address: u64, rank: usize) -> Result<ChunkEntry> {
    match key {
        btree_v1::BTreeV1Key::RawData { chunk_size, filter_mask, mut offsets } => {
            offsets.truncate(rank);
            Ok(ChunkEntry { address, size: u64::from(chunk_size), filter_mask, offsets })
        }
        btree_v1::BTreeV1Key::Group { .. } => {
            Err(Error::InvalidData("its chunk index is an index of links".to_owned()))
        }
    }
}

/// Sets the size of entries without one (no filter) to that of a full chunk.
fn sized(mut entries: Vec<ChunkEntry>, chunk: u64) -> Vec<ChunkEntry> {
    entries.iter_mut().filter(|entry| entry.size == 0).for_each(|entry| entry.size = chunk);
    entries
}

/// The element type, if its bit layout is two's complement, IEEE 754 or bfloat16. `kind` is the encoded datatype without its
/// first byte.
fn in_format(element: Element, kind: &[u8]) -> Option<Element> {
    let bits = element.size() as u16 * 8;
    let [order, sign, _, _, _, _, _, rest @ ..] = kind else { return None };
    let short = |at: usize| rest.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    if short(0) != Some(0) || short(2) != Some(bits) {
        return None;
    }
    if element.kind() != Kind::Float {
        return Some(element);
    }
    let bias = rest.get(8..12).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))?;
    // Bit 6: VAX order; bits 4 and 5: the leading bit of the mantissa is implied.
    if u16::from(*sign) != bits - 1 || order & 0b0111_0000 != 0b0010_0000 {
        return None;
    }
    match (bits, rest.get(4..8)?, bias) {
        (16, [10, 5, 0, 10], 15) | (32, [23, 8, 0, 23], 127) | (64, [52, 11, 0, 52], 1023) => Some(element),
        (16, [7, 8, 0, 7], 127) => Element::new(Kind::Bfloat16, 2, order & 1 != 0),
        _ => None,
    }
}

/// A description of a datatype that is not supported.
fn in_words(kind: &Datatype) -> &'static str {
    match kind {
        Datatype::Compound { .. } => "records (a compound type)",
        Datatype::Enum { .. } => "an enumeration",
        Datatype::Array { .. } | Datatype::VarLen { kind: hdf5_reader::VarLenKind::Sequence, .. } => {
            "arrays as elements"
        }
        Datatype::Reference { .. } => "references",
        Datatype::Opaque { .. } | Datatype::Bitfield { .. } => "untyped bytes",
        Datatype::FixedPoint { .. } | Datatype::FloatingPoint { .. } => "numbers in an unusual format",
        Datatype::String { .. } | Datatype::VarLen { .. } => "text",
    }
}
