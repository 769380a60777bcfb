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
    /// clip(alpha x + beta, 0, 1): 0.2 and 0.5 in NeuPy and Keras 2, 1/6 and 0.5 in PyTorch and Keras 3.
    HardSigmoid { alpha: f32, beta: f32 },
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
    /// x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), PyTorch's `approximate="tanh"` (Hendrycks and Gimpel, 2016).
    GeluTanh,
    /// min(max(x, min), max)
    Clip { min: f32, max: f32 },
    /// e^x
    Exp,
    /// ln(x); minus infinity for 0, NaN below.
    Log,
    /// The square root; NaN below 0.
    Sqrt,
    /// x^2
    Square,
    /// x^exponent; NaN below 0 unless the exponent is an integer.
    Power { exponent: f32 },
    /// scale x + shift
    Affine { scale: f32, shift: f32 },
}

impl Activation {
    /// Every activation, those with numbers for several of them; for tests.
    pub const ALL: [Activation; 26] = [
        Activation::Linear,
        Activation::Relu { alpha: 0.0 },
        Activation::Relu { alpha: 0.3 },
        Activation::Relu6,
        Activation::Sigmoid,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::HardSigmoid { alpha: -1.0 / 6.0, beta: 0.75 },
        Activation::Tanh,
        Activation::Elu,
        Activation::Softplus,
        Activation::Swish,
        Activation::HardSwish,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Clip { min: -0.75, max: 1.5 },
        Activation::Exp,
        Activation::Log,
        Activation::Sqrt,
        Activation::Square,
        Activation::Power { exponent: 0.0 },
        Activation::Power { exponent: 3.0 },
        Activation::Power { exponent: -2.0 },
        Activation::Power { exponent: 7.0 },
        Activation::Power { exponent: 0.3 },
        Activation::Power { exponent: -1.5 },
        Activation::Affine { scale: -2.5, shift: 0.75 },
    ];

    /// The function in f64: the reference for kernels.
    pub fn exact(self, x: f64) -> f64 {
        match self {
            Activation::Linear => x,
            Activation::Relu { .. } if x > 0.0 => x,
            Activation::Relu { alpha } => f64::from(alpha) * x,
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
            Activation::Tanh => x.tanh(),
            Activation::Elu if x > 0.0 => x,
            Activation::Elu => x.exp_m1(),
            Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Activation::Swish => x / (1.0 + (-x).exp()),
            Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Activation::Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            Activation::GeluTanh => x / (1.0 + (-2.0 * gelu_argument(x)).exp()),
            // Not `clamp`, which panics if the bounds are in the wrong order.
            Activation::Clip { min, max } => x.max(f64::from(min)).min(f64::from(max)),
            Activation::Exp => x.exp(),
            Activation::Log => x.ln(),
            Activation::Sqrt => x.sqrt(),
            Activation::Square => x * x,
            Activation::Power { exponent } => x.powf(f64::from(exponent)),
            Activation::Affine { scale, shift } => f64::from(scale) * x + f64::from(shift),
        }
    }
}

/// sqrt(2 / pi) (x + 0.044715 x^3), of which [`Activation::GeluTanh`] takes the hyperbolic tangent.
fn gelu_argument(x: f64) -> f64 {
    f64::from(GELU_FACTOR) * (x + f64::from(GELU_CUBIC) * x.powi(3))
}

/// sqrt(2 / pi)
pub(crate) const GELU_FACTOR: f32 = 0.797_884_6;
/// The factor of the cube in the argument of the hyperbolic tangent.
pub(crate) const GELU_CUBIC: f32 = 0.044_715;

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Activation::Linear => f.write_str("linear"),
            Activation::Relu { alpha: 0.0 } => f.write_str("relu"),
            Activation::Relu { alpha } => write!(f, "relu(alpha={alpha})"),
            Activation::Relu6 => f.write_str("relu6"),
            Activation::Sigmoid => f.write_str("sigmoid"),
            Activation::HardSigmoid { alpha: 0.2, beta: 0.5 } => f.write_str("hard sigmoid"),
            Activation::HardSigmoid { alpha, beta } => write!(f, "hard sigmoid(alpha={alpha}, beta={beta})"),
            Activation::Tanh => f.write_str("tanh"),
            Activation::Elu => f.write_str("elu"),
            Activation::Softplus => f.write_str("softplus"),
            Activation::Swish => f.write_str("swish"),
            Activation::HardSwish => f.write_str("hard swish"),
            Activation::Gelu => f.write_str("gelu"),
            Activation::GeluTanh => f.write_str("gelu(tanh)"),
            Activation::Clip { min, max } => write!(f, "clip({min}, {max})"),
            Activation::Exp => f.write_str("exp"),
            Activation::Log => f.write_str("log"),
            Activation::Sqrt => f.write_str("sqrt"),
            Activation::Square => f.write_str("square"),
            Activation::Power { exponent } => write!(f, "power({exponent})"),
            Activation::Affine { scale, shift } => write!(f, "affine(scale={scale}, shift={shift})"),
        }
    }
}
