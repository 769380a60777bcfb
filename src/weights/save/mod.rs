//! Writing weights files.

pub(crate) mod keras_form;
pub mod keras_writer;
pub mod neupy_writer;
