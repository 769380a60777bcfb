//! Writing weights files.

pub mod keras_writer;
pub mod neupy_writer;
