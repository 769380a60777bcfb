//! Pins threads to cores of their own until other programs contend for them.

use super::worker_pool::WorkerState;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// How long a thread is watched before it is judged.
const LOOK: Duration = Duration::from_millis(100);
/// The time that a thread must have wanted a core meanwhile: of less nothing is to be said.
const LEAST: Duration = Duration::from_millis(25);
/// The share of that time that it may have waited for it: the system's own work takes a hundredth, a program that is busy
/// there half and more.
const MAX_WAITING: f64 = 0.1;

/// Whether the threads of a pool stay on cores of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinPolicy {
    /// They go where the system likes.
    Never,
    /// They do if there is a thread for each core that the process may use, until another program wants one of them: a
    /// thread that may not leave its core is then late, and all wait for it.
    UntilContended,
    /// They do wherever there are as many cores.
    Always,
}

impl PinPolicy {
    /// The cores for a pool of `count`, one for each thread, if they are to stay: of those that the process may use, as
    /// its affinity and its control group say.
    pub(crate) fn cores(self, count: usize) -> Option<Vec<usize>> {
        let cores = system::allowed();
        match self {
            Self::Never => None,
            Self::UntilContended => (cores.len() == count).then_some(cores),
            Self::Always => (cores.len() >= count).then_some(cores),
        }
    }
}

/// The calling thread's stay on a core, which ends where this is dropped by the same thread.
pub(crate) struct PinGuard {
    thread: ThreadId,
    free: system::Cores,
    /// What is watched, if others may have the core.
    watch: Option<ContentionWatch<system::ThisThread>>,
}

impl PinGuard {
    /// Keeps the calling thread on a core, if the system lets it.
    pub fn on(core: usize, pinning: PinPolicy) -> Option<Self> {
        let watch = match pinning {
            PinPolicy::Always => None,
            // Where it cannot be told whether others want the core, it stays free.
            _ => Some(ContentionWatch::new(system::ThisThread)?),
        };
        let free = system::keep_on(core)?;
        Some(Self { thread: thread::current().id(), free, watch })
    }

    /// Whether another program wanted the core of the calling thread, if it is the one that stays. Cheap: looks seldom.
    pub fn is_disturbed(&mut self) -> bool {
        thread::current().id() == self.thread && self.watch.as_mut().is_some_and(ContentionWatch::is_disturbed)
    }
}

/// A stay ends where another program wants the core.
impl WorkerState for Option<PinGuard> {
    fn before_job(&mut self) {
        self.take_if(PinGuard::is_disturbed);
    }
}

/// How long a thread has been running, and how long it has been waiting for a core that others had.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    running: Duration,
    waiting: Duration,
}

/// Tells a thread's times, and the time.
trait SchedClock {
    fn now(&self) -> Instant;
    /// None where the system does not say.
    fn reading(&self) -> Option<Reading>;
}

/// Whether a thread gets the core that it stays on.
struct ContentionWatch<M> {
    meter: M,
    since: Instant,
    last: Reading,
}

impl<M: SchedClock> ContentionWatch<M> {
    /// Begins to watch; none where the system does not say how long threads wait.
    fn new(meter: M) -> Option<Self> {
        Some(Self { since: meter.now(), last: meter.reading()?, meter })
    }

    /// Whether it waited too long since the last look. How often it lost its core would tell less: where many want it,
    /// each waits long and loses it seldom.
    fn is_disturbed(&mut self) -> bool {
        let now = self.meter.now();
        if now.saturating_duration_since(self.since) < LOOK {
            return false;
        }
        self.since = now;
        let Some(reading) = self.meter.reading() else { return false };
        let waited = reading.waiting.saturating_sub(self.last.waiting);
        let wanted = waited + reading.running.saturating_sub(self.last.running);
        if wanted < LEAST {
            return false;
        }
        self.last = reading;
        waited.as_secs_f64() > MAX_WAITING * wanted.as_secs_f64()
    }
}

impl Drop for PinGuard {
    fn drop(&mut self) {
        if thread::current().id() == self.thread {
            system::let_go(&self.free);
        }
    }
}

#[cfg(target_os = "linux")]
pub(super) mod system {
    use super::{Reading, SchedClock};
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    use std::time::{Duration, Instant};

    /// Cores that a thread may run on.
    pub type Cores = CpuSet;

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

    /// The calling thread, as the system counts its time.
    pub struct ThisThread;

