//! The links of a group, in any of the three HDF5 representations: a symbol table (before HDF5 1.8, and still the default),
//! messages in the header, or a fractal heap with an index.

use super::error::Hdf5Error;
use super::metadata::Metadata;
use hdf5_reader::btree_v1;
use hdf5_reader::btree_v2::{self, BTreeV2Header, BTreeV2Record};
use hdf5_reader::error::{Error, Result};
use hdf5_reader::fractal_heap::{FractalHeap, FractalHeapDirectBlockCache};
use hdf5_reader::io::Cursor;
use hdf5_reader::local_heap::LocalHeap;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::link::{self, LinkTarget};
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::symbol_table::SymbolTableNode;
use std::collections::HashSet;

/// The target of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Link {
    /// The object whose header is at this address.
    Hard(u64),
    Soft,
    External,
}

/// The links of the group at `location`, with this header.
pub(super) fn of_group(
    metadata: &Metadata,
    header: &ObjectHeader,
    location: &str,
) -> std::result::Result<Vec<(String, Link)>, Hdf5Error> {
    let links = collect(metadata, header).map_err(|error| Hdf5Error::of_reader(location, error))?;
    for (name, _) in &links {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(Hdf5Error::damaged(location, format!("a link in it is named '{}'", name.escape_debug())));
        }
    }
    Ok(links)
}

fn collect(metadata: &Metadata, header: &ObjectHeader) -> Result<Vec<(String, Link)>> {
    let mut links = Vec::new();
    for message in &header.messages {
        match message {
            HdfMessage::SymbolTable(table) => {
                symbol_table(metadata, table.btree_address, table.heap_address, &mut links)?;
            }
            HdfMessage::Link(link) => links.push((link.name.clone(), of_target(&link.target))),
            HdfMessage::LinkInfo(info) => {
                for object in indexed(metadata, info.fractal_heap_address, &[info.btree_name_index_address])? {
                    let mut cursor = Cursor::new(&object);
                    let link = link::parse(&mut cursor, metadata.offset_size(), metadata.length_size(), object.len())?;
                    links.push((link.name, of_target(&link.target)));
                }
            }
            _ => {}
        }
    }
    Ok(links)
}

fn of_target(target: &LinkTarget) -> Link {
    match target {
        LinkTarget::Hard { address } => Link::Hard(*address),
        LinkTarget::Soft { .. } => Link::Soft,
        LinkTarget::External { .. } => Link::External,
    }
}

fn symbol_table(metadata: &Metadata, tree: u64, heap: u64, links: &mut Vec<(String, Link)>) -> Result<()> {
    let (storage, offsets, lengths) = (metadata.storage(), metadata.offset_size(), metadata.length_size());
    let leaves = btree_v1::collect_btree_v1_leaves_storage(storage, tree, offsets, lengths, None, &[], None)?;
    let (mut nodes, mut names) = (HashSet::new(), None);
    for (_, address) in leaves {
        if !nodes.insert(address) {
            return Err(Error::InvalidData("its symbol table lists a node twice".to_owned()));
        }
        let head = storage.read_range(address, 8)?;
        let count = u16::from_le_bytes([head[6], head[7]]);
        let length = 8 + usize::from(count) * (2 * usize::from(offsets) + 24);
        let bytes = storage.read_range(address, length)?;
        let node = SymbolTableNode::parse(&mut Cursor::new(&bytes), offsets, lengths)?;
        for entry in &node.entries {
            if names.is_none() {
                // The size comes from the file: reading past its end is an error.
                let heap = LocalHeap::parse_at_storage(storage, heap, offsets, lengths)?;
                let size = usize::try_from(heap.data_segment_size).unwrap_or(usize::MAX);
                names = Some(storage.read_range(heap.data_segment_address, size)?);
            }
            let names: &[u8] = names.as_deref().unwrap_or_default();
            let name = text_at(names, entry.link_name_offset)?;
            metadata.take(name.len() as u64)?;
            let link = if entry.cache_type == 2 { Link::Soft } else { Link::Hard(entry.object_header_address) };
            links.push((name, link));
        }
    }
    Ok(())
}

/// The zero-terminated text at an offset in a heap.
fn text_at(heap: &[u8], at: u64) -> Result<String> {
    let found =
        usize::try_from(at).ok().and_then(|at| heap.get(at..)).and_then(|rest| rest.split(|byte| *byte == 0).next());
    let text = found.and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.map(str::to_owned)
        .ok_or_else(|| Error::InvalidData("a name in it is outside its heap, or is not UTF-8".to_owned()))
}

/// The objects of a heap listed by the first of these indices that exists: encoded link or attribute messages.
pub(super) fn indexed(metadata: &Metadata, heap: u64, indices: &[u64]) -> Result<Vec<Vec<u8>>> {
    let (storage, offsets, lengths) = (metadata.storage(), metadata.offset_size(), metadata.length_size());
    let index = indices.iter().find(|address| !Cursor::is_undefined_offset(**address, offsets));
    let (false, Some(&index)) = (Cursor::is_undefined_offset(heap, offsets), index) else {
        return Ok(Vec::new());
    };
    let heap = FractalHeap::parse_at_storage(storage, heap, offsets, lengths)?;
    let header = BTreeV2Header::parse_at_storage(storage, index, offsets, lengths)?;
    let records = btree_v2::collect_btree_v2_records_storage(storage, &header, offsets, lengths, None, &[], None)?;
    let (mut objects, mut blocks) = (Vec::new(), FractalHeapDirectBlockCache::default());
    for record in &records {
        let (BTreeV2Record::LinkNameHash { heap_id, .. }
        | BTreeV2Record::CreationOrder { heap_id, .. }
        | BTreeV2Record::AttributeNameHash { heap_id, .. }
        | BTreeV2Record::AttributeCreationOrder { heap_id, .. }) = record
        else {
            continue;
        };
        let object = heap.get_object_storage_cached(heap_id, storage, offsets, lengths, &mut blocks)?;
        metadata.take(object.len() as u64)?;
        objects.push(object);
    }
    Ok(objects)
}
