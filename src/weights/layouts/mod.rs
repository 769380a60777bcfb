//! The layouts of weights files, one file each.

pub(crate) mod hdf5_file;
mod keras;
mod keras3;
mod keras_archive;
mod neupy;
mod onnx;
pub(crate) mod open;
pub(crate) mod safetensors;
mod safetensors_header;
mod safetensors_tensor;
pub(crate) mod torch_recurrent;
