//! What a step of training is fed: rows of features, or photos that are decoded while it computes.

use crate::artifact::Artifact;
use crate::data::batches::{Augmented, Decoding, PhotoLoader};
use crate::data::feature_cache::{FeatureCache, FeatureCacheError};
use crate::data::table::{KEPT, Table, TableError};
use crate::data::{Dataset, DatasetError, Policy, Samples};
use crate::runtime::{RunError, Session};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the inputs of a net come from.
pub enum Feed {
    /// For each input of the net, a row of floats for each sample.
    Rows(Vec<Table>),
    /// Photos, decoded anew each time, and what computes the net's inputs from them where a frozen front stands before it.
    Photos { photos: Arc<[PathBuf]>, decoding: Decoding, front: Option<Box<Session>> },
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Feed::Rows(rows) => write!(f, "rows of {:?}", rows.iter().map(Table::floats).collect::<Vec<_>>()),
            Feed::Photos { photos, .. } => write!(f, "{} photos", photos.len()),
        }
    }
}

/// Samples that cannot be used, by their index, and why; or a front that failed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("{} photos cannot be used", .0.len())]
    Photos(Vec<(usize, String)>),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("{0}")]
    Rows(#[from] TableError),
    #[error("{0}")]
    Cache(#[from] FeatureCacheError),
    #[error("interrupted")]
    Interrupted,
}

/// The rows of one batch, one slice for each input.
type Batch<'a> = &'a [&'a [f32]];

/// How a feed is gone through.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The samples, in this order.
    pub order: &'a [usize],
    /// Samples at a time.
    pub batch: usize,
    /// What changes of photos by chance depend on, besides their seed.
    pub epoch: u64,
    pub threads: usize,
    /// Set from elsewhere, it ends the pass before the next batch.
    pub interrupted: Option<&'a AtomicBool>,
}

impl Pass<'_> {
    fn go_on(&self) -> Result<(), FeedError> {
        match self.interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            true => Err(FeedError::Interrupted),
            false => Ok(()),
        }
    }
}

impl Feed {
    /// Photos are not changed by chance any more.
    pub fn unchange(&mut self) {
        if let Feed::Photos { decoding, .. } = self {
            decoding.augmentation = None;
        }
    }

