//! The layouts of weights files, one module each.

pub(crate) mod hdf5_file;
mod keras;
mod keras3;
mod keras_archive;
mod neupy;
mod onnx;
pub(crate) mod open;
mod pickle;
pub(crate) mod safetensors;
mod safetensors_header;
mod safetensors_tensor;
mod sharded_safetensors;
mod tensor_file;
mod tensor_source;
mod torch_archive;
pub(crate) mod torch_recurrent;
mod zip_file;
