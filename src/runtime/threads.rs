//! How many threads a process may use.

/// The processors that this process may run on, as the system and its control group allow.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
