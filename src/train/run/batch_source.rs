//! What a step of training is fed: rows of features, or photos that are decoded while it computes.

use crate::data::features::feature_cache::FeatureCacheError;
use crate::data::photos::prefetch::{Augmented, Decoding, PhotoLoader};
use crate::data::samples::table::{Table, TableError};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::{Aligned, RunError, Session};
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Floats, at least, that a thread reads at once.
const TASK: usize = 4096;

/// Where the inputs of a net come from.
pub enum BatchSource {
    /// For each input of the net, a row of floats for each sample.
    Rows(Vec<Table>),
    /// Photos, decoded anew each time, and what computes the net's inputs from them where a frozen front stands before it.
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

/// Samples that cannot be used, by their index, and why; or a front that failed.
#[derive(Debug, thiserror::Error)]
pub enum BatchSourceError {
    #[error("{} photos cannot be used", .0.len())]
    Photos(Vec<Broken>),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("{0}")]
    Rows(#[from] TableError),
    #[error("{0}")]
    Cache(#[from] FeatureCacheError),
    #[error("the net gives no number for sample {0}")]
    NoNumber(usize),
    #[error("interrupted")]
    Interrupted,
}

/// A photo that cannot be used.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which sample it is.
    pub sample: usize,
    pub path: PathBuf,
    pub reason: String,
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// The rows of one batch, one slice for each input.
pub type Batch<'a> = &'a [&'a [f32]];

/// How a feed is gone through.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The samples, in this order.
    pub order: &'a [usize],
    /// Samples at a time.
    pub batch: usize,
    /// What changes of photos by chance depend on, besides their seed.
    pub epoch: u64,
    /// Who reads rows; as many threads decode photos.
    pub pool: &'a ThreadPool,
    /// Set from elsewhere, it ends the pass before the next batch.
    pub interrupted: Option<&'a AtomicBool>,
}

impl Pass<'_> {
    fn go_on(&self) -> Result<(), BatchSourceError> {
        match self.interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            true => Err(BatchSourceError::Interrupted),
            false => Ok(()),
        }
    }
}

impl BatchSource {
    /// Photos are not changed by chance any more.
    pub fn unchange(&mut self) {
        if let BatchSource::Photos { decoding, .. } = self {
            decoding.augmentation = None;
        }
    }

    /// Calls `work` with each batch: the places of its samples in the order, and the inputs.
    ///
    /// # Errors
    /// Photos that cannot be decoded, an interruption, and those of `work`.
    pub fn each<E: From<BatchSourceError>>(
        &mut self,
        pass: Pass<'_>,
        mut work: impl FnMut(std::ops::Range<usize>, Batch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Pass { order, batch, epoch, pool, .. } = pass;
        match self {
            BatchSource::Rows(inputs) => {
                let rooms = inputs.iter().map(|rows| room_for(rows.floats(), batch));
                let mut room: Vec<Aligned> = rooms.collect::<Result<_, _>>().map_err(BatchSourceError::Run)?;
                for begin in (0..order.len()).step_by(batch) {
                    pass.go_on()?;
                    let places = begin..(begin + batch).min(order.len());
                    let mut views: Vec<&[f32]> = Vec::with_capacity(inputs.len());
                    for (rows, room) in inputs.iter().zip(&mut room) {
                        let room = &mut room.floats_mut()[..places.len() * rows.floats()];
                        gather(rows, &order[places.clone()], room, pool).map_err(BatchSourceError::Rows)?;
                        views.push(room);
                    }
                    work(places, &views)?;
                }
                Ok(())
            }
            BatchSource::Photos { photos, decoding, front } => {
                let mut decoding = decoding.clone();
                if let Some(augmented) = &mut decoding.augmentation {
                    augmented.epoch = epoch;
                }
                let loader = PhotoLoader::new(Arc::clone(photos), order.to_vec(), decoding, batch, pool.count());
                for found in loader {
                    pass.go_on()?;
                    let found = found.map_err(|error| {
                        let broken = error.errors.iter().map(|(place, error)| {
                            let (sample, reason) = (order[*place], error.error.to_string());
                            Broken { sample, path: photos[sample].clone(), reason }
                        });
                        E::from(BatchSourceError::Photos(broken.collect()))
                    })?;
                    match front {
                        None => work(found.range, &[&found.values])?,
                        Some(session) => {
                            let images = found.range.len();
                            let outputs = run(session, images, &[&found.values]).map_err(BatchSourceError::Run)?;
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

/// Room for a batch of rows, aligned as kernels read it best.
fn room_for(floats: usize, batch: usize) -> Result<Aligned, RunError> {
    let len = floats.checked_mul(batch);
    len.and_then(Aligned::try_new).ok_or(RunError::Memory { batch, bytes: len.map(|len| len.saturating_mul(4)) })
}

/// Reads the rows of these samples, one behind the other.
fn gather(rows: &Table, samples: &[usize], to: &mut [f32], pool: &ThreadPool) -> Result<(), TableError> {
    let floats = rows.floats().max(1);
    let each = TASK.div_ceil(floats);
    let error = Mutex::new(None);
    share(pool, to, Partition::chunks(samples.len() * floats, each * floats), Scratch::none(), &|piece, to, _| {
        for (to, &sample) in to.chunks_exact_mut(floats).zip(&samples[piece.inner * each..]) {
            if let Err(found) = rows.read(sample, to) {
                *error.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            }
        }
    });
    error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
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

/// Photos that change by chance in each epoch.
pub fn augmented(decoding: &Decoding, augmentation: crate::data::Augmentation, seed: u64) -> Decoding {
    Decoding { augmentation: Some(Augmented { augmentation, seed, epoch: 0 }), ..decoding.clone() }
}
