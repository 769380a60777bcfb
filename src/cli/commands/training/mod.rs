//! Training, evaluation, and the cached features of frozen fronts.

pub mod cache;
pub mod eval;
pub mod train;
