//! The layout of Keras 3 (and of Keras 2.12 to 2.15 for `.weights.h5`), alone or inside a `.keras` archive.
//!
//! `/layers/<class>[_k]/vars/0, 1, ...`: groups are numbered within each class, datasets by their position in the layer.
//! The attribute `name` of `vars` is the layer's name, since Keras 3.6; before, class and number are all there is.
//! HDF5 lists `conv2d_10` before `conv2d_2`, so numbers are sorted as numbers.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::hdf5_file::{Kind, Tensor, Text, Tree, corrupt, too_many};
use super::keras::{qualify, without_number};
use super::store::{Entry, Layout, MAX_ITEMS, Role, Store, StoreError, unreadable};
use super::transform::RECURRENT_KERNEL;

/// Groups that hold the layers of a model; the second name is Keras 2.12's.
const CONTAINERS: [&str; 2] = ["layers", "_layer_checkpoint_dependencies"];
/// How deep models may be nested.
const MAX_DEPTH: usize = 32;

/// Whether the root has Keras 3's groups.
pub(super) fn matches(tree: &mut Tree) -> Result<bool, StoreError> {
    for group in CONTAINERS.into_iter().chain(["vars"]) {
        if tree.kind(group)? == Some(Kind::Group) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Walks the layers and checks every variable.
pub(super) fn open(tree: Tree) -> Result<Box<dyn Store>, StoreError> {
    let mut walk = Walk { tree, found: Vec::new(), outer_names: Vec::new(), unnamed: 0 };
    walk.visit(&Object { path: "", layer: "", outer: "", class: None, depth: 0 })?;
    let has_names = walk.unnamed == 0;
    qualify(&mut walk.found, &walk.outer_names);
    Ok(walk.tree.into_store(Layout::Keras3, has_names, walk.found))
}

struct Walk {
    tree: Tree,
    found: Vec<(Entry, Tensor)>,
    outer_names: Vec<String>,
    /// Variables whose layer has no name.
    unnamed: usize,
}

/// A group that stands for a model, a layer or a part of a layer.
struct Object<'a> {
    path: &'a str,
    /// The layer's name: its own, or the group's.
    layer: &'a str,
    /// The model that it is in.
    outer: &'a str,
    class: Option<&'a str>,
    depth: usize,
}

impl Walk {
    fn visit(&mut self, object: &Object<'_>) -> Result<(), StoreError> {
        if object.depth > MAX_DEPTH {
            let what = format!("groups are nested more than {MAX_DEPTH} deep");
            return Err(StoreError::Refused { place: object.path.into(), what });
        }
        self.variables(object)?;
        let root = if object.path.is_empty() { "/" } else { object.path };
        for part in self.tree.members(root)? {
            let path = format!("{}/{part}", object.path);
            // The optimizer's state and the seeds of random layers are no parameters.
            if part == "vars" || part == "optimizer" || part.starts_with("seed_generator") {
                continue;
            }
            if self.tree.kind(&path)? != Some(Kind::Group) {
                continue;
            }
            if CONTAINERS.contains(&part.as_str()) {
                self.layers(object, &path)?;
            } else {
                self.visit(&Object { path: &path, depth: object.depth + 1, ..*object })?;
            }
        }
        Ok(())
    }

    /// Visits the layers of a model, `path` being the group that holds them.
    fn layers(&mut self, model: &Object<'_>, path: &str) -> Result<(), StoreError> {
        let mut groups = self.tree.members(path)?;
        groups.sort_by_cached_key(|group| (without_number(group).to_string(), number(group)));
        for group in groups {
            let path = format!("{path}/{group}");
            if self.tree.kind(&path)? != Some(Kind::Group) {
                continue;
            }
            let own = self.name_of(&path)?;
            let layer = own.as_deref().unwrap_or(&group);
            let class = Some(without_number(&group));
            self.visit(&Object { path: &path, layer, outer: model.layer, class, depth: model.depth + 1 })?;
        }
        Ok(())
    }

    fn name_of(&mut self, layer: &str) -> Result<Option<String>, StoreError> {
        let variables = format!("{layer}/vars");
        if self.tree.kind(&variables)? != Some(Kind::Group) {
            return Ok(None);
        }
        match self.tree.text(&variables, "name")? {
            Some(Text::One(name)) => Ok(Some(name)),
            _ => Ok(None),
        }
    }

    fn variables(&mut self, object: &Object<'_>) -> Result<(), StoreError> {
        let group = format!("{}/vars", object.path);
        if self.tree.kind(&group)? != Some(Kind::Group) {
            return Ok(());
        }
        let mut positions = self.tree.members(&group)?;
        positions.sort_by_cached_key(|position| (position.parse::<u64>().unwrap_or(u64::MAX), position.clone()));
        if self.found.len() + positions.len() > MAX_ITEMS {
            return Err(too_many(&group, (self.found.len() + positions.len()) as u64, "variables"));
        }
        if self.name_of(object.path)?.is_none() {
            self.unnamed += positions.len();
        }
        for position in &positions {
            let key = format!("{group}/{position}");
            let tensor = self.tree.tensor(&key)?;
            let role = role(object.class, position, positions.len());
            let (layer, shape, number) = (object.layer.to_string(), tensor.shape.clone(), tensor.number);
            let class = object.class.map(str::to_string);
            self.found.push((Entry { layer, role, key, shape, number, class }, tensor));
            self.outer_names.push(object.outer.to_string());
        }
        Ok(())
    }
}

/// The number that makes a group's name unique in its class: the first of a class has none.
fn number(group: &str) -> u64 {
    let number = &group[without_number(group).len()..];
    number.strip_prefix('_').and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What parameter the variable at `position` of `count` is, for the classes that a net can have.
fn role(class: Option<&str>, position: &str, count: usize) -> Role {
    const KERNEL: &[Role] = &[Role::Weight, Role::Bias];
    let roles: &[Role] = match (class.unwrap_or(""), count) {
        ("batch_normalization", 4) => &[Role::Gamma, Role::Beta, Role::RunningMean, Role::RunningVariance],
        // With three, nothing tells gamma from beta.
        ("batch_normalization", 2) => &[Role::RunningMean, Role::RunningVariance],
        ("group_normalization" | "layer_normalization", 2) => &[Role::Gamma, Role::Beta],
        ("p_re_lu", 1) => &[Role::Alpha],
        ("lstm" | "gru", 3) => &[Role::Weight, Role::Other(String::new()), Role::Bias],
        ("embedding", 1) => &[Role::Weight],
        ("dense" | "conv1d" | "conv2d" | "conv3d" | "depthwise_conv2d" | "conv2d_transpose", 1 | 2) => KERNEL,
        _ => &[],
    };
    let role = position.parse().ok().and_then(|position: usize| roles.get(position));
    // The state's weights have a name that no constant can hold.
    let role = role.map(|role| match role {
        Role::Other(_) => Role::Other(RECURRENT_KERNEL.into()),
        role => role.clone(),
    });
    role.unwrap_or_else(|| Role::Other(format!("vars/{position}")))
}

const MEMBER: &str = "model.weights.h5";

/// Opens a `.keras` archive: its weights are stored uncompressed, and are copied to a temporary file, which is deleted
/// with the store.
pub(super) fn open_archive(path: &Path, mut file: File, length: u64) -> Result<Box<dyn Store>, StoreError> {
    let place = format!("{MEMBER} in {}", path.display());
    let fail = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => corrupt(&place, source.to_string()),
        _ => unreadable(path, source),
    };
    let members = directory(&mut file, length).map_err(fail)?;
    let Some(member) = members.iter().find(|member| member.name == MEMBER.as_bytes()) else {
        return Err(StoreError::NotHdf5 { path: path.into(), seems: "a ZIP archive that Keras did not write".into() });
    };
    if member.method != 0 || member.stored != member.size {
        return Err(StoreError::Refused { place, what: "it is compressed or encrypted; Keras stores it plain".into() });
    }
    // A larger member has its size elsewhere (ZIP64).
    if member.size == u64::from(u32::MAX) {
        return Err(StoreError::TooLarge { place, what: "it has 4 GiB or more".into() });
    }
    let start = data_start(&mut file, member.header).map_err(fail)?;
    if start.checked_add(member.size).is_none_or(|end| end > length) {
        return Err(StoreError::Truncated { place, what: format!("{} bytes do not fit the archive", member.size) });
    }
    let mut copy = tempfile::NamedTempFile::new().map_err(|source| unreadable(&std::env::temp_dir(), source))?;
    let crc = copy_range(&mut file, start, member.size, copy.as_file_mut()).map_err(fail)?;
    if crc != member.crc {
        return Err(corrupt(&place, "its checksum does not match"));
    }
    let mut tree = Tree::open_temporary(copy.into_temp_path(), path)?;
    if !matches(&mut tree)? {
        let found = tree.describe_root()?;
        return Err(StoreError::UnknownLayout { path: path.into(), found });
    }
    open(tree)
}

/// A member of a ZIP archive, as the central directory describes it.
struct Member {
    name: Vec<u8>,
    method: u16,
    crc: u32,
    stored: u64,
    size: u64,
    header: u64,
}

/// The central directory, found from the end of the archive.
fn directory(file: &mut File, length: u64) -> io::Result<Vec<Member>> {
    const END: usize = 22;
    let tail_start = length.saturating_sub((END + 65_535) as u64);
    let tail = bytes_at(file, tail_start, (length - tail_start) as usize)?;
    let end = (0..(tail.len() + 1).saturating_sub(END)).rev().find(|at| tail[*at..].starts_with(b"PK\x05\x06"));
    let end = &tail[end.ok_or_else(|| bad("the ZIP archive has no directory; it is cut short"))?..];
    let (size, start) = (u32_at(end, 12), u32_at(end, 16));
    if u64::from(start) + u64::from(size) > length {
        return Err(bad("the ZIP archive's directory is not where it should be"));
    }
    let directory = bytes_at(file, start.into(), size as usize)?;
    let mut rest = &directory[..];
    let mut members = Vec::new();
    while rest.len() >= 46 && rest.starts_with(b"PK\x01\x02") {
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(rest, at)));
        let Some(next) = rest.get(46 + name + extra + comment..) else { break };
        members.push(Member {
            name: rest[46..46 + name].to_vec(),
            // An encrypted member counts as compressed.
            method: u16_at(rest, 10) | (u16_at(rest, 8) & 1),
            crc: u32_at(rest, 16),
            stored: u32_at(rest, 20).into(),
            size: u32_at(rest, 24).into(),
            header: u32_at(rest, 42).into(),
        });
        rest = next;
    }
    Ok(members)
}

