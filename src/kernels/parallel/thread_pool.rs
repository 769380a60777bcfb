//! The threads that share a kernel's work.

use super::affinity::{PinGuard, PinPolicy};
use super::worker_pool::WorkerPool;
use crate::kernels::simd::isa::{ByteDot, Isa};
use crate::size::{product, round_up, sum};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long threads wait for each other in [`ThreadPool::on_each`].
const MEETING: Duration = Duration::from_millis(50);

/// A fixed pool of threads.
pub struct ThreadPool {
    pool: WorkerPool<Option<PinGuard>>,
    isa: Isa,
    byte_dot: ByteDot,
}

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
        // The maker's last, as threads begin where their maker may run.
        let pool =
            WorkerPool::new(count, move |worker| cores.get(worker).and_then(|&core| PinGuard::on(core, pinning)));
        Self { pool, isa, byte_dot: isa.byte_dot() }
    }

    /// A pool whose kernels multiply bytes in this way.
    #[cfg(test)]
    pub(crate) fn with_byte_dot(count: usize, byte_dot: ByteDot) -> Self {
        Self { byte_dot, ..Self::new(count) }
    }

    /// How many threads work.
    pub fn count(&self) -> usize {
        self.pool.count()
    }

    /// The instruction set that kernels on this pool use; the machine has it.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How kernels on this pool multiply bytes; the machine can.
    pub fn byte_dot(&self) -> ByteDot {
        self.byte_dot
    }

    /// Calls `work(task, worker)` once for each task below `tasks`; `worker` is below [`ThreadPool::count`] and no two
    /// calls with the same worker run at once, so that it may name a piece of scratch memory.
    ///
    /// A panic in a task is passed on after the other threads have left; tasks not yet begun may then be left out.
    pub fn run(&self, tasks: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        self.pool.run(tasks, 1, work);
    }

    /// [`ThreadPool::run`] where each worker begins with the same part of every job: what it wrote for one step, such as the
    /// top of an image, is what it reads for the next, and is in its own cache. Not for tasks whose neighbours read the same
    /// large weights, which are read once when they run at about the same time.
    pub fn run_in_parts(&self, tasks: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        self.pool.run(tasks, self.pool.parts(), work);
    }

    /// Calls `work` once on each thread, as far as all of them come within `MEETING`: one that another program keeps
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
    #[cfg(target_os = "linux")]
    use crate::kernels::parallel::affinity::system::allowed as allowed_cores;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;
    #[cfg(target_os = "linux")]
    use std::sync::{Barrier, Mutex};

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
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
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

    /// The cores of each thread of a pool of one for each core, during a job and after the pool's end.
    #[cfg(target_os = "linux")]
    fn cores_of_threads(pinning: PinPolicy) -> (Vec<Vec<usize>>, Vec<usize>) {
        let look = || {
            let count = allowed_cores().len();
            let threads = ThreadPool::placed(count, pinning);
            let seen = Mutex::new(vec![Vec::new(); count]);
            let together = Barrier::new(count);
            threads.run(count, &|_, worker| {
                together.wait();
                seen.lock().expect("no panic")[worker] = allowed_cores();
            });
            drop(threads);
            (seen.into_inner().expect("no panic"), allowed_cores())
        };
        // A thread of its own: the one that makes a pool stays too.
        thread::scope(|scope| scope.spawn(look).join()).expect("the pool works")
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn threads_stay_on_cores_of_their_own() {
        let all = allowed_cores();
        let each: Vec<_> = all.iter().map(|&core| vec![core]).collect();
        assert_eq!(cores_of_threads(PinPolicy::Always), (each, all.clone()));
        assert_eq!(cores_of_threads(PinPolicy::Never).0, vec![all.clone(); all.len()]);
        let fewer = PinPolicy::UntilContended.cores(all.len() + 1);
        assert!(fewer.is_none() && PinPolicy::Always.cores(all.len() + 1).is_none(), "more threads than cores");
        assert_eq!(PinPolicy::UntilContended.cores(all.len()), Some(all));
    }
}
