//! What a frozen front gives for each sample, computed once and kept; and photos that cannot be used, taken out.

use super::batch_source::{Batch, BatchSource, BatchSourceError, Broken, Pass, run};
use crate::artifact::Artifact;
use crate::data::features::feature_cache::FeatureCache;
use crate::data::samples::table::{KEPT, Table};
use crate::data::{Dataset, DatasetError, Decoding, Policy, Samples};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::Session;
use crate::runtime::non_finite::first_nan;
use crate::source::plain;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
    BatchSource(BatchSourceError),
}

/// The outputs of a frozen front for all samples of a dataset, from the cache where they are there, else computed and added.
/// Photos that cannot be used are taken out of the dataset, or refused, as `policy` says.
///
/// `told` hears how many of all samples are done.
///
/// # Errors
/// Photos that are refused (all of them), a front that failed or gives no number, and an interruption.
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
            Err(BatchSourceError::Photos(broken)) => {
                take_out(data, &broken, policy)?;
            }
            Err(error) => return Err(FeaturesError::BatchSource(error)),
        }
    }
}

fn features_of_all(
    front: Front<'_>,
    data: &Dataset,
    mut cache: Option<&mut FeatureCache>,
    told: &mut dyn FnMut(usize, usize),
) -> Result<(Vec<Table>, Computed), BatchSourceError> {
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
) -> Result<(), BatchSourceError> {
    let Front { artifact, decoding, batch, threads, interrupted } = front;
    if samples.is_empty() {
        return Ok(());
    }
    let mut feed = match (&data.samples, decoding) {
        (Samples::Photos(photos), Some(decoding)) => {
            BatchSource::Photos { photos: photos.clone().into(), decoding: decoding.clone(), front: None }
        }
        (Samples::Arrays(arrays), _) => BatchSource::Rows(arrays.clone()),
        (Samples::Photos(_), None) => return Err(BatchSourceError::Photos(Vec::new())),
    };
    let mut session = Session::new(Arc::clone(artifact), threads);
    let pool = Arc::clone(session.pool());
    let mut row = Vec::with_capacity(widths.iter().sum());
    let pass = Pass { order: samples, batch, epoch: 0, pool: &pool, interrupted };
    let broken = each_readable(&mut feed, pass, |samples, inputs| {
        let outputs = run(&mut session, samples.len(), inputs)?;
        for (index, &sample) in samples.iter().enumerate() {
            row.clear();
            for (values, &width) in outputs.iter().zip(widths) {
                row.extend_from_slice(&values[index * width..][..width]);
            }
            if first_nan(&row, row.len()).is_some() {
                return Err(BatchSourceError::NoNumber(sample));
            }
            store(sample, &row);
        }
        Ok(())
    })?;
    if broken.is_empty() { Ok(()) } else { Err(BatchSourceError::Photos(broken)) }
}

/// Goes over samples as [`BatchSource::each`] does, past the batches of photos that cannot be used, and lists those.
fn each_readable(
    feed: &mut BatchSource,
    pass: Pass<'_>,
    mut work: impl FnMut(&[usize], Batch<'_>) -> Result<(), BatchSourceError>,
) -> Result<Vec<Broken>, BatchSourceError> {
    let mut broken = Vec::new();
    let mut left = pass.order;
    while !left.is_empty() {
        // A batch with broken photos ends a pass; the next one begins behind it.
        let mut done = 0;
        let result = feed.each::<BatchSourceError>(Pass { order: left, ..pass }, |places, inputs| {
            done = places.end;
            work(&left[places], inputs)
        });
        match result {
            Ok(()) => break,
            Err(BatchSourceError::Photos(errors)) => {
                broken.extend(errors);
                left = &left[(done + pass.batch).min(left.len())..];
            }
            Err(error) => return Err(error),
        }
    }
    Ok(broken)
}

/// Takes the photos out of a dataset that cannot be decoded, where `policy` skips them; all are decoded once for it. For
/// photos that are decoded anew in each epoch: [`features`] does it by itself.
///
/// # Errors
/// Nothing is left, and an interruption.
pub fn sift(
    data: &mut Dataset,
    policy: Policy,
    decoding: &Decoding,
    threads: usize,
    interrupted: Option<&AtomicBool>,
) -> Result<(), FeaturesError> {
    let (Samples::Photos(photos), Policy::Skip) = (&data.samples, policy) else { return Ok(()) };
    let mut feed = BatchSource::Photos { photos: photos.clone().into(), decoding: decoding.clone(), front: None };
    let order: Vec<usize> = (0..photos.len()).collect();
    // One at a time: a broken photo ends a batch.
    let pass = Pass { order: &order, batch: 1, epoch: 0, pool: &ThreadPool::new(threads), interrupted };
    let broken = each_readable(&mut feed, pass, |_, _| Ok(())).map_err(FeaturesError::BatchSource)?;
    Ok(take_out(data, &broken, policy)?)
}

fn take_out(data: &mut Dataset, broken: &[Broken], policy: Policy) -> Result<(), DatasetError> {
    let all = std::mem::replace(data, data.take(&[]));
    let reasons: Vec<(usize, String)> = broken.iter().map(|photo| (photo.sample, photo.reason.clone())).collect();
    *data = all.without(&reasons, policy)?;
    Ok(())
}

/// The digest of each sample.
fn digests_of(data: &Dataset) -> Result<Vec<[u8; 32]>, BatchSourceError> {
    let mut digests = Vec::with_capacity(data.len());
    let mut broken = Vec::new();
    for sample in 0..data.len() {
        match (data.digest(sample), &data.samples) {
            (Ok(digest), _) => digests.push(digest),
            (Err(DatasetError::Io { path, source }), _) => {
                broken.push(Broken { sample, path, reason: format!("cannot be read: {}", plain(&source)) });
            }
            (Err(DatasetError::Table(error)), _) => return Err(error.into()),
            (Err(error), Samples::Photos(photos)) => {
                broken.push(Broken { sample, path: photos[sample].clone(), reason: error.to_string() });
            }
            (Err(_), Samples::Arrays(_)) => {}
        }
    }
    if broken.is_empty() { Ok(digests) } else { Err(BatchSourceError::Photos(broken)) }
}
