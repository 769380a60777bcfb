//! netc
pub mod data;
pub mod diagnostics;
pub mod elaborate;
pub mod graph;
pub mod kernels;
pub mod ops;
pub mod plan;
pub mod source;
pub mod syntax;
pub mod tensor;
pub mod view;
pub mod weights;
