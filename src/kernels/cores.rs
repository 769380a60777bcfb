//! Threads that stay on cores of their own, while nobody else wants them.

use std::thread::{self, ThreadId};

/// Whether the threads of a team stay on cores of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// They go where the system likes.
    Never,
    /// They do if there is a thread for each core that the process may use, until another program wants one of them: a
    /// thread that may not leave its core is then late, and all wait for it.
    WhileAlone,
    /// They do wherever there are as many cores.
    Always,
}

impl Pinning {
    /// The cores for a team of `count`, one for each thread, if they are to stay: of those that the process may use, as
    /// its affinity and its control group say.
    pub(super) fn cores(self, count: usize) -> Option<Vec<usize>> {
        let cores = system::allowed();
        match self {
            Self::Never => None,
            Self::WhileAlone => (cores.len() == count).then_some(cores),
            Self::Always => (cores.len() >= count).then_some(cores),
        }
    }
}

/// The calling thread's stay on a core, which ends where this is dropped by the same thread.
pub(super) struct Stay {
    thread: ThreadId,
    free: system::Cores,
    /// What is watched, if others may have the core.
    watch: Option<system::Watch>,
}

impl Stay {
    /// Keeps the calling thread on a core, if the system lets it.
    pub fn on(core: usize, pinning: Pinning) -> Option<Self> {
        let free = system::keep_on(core)?;
        let watch = (pinning != Pinning::Always).then(system::Watch::new).flatten();
        Some(Self { thread: thread::current().id(), free, watch })
    }

    /// Whether another program wanted the core of the calling thread, if it is the one that stays. Cheap: looks seldom.
    pub fn is_disturbed(&mut self) -> bool {
        thread::current().id() == self.thread && self.watch.as_mut().is_some_and(system::Watch::is_disturbed)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if thread::current().id() == self.thread {
            system::let_go(&self.free);
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::unistd::Pid;
    use std::time::{Duration, Instant};

    /// Cores that a thread may run on.
    pub type Cores = CpuSet;

    /// How long a thread is watched before it is judged.
    const LOOK: Duration = Duration::from_millis(100);
    /// Times a second that a thread loses its core to others: the system's own work takes a few, a busy program a hundred
    /// and more, as each has the core for some milliseconds.
    const MOST_SWITCHES: f64 = 50.0;

    fn this_thread() -> Pid {
        Pid::from_raw(0)
    }

    /// The cores that the calling thread may run on.
    pub fn allowed() -> Vec<usize> {
        let cores = sched_getaffinity(this_thread()).unwrap_or_default();
        (0..CpuSet::count()).filter(|&core| cores.is_set(core).unwrap_or(false)).collect()
    }

    /// Keeps the calling thread on a core; returns where it could run before.
    pub fn keep_on(core: usize) -> Option<Cores> {
        let before = sched_getaffinity(this_thread()).ok()?;
        let mut only = CpuSet::new();
        only.set(core).ok()?;
        sched_setaffinity(this_thread(), &only).ok()?;
        Some(before)
    }

    /// Lets the calling thread run on all of the cores.
    pub fn let_go(cores: &Cores) {
        // What the system does not take back leaves the thread where it is.
        let _ = sched_setaffinity(this_thread(), cores);
    }

    /// How often the calling thread lost its core.
    pub struct Watch {
        since: Instant,
        switches: i64,
    }

    fn switches() -> Option<i64> {
        Some(getrusage(UsageWho::RUSAGE_THREAD).ok()?.involuntary_context_switches())
    }

    impl Watch {
        pub fn new() -> Option<Self> {
            Some(Self { since: Instant::now(), switches: switches()? })
        }

        /// Whether it lost it too often since the last look.
        pub fn is_disturbed(&mut self) -> bool {
            let elapsed = self.since.elapsed();
            if elapsed < LOOK {
                return false;
            }
            let now = switches().unwrap_or(self.switches);
            let lost = now - std::mem::replace(&mut self.switches, now);
            self.since += elapsed;
            lost as f64 > MOST_SWITCHES * elapsed.as_secs_f64()
        }
    }
}

/// Where the system has no such calls, threads go where it likes.
#[cfg(not(target_os = "linux"))]
mod system {
    pub enum Cores {}
    pub enum Watch {}

    pub fn allowed() -> Vec<usize> {
        Vec::new()
    }

    pub fn keep_on(_: usize) -> Option<Cores> {
        None
    }

    pub fn let_go(cores: &Cores) {
        match *cores {}
    }

    impl Watch {
        pub fn new() -> Option<Self> {
            None
        }

        pub fn is_disturbed(&mut self) -> bool {
            match *self {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::threads::Threads;
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Barrier, Mutex};
    use std::time::{Duration, Instant};

    /// The cores of each thread of a team of one for each core, during a job and after the team's end.
    fn places(pinning: Pinning, beside: impl FnOnce(&Threads) + Send) -> (Vec<Vec<usize>>, Vec<usize>) {
        let look = || {
            let count = system::allowed().len();
            let threads = Threads::placed(count, pinning);
            beside(&threads);
            let seen = Mutex::new(vec![Vec::new(); count]);
            let together = Barrier::new(count);
            threads.run(count, &|_, worker| {
                together.wait();
                seen.lock().expect("no panic")[worker] = system::allowed();
            });
            drop(threads);
            (seen.into_inner().expect("no panic"), system::allowed())
        };
        // A thread of its own: the one that makes a team stays too.
        thread::scope(|scope| scope.spawn(look).join()).expect("the team works")
    }

    #[test]
    fn threads_stay_on_cores_of_their_own() {
        let all = system::allowed();
        let each: Vec<_> = all.iter().map(|&core| vec![core]).collect();
        assert_eq!(places(Pinning::Always, |_| {}), (each, all.clone()));
        assert_eq!(places(Pinning::Never, |_| {}).0, vec![all.clone(); all.len()]);
        let fewer = Pinning::WhileAlone.cores(all.len() + 1);
        assert!(fewer.is_none() && Pinning::Always.cores(all.len() + 1).is_none(), "more threads than cores");
        assert_eq!(Pinning::WhileAlone.cores(all.len()), Some(all));
    }

    #[test]
    fn a_busy_program_ends_their_stay() {
        let all = system::allowed();
        if all.len() < 2 {
            return;
        }
        let stop = AtomicBool::new(false);
        let seen = thread::scope(|scope| {
            // Two rivals for each core.
            for _ in 0..2 * all.len() {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let seen = places(Pinning::WhileAlone, |threads| {
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_secs(2) {
                    threads.run(all.len(), &|_, _| {
                        let task = Instant::now();
                        while task.elapsed() < Duration::from_millis(2) {
                            std::hint::spin_loop();
                        }
                    });
                }
            });
            stop.store(true, Ordering::Relaxed);
            seen
        });
        assert!(seen.0.contains(&all), "{seen:?}");
    }
}
