//! The features of a frozen front: computed once for each sample and cached.

use crate::artifact::Artifact;
use crate::data::features::feature_cache::FeatureCache;
use crate::data::samples::table::{KEPT, Table};
use crate::data::{Dataset, DatasetError, Decoding, Policy, Samples};
use crate::runtime::Session;
use crate::runtime::non_finite::first_nan;
use crate::source::plain;
use crate::train::batches::batch_source::{BatchSource, BatchSourceError, Traversal, UnreadablePhoto, run_batch};
use crate::train::batches::unreadable_photos::{SamplesError, for_each_readable, remove};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where the features of a dataset came from, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureCounts {
    /// Read from the cache.
    pub cached: usize,
    /// Computed by the front.
    pub computed: usize,
}

/// A frozen front and how it is run.
#[derive(Clone, Copy, Debug)]
pub struct FrozenFront<'a> {
    pub artifact: &'a Arc<Artifact>,
    /// How photos become its input; none for arrays.
    pub decoding: Option<&'a Decoding>,
    /// Samples in a batch.
    pub batch: usize,
    pub threads: usize,
    /// When another thread sets it, the work ends before the next batch; the features so far are in the cache.
    pub interrupted: Option<&'a AtomicBool>,
}

/// The outputs of a frozen front for all samples of a dataset, read from the cache or computed and added to it. Photos that
/// cannot be read are removed from the dataset, or refused, as `policy` says. `on_progress` gets the number of samples done and of all.
///
/// # Errors
/// Photos that are refused (all are listed), a failed run, outputs that are not finite, and an interruption.
pub fn features(
    front: FrozenFront<'_>,
    data: &mut Dataset,
    policy: Policy,
    mut cache: Option<&mut FeatureCache>,
    on_progress: &mut dyn FnMut(usize, usize),
) -> Result<(Vec<Table>, FeatureCounts), SamplesError> {
    loop {
        match features_of_all(front, data, cache.as_deref_mut(), on_progress) {
            Ok(features) => return Ok(features),
            Err(BatchSourceError::Photos(unreadable)) => remove(data, &unreadable, policy)?,
            Err(error) => return Err(SamplesError::BatchSource(error)),
        }
    }
}

fn features_of_all(
    front: FrozenFront<'_>,
    data: &Dataset,
    mut cache: Option<&mut FeatureCache>,
    on_progress: &mut dyn FnMut(usize, usize),
) -> Result<(Vec<Table>, FeatureCounts), BatchSourceError> {
    let widths: Vec<usize> = front.artifact.manifest.plan.outputs.iter().map(|port| port.len()).collect();
    let total = data.len();
    let (mut digests, mut missing): (Vec<[u8; 32]>, Vec<usize>) = (Vec::new(), (0..total).collect());
    // Without a cache: all rows, in order.
    let mut values = Vec::new();
    match cache.as_deref() {
        Some(cache) => {
            digests = digests_of(data)?;
            missing.retain(|&sample| cache.get(&digests[sample]).is_none());
        }
        None => values.reserve_exact(total * widths.iter().sum::<usize>()),
    }
    let cached = total - missing.len();
    on_progress(cached, total);
    let mut done = 0;
    let computed = compute(front, data, &missing, &widths, &mut |sample, row| {
        match cache.as_deref_mut() {
            // Rows that cannot be stored stay in memory, and the cache has a note of it.
            Some(cache) => _ = cache.append(&digests[sample], row),
            None => values.extend_from_slice(row),
        }
        done += 1;
        on_progress(cached + done, total);
    });
    let Some(cache) = cache else {
        computed?;
        return Ok((Table::of_columns(values, &widths), FeatureCounts { cached, computed: done }));
    };
    // If it fails, rows that a power cut loses are computed again.
    let _ = cache.flush();
    computed?;
    Ok((cache.tables(&digests, &widths, KEPT)?, FeatureCounts { cached, computed: done }))
}

/// Calls `store` with each of these samples and the front's outputs for it, concatenated.
fn compute(
    front: FrozenFront<'_>,
    data: &Dataset,
    samples: &[usize],
    widths: &[usize],
    store: &mut dyn FnMut(usize, &[f32]),
) -> Result<(), BatchSourceError> {
    let FrozenFront { artifact, decoding, batch, threads, interrupted } = front;
    if samples.is_empty() {
        return Ok(());
    }
    let mut source = match (&data.samples, decoding) {
        (Samples::Photos(_), None) => return Err(BatchSourceError::Photos(Vec::new())),
        (samples, decoding) => BatchSource::of_samples(samples, decoding),
    };
    let mut session = Session::new(Arc::clone(artifact), threads);
    let pool = Arc::clone(session.pool());
    let mut row = Vec::with_capacity(widths.iter().sum());
    let traversal = Traversal { order: samples, batch, epoch: 0, pool: &pool, interrupted };
    let unreadable = for_each_readable(&mut source, traversal, |samples, inputs| {
        let outputs = run_batch(&mut session, samples.len(), inputs)?;
        for (index, &sample) in samples.iter().enumerate() {
            row.clear();
            for (values, &width) in outputs.iter().zip(widths) {
                row.extend_from_slice(&values[index * width..][..width]);
            }
            if first_nan(&row, row.len()).is_some() {
                let origin = session.origin(inputs, samples.len(), index)?;
                return Err(BatchSourceError::NonFinite { sample, origin });
            }
            store(sample, &row);
        }
        Ok(())
    })?;
    if unreadable.is_empty() { Ok(()) } else { Err(BatchSourceError::Photos(unreadable)) }
}

/// The digest of each sample, the key of its features in the cache.
fn digests_of(data: &Dataset) -> Result<Vec<[u8; 32]>, BatchSourceError> {
    let mut digests = Vec::with_capacity(data.len());
    let mut unreadable = Vec::new();
    for sample in 0..data.len() {
        match (data.digest(sample), &data.samples) {
            (Ok(digest), _) => digests.push(digest),
            (Err(DatasetError::Io { path, source }), _) => {
                unreadable.push(UnreadablePhoto {
                    sample,
                    path,
                    reason: format!("cannot be read: {}", plain(&source)),
                });
            }
            (Err(DatasetError::Table(error)), _) => return Err(error.into()),
            (Err(error), Samples::Photos(photos)) => {
                unreadable.push(UnreadablePhoto { sample, path: photos[sample].clone(), reason: error.to_string() });
            }
            (Err(_), Samples::Arrays(_)) => {}
        }
    }
    if unreadable.is_empty() { Ok(digests) } else { Err(BatchSourceError::Photos(unreadable)) }
}
