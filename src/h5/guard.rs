//! The guard: the tree of groups and datasets in a file, walked once from the root along hard links.

use super::dataset::Dataset;
use super::error::Hdf5Error;
use super::links::{self, Link};
use super::storage::Metered;
use super::{MAX_DEPTH, MAX_EXPANSION, MAX_LINKS};
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::storage::Storage;
use hdf5_reader::{Hdf5File, OpenOptions};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum size of an object header: its messages, with attributes of up to 64 KiB each.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The target of a link.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Group(usize),
    Dataset(u64),
    /// A committed datatype.
    Other,
    /// A second link to a group that the walk has entered already.
    Again(usize),
    /// Why it is not followed.
    Refused(String),
    Damaged(String),
}

/// A group that the walk has entered.
#[derive(Debug)]
pub(super) struct Group {
    pub address: u64,
    /// Its path.
    location: String,
    pub links: BTreeMap<String, Target>,
}

/// The structure of a file, and access to the rest of it.
pub(super) struct Guard {
    /// Reopened for each object, so that no headers are cached.
    storage: Arc<Metered>,
    file: Hdf5File,
    groups: Vec<Group>,
    /// The bytes declared by the datasets opened so far.
    declared: AtomicU64,
}

impl Guard {
    /// Walks the file.
    pub fn of(file: fs::File) -> Result<Guard, Hdf5Error> {
        let fail = |error| Hdf5Error::of_reader("/", error);
        let storage = Arc::new(Metered::new(file).map_err(fail)?);
        let file = open(&storage).map_err(fail)?;
        let (end, length) = (file.superblock().eof_address, storage.len());
        if end > length {
            return Err(Hdf5Error::short("/", format!("it has {length} of {end} bytes")));
        }
        let root = file.superblock().root_object_header_address().map_err(fail)?;
        let mut guard = Guard { storage, file, groups: Vec::new(), declared: AtomicU64::new(0) };
        guard.walk(root)?;
        Ok(guard)
    }

    fn walk(&mut self, root: u64) -> Result<(), Hdf5Error> {
        let mut known = HashMap::from([(root, Target::Group(0))]);
        // Breadth first: of several links to a group, the one closest to the root defines its path.
        let mut waiting = VecDeque::from([(0, 0)]);
        self.groups.push(Group { address: root, location: "/".to_owned(), links: BTreeMap::new() });
        let mut left = MAX_LINKS;
        while let Some((group, depth)) = waiting.pop_front() {
            let Group { address, location, .. } = &self.groups[group];
            let (address, location) = (*address, location.clone());
            let header = self.header(address, &location)?;
            if !is_group(&header) {
                return Err(Hdf5Error::damaged(&location, "it is not a group"));
            }
            let found = links::of_group(self, &header, &location)?;
            left = left
                .checked_sub(found.len())
                .ok_or_else(|| Hdf5Error::too_large(&location, format!("the file has more than {MAX_LINKS} links")))?;
            for (name, link) in found {
                let path = if group == 0 { format!("/{name}") } else { format!("{location}/{name}") };
                self.take(path.len() as u64).map_err(|error| Hdf5Error::of_reader(&location, error))?;
                let target = match link {
                    Link::Soft => Target::Refused("it is a soft link, which can point anywhere".to_owned()),
                    Link::External => {
                        Target::Refused("it is an external link, which points to another file".to_owned())
                    }
                    Link::Hard(address) => match known.get(&address) {
                        Some(Target::Group(first)) => Target::Again(*first),
                        Some(other) => other.clone(),
                        None => {
                            let target = self.target(address, &path)?;
                            if let Target::Group(_) = target {
                                if depth == MAX_DEPTH {
                                    let what = format!("groups are nested more than {MAX_DEPTH} deep");
                                    return Err(Hdf5Error::refused(&path, what));
                                }
                                waiting.push_back((self.groups.len(), depth + 1));
                                self.groups.push(Group { address, location: path, links: BTreeMap::new() });
                            }
                            known.insert(address, target.clone());
                            target
                        }
                    },
                };
                if self.groups[group].links.insert(name, target).is_some() {
                    return Err(Hdf5Error::damaged(&location, "two links in it have the same name"));
                }
            }
        }
        Ok(())
    }

    /// The object at an address that the walk reaches for the first time.
    fn target(&self, address: u64, location: &str) -> Result<Target, Hdf5Error> {
        match self.header(address, location) {
            Ok(header) if is_group(&header) => Ok(Target::Group(self.groups.len())),
            Ok(header) if header.messages.iter().any(|message| matches!(message, HdfMessage::DataLayout(_))) => {
                Ok(Target::Dataset(address))
            }
            Ok(_) => Ok(Target::Other),
            Err(Hdf5Error::Damaged { what, .. }) => Ok(Target::Damaged(what)),
            Err(Hdf5Error::Refused { what, .. }) => Ok(Target::Refused(what)),
            Err(error) => Err(error),
        }
    }

