//! Training: a net is differentiated into the graph of one step, which is compiled like any other; the loop feeds it.

pub mod checkpoint;
pub mod choice;
pub mod compile;
pub mod differentiate;
pub mod end;
pub mod feed;
pub mod fit;
pub mod front;
pub mod metrics;
pub mod mistakes;
pub mod optimizers;
pub mod recipe;
pub mod record;
pub mod run;
pub mod samples;
pub mod save;
pub mod schedule;