    /// Calls `work` with each batch: the places of its samples in the order, and the inputs.
    ///
    /// # Errors
    /// Photos that cannot be decoded, an interruption, and those of `work`.
    pub fn each<E: From<FeedError>>(
        &mut self,
        pass: Pass<'_>,
        mut work: impl FnMut(std::ops::Range<usize>, Batch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Pass { order, batch, epoch, threads, .. } = pass;
        match self {
            Feed::Rows(inputs) => {
                let mut room: Vec<Vec<f32>> = inputs.iter().map(|rows| vec![0.0; rows.floats() * batch]).collect();
                for begin in (0..order.len()).step_by(batch) {
                    pass.go_on()?;
                    let places = begin..(begin + batch).min(order.len());
                    let mut views: Vec<&[f32]> = Vec::with_capacity(inputs.len());
                    for (rows, room) in inputs.iter().zip(&mut room) {
                        let floats = rows.floats();
                        for (to, &sample) in room.chunks_exact_mut(floats.max(1)).zip(&order[places.clone()]) {
                            rows.read(sample, to).map_err(FeedError::Rows)?;
                        }
                        views.push(&room[..places.len() * floats]);
                    }
                    work(places, &views)?;
                }
                Ok(())
            }
            Feed::Photos { photos, decoding, front } => {
                let mut decoding = decoding.clone();
                if let Some(augmented) = &mut decoding.augmentation {
                    augmented.epoch = epoch;
                }
                let loader = PhotoLoader::new(Arc::clone(photos), order.to_vec(), decoding, batch, threads);
                for found in loader {
                    pass.go_on()?;
                    let found = found.map_err(|fault| {
                        let named = fault.faults.iter().map(|(place, fault)| (order[*place], fault.fault.to_string()));
                        E::from(FeedError::Photos(named.collect()))
                    })?;
                    match front {
                        None => work(found.range, &[&found.values])?,
                        Some(session) => {
                            let images = found.range.len();
                            let outputs = run(session, images, &[&found.values]).map_err(FeedError::Run)?;
                            let views: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
                            work(found.range, &views)?;
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

/// Runs a batch and gives its outputs.
///
/// # Errors
/// As [`Session::run`].
pub fn run(session: &mut Session, images: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, RunError> {
    let lengths: Vec<usize> = session.artifact().manifest.plan.outputs.iter().map(|port| port.floats(images)).collect();
    let mut outputs: Vec<Vec<f32>> = lengths.into_iter().map(|len| vec![0.0; len]).collect();
    let mut room: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    session.run(images, inputs, &mut room)?;
    Ok(outputs)
}

/// What was done to get features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Computed {
    /// Rows that were in the cache.
    pub cached: usize,
    /// Rows that were computed.
    pub computed: usize,
}

/// A frozen front, and how it is run.
#[derive(Clone, Copy, Debug)]
pub struct Front<'a> {
    pub artifact: &'a Arc<Artifact>,
    /// How photos become its input; none where the data has arrays.
    pub decoding: Option<&'a Decoding>,
    /// Images at a time.
    pub batch: usize,
    pub threads: usize,
    /// Set from elsewhere, it ends the work before the next batch; what was computed is in the cache.
    pub interrupted: Option<&'a AtomicBool>,
}

/// A dataset whose features cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FeaturesError {
    #[error("{0}")]
    Data(#[from] DatasetError),
    /// But for photos, which are told as data.
    #[error("{0}")]
    Feed(FeedError),
}

/// The outputs of a frozen front for all samples of a dataset, from the cache where they are there, else computed and added.
/// Photos that cannot be used are taken out of the dataset, or refused, as `policy` says.
///
/// `told` hears how many of all samples are done.
///
/// # Errors
/// Photos that are refused (all of them), a front that failed, and an interruption.
pub fn features(
    front: Front<'_>,
    data: &mut Dataset,
    policy: Policy,
    mut cache: Option<&mut FeatureCache>,
    told: &mut dyn FnMut(usize, usize),
) -> Result<(Vec<Table>, Computed), FeaturesError> {
    loop {
        match features_of_all(front, data, cache.as_deref_mut(), told) {
            Ok(features) => return Ok(features),
            Err(FeedError::Photos(broken)) => {
                let all = std::mem::replace(data, data.take(&[]));
                *data = all.without(&broken, policy)?;
            }
            Err(fault) => return Err(FeaturesError::Feed(fault)),
        }
    }
}

fn features_of_all(
    front: Front<'_>,
    data: &Dataset,
    mut cache: Option<&mut FeatureCache>,
    told: &mut dyn FnMut(usize, usize),
) -> Result<(Vec<Table>, Computed), FeedError> {
    let widths: Vec<usize> = front.artifact.manifest.plan.outputs.iter().map(|port| port.len()).collect();
    let total = data.len();
    let (mut digests, mut missing): (Vec<[u8; 32]>, Vec<usize>) = (Vec::new(), (0..total).collect());
    // Without a cache, all rows in their order.
    let mut values = Vec::new();
    match cache.as_deref() {
        Some(cache) => {
            digests = digests_of(data)?;
            missing.retain(|&sample| cache.get(&digests[sample]).is_none());
        }
        None => values.reserve_exact(total * widths.iter().sum::<usize>()),
    }
    let cached = total - missing.len();
    told(cached, total);
    let mut done = 0;
    let computed = compute(front, data, &missing, &widths, &mut |sample, row| {
        match cache.as_deref_mut() {
            // What cannot be stored stays in memory, and the cache has a note of it.
            Some(cache) => _ = cache.append(&digests[sample], row),
            None => values.extend_from_slice(row),
        }
        done += 1;
        told(cached + done, total);
    });
    let Some(cache) = cache else {
        computed?;
        return Ok((Table::of_columns(values, &widths), Computed { cached, computed: done }));
    };
    // Without it, what a power cut takes is computed again.
    let _ = cache.flush();
    computed?;
    Ok((cache.tables(&digests, &widths, KEPT)?, Computed { cached, computed: done }))
}

/// Gives `store` the front's outputs for each of these samples, side by side, in the order of the samples.
fn compute(
    front: Front<'_>,
    data: &Dataset,
    samples: &[usize],
    widths: &[usize],
    store: &mut dyn FnMut(usize, &[f32]),
) -> Result<(), FeedError> {
    let Front { artifact, decoding, batch, threads, interrupted } = front;
    if samples.is_empty() {
        return Ok(());
    }
    let mut feed = match (&data.samples, decoding) {
        (Samples::Photos(photos), Some(decoding)) => {
            Feed::Photos { photos: photos.clone().into(), decoding: decoding.clone(), front: None }
        }
        (Samples::Arrays(arrays), _) => Feed::Rows(arrays.clone()),
        (Samples::Photos(_), None) => return Err(FeedError::Photos(Vec::new())),
    };
    let mut session = Session::new(Arc::clone(artifact), threads);
    let mut row = Vec::with_capacity(widths.iter().sum());
    let mut broken: Vec<(usize, String)> = Vec::new();
    let mut left = samples;
    while !left.is_empty() {
        // A batch with broken photos ends the pass; the next one begins behind it, so that all of them are listed.
        let mut done = 0;
        let pass = Pass { order: left, batch, epoch: 0, threads, interrupted };
        let result = feed.each::<FeedError>(pass, |places, inputs| {
            let outputs = run(&mut session, places.len(), inputs)?;
            for (index, &sample) in left[places.clone()].iter().enumerate() {
                row.clear();
                for (values, &width) in outputs.iter().zip(widths) {
                    row.extend_from_slice(&values[index * width..][..width]);
                }
                store(sample, &row);
            }
            done = places.end;
            Ok(())
        });
        match result {
            Ok(()) => break,
            Err(FeedError::Photos(faults)) => {
                broken.extend(faults);
                left = &left[(done + batch).min(left.len())..];
            }
            Err(fault) => return Err(fault),
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(FeedError::Photos(broken)) }
}

/// The digest of each sample.
fn digests_of(data: &Dataset) -> Result<Vec<[u8; 32]>, FeedError> {
    let mut digests = Vec::with_capacity(data.len());
    let mut faults = Vec::new();
    for sample in 0..data.len() {
        match data.digest(sample) {
            Ok(digest) => digests.push(digest),
            Err(fault) => faults.push((sample, fault.to_string())),
        }
    }
    if faults.is_empty() { Ok(digests) } else { Err(FeedError::Photos(faults)) }
}

/// Photos that change by chance in each epoch.
pub fn augmented(decoding: &Decoding, augmentation: crate::data::Augmentation, seed: u64) -> Decoding {
    Decoding { augmentation: Some(Augmented { augmentation, seed, epoch: 0 }), ..decoding.clone() }
}
