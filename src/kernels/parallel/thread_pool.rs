//! The threads that share a kernel's work.
//!
//! A kernel takes microseconds to milliseconds, so helpers spin for a short while between kernels before they sleep,
//! and a caller never waits for a helper that has not begun: it closes the job's gate and waits only for those inside.

use super::affinity::{PinGuard, PinPolicy};
use crate::kernels::simd::isa::Isa;
use crate::size::{product, round_up, sum};
use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Looks at the epoch before a helper sleeps: tens of microseconds.
const SPINS: usize = 3000;
/// How long threads wait for each other in [`ThreadPool::on_each`].
const MEETING: Duration = Duration::from_millis(50);
/// The bit of the gate that lets helpers in; the bits below count those inside.
const OPEN: usize = 1 << (usize::BITS - 1);

/// A fixed pool of threads.
pub struct ThreadPool {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    isa: Isa,
    /// Held while a job runs; a second caller works alone meanwhile. The maker's stay on a core.
    caller: Mutex<Option<PinGuard>>,
}

/// What runs: the caller's closure with its lifetime erased, valid while the gate is open or a helper inside.
type Work = *const (dyn Fn(usize, usize) + Sync);

/// A part of a job's tasks, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Part {
    /// The first task that nobody has begun.
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

impl ThreadPool {
    /// A pool of `count` threads (at least one; fewer where the system gives no more), the caller's among them.
    pub fn new(count: usize) -> Self {
        Self::with_isa(count, Isa::detect())
    }

    /// A pool whose kernels use the instruction set `isa`.
    ///
    /// # Panics
    /// If the machine does not have it.
    pub fn with_isa(count: usize, isa: Isa) -> Self {
        Self::make(count, isa, PinPolicy::Never)
    }

    /// A pool whose threads, the caller's too, stay on cores of their own where `pinning` says so and the system lets them.
    pub fn placed(count: usize, pinning: PinPolicy) -> Self {
        Self::make(count, Isa::detect(), pinning)
    }

