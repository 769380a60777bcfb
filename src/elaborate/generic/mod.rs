//! Checks of nets that no complete net uses, so that their parameters or inputs are unknown.

mod check_generic;
pub mod fragment;
