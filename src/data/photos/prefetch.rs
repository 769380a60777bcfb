//! Decoding photos in the background while the net computes.

use super::augment::Augmentation;
use super::photo;
use super::photo_error::{PhotoError, PhotoErrorKind};
use crate::ops::input::preprocessing::Preprocessing;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use thiserror::Error;

/// The maximum number of batches that are complete or in progress.
const AHEAD: usize = 3;

/// How photos are converted to the values of an input.
#[derive(Clone, Debug)]
pub struct Decoding {
    pub preprocessing: Preprocessing,
    /// The (height, width, channels) of the Input.
    pub size: (usize, usize, usize),
    pub augmentation: Option<Augmented>,
}

/// Augmentation, deterministic for a seed, an epoch and the index of a photo.
#[derive(Clone, Copy, Debug)]
pub struct Augmented {
    pub augmentation: Augmentation,
    pub seed: u64,
    pub epoch: u64,
}

/// Consecutive photos.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhotoBatch {
    /// Their positions in the order.
    pub range: Range<usize>,
    /// (range.len(), height, width, channels) in row-major order.
    pub values: Vec<f32>,
}

/// A batch with photos that cannot be used.
#[derive(Debug, Error)]
#[error("{}", listed(errors))]
pub struct BatchError {
    /// The batch; the values of the unusable photos are zeros.
    pub batch: PhotoBatch,
    /// The positions of the unusable photos in the order, ascending, with the errors. Never empty.
    pub errors: Vec<(usize, PhotoError)>,
}

fn listed(errors: &[(usize, PhotoError)]) -> String {
    let lines: Vec<String> = errors.iter().map(|(_, error)| error.to_string()).collect();
    lines.join("\n")
}

/// An iterator over batches of photos, which background threads decode.
///
/// Batches are in order, and their values do not depend on the number of threads. At most three batches are in memory,
/// besides the one returned last. Dropping the iterator stops its threads after their current photos.
#[derive(Debug)]
pub struct PhotoLoader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The state shared by the threads.
#[derive(Debug)]
struct Shared {
    photos: Arc<[PathBuf]>,
    order: Vec<usize>,
    decoding: Decoding,
    batch: usize,
    /// The number of values of a photo.
    values: usize,
    state: Mutex<State>,
    /// Another batch may be started, or the loader is being dropped.
    room: Condvar,
    /// A batch is complete.
    complete: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The next position to decode.
    next: usize,
    /// The number of batches returned.
    handed_out: usize,
    /// The batches that have been started and not returned, in order.
    open: VecDeque<Open>,
    stopped: bool,
}

#[derive(Debug)]
struct Open {
    values: Vec<f32>,
    missing: usize,
    errors: Vec<(usize, PhotoError)>,
}

impl PhotoLoader {
    /// Starts decoding the photos `photos[order[0]]`, `photos[order[1]]` …, in batches of `batch` (the last one may be
    /// smaller), on `threads` threads. Augmentation depends on the index in `photos`, not on the position in the order.
    ///
    /// # Panics
    /// If an index in `order` is out of range.
    pub fn new(photos: Arc<[PathBuf]>, order: Vec<usize>, decoding: Decoding, batch: usize, threads: usize) -> Self {
        assert!(order.iter().all(|&index| index < photos.len()), "indices are in range");
        let (height, width, channels) = decoding.size;
        let shared = Arc::new(Shared {
            photos,
            order,
            values: height * width * channels,
            decoding,
            batch: batch.max(1),
            state: Mutex::default(),
            room: Condvar::new(),
            complete: Condvar::new(),
        });
        let threads = threads.clamp(1, shared.order.len().max(1));
        let start = |_| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("photos".to_owned()).spawn(move || shared.work()).ok()
        };
        // If the system refuses threads, there are fewer; without any, `next` does the work.
        let threads = (0..threads).filter_map(start).collect();
        PhotoLoader { shared, threads }
    }

    /// The number of batches left.
    pub fn remaining(&self) -> usize {
        self.shared.batches() - self.shared.lock().handed_out
    }
}

impl Iterator for PhotoLoader {
    type Item = Result<PhotoBatch, BatchError>;

