//! Charts of a training run.

mod axis;
pub mod curves;
