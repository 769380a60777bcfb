//! Pins threads to cores until other programs contend for them.

use super::worker_pool::WorkerState;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// The interval at which contention is measured.
const INTERVAL: Duration = Duration::from_millis(100);
/// The minimum time in which the thread was runnable; less is not significant.
const MIN_RUNNABLE: Duration = Duration::from_millis(25);
/// The maximum share of that time that it may wait for its core: the system takes about one percent, a busy program at least
/// half.
const MAX_WAITING: f64 = 0.1;

/// Whether the threads of a pool are pinned to cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinPolicy {
    /// The system schedules them.
    Never,
    /// Pinned if there is a thread for each core that the process may use, until another program contends for one of them:
    /// a pinned thread would then be delayed, and all others wait for it.
    UntilContended,
    /// Pinned if there are enough cores.
    Always,
}

impl PinPolicy {
    /// The cores for a pool of `count` threads, if they are to be pinned, out of those that the process may use by its
    /// affinity and its control group.
    pub(crate) fn cores(self, count: usize) -> Option<Vec<usize>> {
        let cores = system::allowed();
        match self {
            Self::Never => None,
            Self::UntilContended => (cores.len() == count).then_some(cores),
            Self::Always => (cores.len() >= count).then_some(cores),
        }
    }
}

/// Keeps the calling thread pinned to a core until the same thread drops it.
pub(crate) struct PinGuard {
    thread: ThreadId,
    previous: system::Cores,
    /// Detects contention, unless the thread is always pinned.
    watch: Option<ContentionWatch<system::ThisThread>>,
}

impl PinGuard {
    /// Pins the calling thread to a core, if the system allows it.
    pub fn on(core: usize, pinning: PinPolicy) -> Option<Self> {
        let watch = match pinning {
            PinPolicy::Always => None,
            // If contention cannot be measured, the thread is not pinned.
            _ => Some(ContentionWatch::new(system::ThisThread)?),
        };
        let previous = system::pin(core)?;
        Some(Self { thread: thread::current().id(), previous, watch })
    }

    /// Whether another program contends for the core of the calling thread, if it is the pinned one. Cheap: it measures
    /// rarely.
    pub fn is_disturbed(&mut self) -> bool {
        thread::current().id() == self.thread && self.watch.as_mut().is_some_and(ContentionWatch::is_disturbed)
    }
}

/// A thread is unpinned when another program contends for its core.
impl WorkerState for Option<PinGuard> {
    fn before_job(&mut self) {
        self.take_if(PinGuard::is_disturbed);
    }
}

/// The total time that a thread has been running, and waiting for a core.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    running: Duration,
    waiting: Duration,
}

/// A clock, with the scheduling times of a thread.
trait SchedClock {
    fn now(&self) -> Instant;
    /// `None` if the system does not provide it.
    fn reading(&self) -> Option<Reading>;
}

/// Measures whether other programs contend for the core of a thread.
struct ContentionWatch<M> {
    meter: M,
    since: Instant,
    last: Reading,
}

impl<M: SchedClock> ContentionWatch<M> {
    /// Starts measuring; `None` if the system does not provide waiting times.
    fn new(meter: M) -> Option<Self> {
        Some(Self { since: meter.now(), last: meter.reading()?, meter })
    }

    /// Whether the thread waited too long since the last measurement. The number of preemptions would be less reliable: under
    /// heavy contention, a thread is preempted rarely but waits long.
    fn is_disturbed(&mut self) -> bool {
        let now = self.meter.now();
        if now.saturating_duration_since(self.since) < INTERVAL {
            return false;
        }
        self.since = now;
        let Some(reading) = self.meter.reading() else { return false };
        let waited = reading.waiting.saturating_sub(self.last.waiting);
        let runnable = waited + reading.running.saturating_sub(self.last.running);
        if runnable < MIN_RUNNABLE {
            return false;
        }
        self.last = reading;
        waited.as_secs_f64() > MAX_WAITING * runnable.as_secs_f64()
    }
}

