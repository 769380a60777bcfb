//! Pretrained weights: stores of named tensors, one reader for each layout, and how they are bound to a graph.

pub mod bind;
mod hdf5_file;
mod hdf5_heaps;
mod keras;
mod keras3;
mod names;
mod neupy;
mod open;
pub mod report;
mod safetensors;
mod safetensors_header;
pub mod save_keras;
pub mod save_neupy;
pub mod store;
#[cfg(test)]
mod store_tests;
pub(crate) mod transform;

pub use open::open;
