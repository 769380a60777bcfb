//! The thread pool, the cores that its threads run on, and how a kernel's work and output are shared between them.

pub mod affinity;
pub(crate) mod disjoint;
pub mod image_batches;
mod sync;
pub mod thread_pool;
mod worker_pool;
