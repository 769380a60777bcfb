//! The data loader: batches of rows, or of photos that are decoded while the previous batch is computed.

use crate::data::features::feature_cache::FeatureCacheError;
use crate::data::photos::prefetch::{Augmented, Decoding, PhotoLoader};
use crate::data::samples::table::{Table, TableError};
use crate::data::{Augmentation, Samples};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::non_finite::Origin;
use crate::runtime::{Aligned, RunError, Session};
use std::fmt::{self, Display};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The minimum of floats that a thread reads at a time.
const MIN_FLOATS_PER_TASK: usize = 4096;

/// Where the inputs of a net come from.
pub enum BatchSource {
    /// For each input of the net, a row of floats for each sample.
    Rows(Vec<Table>),
    /// Photos, decoded in every pass. With a frozen front, its outputs are computed from them and become the inputs.
    Photos { photos: Arc<[PathBuf]>, decoding: Decoding, front: Option<Box<Session>> },
}

impl fmt::Debug for BatchSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchSource::Rows(rows) => write!(f, "rows of {:?}", rows.iter().map(Table::floats).collect::<Vec<_>>()),
            BatchSource::Photos { photos, .. } => write!(f, "{} photos", photos.len()),
        }
    }
}

/// Samples that cannot be used, by their index and with the reason; or a frozen front that failed.
#[derive(Debug, thiserror::Error)]
pub enum BatchSourceError {
    #[error("{} photos cannot be used", .0.len())]
    Photos(Vec<UnreadablePhoto>),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("{0}")]
    Rows(#[from] TableError),
    #[error("{0}")]
    Cache(#[from] FeatureCacheError),
    /// With the layer or input that has the first value that is not finite.
    #[error("the net's output for sample {sample} is not finite")]
    NonFinite { sample: usize, origin: Option<Origin> },
    #[error("interrupted")]
    Interrupted,
}

/// A photo that cannot be read or decoded.
#[derive(Clone, Debug)]
pub struct UnreadablePhoto {
    /// The index of the sample.
    pub sample: usize,
    pub path: PathBuf,
    pub reason: String,
}

impl Display for UnreadablePhoto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// The inputs of one batch: for each input of the net a slice of `(samples, floats)`, row-major.
pub type Batch<'a> = &'a [&'a [f32]];

/// Which samples are visited, in which order, and how many at a time.
#[derive(Clone, Copy, Debug)]
pub struct Traversal<'a> {
    /// Indices of the samples.
    pub order: &'a [usize],
    /// Samples in a batch; the last batch may have fewer.
    pub batch: usize,
    /// Random augmentation depends on it, besides the seed.
    pub epoch: u64,
    /// The threads that read rows; as many decode photos.
    pub pool: &'a ThreadPool,
    /// When another thread sets it, the traversal ends before the next batch.
    pub interrupted: Option<&'a AtomicBool>,
}

impl Traversal<'_> {
    fn check_interrupt(&self) -> Result<(), BatchSourceError> {
        match self.interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            true => Err(BatchSourceError::Interrupted),
            false => Ok(()),
        }
    }
}

impl BatchSource {
    /// The source of a dataset's samples; `decoding` says how photos become the input.
    pub fn of_samples(samples: &Samples, decoding: Option<&Decoding>) -> Self {
        match (samples, decoding) {
            (Samples::Photos(photos), Some(decoding)) => {
                BatchSource::Photos { photos: photos.clone().into(), decoding: decoding.clone(), front: None }
            }
            (Samples::Arrays(arrays), _) => BatchSource::Rows(arrays.clone()),
            (Samples::Photos(_), None) => BatchSource::Rows(Vec::new()),
        }
    }

    /// Decodes photos without augmentation from now on.
    pub fn disable_augmentation(&mut self) {
        if let BatchSource::Photos { decoding, .. } = self {
            decoding.augmentation = None;
        }
    }

