//! Pretrained weights: stores of named tensors, one reader for each layout, and how they are bound to a graph.

pub mod axis;
pub mod bind;
mod hdf5_file;
mod keras;
mod keras3;
mod keras_archive;
mod keras_model;
mod names;
mod neupy;
mod open;
mod order;
mod refuse;
pub mod report;
mod safetensors;
mod safetensors_header;
pub mod save_keras;
pub mod save_neupy;
pub mod store;
#[cfg(test)]
mod store_tests;
mod torch_lstm;
pub(crate) mod transform;

pub use open::{file_of, open};
