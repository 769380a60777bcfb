//! Training: what is measured and what is written down of it.

pub mod metrics;
pub mod record;
