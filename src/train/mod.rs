//! Training: a net is differentiated into the graph of one step, which is compiled like any other; the loop feeds it.

pub mod augmentations;
pub mod checkpoint;
pub mod choice;
pub mod compile;
pub mod differentiate;
pub mod digest;
pub mod end;
pub mod features;
pub mod feed;
pub mod fit;
pub mod front;
pub mod halt;
pub mod metrics;
pub mod mistakes;
pub mod optimizers;
pub mod prepare;
pub mod recipe;
pub mod record;
pub mod run;
pub mod samples;
pub mod save;
pub mod schedule;
pub mod sources;
pub mod tally;
pub mod task;
pub mod weighing;
