//! Nets for other programs.

pub mod onnx;
mod safetensors;
mod torch_parameter;

pub use safetensors::safetensors;
