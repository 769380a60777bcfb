//! The layouts of weights files, one module each.

pub(crate) mod hdf5_file;
mod keras;
mod neupy;
mod onnx;
pub(crate) mod open;
pub(crate) mod safetensors;
mod tensor_file;
mod tensor_source;
mod torch_archive;
pub(crate) mod torch_recurrent;
mod wrappers;
mod zip_file;
