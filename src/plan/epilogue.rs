//! The fused epilogue of a step.

use crate::kernels::elementwise::activation::Activation;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

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

    /// What it adds to a layer's description: `, added, then relu`; empty if it does nothing.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        if self.residual {
            text.push_str(", added");
        }
        if self.activation != Activation::default() {
            let _ = write!(text, ", then {}", self.activation);
        }
        if self.pool {
            text.push_str(", then max 2x2");
        }
        if self.softmax {
            text.push_str(", then softmax");
        }
        text
    }
}
