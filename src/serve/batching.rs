//! Dynamic batching: images of all requests wait in one queue, and one thread per model computes them in batches.
//!
//! The first image of a batch waits for others until the delay has passed since it was queued, or the batch is full. Images that
//! queued up while a batch was computed go into the next one without delay. What an image gets does not depend on the others:
//! kernels give the same bits in every batch, and an image that cannot be computed fails alone.

use crate::runtime::RunError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Images in a batch.
    pub batch: usize,
    /// How long the first image of a batch waits for others.
    pub delay: Duration,
}

/// The values of one image, for each input or output of the net.
pub type Values = Vec<Vec<f32>>;

/// Computes batches.
pub trait Net: Send {
    /// The outputs of each image.
    ///
    /// # Errors
    /// As [`crate::runtime::Session::run`].
    fn run(&mut self, images: &[&Values]) -> Result<Vec<Values>, RunError>;

    /// Makes it as new after a panic.
    fn reset(&mut self);
}

/// The outputs of an image.
#[derive(Debug)]
pub struct Answer {
    pub outputs: Values,
    /// From the queue to the start of its batch.
    pub waited: Duration,
    /// The time that its batch took.
    pub ran: Duration,
    /// Images in its batch.
    pub batch: usize,
}

/// Why an image has no outputs.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("an internal error while the net ran")]
    Panic,
    #[error("the server is stopping")]
    Stopped,
}

