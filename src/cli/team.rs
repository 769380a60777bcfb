//! The threads that a command computes on.

use crate::kernels::threads::Threads as Team;
use crate::runtime::threads;
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
    /// Keep each thread on a core of its own: steadier on a machine that does nothing else, slower beside busy programs
    #[arg(long)]
    pin: bool,
}

impl Threads {
    pub fn count(&self) -> usize {
        self.threads.unwrap_or_else(threads::available)
    }
}

impl Placed {
    pub fn count(&self) -> usize {
        self.threads.count()
    }

    pub fn team(&self) -> Arc<Team> {
        Arc::new(if self.pin { Team::pinned(self.count()) } else { Team::new(self.count()) })
    }
}

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MOST_THREADS) => Ok(count),
        _ => Err(format!("write a number of threads from 1 to {MOST_THREADS}")),
    }
}
