//! Nets for other programs.

mod keras;
mod safetensors;
mod torch_parameter;

pub use keras::keras;
pub use safetensors::safetensors;
