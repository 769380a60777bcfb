//! Nets for other programs.

mod keras;
pub mod onnx;
mod safetensors;
mod torch_parameter;

pub use keras::keras;
pub use safetensors::safetensors;
