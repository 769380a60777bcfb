//! The number formats of a build.

use crate::lower::Bf16Use;

/// The number format of weights and products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    F32,
    Bf16Weights,
    Bf16,
    Int8,
}

impl Precision {
    pub const ALL: [Precision; 4] = [Precision::F32, Precision::Bf16Weights, Precision::Bf16, Precision::Int8];

    /// The name on the command line and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16Weights => "bf16-weights",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Precision::F32 => "Weights and products in f32",
            Precision::Bf16Weights => "Dense weights in bf16, half the size; computed in f32",
            Precision::Bf16 => "Weights in bf16, half the size, where that is faster; sums in f32",
            Precision::Int8 => {
                "Weights and activations in 8 bits, a quarter of the size; layers that would lose too much stay in f32"
            }
        }
    }

    /// What is rounded to bf16.
    pub fn bf16(self) -> Bf16Use {
        match self {
            Precision::F32 | Precision::Int8 => Bf16Use::Never,
            Precision::Bf16Weights => Bf16Use::DenseWeights,
            Precision::Bf16 => Bf16Use::Products,
        }
    }
}
