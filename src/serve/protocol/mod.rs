//! The Open Inference Protocol, version 2, over HTTP: what its messages are, without HTTP.
//!
//! <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md>, with Triton's binary
//! tensor extension: <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>. A tensor
//! of a request is FP32 as the model's input, or BYTES: photos as they are, which the model's own preprocessing converts.

pub mod metadata;
mod photo_bytes;
pub mod request;
#[cfg(test)]
mod request_tests;
pub mod response;
mod tensor_data;

/// The header with the length of a body's JSON part, which binary tensors follow.
pub const JSON_LENGTH: &str = "inference-header-content-length";

/// The data type of numbers.
const NUMBERS: &str = "FP32";
/// The data type of photos, and of classes as text.
const BYTES: &str = "BYTES";

/// A request that does not follow the protocol, or does not fit the model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("{0}")]
    Invalid(String),
    /// It has more images than the limit.
    #[error("a request has at most {limit} images, not {found}")]
    TooMany { found: usize, limit: usize },
}

fn invalid(reason: impl Into<String>) -> RequestError {
    RequestError::Invalid(reason.into())
}
