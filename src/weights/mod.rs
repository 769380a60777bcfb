//! Pretrained weights: stores of named tensors, a reader for each layout, and binding to a graph.

pub mod bind;
pub mod keras_model;
pub(crate) mod layouts;
pub mod pretrained_config;
pub mod save;
pub mod store;
#[cfg(test)]
mod store_tests;

pub use layouts::open::{file_of, keras_configuration, open};
