//! Nets whose parameters or inputs are not known yet, checked by themselves.

mod check_generic;
pub mod fragment;