    /// Waits for the next batch. A batch with an unusable photo is an error that contains the batch.
    fn next(&mut self) -> Option<Self::Item> {
        let shared = &self.shared;
        let mut state = shared.lock();
        if state.handed_out == shared.batches() {
            return None;
        }
        while state.open.front().is_none_or(|open| open.missing > 0) {
            if self.threads.is_empty() {
                state = shared.step(state);
            } else {
                state = shared.complete.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let range = shared.range(state.handed_out);
        let mut open = state.open.pop_front()?;
        state.handed_out += 1;
        drop(state);
        shared.room.notify_all();
        let batch = PhotoBatch { range, values: open.values };
        if open.errors.is_empty() {
            return Some(Ok(batch));
        }
        open.errors.sort_by_key(|(position, _)| *position);
        Some(Err(BatchError { batch, errors: open.errors }))
    }
}

impl Drop for PhotoLoader {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // Panics of decoders are caught in the thread.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batches(&self) -> usize {
        self.order.len().div_ceil(self.batch)
    }

    /// The positions of a batch in the order.
    fn range(&self, batch: usize) -> Range<usize> {
        batch * self.batch..((batch + 1) * self.batch).min(self.order.len())
    }

    /// The loop of a thread: decodes photo after photo, waiting if it is too far ahead.
    fn work(&self) {
        let mut state = self.lock();
        while !state.stopped && state.next < self.order.len() {
            if state.next / self.batch >= state.handed_out + AHEAD {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                state = self.step(state);
            }
        }
    }

    /// Decodes the next photo without holding the lock, and stores it in its batch.
    fn step<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let position = state.next;
        state.next += 1;
        let batch = position / self.batch;
        if batch - state.handed_out == state.open.len() {
            let missing = self.range(batch).len();
            state.open.push_back(Open { values: vec![0.0; missing * self.values], missing, errors: Vec::new() });
        }
        drop(state);
        let decoded = self.decode(self.order[position]);
        let mut state = self.lock();
        // An incomplete batch is never returned, so this one still exists.
        let at = batch - state.handed_out;
        if let Some(open) = state.open.get_mut(at) {
            match decoded {
                Ok(values) => {
                    let start = (position - batch * self.batch) * self.values;
                    open.values[start..start + self.values].copy_from_slice(&values);
                }
                Err(error) => open.errors.push((position, error)),
            }
            open.missing -= 1;
            if open.missing == 0 {
                self.complete.notify_all();
            }
        }
        state
    }

