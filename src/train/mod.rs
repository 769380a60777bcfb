//! Training: a net is differentiated into the graph of one step, which is compiled like any other; the loop feeds it.

pub mod autodiff;
pub mod evaluation;
pub mod recipe;
pub mod run;
