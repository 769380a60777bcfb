//! Model checking of the thread pool, `src/kernels/parallel/worker_pool.rs`, with loom: over interleavings and the values that the memory
//! orderings allow each read to return. Each test limits the number of preemptions.

#[path = "../src/kernels/parallel/worker_pool.rs"]
#[allow(dead_code)] // Not all of it is used here.
mod worker_pool;

/// Replaces `src/kernels/parallel/sync.rs`.
mod sync {
    pub use loom::cell::UnsafeCell;
    pub use loom::hint::spin_loop;
    pub use loom::sync::{Arc, Mutex};
    pub use std::sync::atomic::Ordering;
    pub use thread::JoinHandle;

    use std::cell::Cell;

    /// Both paths through a spin loop are explored.
    pub const SPINS: usize = 1;

    loom::lazy_static! {
        /// The location that all fences access. Loom's own fences would have the same effect, but it does not explore their order.
        static ref FENCE: loom::sync::atomic::AtomicUsize = loom::sync::atomic::AtomicUsize::new(0);
    }

    thread_local! {
        /// Whether the fence that emulates sequential consistency is before an access or after it.
        pub static FENCE_BEFORE: Cell<bool> = const { Cell::new(true) };
    }

    /// Performs an access. Loom treats a sequentially consistent access as acquire and release only; with a fence before each of
    /// them, or after each, they have a total order. As a fence orders more than its access, a model must pass with both.
    fn access<R>(order: Ordering, work: impl FnOnce() -> R) -> R {
        let fence = |before| {
            if order == Ordering::SeqCst && FENCE_BEFORE.get() == before {
                FENCE.fetch_add(1, Ordering::AcqRel);
            }
        };
        fence(true);
        let result = work();
        fence(false);
        result
    }

    pub struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub fn new(value: bool) -> Self {
            Self(loom::sync::atomic::AtomicBool::new(value))
        }

        pub fn load(&self, order: Ordering) -> bool {
            access(order, || self.0.load(order))
        }

        pub fn store(&self, value: bool, order: Ordering) {
            access(order, || self.0.store(value, order));
        }
    }

    pub struct AtomicUsize(loom::sync::atomic::AtomicUsize);

    impl AtomicUsize {
        pub fn new(value: usize) -> Self {
            Self(loom::sync::atomic::AtomicUsize::new(value))
        }

        pub fn load(&self, order: Ordering) -> usize {
            access(order, || self.0.load(order))
        }

        pub fn store(&self, value: usize, order: Ordering) {
            access(order, || self.0.store(value, order));
        }

        pub fn fetch_add(&self, value: usize, order: Ordering) -> usize {
            access(order, || self.0.fetch_add(value, order))
        }

        pub fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
            access(order, || self.0.fetch_sub(value, order))
        }

        pub fn fetch_and(&self, value: usize, order: Ordering) -> usize {
            access(order, || self.0.fetch_and(value, order))
        }

        pub fn fetch_update(
            &self,
            order: Ordering,
            failure: Ordering,
            update: impl FnMut(usize) -> Option<usize>,
        ) -> Result<usize, usize> {
            access(order, || self.0.fetch_update(order, failure, update))
        }
    }

    /// `park` and `unpark` with the ordering that the standard library guarantees: loom's own order more.
    pub mod thread {
        use loom::sync::{Arc, Condvar, Mutex};
        pub use loom::thread::yield_now;
        use std::cell::RefCell;
        use std::io;

        loom::thread_local! {
            static OWN: RefCell<Option<Thread>> = RefCell::new(None);
        }

        /// The token of `unpark`.
        #[derive(Clone)]
        pub struct Thread(Arc<(Mutex<bool>, Condvar)>);

        impl Thread {
            fn new() -> Self {
                Self(Arc::new((Mutex::new(false), Condvar::new())))
            }

            pub fn unpark(&self) {
                let (word, left) = &*self.0;
                *word.lock().expect("no panic") = true;
                left.notify_one();
            }
        }

        /// Loom reports a deadlock if no thread is left that could unpark.
        pub fn park() {
            let Thread(own) = OWN.with(|own| own.borrow().clone()).expect("made by a builder");
            let (word, left) = &*own;
            let mut word = word.lock().expect("no panic");
            while !*word {
                word = left.wait(word).expect("no panic");
            }
            *word = false;
        }

        pub struct JoinHandle<T>(loom::thread::JoinHandle<T>, Thread);

        impl<T> JoinHandle<T> {
            pub fn thread(&self) -> &Thread {
                &self.1
            }

            pub fn join(self) -> std::thread::Result<T> {
                self.0.join()
            }
        }

        pub struct Builder(loom::thread::Builder);

        impl Builder {
            pub fn new() -> Self {
                Self(loom::thread::Builder::new())
            }

            pub fn name(self, name: String) -> Self {
                Self(self.0.name(name))
            }

            pub fn spawn<T: Send + 'static>(
                self,
                body: impl FnOnce() -> T + Send + 'static,
            ) -> io::Result<JoinHandle<T>> {
                let thread = Thread::new();
                let own = thread.clone();
                let body = move || {
                    OWN.with(|thread| *thread.borrow_mut() = Some(own));
                    body()
                };
                Ok(JoinHandle(self.0.spawn(body)?, thread))
            }
        }
    }
}

