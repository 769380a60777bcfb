//! Sessions that many threads share: each call has one for itself.

use super::Session;
use super::thread_count::available;
use crate::artifact::Artifact;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::panicking;

/// Sessions of one artifact, whose constants they share; each has its own arena and threads.
///
/// There are at most as many as together use each processor once, so that threads that call at the same time neither wait for
/// each other's kernels nor multiply the memory: further callers wait for a session.
#[derive(Debug)]
pub struct SessionPool {
    artifact: Arc<Artifact>,
    /// Of each session.
    threads: usize,
    max: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug)]
struct State {
    /// The process that the sessions were made in.
    process: u32,
    /// The one used last is at the end: its memory is in the caches.
    idle: Vec<Session>,
    /// The number of sessions in use.
    busy: usize,
}

impl State {
    fn of_this_process() -> Self {
        State { process: std::process::id(), idle: Vec::new(), busy: 0 }
    }

    /// Leaves the sessions of the process that this one was forked from behind: their threads do not exist here, and those in
    /// use never come back.
    fn renew(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(std::mem::replace(self, State::of_this_process()));
        }
    }
}

/// A session in use; dropping it returns it to the pool.
#[derive(Debug)]
struct PooledSession<'a> {
    pool: &'a SessionPool,
    session: Option<Session>,
}

impl SessionPool {
    /// A pool of sessions of `threads` threads each.
    pub fn new(artifact: Arc<Artifact>, threads: usize) -> Self {
        let threads = threads.max(1);
        let max = (available() / threads).max(1);
        SessionPool { artifact, threads, max, state: Mutex::new(State::of_this_process()), returned: Condvar::new() }
    }

    /// The artifact.
    pub fn artifact(&self) -> &Arc<Artifact> {
        &self.artifact
    }

    /// The number of threads of each session.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The maximum number of sessions.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Calls `work` with a session that no other thread uses meanwhile; waits for one if all are in use.
    pub fn with<T>(&self, work: impl FnOnce(&mut Session) -> T) -> T {
        let mut pooled = self.borrow();
        let new = || Session::new(Arc::clone(&self.artifact), self.threads);
        work(pooled.session.get_or_insert_with(new))
    }

    fn borrow(&self) -> PooledSession<'_> {
        let mut state = self.lock();
        state.renew();
        while state.idle.is_empty() && state.busy == self.max {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy += 1;
        PooledSession { pool: self, session: state.idle.pop() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PooledSession<'_> {
    fn drop(&mut self) {
        // The memory of a session whose work has panicked may be half-written.
        let session = self.session.take().filter(|_| !panicking());
        let mut state = self.pool.lock();
        state.busy = state.busy.saturating_sub(1);
        state.idle.extend(session);
        drop(state);
        self.pool.returned.notify_one();
    }
}

impl Drop for SessionPool {
    fn drop(&mut self) {
        self.lock().renew();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{BuildOptions, build};
    use crate::elaborate::load;
    use crate::elaborate::project::source_files::from_disk;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    fn pool(threads: usize) -> SessionPool {
        let spec = load("Input(3) >> Dense(4) >> Tanh", &from_disk).expect("a spec");
        let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
        let artifact = build(&spec, &options).expect("a build").0.in_memory().expect("weights");
        SessionPool::new(Arc::new(artifact), threads)
    }

    fn run(pool: &SessionPool, x: f32) -> [f32; 4] {
        let mut out = [0.0; 4];
        pool.with(|session| session.run(1, &[&[x, 1.0, -x]], &mut [&mut out])).expect("a run");
        out
    }

    #[test]
    fn threads_that_call_at_once_get_the_results_of_their_own_inputs() {
        for threads in [1, available()] {
            let pool = pool(threads);
            let wanted: Vec<[f32; 4]> = (0..8).map(|x| run(&pool, x as f32)).collect();
            thread::scope(|scope| {
                for x in 0..8 {
                    let (pool, wanted) = (&pool, &wanted);
                    scope.spawn(move || (0..200).for_each(|_| assert_eq!(run(pool, x as f32), wanted[x])));
                }
            });
            let state = pool.lock();
            assert!(state.busy == 0 && (1..=pool.max).contains(&state.idle.len()), "{state:?}");
        }
    }

    #[test]
    fn a_session_whose_work_panics_is_replaced() {
        let mut pool = pool(1);
        pool.max = 1;
        let wanted = run(&pool, 2.0);
        assert!(catch_unwind(AssertUnwindSafe(|| pool.with(|_| panic!("on purpose")))).is_err());
        assert!(pool.lock().idle.is_empty());
        assert_eq!(run(&pool, 2.0), wanted);
    }

    #[test]
    fn the_sessions_of_another_process_are_left_behind() {
        let pool = pool(2);
        let wanted = run(&pool, 2.0);
        {
            // As after a fork while all were in use.
            let mut state = pool.lock();
            (state.process, state.busy) = (0, pool.max);
        }
        assert_eq!(run(&pool, 2.0), wanted);
        assert_eq!(pool.lock().process, std::process::id());
    }
}
