//! netc
pub mod diagnostics;
pub mod graph;
pub mod kernels;
pub mod ops;
pub mod plan;
pub mod source;
pub mod syntax;
pub mod tensor;
