//! Photos decoded ahead, while the net computes.

use super::augment::Augmentation;
use super::photo;
use super::photo_error::{PhotoError, PhotoErrorKind};
use crate::ops::preprocessing::Preprocessing;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use thiserror::Error;

/// How many batches may wait, or be in the making, at a time.
const AHEAD: usize = 3;

/// How photos become an input's values.
#[derive(Clone, Debug)]
pub struct Decoding {
    pub preprocessing: Preprocessing,
    /// The Input's (height, width, channels).
    pub size: (usize, usize, usize),
    pub augmentation: Option<Augmented>,
}

/// Changes by chance, the same for the same seed, epoch and index of a photo.
#[derive(Clone, Copy, Debug)]
pub struct Augmented {
    pub augmentation: Augmentation,
    pub seed: u64,
    pub epoch: u64,
}

/// Some photos that follow each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhotoBatch {
    /// Which places of the order they have.
    pub range: Range<usize>,
    /// (range.len(), height, width, channels) in row-major order.
    pub values: Vec<f32>,
}

/// A batch with photos that cannot be used.
#[derive(Debug, Error)]
#[error("{}", listed(errors))]
pub struct BatchError {
    /// The batch; the values of the bad photos are zeros.
    pub batch: PhotoBatch,
    /// The places of the bad photos in the order, ascending, and what is wrong with them. Never empty.
    pub errors: Vec<(usize, PhotoError)>,
}

fn listed(errors: &[(usize, PhotoError)]) -> String {
    let lines: Vec<String> = errors.iter().map(|(_, error)| error.to_string()).collect();
    lines.join("\n")
}

/// An iterator over batches of photos, which threads of its own decode ahead.
///
/// Batches come in order, and their values do not depend on the number of threads. At most three batches are in memory,
/// besides the one that was handed out. Dropping it stops its threads after the photos that they are at.
#[derive(Debug)]
pub struct PhotoLoader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads work on.
#[derive(Debug)]
struct Shared {
    photos: Arc<[PathBuf]>,
    order: Vec<usize>,
    decoding: Decoding,
    batch: usize,
    /// Values of one photo.
    values: usize,
    state: Mutex<State>,
    /// There is room for another batch, or the end has come.
    room: Condvar,
    /// A batch is complete.
    complete: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The place in the order that is decoded next.
    next: usize,
    /// How many batches were handed out.
    handed_out: usize,
    /// The batches that were begun and not handed out, in order.
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
    /// Begins to decode the photos `photos[order[0]]`, `photos[order[1]]` …, in batches of `batch` (the last one may be
    /// smaller), on `threads` threads. The index in `photos` is what an augmentation depends on, not the place.
    ///
    /// # Panics
    /// An index in `order` that is not below `photos.len()`.
    pub fn new(photos: Arc<[PathBuf]>, order: Vec<usize>, decoding: Decoding, batch: usize, threads: usize) -> Self {
        assert!(order.iter().all(|&index| index < photos.len()), "the order names photos that there are");
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
        // Threads that the system refuses are done without; with none at all, `next` does the work.
        let threads = (0..threads).filter_map(start).collect();
        PhotoLoader { shared, threads }
    }

    /// How many batches are still to come.
    pub fn remaining(&self) -> usize {
        self.shared.batches() - self.shared.lock().handed_out
    }
}

impl Iterator for PhotoLoader {
    type Item = Result<PhotoBatch, BatchError>;

    /// Waits for the next batch. A batch with a bad photo is an error that has the batch in it.
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
        open.errors.sort_by_key(|(place, _)| *place);
        Some(Err(BatchError { batch, errors: open.errors }))
    }
}

impl Drop for PhotoLoader {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // It catches the panics of decoders, so there is nothing to tell.
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

    /// The places in the order that a batch holds.
    fn range(&self, batch: usize) -> Range<usize> {
        batch * self.batch..((batch + 1) * self.batch).min(self.order.len())
    }

    /// What a thread does: photo after photo, as far as there is room.
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