impl Drop for PinGuard {
    fn drop(&mut self) {
        if thread::current().id() == self.thread {
            system::restore(&self.previous);
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

    /// Pins the calling thread to a core; returns its previous affinity.
    pub fn pin(core: usize) -> Option<Cores> {
        let before = sched_getaffinity(this_thread()).ok()?;
        let mut only = CpuSet::new();
        only.set(core).ok()?;
        sched_setaffinity(this_thread(), &only).ok()?;
        Some(before)
    }

    /// Restores the affinity of the calling thread.
    pub fn restore(cores: &Cores) {
        // If this fails, the thread stays pinned.
        let _ = sched_setaffinity(this_thread(), cores);
    }

    /// The scheduling times of the calling thread.
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

/// On other systems, threads are not pinned.
#[cfg(not(target_os = "linux"))]
pub(super) mod system {
    use super::{Reading, SchedClock};
    use std::time::Instant;

    pub enum Cores {}
    pub struct ThisThread;

    pub fn allowed() -> Vec<usize> {
        Vec::new()
    }

    pub fn pin(_: usize) -> Option<Cores> {
        None
    }

    pub fn restore(cores: &Cores) {
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

    /// A clock controlled by the test.
    struct FakeClock {
        begin: Instant,
        elapsed: Cell<Duration>,
        reading: Cell<Option<Reading>>,
        /// The number of readings.
        readings: Cell<usize>,
    }

    impl SchedClock for &FakeClock {
        fn now(&self) -> Instant {
            self.begin + self.elapsed.get()
        }

        fn reading(&self) -> Option<Reading> {
            self.readings.set(self.readings.get() + 1);
            self.reading.get()
        }
    }

    impl FakeClock {
        fn new() -> Self {
            let reading = Cell::new(Some(Reading::default()));
            FakeClock { begin: Instant::now(), elapsed: Cell::default(), reading, readings: Cell::new(0) }
        }

        /// Advances the clock by `elapsed` milliseconds, in which the thread runs and waits.
        fn advance(&self, elapsed: u64, running: u64, waiting: u64) {
            self.elapsed.set(self.elapsed.get() + Duration::from_millis(elapsed));
            let Reading { running: ran, waiting: waited } = self.reading.get().unwrap_or_default();
            let more = |before: Duration, more| before + Duration::from_millis(more);
            self.reading.set(Some(Reading { running: more(ran, running), waiting: more(waited, waiting) }));
        }
    }

    #[test]
    fn a_thread_that_waits_for_its_core_is_disturbed() {
        // Elapsed, running and waiting milliseconds: alone, with background work, idle; with one other busy program, with
        // seven, and without getting its core at all.
        for (elapsed, running, waiting, disturbed) in [
            (100, 100, 0, false),
            (100, 98, 2, false),
            (100, 10, 2, false),
            (100, 50, 50, true),
            (800, 100, 700, true),
            (100, 0, 100, true),
        ] {
            let thread = FakeClock::new();
            let mut watch = ContentionWatch::new(&thread).expect("scheduling times");
            thread.advance(elapsed, running, waiting);
            assert_eq!(watch.is_disturbed(), disturbed, "{running} ms of {elapsed}, {waiting} waiting");
            // Earlier waiting does not count again.
            thread.advance(100, 100, 0);
            assert!(!watch.is_disturbed());
        }
    }

    #[test]
    fn measurements_are_rare_and_short_times_accumulate() {
        let thread = FakeClock::new();
        let mut watch = ContentionWatch::new(&thread).expect("scheduling times");
        for _ in 0..99 {
            thread.advance(1, 0, 1);
            assert!(!watch.is_disturbed(), "within the interval");
        }
        assert_eq!(thread.readings.get(), 1, "no reading within the interval");
        thread.advance(1, 0, 1);
        assert!(watch.is_disturbed());
        // For a thread that rarely has work, times accumulate until they are significant.
        let readings = (0..6).map(|_| {
            thread.advance(100, 4, 1);
            watch.is_disturbed()
        });
        assert_eq!(readings.collect::<Vec<_>>(), [false, false, false, false, true, false]);
    }

    #[test]
    fn threads_are_not_pinned_without_scheduling_times() {
        let thread = FakeClock::new();
        thread.reading.set(None);
        assert!(ContentionWatch::new(&thread).is_none());
        let thread = FakeClock::new();
        let mut watch = ContentionWatch::new(&thread).expect("scheduling times");
        thread.advance(100, 0, 100);
        thread.reading.set(None);
        assert!(!watch.is_disturbed());
    }
}
