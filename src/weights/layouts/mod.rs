//! The layouts of weights files, one module each.

pub(crate) mod hdf5_file;
mod keras;
mod keras3;
mod keras_archive;
mod neupy;
pub(crate) mod open;
pub(crate) mod safetensors;
mod safetensors_header;
pub(crate) mod torch_recurrent;
