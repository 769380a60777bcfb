//! The thread pool, thread affinity, and parallel loops over disjoint outputs and batches.

pub mod affinity;
pub(crate) mod disjoint;
pub mod image_batches;
mod sync;
pub mod thread_pool;
mod worker_pool;