/// Where the bytes of the member are whose local header is at `header`.
fn data_start(file: &mut File, header: u64) -> io::Result<u64> {
    let local = bytes_at(file, header, 30)?;
    if !local.starts_with(b"PK\x03\x04") {
        return Err(bad("its local header is missing"));
    }
    Ok(header + 30 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28)))
}

/// Copies `size` bytes from `start` and returns their CRC-32.
fn copy_range(from: &mut File, start: u64, size: u64, to: &mut File) -> io::Result<u32> {
    from.seek(SeekFrom::Start(start))?;
    let mut from = from.take(size);
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            to.flush()?;
            return Ok(crc.finalize());
        }
        crc.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}

fn bytes_at(file: &mut File, start: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::super::store_tests::{error, fixture, folder, read_all, written};
    use super::*;
    use std::fs;

    /// A ZIP archive with one stored member.
    fn archive(name: &str, data: &[u8], method: u16) -> Vec<u8> {
        let crc = crc32fast::hash(data);
        let mut fields = Vec::new();
        fields.extend([20u16, 0, method, 0, 0].map(u16::to_le_bytes).concat());
        fields.extend([crc, data.len() as u32, data.len() as u32].map(u32::to_le_bytes).concat());
        fields.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        let mut bytes = [b"PK\x03\x04", &fields[..], name.as_bytes(), data].concat();
        let start = bytes.len() as u32;
        let entry = [b"PK\x01\x02\x14\0", &fields[..], &[0; 14], name.as_bytes()].concat();
        bytes.extend(&entry);
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend([entry.len() as u32, start].map(u32::to_le_bytes).concat());
        bytes.extend([0, 0]);
        bytes
    }

    #[test]
    fn keras_archives_are_read() {
        let folder = folder();
        let inner = fs::read(fixture("vgg16_keras3.weights.h5")).unwrap();
        let good = archive("model.weights.h5", &inner, 0);
        let path = written(&folder, &good);
        assert_eq!(open(&path, None).unwrap().layout(), Layout::Keras3);
        assert_eq!(read_all(&path).unwrap(), read_all(&fixture("vgg16_keras3.weights.h5")).unwrap());

        let mut flipped = good.clone();
        flipped[300_000] ^= 1;
        assert!(
            matches!(error(&written(&folder, &flipped)), StoreError::Corrupt { what, .. } if what.contains("checksum"))
        );
        let packed = archive("model.weights.h5", &inner, 8);
        assert!(
            matches!(error(&written(&folder, &packed)), StoreError::Refused { what, .. } if what.contains("compressed"))
        );
        let other = archive("weights.npy", b"numbers", 0);
        assert!(matches!(error(&written(&folder, &other)), StoreError::NotHdf5 { seems, .. } if seems.contains("ZIP")));
        for length in [4, 30, 5000, good.len() - 30, good.len() - 1] {
            assert!(open(&written(&folder, &good[..length]), None).is_err(), "{length}");
        }
        let neupy = archive("model.weights.h5", &fs::read(fixture("vgg16_neupy.hdf5")).unwrap(), 0);
        assert!(matches!(error(&written(&folder, &neupy)), StoreError::UnknownLayout { .. }));
    }
}