    fn make(count: usize, isa: Isa, pinning: PinPolicy) -> Self {
        assert!(Isa::available().contains(&isa), "the machine does not have {isa:?}");
        let count = count.max(1);
        let cores = pinning.cores(count).unwrap_or_default();
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            gate: AtomicUsize::new(0),
            parts: (0..count).map(|_| Part::default()).collect(),
            job: UnsafeCell::new(None),
            asleep: (1..count).map(|_| AtomicBool::new(false)).collect(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        // Where the system gives no more threads, those that it gave do the work.
        let helpers = (1..count)
            .map_while(|worker| {
                let shared = Arc::clone(&shared);
                let name = format!("kernel-{worker}");
                let core = cores.get(worker).copied();
                let body = move || shared.help(worker, core.and_then(|core| PinGuard::on(core, pinning)));
                thread::Builder::new().name(name).spawn(body).ok()
            })
            .collect();
        // Last, as threads begin where their maker may run.
        let stay = cores.first().and_then(|&core| PinGuard::on(core, pinning));
        Self { shared, helpers, isa, caller: Mutex::new(stay) }
    }

    /// How many threads work.
    pub fn count(&self) -> usize {
        self.helpers.len() + 1
    }

    /// The instruction set that kernels on this pool use; the machine has it.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Calls `work(task, worker)` once for each task below `tasks`; `worker` is below [`ThreadPool::count`] and no two
    /// calls with the same worker run at once, so that it may name a piece of scratch memory.
    ///
    /// A panic in a task is passed on after the other threads have left; tasks not yet begun may then be left out.
    pub fn run(&self, tasks: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        self.share(tasks, 1, work);
    }

    /// [`ThreadPool::run`] where each worker begins with the same part of every job: what it wrote for one step, such as the
    /// top of an image, is what it reads for the next, and is in its own cache. Not for tasks whose neighbours read the same
    /// large weights, which are read once when they run at about the same time.
    pub fn run_in_parts(&self, tasks: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        self.share(tasks, self.shared.parts.len(), work);
    }

    /// Calls `work` once on each thread, as far as all of them come within [`MEETING`]: one that another program keeps
    /// from its core may miss it.
    pub fn on_each(&self, work: &(dyn Fn() + Sync)) {
        let here: Vec<AtomicBool> = (0..self.count()).map(|_| AtomicBool::new(false)).collect();
        let until = Instant::now() + MEETING;
        self.run(self.count(), &|_, worker| {
            if here[worker].swap(true, Ordering::SeqCst) {
                return;
            }
            work();
            // A thread that is done holds its task, so that no other one's is left to it.
            while Instant::now() < until && !here.iter().all(|here| here.load(Ordering::SeqCst)) {
                thread::yield_now();
            }
        });
    }

    /// Cuts the tasks into parts for as many workers; the others have none of their own.
    fn share(&self, tasks: usize, parts: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        let pool = if tasks > 1 && !self.helpers.is_empty() { self.caller.try_lock().ok() } else { None };
        let Some(mut pool) = pool else {
            for task in 0..tasks {
                work(task, 0);
            }
            return;
        };
        pool.take_if(PinGuard::is_disturbed);
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased; this call closes the gate and waits for the helpers before it returns.
        let erased: Work = unsafe {
            std::mem::transmute::<&(dyn Fn(usize, usize) + Sync), &'static (dyn Fn(usize, usize) + Sync)>(work)
        };
        // SAFETY: the gate is closed and nobody is inside: the last call saw to it.
        unsafe { *shared.job.get() = Some(erased) };
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
            if spins < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let panic = shared.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        drop(pool);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
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
    fn help(&self, worker: usize, mut stay: Option<PinGuard>) {
        let asleep = &self.asleep[worker - 1];
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.epoch.load(Ordering::SeqCst) == seen {
                if spins < SPINS {
                    spins += 1;
                    std::hint::spin_loop();
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
            stay.take_if(PinGuard::is_disturbed);
            let entered = self
                .gate
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |gate| (gate & OPEN != 0).then_some(gate + 1));
            if entered.is_ok() {
                // SAFETY: inside the gate the job stands still, and the closure lives until this helper has left.
                if let Some(work) = unsafe { *self.job.get() } {
                    // SAFETY: as above.
                    self.work(unsafe { &*work }, worker);
                }
                self.gate.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

impl Drop for ThreadPool {
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

impl fmt::Debug for ThreadPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ThreadPool").field("count", &self.count()).field("isa", &self.isa).finish()
    }
}

/// Floats to add to each worker's scratch, so that it can begin at a cache line.
pub const ALIGNMENT: usize = 16;

/// Scratch memory cut into equal pieces, one for each worker, each aligned to a cache line.
#[derive(Clone, Copy)]
pub struct WorkerScratch<'a> {
    data: *mut f32,
    each: usize,
    workers: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pieces are disjoint, and `piece` has its caller promise not to use one twice at once.
unsafe impl Sync for WorkerScratch<'_> {}

impl<'a> WorkerScratch<'a> {
    /// The floats that `workers` pieces of `each` need.
    pub fn len(each: usize, workers: usize) -> usize {
        sum([product([round_up(each, ALIGNMENT), workers]), ALIGNMENT])
    }

    /// Cuts `scratch` into a piece of `each` floats for each of `workers`.
    ///
    /// # Panics
    /// If it is shorter than [`WorkerScratch::len`].
    pub fn new(scratch: &'a mut [f32], each: usize, workers: usize) -> Self {
        assert!(scratch.len() >= Self::len(each, workers), "scratch memory is too small");
        let skip = scratch.as_ptr().align_offset(64).min(ALIGNMENT);
        let data = scratch[skip..].as_mut_ptr();
        Self { data, each: each.next_multiple_of(ALIGNMENT), workers, lifetime: PhantomData }
    }

    /// The piece of `worker`.
    ///
    /// # Safety
    /// No other use of the same piece may live at the same time.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn piece(&self, worker: usize) -> &mut [f32] {
        assert!(worker < self.workers);
        // SAFETY: the piece lies within the slice, and the caller promises that it is not in use.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(worker * self.each), self.each) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_runs_once_and_workers_are_exclusive() {
        for count in [1, 2, 5] {
            let threads = ThreadPool::new(count);
            for (tasks, parts) in [0, 1, 2, 7, 100].into_iter().flat_map(|tasks| [(tasks, false), (tasks, true)]) {
                let done: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                let busy: Vec<AtomicBool> = (0..count).map(|_| AtomicBool::new(false)).collect();
                let work = |task: usize, worker: usize| {
                    assert!(!busy[worker].swap(true, Ordering::SeqCst), "two calls of one worker at once");
                    done[task].fetch_add(1, Ordering::SeqCst);
                    busy[worker].store(false, Ordering::SeqCst);
                };
                if parts {
                    threads.run_in_parts(tasks, &work)
                } else {
                    threads.run(tasks, &work)
                }
                assert!(done.iter().all(|count| count.load(Ordering::SeqCst) == 1), "{count} threads, {tasks} tasks");
            }
        }
    }

    #[test]
    fn many_short_jobs_with_pauses() {
        let threads = ThreadPool::new(3);
        let sum = AtomicUsize::new(0);
        for round in 0..2000 {
            threads.run(4, &|task, _| {
                sum.fetch_add(task + 1, Ordering::Relaxed);
            });
            if round % 500 == 0 {
                thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        assert_eq!(sum.into_inner(), 20_000);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let threads = ThreadPool::new(2);
        for panicking in [0, 9] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                threads.run(10, &|task, _| assert_ne!(task, panicking, "on purpose"));
            }));
            assert!(result.is_err());
            let count = AtomicUsize::new(0);
            threads.run(10, &|_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 10);
        }
    }

    #[test]
    fn a_job_within_a_job_runs_alone() {
        let threads = ThreadPool::new(2);
        let count = AtomicUsize::new(0);
        threads.run(3, &|_, _| {
            threads.run(5, &|_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(count.into_inner(), 15);
    }
}