    /// Decodes the next photo without holding the lock, and puts it where it belongs.
    fn step<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let place = state.next;
        state.next += 1;
        let batch = place / self.batch;
        if batch - state.handed_out == state.open.len() {
            let missing = self.range(batch).len();
            state.open.push_back(Open { values: vec![0.0; missing * self.values], missing, errors: Vec::new() });
        }
        drop(state);
        let decoded = self.decode(self.order[place]);
        let mut state = self.lock();
        // A batch that misses a photo is not handed out, so this one is still there.
        let at = batch - state.handed_out;
        if let Some(open) = state.open.get_mut(at) {
            match decoded {
                Ok(values) => {
                    let start = (place - batch * self.batch) * self.values;
                    open.values[start..start + self.values].copy_from_slice(&values);
                }
                Err(error) => open.errors.push((place, error)),
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
        // Decoders are others' work on strangers' files: one that panics is to cost one photo, not leave `next` waiting.
        match catch_unwind(AssertUnwindSafe(|| photo::read_changed(path, preprocessing, *size, draw, &mut values))) {
            Ok(read) => read.map(|()| values),
            Err(_) => Err(PhotoError {
                name: path.display().to_string(),
                error: PhotoErrorKind::Damaged("its decoder failed".to_owned()),
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

    /// Each place's values, in order, with that many threads and photos a batch.
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
    fn batches_are_the_photos_in_order() {
        let order = [3, 0, 0, 4, 2, 1, 3, 1, 0, 2, 4];
        let got = all(&order, None, 2, 2);
        for (values, &index) in got.iter().zip(&order) {
            let mut wanted = vec![0.0; 960];
            photo::read(&photos()[index], &Preprocessing::torch(), (16, 20, 3), &mut wanted).unwrap();
            assert_eq!(*values, wanted, "{}", NAMES[index]);
        }
        assert_eq!(all(&[], None, 4, 2), Vec::<Vec<f32>>::new());
    }

    #[test]
    fn threads_and_batches_change_no_value() {
        let order: Vec<usize> = (0..40).map(|place| place * 7 % 5).collect();
        for augmentation in [None, augmented(3)] {
            let wanted = all(&order, augmentation, 1, 1);
            for (batch, threads) in [(3, 1), (3, 4), (7, 2), (64, 8)] {
                assert_eq!(all(&order, augmentation, batch, threads), wanted, "{batch}, {threads}");
            }
        }
    }

    #[test]
    fn an_augmentation_follows_epoch_and_index_not_place() {
        let (here, there) = (all(&[0, 1, 2], augmented(0), 2, 2), all(&[2, 0, 1], augmented(0), 2, 2));
        assert_eq!([&here[0], &here[1], &here[2]], [&there[1], &there[2], &there[0]]);
        assert_ne!(here, all(&[0, 1, 2], augmented(1), 2, 2));
        let identity = Augmented { augmentation: Augmentation::default(), seed: 0, epoch: 0 };
        assert_eq!(all(&[0, 1, 2], Some(identity), 2, 2), all(&[0, 1, 2], None, 2, 2));
    }

    #[test]
    fn bad_photos_are_named_and_cost_only_themselves() {
        let folder = tempfile::TempDir::new().unwrap();
        let bad = folder.path().join("bad.jpg");
        std::fs::write(&bad, "words").unwrap();
        let good = photos()[0].clone();
        let paths: Arc<[PathBuf]> = [good.clone(), bad, folder.path().join("gone.png")].into();
        let mut loader = PhotoLoader::new(paths, vec![0, 0, 1, 0, 2, 2], decoding(None), 3, 2);
        let first = loader.next().unwrap().unwrap_err();
        assert!(first.to_string().ends_with("bad.jpg: not a photo, but text"), "{first}");
        assert_eq!((first.errors.len(), first.errors[0].0, first.batch.range.clone()), (1, 2, 0..3));
        let mut wanted = vec![0.0; 960];
        photo::read(&good, &Preprocessing::torch(), (16, 20, 3), &mut wanted).unwrap();
        assert_eq!(first.batch.values[960..1920], wanted);
        assert!(first.batch.values[1920..].iter().all(|&value| value == 0.0));
        let second = loader.next().unwrap().unwrap_err();
        assert_eq!(second.errors.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [4, 5]);
        assert!(loader.next().is_none() && loader.next().is_none());
    }

    #[test]
    fn it_stops_when_it_is_dropped() {
        let order: Vec<usize> = (0..500).map(|place| place % 5).collect();
        let mut loader = PhotoLoader::new(photos(), order, decoding(None), 2, 3);
        loader.next().unwrap().unwrap();
        let shared = Arc::clone(&loader.shared);
        drop(loader);
        assert_eq!(Arc::strong_count(&shared), 1, "no thread is left");
        assert!(shared.lock().next <= 2 * (1 + AHEAD), "no more was decoded than there is room for");
    }
}
