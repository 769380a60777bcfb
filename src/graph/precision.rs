//! The number format in which a node is computed.

use crate::kernels::int8::quantization::Quantization;

/// The number format in which a node is computed; a pass of int8 builds chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Precision {
    /// In f32.
    #[default]
    F32,
    /// On bytes, with sums of 32 bits.
    Int8 {
        /// How its output is stored in bytes; `None` for f32.
        output: Option<Quantization>,
    },
}

impl Precision {
    /// How its output is stored in bytes; `None` for f32.
    pub fn bytes(self) -> Option<Quantization> {
        match self {
            Precision::F32 => None,
            Precision::Int8 { output } => output,
        }
    }
}

/// What a node that is computed on bytes is lowered from, besides [`Lowering`](super::Lowering).
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Lowering {
    /// How each input is stored, a residual last; `None` for one in f32.
    pub inputs: Vec<Option<Quantization>>,
    /// `None` for an output in f32.
    pub output: Option<Quantization>,
}