    /// The object at the path; `None` if a link on the way is missing.
    pub fn find(&self, path: &str) -> Result<Option<Target>, Hdf5Error> {
        let mut location = String::new();
        let mut target = Target::Group(0);
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let Target::Group(group) = target else { return Ok(None) };
            location = format!("{location}/{part}");
            target = match self.groups[group].links.get(part) {
                None => return Ok(None),
                Some(Target::Again(first)) => return Err(self.again(&location, *first)),
                Some(Target::Refused(what)) => return Err(Hdf5Error::refused(&location, what)),
                Some(Target::Damaged(what)) => return Err(Hdf5Error::damaged(&location, what)),
                Some(target) => target.clone(),
            };
        }
        Ok(Some(target))
    }

    fn again(&self, location: &str, first: usize) -> Hdf5Error {
        Hdf5Error::refused(location, format!("it is a second link to the group `{}`", self.groups[first].location))
    }

    /// The group at `path`.
    pub fn group(&self, path: &str) -> Result<&Group, Hdf5Error> {
        match self.find(path)? {
            Some(Target::Group(group)) => Ok(&self.groups[group]),
            Some(_) => Err(Hdf5Error::damaged(path, "it is not a group")),
            None => Err(Hdf5Error::Missing { location: path.to_owned() }),
        }
    }

    /// The paths of all datasets, without the leading `/`, sorted. A second link to a group is an error: its members would
    /// have two paths.
    pub fn datasets(&self) -> Result<Vec<String>, Hdf5Error> {
        let (mut found, mut waiting) = (Vec::new(), vec![(0, String::new())]);
        while let Some((group, prefix)) = waiting.pop() {
            for (name, target) in &self.groups[group].links {
                let path = format!("{prefix}{name}");
                match target {
                    Target::Group(inner) => waiting.push((*inner, format!("{path}/"))),
                    Target::Dataset(_) => found.push(path),
                    Target::Again(first) => return Err(self.again(&format!("/{path}"), *first)),
                    Target::Other | Target::Refused(_) | Target::Damaged(_) => {}
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Adds the dataset to those opened.
    pub fn count(&self, dataset: &Dataset) -> Result<(), Hdf5Error> {
        let bytes = dataset.declared();
        let total = self.declared.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match total > self.length().saturating_mul(MAX_EXPANSION) {
            true => Err(Hdf5Error::too_large(
                dataset.path(),
                format!("in total the datasets declare {total} bytes, but the file has {}", self.length()),
            )),
            false => Ok(()),
        }
    }

    /// The header of the object at `location`.
    pub fn header(&self, address: u64, location: &str) -> Result<Arc<ObjectHeader>, Hdf5Error> {
        let parsed = open(&self.storage).and_then(|file| file.get_or_parse_header(address));
        parsed.map_err(|error| Hdf5Error::of_reader(location, error))
    }

    /// The encoded datatype of the dataset at `location`; the parsed datatype lacks the bit layout of numbers.
    pub fn raw_type(&self, address: u64, location: &str) -> Result<Vec<u8>, Hdf5Error> {
        let dataset = self.file.dataset(location).map_err(|error| Hdf5Error::of_reader(location, error))?;
        if dataset.address() != address {
            return Err(Hdf5Error::damaged(location, "its path is ambiguous"));
        }
        dataset.raw_datatype().map_err(|error| Hdf5Error::of_reader(location, error))
    }

    /// The bytes of the file, by HDF5 address.
    pub fn storage(&self) -> &dyn Storage {
        self.file.storage()
    }

    /// Counts bytes that are copied from what has been read.
    pub fn take(&self, bytes: u64) -> hdf5_reader::error::Result<()> {
        self.storage.take(bytes)
    }

    /// The number of bytes after the user block.
    pub fn length(&self) -> u64 {
        self.storage().len()
    }

    /// The offset of address zero: after the user block.
    pub fn base(&self) -> u64 {
        self.file.superblock().base_address
    }

    pub fn offset_size(&self) -> u8 {
        self.file.superblock().offset_size
    }

    pub fn length_size(&self) -> u8 {
        self.file.superblock().length_size
    }
}

fn open(storage: &Arc<Metered>) -> hdf5_reader::error::Result<Hdf5File> {
    let options = OpenOptions::default().with_max_object_header_bytes(MAX_HEADER_BYTES);
    Hdf5File::from_storage_with_options(storage.clone(), options)
}

fn is_group(header: &ObjectHeader) -> bool {
    header
        .messages
        .iter()
        .any(|message| matches!(message, HdfMessage::SymbolTable(_) | HdfMessage::LinkInfo(_) | HdfMessage::Link(_)))
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("groups", &self.groups.len()).finish_non_exhaustive()
    }
}
