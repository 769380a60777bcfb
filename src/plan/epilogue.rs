//! The fused epilogue of a step.

use crate::kernels::elementwise::activation::Activation;
use serde::{Deserialize, Serialize};

/// The operations that a step applies to its result before storing it, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epilogue {
    /// Whether the last input is added.
    pub residual: bool,
    /// Elementwise activation.
    pub activation: Activation,
    /// Whether 2x2 max pooling with stride 2 follows; an odd last row or column is dropped.
    pub pool: bool,
    /// Whether a softmax over the last axis follows.
    pub softmax: bool,
}

impl Epilogue {
    /// Whether it is a no-op.
    pub fn is_empty(&self) -> bool {
        *self == Epilogue::default()
    }
}
