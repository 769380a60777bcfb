//! How good a net is on a set of samples.

pub mod class_weights;
pub mod metric_accumulator;
pub mod metrics;
pub mod misclassified;
pub mod task;
pub mod try_state;