    impl SchedClock for ThisThread {
        fn now(&self) -> Instant {
            Instant::now()
        }

        fn reading(&self) -> Option<Reading> {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
            let mut numbers = text.split_whitespace().map(|number| number.parse().map(Duration::from_nanos));
            Some(Reading { running: numbers.next()?.ok()?, waiting: numbers.next()?.ok()? })
        }
    }
}

/// Where the system has no such calls, threads go where it likes.
#[cfg(not(target_os = "linux"))]
pub(super) mod system {
    use super::{Reading, SchedClock};
    use std::time::Instant;

    pub enum Cores {}
    pub struct ThisThread;

    pub fn allowed() -> Vec<usize> {
        Vec::new()
    }

    pub fn keep_on(_: usize) -> Option<Cores> {
        None
    }

    pub fn let_go(cores: &Cores) {
        match *cores {}
    }

    impl SchedClock for ThisThread {
        fn now(&self) -> Instant {
            Instant::now()
        }

        fn reading(&self) -> Option<Reading> {
            None
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A thread whose times a test moves.
    struct Moved {
        begin: Instant,
        elapsed: Cell<Duration>,
        reading: Cell<Option<Reading>>,
        /// How often it was asked.
        looks: Cell<usize>,
    }

    impl SchedClock for &Moved {
        fn now(&self) -> Instant {
            self.begin + self.elapsed.get()
        }

        fn reading(&self) -> Option<Reading> {
            self.looks.set(self.looks.get() + 1);
            self.reading.get()
        }
    }

    impl Moved {
        fn new() -> Self {
            let reading = Cell::new(Some(Reading::default()));
            Moved { begin: Instant::now(), elapsed: Cell::default(), reading, looks: Cell::new(0) }
        }

        /// So many milliseconds go by, in which the thread runs and waits for so many.
        fn go_by(&self, elapsed: u64, running: u64, waiting: u64) {
            self.elapsed.set(self.elapsed.get() + Duration::from_millis(elapsed));
            let Reading { running: ran, waiting: waited } = self.reading.get().unwrap_or_default();
            let more = |before: Duration, more| before + Duration::from_millis(more);
            self.reading.set(Some(Reading { running: more(ran, running), waiting: more(waited, waiting) }));
        }
    }

    #[test]
    fn a_thread_that_waits_for_its_core_is_disturbed() {
        // Milliseconds that go by, that it runs and that it waits: alone, beside the system's work, idle; beside one
        // program and beside seven, where it loses its core once in a while.
        for (elapsed, running, waiting, disturbed) in [
            (100, 100, 0, false),
            (100, 98, 2, false),
            (100, 10, 2, false),
            (100, 50, 50, true),
            (800, 100, 700, true),
            (100, 0, 100, true),
        ] {
            let thread = Moved::new();
            let mut watch = ContentionWatch::new(&thread).expect("a system that says");
            thread.go_by(elapsed, running, waiting);
            assert_eq!(watch.is_disturbed(), disturbed, "{running} ms of {elapsed}, {waiting} waiting");
            // What is over does not count again.
            thread.go_by(100, 100, 0);
            assert!(!watch.is_disturbed());
        }
    }

    #[test]
    fn a_look_is_seldom_and_short_times_add_up() {
        let thread = Moved::new();
        let mut watch = ContentionWatch::new(&thread).expect("a system that says");
        for _ in 0..99 {
            thread.go_by(1, 0, 1);
            assert!(!watch.is_disturbed(), "too early to judge");
        }
        assert_eq!(thread.looks.get(), 1, "the system was asked in vain");
        thread.go_by(1, 0, 1);
        assert!(watch.is_disturbed());
        // A thread that seldom has work is judged by what it wanted in all.
        let looks = (0..6).map(|_| {
            thread.go_by(100, 4, 1);
            watch.is_disturbed()
        });
        assert_eq!(looks.collect::<Vec<_>>(), [false, false, false, false, true, false]);
    }

    #[test]
    fn without_a_word_of_the_system_nobody_stays() {
        let thread = Moved::new();
        thread.reading.set(None);
        assert!(ContentionWatch::new(&thread).is_none());
        let thread = Moved::new();
        let mut watch = ContentionWatch::new(&thread).expect("a system that says");
        thread.go_by(100, 0, 100);
        thread.reading.set(None);
        assert!(!watch.is_disturbed());
    }
}
