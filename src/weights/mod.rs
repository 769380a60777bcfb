//! Pretrained weights: stores of named tensors, one reader for each layout, and how they are bound to a graph.

pub mod bind;
mod keras_model;
pub(crate) mod layouts;
pub mod save;
pub mod store;
#[cfg(test)]
mod store_tests;

pub use layouts::open::{file_of, open};