    /// Calls `work` with each batch: the range of its samples within the order, and the inputs.
    ///
    /// # Errors
    /// Photos that cannot be decoded, rows that cannot be read, an interruption, and the errors of `work`.
    pub fn for_each_batch<E: From<BatchSourceError>>(
        &mut self,
        traversal: Traversal<'_>,
        mut work: impl FnMut(Range<usize>, Batch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Traversal { order, batch, epoch, pool, .. } = traversal;
        match self {
            BatchSource::Rows(inputs) => {
                let buffers = inputs.iter().map(|rows| batch_buffer(rows.floats(), batch));
                let mut buffers: Vec<Aligned> = buffers.collect::<Result<_, _>>().map_err(BatchSourceError::Run)?;
                for begin in (0..order.len()).step_by(batch) {
                    traversal.check_interrupt()?;
                    let range = begin..(begin + batch).min(order.len());
                    let mut views: Vec<&[f32]> = Vec::with_capacity(inputs.len());
                    for (rows, buffer) in inputs.iter().zip(&mut buffers) {
                        let buffer = &mut buffer.floats_mut()[..range.len() * rows.floats()];
                        gather_rows(rows, &order[range.clone()], buffer, pool).map_err(BatchSourceError::Rows)?;
                        views.push(buffer);
                    }
                    work(range, &views)?;
                }
                Ok(())
            }
            BatchSource::Photos { photos, decoding, front } => {
                let mut decoding = decoding.clone();
                if let Some(augmented) = &mut decoding.augmentation {
                    augmented.epoch = epoch;
                }
                let loader = PhotoLoader::new(Arc::clone(photos), order.to_vec(), decoding, batch, pool.count());
                for decoded in loader {
                    traversal.check_interrupt()?;
                    let decoded = decoded.map_err(|error| {
                        let unreadable = error.errors.iter().map(|(position, error)| {
                            let (sample, reason) = (order[*position], error.error.to_string());
                            UnreadablePhoto { sample, path: photos[sample].clone(), reason }
                        });
                        E::from(BatchSourceError::Photos(unreadable.collect()))
                    })?;
                    match front {
                        None => work(decoded.range, &[&decoded.values])?,
                        Some(session) => {
                            let images = decoded.range.len();
                            let outputs =
                                run_batch(session, images, &[&decoded.values]).map_err(BatchSourceError::Run)?;
                            let views: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
                            work(decoded.range, &views)?;
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

/// A buffer for a batch of rows, aligned for the kernels' vector loads.
fn batch_buffer(floats: usize, batch: usize) -> Result<Aligned, RunError> {
    let len = floats.checked_mul(batch);
    len.and_then(Aligned::try_new).ok_or(RunError::Memory { batch, bytes: len.map(|len| len.saturating_mul(4)) })
}

/// Copies the rows of these samples into `to`, one after the other.
fn gather_rows(rows: &Table, samples: &[usize], to: &mut [f32], pool: &ThreadPool) -> Result<(), TableError> {
    let floats = rows.floats().max(1);
    let rows_per_task = MIN_FLOATS_PER_TASK.div_ceil(floats);
    let error = Mutex::new(None);
    let grid = Partition::chunks(samples.len() * floats, rows_per_task * floats);
    share(pool, to, grid, Scratch::none(), &|piece, to, _| {
        for (to, &sample) in to.chunks_exact_mut(floats).zip(&samples[piece.inner * rows_per_task..]) {
            if let Err(found) = rows.read(sample, to) {
                *error.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            }
        }
    });
    error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Runs a batch and returns its outputs, each `(images, floats)` in row-major order.
///
/// # Errors
/// As [`Session::run`].
pub fn run_batch(session: &mut Session, images: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, RunError> {
    let lengths: Vec<usize> = session.artifact().manifest.plan.outputs.iter().map(|port| port.floats(images)).collect();
    let mut outputs: Vec<Vec<f32>> = lengths.into_iter().map(|len| vec![0.0; len]).collect();
    let mut views: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    session.run(images, inputs, &mut views)?;
    Ok(outputs)
}

/// The index within a batch of the first sample that has an infinite or NaN input value.
pub fn first_non_finite(inputs: Batch<'_>, samples: usize) -> Option<usize> {
    let first = |values: &&[f32]| {
        let floats = (values.len() / samples.max(1)).max(1);
        values.iter().position(|value| !value.is_finite()).map(|index| index / floats)
    };
    inputs.iter().filter_map(first).min()
}

/// The decoding of photos with random augmentation.
pub fn with_augmentation(decoding: &Decoding, augmentation: Augmentation, seed: u64) -> Decoding {
    Decoding { augmentation: Some(Augmented { augmentation, seed, epoch: 0 }), ..decoding.clone() }
}
