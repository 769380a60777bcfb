//! Training: a net is differentiated into the graph of one step, which is compiled like any other; the loop feeds it.

pub mod choice;
pub mod compile;
pub mod differentiate;
pub mod metrics;
pub mod optimizers;
pub mod recipe;
pub mod record;
pub mod schedule;
