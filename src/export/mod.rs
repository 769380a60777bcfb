//! Nets for other programs.

mod safetensors;
mod torch_parameter;

pub use safetensors::safetensors;
