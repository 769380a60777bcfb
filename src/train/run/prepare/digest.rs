//! Digests that identify a run, a frozen front and a file.

use super::samples::PreparedData;
use crate::artifact::Artifact;
use crate::data::{Decoding, Samples, TableError, Targets};
use crate::graph::Graph;
use crate::train::recipe::Recipe;

/// The digests of the photos of data, those of the training data first; none for arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhotoDigests(Vec<[u8; 32]>);

/// The hexadecimal digits of each photo's digest in a checkpoint: enough to tell which one has changed.
const DIGITS: usize = 8;

impl PhotoDigests {
    /// Reads all photos. One that cannot be read has a digest of its own, and is reported when it is used.
    pub fn of(data: &PreparedData) -> PhotoDigests {
        let parts = std::iter::once(&data.train).chain(&data.validation);
        let photos = parts.filter(|data| matches!(data.samples, Samples::Photos(_)));
        PhotoDigests(photos.flat_map(|data| (0..data.len()).map(|at| data.digest(at).unwrap_or_default())).collect())
    }

    /// As a checkpoint has them.
    pub fn shortened(&self) -> String {
        let start = |digest: &[u8; 32]| blake3::Hash::from(*digest).to_hex()[..DIGITS].to_string();
        self.0.iter().map(start).collect()
    }

    /// The photos that differ from those of a checkpoint, by their indices; none if it has another number of photos, or none.
    pub fn changed_since(&self, before: &str) -> Vec<usize> {
        let now = self.shortened();
        if before.len() != now.len() {
            return Vec::new();
        }
        let pairs = before.as_bytes().chunks(DIGITS).zip(now.as_bytes().chunks(DIGITS)).enumerate();
        pairs.filter(|(_, (before, now))| before != now).map(|(index, _)| index).collect()
    }
}

/// The digest of a run, in hexadecimal: of net, recipe (except `epochs` and `checkpoint`), data and frozen front.
///
/// # Errors
/// Arrays that can no longer be read.
pub fn of_run(
    net: &Graph,
    recipe: &Recipe,
    data: &PreparedData,
    photos: &PhotoDigests,
    front: &str,
) -> Result<String, TableError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(net.to_string().as_bytes());
    let matters = |key: &str| !["epochs", "checkpoint"].contains(&key);
    for (key, value) in recipe.entries.iter().filter(|(key, _)| matters(key)) {
        hasher.update(format!("{key}={value}\n").as_bytes());
    }
    for data in std::iter::once(&data.train).chain(&data.validation) {
        match &data.samples {
            Samples::Photos(photos) => {
                photos.iter().for_each(|path| _ = hasher.update(path.to_string_lossy().as_bytes()));
            }
            Samples::Arrays(arrays) => {
                for table in arrays {
                    let mut row = vec![0.0f32; table.floats()];
                    for at in 0..table.len() {
                        table.read(at, &mut row)?;
                        hasher.update(bytemuck::cast_slice(&row));
                    }
                }
            }
        }
        hasher.update(format!("{} ", data.len()).as_bytes());
        for targets in data.all_targets() {
            if let Targets::Classes(classes) = targets {
                hasher.update(format!("{classes:?}").as_bytes());
            }
            targets.each_row(|_, row| {
                hasher.update(bytemuck::cast_slice(row));
                true
            })?;
        }
    }
    photos.0.iter().for_each(|digest| _ = hasher.update(digest));
    hasher.update(front.as_bytes());
    Ok(hasher.finalize().to_hex().to_string())
}

/// The digest of a frozen front: of its plan, its constants and its preprocessing.
pub fn of_front(front: &Artifact, decoding: Option<&Decoding>) -> String {
    let mut hasher = blake3::Hasher::new();
    let plan = front.manifest.plan.to_string();
    // The first line names the net, and nets with other names share features.
    hasher.update(plan.split_once('\n').map_or("", |(_, steps)| steps).as_bytes());
    hasher.update(bytemuck::cast_slice(front.constants()));
    if let Some(decoding) = decoding {
        hasher.update(format!("{} {:?}", decoding.preprocessing, decoding.size).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The digest of a file's bytes; empty if it cannot be read.
pub fn of_file(path: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    match hasher.update_mmap(path) {
        Ok(_) => hasher.finalize().to_hex().to_string(),
        Err(_) => String::new(),
    }
}
