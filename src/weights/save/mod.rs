//! Weights files to write.

pub mod keras_writer;
pub mod neupy_writer;
