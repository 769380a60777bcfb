//! Training: a net is differentiated into the graph of one step, which is compiled like any other graph; the training loop
//! runs its plan over batches of a dataset.

pub mod autodiff;
pub mod batches;
pub mod evaluation;
pub mod recipe;
pub mod recorded_loss;
pub mod run;
