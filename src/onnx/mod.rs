//! ONNX models: reading them, the values of their tensors, and which of their tensors are the parameters of which layer.
//!
//! A model is a protocol buffer (`onnx.proto3`, of which `messages` lists the fields that are read). It is read without taking its
//! weights into memory: `wire` walks over the file and notes where the bytes of a tensor are. Every length is compared with the
//! bytes that are there before memory is allocated, and the total that is kept is limited.
//!
//! Two modules use it: `weights` binds an ONNX file as a layout of weights, `import` writes the spec of one. Both name
//! its layers by [`parameters`], so that a spec that was imported binds to its file. `export` writes models, by
//! [`mod@write`].

pub mod arithmetic;
mod casts;
pub mod constants;
pub mod error;
mod layer_names;
mod messages;
pub mod model;
pub mod parameters;
pub mod patterns;
pub mod source;
mod tensor_values;
pub mod twins;
mod wire;
pub mod write;

pub use error::OnnxError;
pub use model::{Dim, Graph, Model, Node, Tensor, Value, ValueInfo};
pub use source::Source;
