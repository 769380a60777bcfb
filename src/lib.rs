//! netc

extern crate blas_src as _;

pub mod artifact;
pub mod cli;
pub mod compile;
pub mod data;
pub mod diagnostics;
pub mod elaborate;
pub mod graph;
pub mod kernels;
pub mod lower;
pub mod ops;
pub mod optimize;
pub mod plan;
pub mod runtime;
pub mod source;
pub mod syntax;
pub mod tensor;
pub mod view;
pub mod weights;
