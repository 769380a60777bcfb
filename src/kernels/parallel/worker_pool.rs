//! How the threads of a pool share jobs: what they say to each other, and nothing else, so that `tests/pool_model.rs` can
//! check it over all interleavings and all that the memory orderings allow.
//!
//! Helpers spin for a short while between jobs before they sleep, and a caller never waits for a helper that has not begun:
//! it closes the job's gate and waits only for those inside.

use super::sync::{Arc, AtomicBool, AtomicUsize, JoinHandle, Mutex, Ordering, SPINS, UnsafeCell, spin_loop, thread};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The bit of the gate that lets helpers in; the bits below count those inside.
const OPEN: usize = 1 << (usize::BITS - 1);

/// What a thread of a pool keeps for itself.
pub trait WorkerState {
    /// Called by the thread before each job that it takes part in.
    fn before_job(&mut self);
}

/// A fixed number of threads, the caller's among them.
pub struct WorkerPool<S> {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    /// Held while a job runs; a second caller works alone meanwhile.
    caller: Mutex<S>,
}

/// What runs: the caller's closure with its lifetime erased, valid while the gate is open or a helper inside.
type Work = *const (dyn Fn(usize, usize) + Sync);

/// A part of a job's tasks, on a cache line of its own.
#[repr(align(64))]
struct Part {
    /// The first task that no thread has begun.
    next: AtomicUsize,
    end: AtomicUsize,
}

struct Shared {
    epoch: AtomicUsize,
    gate: AtomicUsize,
    /// For each worker the tasks that it begins with.
    parts: Vec<Part>,
    job: UnsafeCell<Option<Work>>,
    asleep: Vec<AtomicBool>,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written only by the one caller while the gate is closed and nobody inside, and read only inside.
unsafe impl Sync for Shared {}
// SAFETY: the raw pointer is to a `Sync` closure and is not used after its caller returned.
unsafe impl Send for Shared {}

impl<S: WorkerState> WorkerPool<S> {
    /// A pool of `count` threads (at least one; fewer where the system gives no more). Each makes its state itself, by its
    /// number; the caller, number 0, last.
    pub fn new(count: usize, state: impl Fn(usize) -> S + Clone + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            gate: AtomicUsize::new(0),
            parts: (0..count.max(1)).map(|_| Part { next: AtomicUsize::new(0), end: AtomicUsize::new(0) }).collect(),
            job: UnsafeCell::new(None),
            asleep: (1..count).map(|_| AtomicBool::new(false)).collect(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        // Where the system gives no more threads, those that it gave do the work.
        let helpers = (1..count)
            .map_while(|worker| {
                let (shared, state) = (Arc::clone(&shared), state.clone());
                let body = move || shared.help(worker, state(worker));
                thread::Builder::new().name(format!("kernel-{worker}")).spawn(body).ok()
            })
            .collect();
        Self { shared, helpers, caller: Mutex::new(state(0)) }
    }

    /// Calls `work(task, worker)` once for each task below `tasks`, which are cut into parts for as many workers; the
    /// others have none of their own. A panic is passed on after the other threads have left.
    pub fn run(&self, tasks: usize, parts: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        let caller = if tasks > 1 && !self.helpers.is_empty() { self.caller.try_lock().ok() } else { None };
        let Some(mut caller) = caller else {
            for task in 0..tasks {
                work(task, 0);
            }
            return;
        };
        caller.before_job();
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased; this call closes the gate and waits for the helpers before it returns.
        let erased: Work = unsafe {
            std::mem::transmute::<&(dyn Fn(usize, usize) + Sync), &'static (dyn Fn(usize, usize) + Sync)>(work)
        };
        // SAFETY: the gate is closed and nobody is inside: the last call saw to it.
        shared.job.with_mut(|job| unsafe { *job = Some(erased) });
        let start = |worker: usize| worker.min(parts) * tasks / parts;
        for (worker, part) in shared.parts.iter().enumerate() {
            part.next.store(start(worker), Ordering::Relaxed);
            part.end.store(start(worker + 1), Ordering::Relaxed);
        }
        shared.gate.store(OPEN, Ordering::Release);
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        for (asleep, helper) in shared.asleep.iter().zip(&self.helpers) {
            if asleep.load(Ordering::SeqCst) {
                helper.thread().unpark();
            }
        }
        shared.work(work, 0);
        shared.gate.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while shared.gate.load(Ordering::Acquire) != 0 {
            spins += 1;
            // A helper inside may have lost its core to another program.
            if spins < SPINS { spin_loop() } else { thread::yield_now() }
        }
        let panic = shared.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        drop(caller);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl<S> WorkerPool<S> {
    /// How many threads work.
    pub fn count(&self) -> usize {
        self.helpers.len() + 1
    }

    /// The workers that may have a part of their own.
    pub fn parts(&self) -> usize {
        self.shared.parts.len()
    }
}

impl Shared {
    /// Claims and does tasks until none is left: those of its own part, then those that others have not begun.
    fn work(&self, work: &(dyn Fn(usize, usize) + Sync), worker: usize) {
        let claimed = catch_unwind(AssertUnwindSafe(|| {
            let (before, own) = self.parts.split_at(worker);
            for part in own.iter().chain(before) {
                let end = part.end.load(Ordering::Relaxed);
                loop {
                    let task = part.next.fetch_add(1, Ordering::Relaxed);
                    if task >= end {
                        break;
                    }
                    work(task, worker);
                }
            }
        }));
        if let Err(payload) = claimed {
            for part in &self.parts {
                part.next.store(part.end.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(payload);
        }
    }

    /// A helper's life.
    fn help(&self, worker: usize, mut state: impl WorkerState) {
        let asleep = &self.asleep[worker - 1];
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.epoch.load(Ordering::SeqCst) == seen {
                if spins < SPINS {
                    spins += 1;
                    spin_loop();
                    continue;
                }
                asleep.store(true, Ordering::SeqCst);
                if self.epoch.load(Ordering::SeqCst) == seen {
                    thread::park();
                }
                asleep.store(false, Ordering::SeqCst);
                spins = 0;
            }
            seen = self.epoch.load(Ordering::SeqCst);
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            state.before_job();
            let entered = self
                .gate
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |gate| (gate & OPEN != 0).then_some(gate + 1));
            if entered.is_ok() {
                // SAFETY: inside the gate the job stands still.
                if let Some(work) = self.job.with(|job| unsafe { *job }) {
                    // SAFETY: the closure lives until this helper has left.
                    self.work(unsafe { &*work }, worker);
                }
                self.gate.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

impl<S> Drop for WorkerPool<S> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            // A helper catches the panics of its tasks, so it ends well.
            let _ = helper.join();
        }
    }
}
