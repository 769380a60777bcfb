//! Activations with arguments or parameters of their own.

pub mod functions;
pub mod prelu;
