//! The threads that a command computes on.

use crate::kernels::parallel::affinity::Pinning;
use crate::kernels::parallel::thread_pool::Threads as Team;
use crate::runtime::thread_count;
use std::sync::Arc;

/// More threads than this no machine that netc runs on has use for.
const MOST_THREADS: usize = 1024;

/// How many threads.
#[derive(clap::Args, Debug)]
pub struct Threads {
    /// Threads; default: all that the process may use
    #[arg(long, value_parser = number)]
    threads: Option<usize>,
}

/// How many threads, and where.
#[derive(clap::Args, Debug)]
pub struct Placed {
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

impl Placed {
    pub fn count(&self) -> usize {
        self.threads.count()
    }

    pub fn team(&self) -> Arc<Team> {
        let pinning = match self.pin {
            Pin::Auto => Pinning::WhileAlone,
            Pin::Always => Pinning::Always,
            Pin::Never => Pinning::Never,
        };
        Arc::new(Team::placed(self.count(), pinning))
    }
}

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MOST_THREADS) => Ok(count),
        _ => Err(format!("write a number of threads from 1 to {MOST_THREADS}")),
    }
}
