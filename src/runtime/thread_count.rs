//! The processor, and the number of threads that the process may use.

/// The name of the processor if the system reports it, else its architecture.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    named.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_string()
}

/// The number of processors that the process may use, as limited by the system and its control group.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
