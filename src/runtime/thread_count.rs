//! How many threads a process may use.

/// The name of the processor, as far as the system tells it, else its architecture.
pub fn processor() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    named.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_string()
}

/// The processors that this process may run on, as the system and its control group allow.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