/// Room for one image in a queue, until its answer is sent.
#[derive(Debug)]
pub struct Slot(#[allow(dead_code, reason = "held")] OwnedSemaphorePermit);

/// An image that waits.
struct Job {
    inputs: Values,
    queued: Instant,
    answer: oneshot::Sender<Result<Answer, Failure>>,
    slot: Slot,
}

impl Job {
    /// Frees its slot and sends its answer, which a client that is gone does not need.
    fn reply(self, answer: Result<Answer, Failure>) {
        drop(self.slot);
        let _ = self.answer.send(answer);
    }
}

/// What is reported for each batch.
pub type Observer = Box<dyn Fn(&BatchReport) + Send>;

/// A batch that has been computed.
#[derive(Clone, Copy, Debug)]
pub struct BatchReport {
    pub images: usize,
    /// The longest time that one of its images waited.
    pub waited: Duration,
    pub ran: Duration,
}

/// The queue of a model, and the thread that works on it. Dropping it ends the thread after what is queued.
#[derive(Debug)]
pub struct Queue {
    jobs: Option<Sender<Job>>,
    slots: Arc<Semaphore>,
    capacity: usize,
    worker: Option<JoinHandle<()>>,
}

impl Queue {
    /// A queue of at most `capacity` images.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(
        name: &str,
        net: Box<dyn Net>,
        batching: Batching,
        capacity: usize,
        observer: Observer,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let mut worker = Worker { net, batching, jobs: receiver, observer };
        let worker = thread::Builder::new().name(format!("net {name}")).spawn(move || worker.work())?;
        let capacity = capacity.min(Semaphore::MAX_PERMITS);
        Ok(Queue { jobs: Some(sender), slots: Arc::new(Semaphore::new(capacity)), capacity, worker: Some(worker) })
    }

    /// Reserves slots for images; `None` if there is not enough.
    pub fn reserve(&self, images: usize) -> Option<Vec<Slot>> {
        let all = u32::try_from(images).ok()?;
        let mut permit = Arc::clone(&self.slots).try_acquire_many_owned(all).ok()?;
        let mut slots = Vec::with_capacity(images);
        for _ in 1..images {
            slots.push(Slot(permit.split(1)?));
        }
        slots.push(Slot(permit));
        Some(slots)
    }

    /// Images in the queue now: those that are being decoded, waiting or being computed.
    pub fn taken(&self) -> usize {
        self.capacity - self.slots.available_permits()
    }

    /// The maximum number of images in it.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether its thread works.
    pub fn is_alive(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| !worker.is_finished())
    }

    /// Queues an image.
    pub fn submit(&self, inputs: Values, slot: Slot) -> oneshot::Receiver<Result<Answer, Failure>> {
        let (answer, receiver) = oneshot::channel();
        let job = Job { inputs, queued: Instant::now(), answer, slot };
        if let Some(Err(refused)) = self.jobs.as_ref().map(|jobs| jobs.send(job)) {
            refused.0.reply(Err(Failure::Stopped));
        }
        receiver
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

struct Worker {
    net: Box<dyn Net>,
    batching: Batching,
    jobs: Receiver<Job>,
    observer: Observer,
}

impl Worker {
    fn work(&mut self) {
        while let Ok(first) = self.jobs.recv() {
            let batch = self.collect(first);
            self.answer(batch);
        }
    }

    /// The next batch.
    fn collect(&self, first: Job) -> Vec<Job> {
        let until = first.queued + self.batching.delay;
        let mut batch = vec![first];
        while batch.len() < self.batching.batch {
            let left = until.saturating_duration_since(Instant::now());
            match self.jobs.recv_timeout(left) {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        batch
    }

    fn answer(&mut self, mut batch: Vec<Job>) {
        // Of clients that are gone.
        batch.retain(|job| !job.answer.is_closed());
        if batch.is_empty() {
            return;
        }
        let begun = Instant::now();
        match self.run(&batch) {
            Ok(outputs) => self.send(batch, outputs, begun),
            // One image must not be the others' failure.
            Err(_) if batch.len() > 1 => {
                for job in batch {
                    self.answer(vec![job]);
                }
            }
            Err(failure) => {
                if let Some(job) = batch.pop() {
                    job.reply(Err(failure));
                }
            }
        }
    }

    fn run(&mut self, batch: &[Job]) -> Result<Vec<Values>, Failure> {
        let images: Vec<&Values> = batch.iter().map(|job| &job.inputs).collect();
        let net = &mut self.net;
        match catch_unwind(AssertUnwindSafe(|| net.run(&images))) {
            Ok(outputs) => Ok(outputs?),
            Err(_) => {
                net.reset();
                Err(Failure::Panic)
            }
        }
    }

    fn send(&self, batch: Vec<Job>, outputs: Vec<Values>, begun: Instant) {
        let ran = begun.elapsed();
        let images = batch.len();
        let waited = |job: &Job| begun.saturating_duration_since(job.queued);
        let longest = batch.iter().map(waited).max().unwrap_or_default();
        (self.observer)(&BatchReport { images, waited: longest, ran });
        for (job, outputs) in batch.into_iter().zip(outputs) {
            let waited = waited(&job);
            job.reply(Ok(Answer { outputs, waited, ran, batch: images }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Doubles; takes its time, panics at 13 and fails at 7.
    struct Doubling {
        time: Duration,
        resets: Arc<Mutex<usize>>,
    }

    impl Net for Doubling {
        fn run(&mut self, images: &[&Values]) -> Result<Vec<Values>, RunError> {
            thread::sleep(self.time);
            assert!(images.iter().all(|image| image[0][0] != 13.0), "on purpose");
            match images.iter().any(|image| image[0][0] == 7.0) {
                true => Err(RunError::Count { what: "inputs", found: 7, wanted: 1 }),
                false => Ok(images.iter().map(|image| vec![vec![2.0 * image[0][0]]]).collect()),
            }
        }

        fn reset(&mut self) {
            *self.resets.lock().expect("no panic") += 1;
        }
    }

    /// A queue, the sizes of its batches, and the number of resets.
    type Parts = (Queue, Arc<Mutex<Vec<usize>>>, Arc<Mutex<usize>>);

    fn queue(batch: usize, delay: Duration, capacity: usize, time: Duration) -> Parts {
        let (sizes, resets) = (Arc::new(Mutex::new(Vec::new())), Arc::default());
        let seen = Arc::clone(&sizes);
        let observer = Box::new(move |report: &BatchReport| seen.lock().expect("no panic").push(report.images));
        let net = Box::new(Doubling { time, resets: Arc::clone(&resets) });
        (Queue::new("test", net, Batching { batch, delay }, capacity, observer).expect("a thread"), sizes, resets)
    }

    fn submit(queue: &Queue, value: f32) -> oneshot::Receiver<Result<Answer, Failure>> {
        let slot = queue.reserve(1).and_then(|mut slots| slots.pop()).expect("a slot");
        queue.submit(vec![vec![value]], slot)
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_full_batch_does_not_wait_for_the_delay() {
        let (queue, sizes, _) = queue(4, LONG, 16, Duration::ZERO);
        let answers: Vec<_> = (0..4).map(|value| submit(&queue, value as f32)).collect();
        for (value, answer) in answers.into_iter().enumerate() {
            let answer = answer.blocking_recv().expect("an answer").expect("outputs");
            assert_eq!((answer.outputs, answer.batch), (vec![vec![2.0 * value as f32]], 4));
        }
        assert_eq!(*sizes.lock().expect("no panic"), [4]);
    }

    #[test]
    fn what_queued_up_goes_without_delay() {
        let (queue, sizes, _) = queue(8, Duration::ZERO, 16, Duration::from_millis(200));
        let first = submit(&queue, 1.0);
        let rest: Vec<_> = (0..5).map(|value| submit(&queue, value as f32)).collect();
        for answer in std::iter::once(first).chain(rest) {
            answer.blocking_recv().expect("an answer").expect("outputs");
        }
        let sizes = sizes.lock().expect("no panic");
        // The first batch begins at once with what is there by then; all others are in the second.
        assert!(sizes.len() <= 2 && sizes.iter().sum::<usize>() == 6, "{sizes:?}");
    }

    #[test]
    fn an_image_fails_alone_and_a_panic_ends_nothing() {
        let (queue, _, resets) = queue(4, LONG, 16, Duration::ZERO);
        let answers: Vec<_> = [1.0, 7.0, 13.0, 2.0].map(|value| submit(&queue, value)).into_iter().collect();
        let results: Vec<_> = answers.into_iter().map(|answer| answer.blocking_recv().expect("an answer")).collect();
        assert!(matches!(&results[0], Ok(answer) if answer.outputs == [[2.0]]), "{results:?}");
        assert!(matches!(results[1], Err(Failure::Run(RunError::Count { .. }))), "{results:?}");
        assert!(matches!(results[2], Err(Failure::Panic)), "{results:?}");
        assert!(matches!(&results[3], Ok(answer) if answer.outputs == [[4.0]]), "{results:?}");
        assert!(*resets.lock().expect("no panic") >= 1);
        assert_eq!(queue.taken(), 0, "all slots are free again");
    }

    #[test]
    fn a_queue_has_room_for_as_many_as_it_says() {
        let (queue, ..) = queue(1, Duration::ZERO, 3, Duration::ZERO);
        let slots = queue.reserve(2).expect("a slot");
        assert!(queue.reserve(2).is_none() && queue.taken() == 2);
        drop(slots);
        assert!(queue.reserve(3).is_some() && queue.reserve(4).is_none());
    }

    #[test]
    fn images_of_clients_that_are_gone_are_not_computed() {
        let (queue, sizes, _) = queue(2, LONG, 16, Duration::ZERO);
        drop(submit(&queue, 13.0));
        let answer = submit(&queue, 5.0).blocking_recv().expect("an answer").expect("outputs");
        assert_eq!((answer.batch, &sizes.lock().expect("no panic")[..]), (1, &[1][..]));
    }

    #[test]
    fn dropping_a_queue_answers_what_waits() {
        let (queue, ..) = queue(8, LONG, 16, Duration::ZERO);
        let answer = submit(&queue, 1.0);
        drop(queue);
        assert!(answer.blocking_recv().expect("an answer").is_ok());
    }
}
