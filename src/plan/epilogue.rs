//! What a step does to its result before it stores it.

use crate::kernels::elementwise::activation::Activation;
use serde::{Deserialize, Serialize};

/// What a step does to its result before it stores it, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epilogue {
    /// The last input is added.
    pub residual: bool,
    /// An elementwise function.
    pub activation: Activation,
    /// The maximum over 2x2 pixels, without overlap, borders dropped.
    pub pool: bool,
    /// A softmax over the last axis.
    pub softmax: bool,
}

impl Epilogue {
    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        *self == Epilogue::default()
    }
}
