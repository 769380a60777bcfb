//! Removes the photos that cannot be decoded from a dataset, or refuses the dataset, as its policy says.

use super::batch_source::{Batch, BatchSource, BatchSourceError, Traversal, UnreadablePhoto};
use crate::data::{Dataset, DatasetError, Decoding, Policy, Samples};
use crate::kernels::parallel::thread_pool::ThreadPool;
use std::sync::atomic::AtomicBool;

/// A dataset whose samples cannot be read, or whose features cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum SamplesError {
    #[error("{0}")]
    Dataset(#[from] DatasetError),
    /// Unreadable photos are a [`SamplesError::Dataset`].
    #[error("{0}")]
    BatchSource(BatchSourceError),
}

/// Visits samples as [`BatchSource::for_each_batch`] does, skips the batches with unreadable photos, and lists those photos.
///
/// # Errors
/// All others of [`BatchSource::for_each_batch`].
pub(crate) fn for_each_readable(
    source: &mut BatchSource,
    traversal: Traversal<'_>,
    mut work: impl FnMut(&[usize], Batch<'_>) -> Result<(), BatchSourceError>,
) -> Result<Vec<UnreadablePhoto>, BatchSourceError> {
    let mut unreadable = Vec::new();
    let mut left = traversal.order;
    while !left.is_empty() {
        // A batch with unreadable photos ends a traversal; the next one begins after it.
        let mut done = 0;
        let result =
            source.for_each_batch::<BatchSourceError>(Traversal { order: left, ..traversal }, |range, inputs| {
                done = range.end;
                work(&left[range], inputs)
            });
        match result {
            Ok(()) => break,
            Err(BatchSourceError::Photos(errors)) => {
                unreadable.extend(errors);
                left = &left[(done + traversal.batch).min(left.len())..];
            }
            Err(error) => return Err(error),
        }
    }
    Ok(unreadable)
}

/// Removes the photos that cannot be decoded, where `policy` skips them; every photo is decoded once to find out. Needed for
/// photos that are decoded in each epoch; computing features does it on the way.
///
/// # Errors
/// No photo is left, or an interruption.
pub fn remove_unreadable(
    data: &mut Dataset,
    policy: Policy,
    decoding: &Decoding,
    threads: usize,
    interrupted: Option<&AtomicBool>,
) -> Result<(), SamplesError> {
    let (Samples::Photos(photos), Policy::Skip) = (&data.samples, policy) else { return Ok(()) };
    let mut source = BatchSource::of_samples(&data.samples, Some(decoding));
    let order: Vec<usize> = (0..photos.len()).collect();
    // One at a time, because an unreadable photo fails its whole batch.
    let traversal = Traversal { order: &order, batch: 1, epoch: 0, pool: &ThreadPool::new(threads), interrupted };
    let unreadable = for_each_readable(&mut source, traversal, |_, _| Ok(())).map_err(SamplesError::BatchSource)?;
    Ok(remove(data, &unreadable, policy)?)
}

/// Removes these photos, or refuses all of them at once, as `policy` says.
///
/// # Errors
/// Photos that are refused, or a dataset that would be empty.
pub(crate) fn remove(data: &mut Dataset, unreadable: &[UnreadablePhoto], policy: Policy) -> Result<(), DatasetError> {
    let all = std::mem::replace(data, data.take(&[]));
    let reasons: Vec<(usize, String)> = unreadable.iter().map(|photo| (photo.sample, photo.reason.clone())).collect();
    *data = all.without(&reasons, policy)?;
    Ok(())
}
