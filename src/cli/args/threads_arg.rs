//! The threads that a command computes on.

use crate::kernels::parallel::affinity::PinPolicy;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::thread_count;
use std::sync::Arc;

/// More threads than this no machine that netc runs on has use for.
const MAX_THREADS: usize = 1024;

/// How many threads.
#[derive(clap::Args, Debug)]
pub struct Threads {
    /// Threads; default: all that the process may use
    #[arg(long, value_parser = number)]
    threads: Option<usize>,
}

/// How many threads, and where.
#[derive(clap::Args, Debug)]
pub struct ThreadPlacement {
    #[command(flatten)]
    threads: Threads,
    /// Keep each thread on a core of its own; auto: if there is one for each core, until another program wants it
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pin: Pin,
}

/// When threads stay on cores of their own.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Pin {
    #[default]
    Auto,
    Always,
    Never,
}

impl Threads {
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
        _ => Err(format!("write a number of threads from 1 to {MAX_THREADS}")),
    }
}
