//! The arguments for threads: how many, and whether they are pinned to cores.

use crate::kernels::parallel::affinity::PinPolicy;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::thread_count;
use std::sync::Arc;

/// The maximum; more are surely a mistake.
const MAX_THREADS: usize = 1024;

/// The number of threads.
#[derive(clap::Args, Debug)]
pub struct Threads {
    /// Number of threads; default: all that the process may use
    #[arg(long, value_parser = number)]
    threads: Option<usize>,
}

/// The number of threads, and their pinning to cores.
#[derive(clap::Args, Debug)]
pub struct ThreadPlacement {
    #[command(flatten)]
    threads: Threads,
    /// Pin each thread to a core; auto: with one thread per core, until another program needs the cores
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pin: Pin,
}

/// When threads are pinned to cores.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Pin {
    #[default]
    Auto,
    Always,
    Never,
}

impl Threads {
    /// Whether it was given.
    #[cfg(feature = "serve")]
    pub fn is_given(&self) -> bool {
        self.threads.is_some()
    }

    pub fn count(&self) -> usize {
        self.threads.unwrap_or_else(thread_count::available)
    }
}

impl ThreadPlacement {
    pub fn count(&self) -> usize {
        self.threads.count()
    }

    pub fn pool(&self) -> Arc<ThreadPool> {
        let pinning = match self.pin {
            Pin::Auto => PinPolicy::UntilContended,
            Pin::Always => PinPolicy::Always,
            Pin::Never => PinPolicy::Never,
        };
        Arc::new(ThreadPool::placed(self.count(), pinning))
    }
}

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MAX_THREADS) => Ok(count),
        _ => Err(format!("expected a number of threads from 1 to {MAX_THREADS}")),
    }
}
