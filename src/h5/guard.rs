//! The guard: the tree of groups and datasets in a file, walked once from the root along hard links.

use super::dataset::Dataset;
use super::error::Hdf5Error;
use super::limits::{MAX_DEPTH, MAX_LINKS};
use super::links::{self, Link};
use super::metadata::Metadata;
use crate::size::MAX_EXPANSION;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::object_header::ObjectHeader;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

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
    metadata: Metadata,
    groups: Vec<Group>,
    /// The bytes declared by the datasets opened so far.
    declared: AtomicU64,
}

impl Guard {
    /// Walks the file.
    pub fn of(file: fs::File) -> Result<Guard, Hdf5Error> {
        let metadata = Metadata::of(file)?;
        let root = metadata.root()?;
        let mut guard = Guard { metadata, groups: Vec::new(), declared: AtomicU64::new(0) };
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
            let header = self.metadata.header(address, &location)?;
            if !is_group(&header) {
                return Err(Hdf5Error::damaged(&location, "it is not a group"));
            }
            let found = links::of_group(&self.metadata, &header, &location)?;
            left = left
                .checked_sub(found.len())
                .ok_or_else(|| Hdf5Error::too_large(&location, format!("the file has more than {MAX_LINKS} links")))?;
            for (name, link) in found {
                let path = if group == 0 { format!("/{name}") } else { format!("{location}/{name}") };
                self.metadata.take(path.len() as u64).map_err(|error| Hdf5Error::of_reader(&location, error))?;
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
        match self.metadata.header(address, location) {
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

    /// The headers and heaps of the file.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Adds the dataset to those opened.
    pub fn count(&self, dataset: &Dataset) -> Result<(), Hdf5Error> {
        let bytes = dataset.declared();
        let total = self.declared.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match total > self.metadata.length().saturating_mul(MAX_EXPANSION) {
            true => Err(Hdf5Error::too_large(
                dataset.path(),
                format!("in total the datasets declare {total} bytes, but the file has {}", self.metadata.length()),
            )),
            false => Ok(()),
        }
    }
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