use loom::sync::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use worker_pool::{WorkerPool, WorkerState};

impl WorkerState for () {
    fn before_job(&mut self) {}
}

fn pool(count: usize) -> WorkerPool<()> {
    WorkerPool::new(count, |_| ())
}

/// Explores a model with fences before and with fences after.
fn explore(switches: usize, model: impl Fn() + Sync + Send + Copy + 'static) {
    for before in [true, false] {
        sync::FENCE_BEFORE.set(before);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(switches));
        builder.check(model);
    }
}

/// How often each task was run, in memory protected only by the memory orderings of the protocol: loom reports data races, such
/// as a task that runs while the caller, after [`WorkerPool::run`], reads the counts.
struct Tasks(Vec<sync::UnsafeCell<usize>>);

// SAFETY: loom checks each access.
unsafe impl Sync for Tasks {}

impl Tasks {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| sync::UnsafeCell::new(0)).collect())
    }

    fn do_one(&self, task: usize) {
        // SAFETY: loom checks the access.
        self.0[task].with_mut(|done| unsafe { *done += 1 });
    }

    fn done(&self) -> Vec<usize> {
        // SAFETY: loom checks the access.
        self.0.iter().map(|task| task.with(|done| unsafe { *done })).collect()
    }
}

/// Runs a job and checks that each task was run once before it returned.
fn run(pool: &WorkerPool<()>, tasks: usize, parts: usize) {
    let done = Tasks::new(tasks);
    pool.run(tasks, parts, &|task, _| done.do_one(task));
    assert_eq!(done.done(), vec![1; tasks]);
}

#[test]
fn each_task_of_each_job_runs_once_and_before_its_end() {
    explore(3, || {
        let pool = pool(2);
        run(&pool, 2, 1);
        run(&pool, 3, 2);
    });
}

/// A caller without helpers runs all tasks itself, so only tasks that wait for each other reveal a helper that was not woken.
#[test]
fn a_job_wakes_the_helper() {
    explore(3, || {
        let pool = pool(2);
        for _ in 0..2 {
            let (here, all_here) = (Mutex::new(0), Condvar::new());
            pool.run(2, 1, &|_, _| {
                let mut here = here.lock().expect("no panic");
                *here += 1;
                all_here.notify_one();
                while *here < 2 {
                    here = all_here.wait(here).expect("no panic");
                }
            });
        }
    });
}

#[test]
fn two_helpers() {
    explore(2, || run(&pool(3), 3, 3));
}

#[test]
fn a_pool_without_work_ends() {
    explore(3, || drop(pool(3)));
}

#[test]
fn a_second_caller_works_alone() {
    explore(2, || {
        let pool = loom::sync::Arc::new(pool(2));
        let other = loom::thread::spawn({
            let pool = pool.clone();
            move || run(&pool, 2, 1)
        });
        run(&pool, 2, 2);
        other.join().expect("no panic");
    });
}

#[test]
fn a_job_within_a_job_runs_alone() {
    explore(2, || {
        let pool = pool(2);
        pool.run(2, 1, &|_, _| run(&pool, 2, 1));
    });
}

#[test]
fn a_panic_reaches_the_caller_and_the_next_job_runs() {
    explore(2, || {
        let pool = pool(2);
        let done = Tasks::new(3);
        let failing = |task: usize, _: usize| {
            done.do_one(task);
            if task == 1 {
                // Suppresses the message, which would be printed for each interleaving.
                resume_unwind(Box::new("on purpose"));
            }
        };
        let failed = catch_unwind(AssertUnwindSafe(|| pool.run(3, 2, &failing))).expect_err("a panic");
        assert_eq!(failed.downcast_ref(), Some(&"on purpose"));
        let done = done.done();
        assert!(done[1] == 1 && done.iter().all(|&times| times <= 1), "{done:?}");
        run(&pool, 2, 1);
    });
}

#[test]
fn a_panic_in_every_task_is_passed_on_once() {
    explore(2, || {
        let pool = pool(2);
        let failing = |task: usize, _: usize| resume_unwind(Box::new(task));
        let failed = catch_unwind(AssertUnwindSafe(|| pool.run(2, 2, &failing))).expect_err("a panic");
        assert!(failed.is::<usize>());
    });
}