    fn decode(&self, index: usize) -> Result<Vec<f32>, PhotoError> {
        let path = &self.photos[index];
        let Decoding { preprocessing, size, augmentation } = &self.decoding;
        let draw = augmentation.as_ref().map(|by| by.augmentation.draw(by.seed, by.epoch, index as u64));
        let mut values = vec![0.0; self.values];
        // A panic of a decoder on a malicious file must cost only that photo, and not leave `next` waiting.
        match catch_unwind(AssertUnwindSafe(|| photo::read_changed(path, preprocessing, *size, draw, &mut values))) {
            Ok(read) => read.map(|()| values),
            Err(_) => Err(PhotoError {
                name: path.display().to_string(),
                error: PhotoErrorKind::Damaged("the decoder failed".to_owned()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const NAMES: [&str; 5] = ["coffee.png", "gray.png", "alpha.png", "rocket.jpg", "bits.png"];

    fn photos() -> Arc<[PathBuf]> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos");
        NAMES.iter().map(|name| folder.join(name)).collect()
    }

    fn decoding(augmentation: Option<Augmented>) -> Decoding {
        Decoding { preprocessing: Preprocessing::torch(), size: (16, 20, 3), augmentation }
    }

    fn augmented(epoch: u64) -> Option<Augmented> {
        let augmentation =
            Augmentation { flip: true, crop: Some(0.2), rotate: 10.0, contrast: 0.2, ..Default::default() };
        Some(Augmented { augmentation, seed: 1, epoch })
    }

    /// The values of all photos in order, with this batch size and number of threads.
    fn all(order: &[usize], augmentation: Option<Augmented>, batch: usize, threads: usize) -> Vec<Vec<f32>> {
        let loader = PhotoLoader::new(photos(), order.to_vec(), decoding(augmentation), batch, threads);
        assert_eq!(loader.remaining(), order.len().div_ceil(batch));
        let mut found = Vec::new();
        for item in loader {
            let item = item.unwrap();
            assert_eq!(item.range, found.len()..(found.len() + batch).min(order.len()));
            assert_eq!(item.values.len(), item.range.len() * 960);
            found.extend(item.values.chunks(960).map(<[f32]>::to_vec));
        }
        assert_eq!(found.len(), order.len());
        found
    }

    #[test]
    fn batches_are_in_order() {
        let order = [3, 0, 0, 4, 2, 1, 3, 1, 0, 2, 4];
        let got = all(&order, None, 2, 2);
        for (values, &index) in got.iter().zip(&order) {
            let mut expected = vec![0.0; 960];
            photo::read(&photos()[index], &Preprocessing::torch(), (16, 20, 3), &mut expected).unwrap();
            assert_eq!(*values, expected, "{}", NAMES[index]);
        }
        assert_eq!(all(&[], None, 4, 2), Vec::<Vec<f32>>::new());
    }

    #[test]
    fn values_do_not_depend_on_threads_and_batches() {
        let order: Vec<usize> = (0..40).map(|position| position * 7 % 5).collect();
        for augmentation in [None, augmented(3)] {
            let expected = all(&order, augmentation, 1, 1);
            for (batch, threads) in [(3, 1), (3, 4), (7, 2), (64, 8)] {
                assert_eq!(all(&order, augmentation, batch, threads), expected, "{batch}, {threads}");
            }
        }
    }

    #[test]
    fn augmentation_depends_on_epoch_and_index_not_position() {
        let (here, there) = (all(&[0, 1, 2], augmented(0), 2, 2), all(&[2, 0, 1], augmented(0), 2, 2));
        assert_eq!([&here[0], &here[1], &here[2]], [&there[1], &there[2], &there[0]]);
        assert_ne!(here, all(&[0, 1, 2], augmented(1), 2, 2));
        let identity = Augmented { augmentation: Augmentation::default(), seed: 0, epoch: 0 };
        assert_eq!(all(&[0, 1, 2], Some(identity), 2, 2), all(&[0, 1, 2], None, 2, 2));
    }

    #[test]
    fn unusable_photos_are_named_and_do_not_affect_others() {
        let folder = tempfile::TempDir::new().unwrap();
        let bad = folder.path().join("bad.jpg");
        std::fs::write(&bad, "words").unwrap();
        let good = photos()[0].clone();
        let paths: Arc<[PathBuf]> = [good.clone(), bad, folder.path().join("gone.png")].into();
        let mut loader = PhotoLoader::new(paths, vec![0, 0, 1, 0, 2, 2], decoding(None), 3, 2);
        let first = loader.next().unwrap().unwrap_err();
        assert!(first.to_string().ends_with("bad.jpg: not a photo, but text"), "{first}");
        assert_eq!((first.errors.len(), first.errors[0].0, first.batch.range.clone()), (1, 2, 0..3));
        let mut expected = vec![0.0; 960];
        photo::read(&good, &Preprocessing::torch(), (16, 20, 3), &mut expected).unwrap();
        assert_eq!(first.batch.values[960..1920], expected);
        assert!(first.batch.values[1920..].iter().all(|&value| value == 0.0));
        let second = loader.next().unwrap().unwrap_err();
        assert_eq!(second.errors.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [4, 5]);
        assert!(loader.next().is_none() && loader.next().is_none());
    }

    #[test]
    fn dropping_stops_the_threads() {
        let order: Vec<usize> = (0..500).map(|position| position % 5).collect();
        let mut loader = PhotoLoader::new(photos(), order, decoding(None), 2, 3);
        loader.next().unwrap().unwrap();
        let shared = Arc::clone(&loader.shared);
        drop(loader);
        assert_eq!(Arc::strong_count(&shared), 1, "no thread is left");
        assert!(shared.lock().next <= 2 * (1 + AHEAD), "decoded too far ahead");
    }
}
