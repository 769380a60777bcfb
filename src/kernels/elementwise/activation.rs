//! Activation functions, which kernels can fuse into their epilogue.

use serde::{Deserialize, Serialize};

/// An elementwise activation function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// x
    #[default]
    Linear,
    /// max(0, x) + alpha * min(0, x): ReLU for alpha 0, else leaky ReLU.
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
    /// Every activation, with ReLU both plain and leaky; for tests.
    pub const ALL: [Activation; 12] = [
        Activation::Linear,
        Activation::Relu { alpha: 0.0 },
        Activation::Relu { alpha: 0.3 },
        Activation::Relu6,
        Activation::Sigmoid,
        Activation::HardSigmoid,
        Activation::Tanh,
        Activation::Elu,
        Activation::Softplus,
        Activation::Swish,
        Activation::HardSwish,
        Activation::Gelu,
    ];

    /// The function in f64: the reference for kernels.
    pub fn exact(self, x: f64) -> f64 {
        match self {
            Activation::Linear => x,
            Activation::Relu { .. } if x > 0.0 => x,
            Activation::Relu { alpha } => f64::from(alpha) * x,
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::HardSigmoid => (0.2 * x + 0.5).clamp(0.0, 1.0),
            Activation::Tanh => x.tanh(),
            Activation::Elu if x > 0.0 => x,
            Activation::Elu => x.exp_m1(),
            Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Activation::Swish => x / (1.0 + (-x).exp()),
            Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Activation::Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
        }
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
