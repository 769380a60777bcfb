//! Elementwise functions that a kernel may apply before it stores its result.

use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::vector_math::Activate;
use serde::{Deserialize, Serialize};

/// An elementwise function of one float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// x
    #[default]
    Linear,
    /// max(0, x) + alpha * min(0, x); alpha 0 is the plain rectifier.
    Relu { alpha: f32 },
    /// min(max(0, x), 6)
    Relu6,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// clip(0.2 x + 0.5, 0, 1), as NeuPy and Keras 2 define it.
    HardSigmoid,
    /// tanh(x)
    Tanh,
    /// x for x > 0, else exp(x) - 1
    Elu,
    /// ln(1 + exp(x))
    Softplus,
    /// x * sigmoid(x), also called SiLU.
    Swish,
    /// x * relu6(x + 3) / 6
    HardSwish,
    /// x * Phi(x), the exact form with the error function (Hendrycks and Gimpel, 2016).
    Gelu,
}

impl Activation {
    /// The function of one float.
    pub fn of(self, x: f32) -> f32 {
        let mut value = [x];
        self.apply(&mut value);
        value[0]
    }

    /// Replaces each float by the function of it, with this machine's vectors.
    pub fn apply(self, values: &mut [f32]) {
        let kernel = Activate { activation: self, values: values.as_mut_ptr(), count: values.len() };
        // SAFETY: the machine has what `detect` returns, and the kernel stays within the slice.
        unsafe { Isa::detect().dispatch(kernel) }
    }
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Activation::Linear => f.write_str("linear"),
            Activation::Relu { alpha: 0.0 } => f.write_str("relu"),
            Activation::Relu { alpha } => write!(f, "relu(alpha={alpha})"),
            Activation::Relu6 => f.write_str("relu6"),
            Activation::Sigmoid => f.write_str("sigmoid"),
            Activation::HardSigmoid => f.write_str("hard sigmoid"),
            Activation::Tanh => f.write_str("tanh"),
            Activation::Elu => f.write_str("elu"),
            Activation::Softplus => f.write_str("softplus"),
            Activation::Swish => f.write_str("swish"),
            Activation::HardSwish => f.write_str("hard swish"),
            Activation::Gelu => f.write_str("gelu"),
        }
    }
}
