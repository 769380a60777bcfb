//! Elementwise functions and softmax with arguments of their own, alone or after a dense layer, and functions of constants
//! that are only written alone.

use crate::diagnostics::Diagnostic;
use crate::graph::signature::definition::Default;
use crate::graph::{Argument, Arguments, Category, Definition, Initializer, Operation};
use crate::kernels::elementwise::activation::Activation;
use crate::ops::dense::{BIAS, Dense, Function, UNITS, WEIGHT, build};
use crate::ops::named_axis::NamedAxis;
use std::sync::Arc;

const DETAILS: &str = "With a size: (?, n) -> (?, units), the function of x * weight + bias; weight (n, units), bias (units). \
    Without one: the function of each value, the shape stays.";

/// `Relu(alpha=0)`, `Relu(64)`
pub static RELU: Definition = Definition {
    name: "Relu",
    aliases: &[],
    kind: "Relu",
    category: Category::Activation,
    summary: "The rectifier, alone or after a dense layer.",
    arguments: &[
        UNITS,
        Argument { name: "alpha", takes: "number", default: Default::Int(0), doc: "slope below zero" },
        BIAS,
        WEIGHT,
    ],
    details: DETAILS,
    example: "Input(784) >> Relu(100) >> Softmax(10)",
    build: |arguments| {
        let alpha = arguments.float("alpha")?;
        build(arguments, &RELU, Function::Elementwise(Activation::Relu { alpha }), 2.0)
    },
};

/// `LeakyRelu(alpha=0.01)`
pub static LEAKY_RELU: Definition = Definition {
    name: "LeakyRelu",
    aliases: &[],
    kind: "LeakyRelu",
    category: Category::Activation,
    summary: "A rectifier with a small slope below zero.",
    arguments: &[
        UNITS,
        BIAS,
        WEIGHT,
        Argument { name: "alpha", takes: "number", default: Default::Float(0.01), doc: "slope below zero" },
    ],
    details: "max(0, x) + alpha min(0, x). The slope is 0.01 in NeuPy and PyTorch; Keras' LeakyReLU has 0.3, its function \
        leaky_relu 0.2.\n\nWith a size: (?, n) -> (?, units), the function of x * weight + bias; weight (n, units), bias (units). \
        Without one: the function of each value, the shape stays.",
    example: "Input(20) >> LeakyRelu(8)",
    build: |arguments| {
        let alpha = arguments.float("alpha")?;
        build(arguments, &LEAKY_RELU, Function::Elementwise(Activation::Relu { alpha }), 1.0)
    },
};

/// `HardSigmoid(alpha=0.2, beta=0.5)`
pub static HARD_SIGMOID: Definition = Definition {
    name: "HardSigmoid",
    aliases: &[],
    kind: "HardSigmoid",
    category: Category::Activation,
    summary: "A piecewise linear sigmoid.",
    arguments: &[
        UNITS,
        BIAS,
        WEIGHT,
        Argument { name: "alpha", takes: "number", default: Default::Float(0.2), doc: "slope of the linear part" },
        Argument { name: "beta", takes: "number", default: Default::Float(0.5), doc: "value at zero" },
    ],
    details: "clip(alpha x + beta, 0, 1). The slope is 0.2 in NeuPy and Keras 2; `HardSigmoid(alpha=1.0/6)` is that of PyTorch \
        and Keras 3, relu6(x + 3) / 6.\n\nWith a size: (?, n) -> (?, units), the function of x * weight + bias; weight (n, units), \
        bias (units). Without one: the function of each value, the shape stays.",
    example: "Input(20) >> HardSigmoid(4)",
    build: |arguments| {
        let (alpha, beta) = (arguments.float("alpha")?, arguments.float("beta")?);
        build(arguments, &HARD_SIGMOID, Function::Elementwise(Activation::HardSigmoid { alpha, beta }), 1.0)
    },
};

/// `Gelu(tanh=false)`
pub static GELU: Definition = Definition {
    name: "Gelu",
    aliases: &[],
    kind: "Gelu",
    category: Category::Activation,
    summary: "The Gaussian error linear unit.",
    arguments: &[
        UNITS,
        BIAS,
        WEIGHT,
        Argument {
            name: "tanh",
            takes: "`true` or `false`",
            default: Default::Bool(false),
            doc: "the approximation by a hyperbolic tangent: PyTorch's approximate=\"tanh\", Keras' approximate=True (BERT, GPT-2)",
        },
    ],
    details: "x * Phi(x) (Hendrycks and Gimpel, 2016, arXiv 1606.08415); with `tanh=true` \
        x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), which differs by up to 0.0005.\n\nWith a size: (?, n) -> (?, units), the function of \
        x * weight + bias; weight (n, units), bias (units). Without one: the function of each value, the shape stays.",
    example: "Input(20) >> Gelu(8)",
    build: |arguments| {
        let function = if arguments.boolean("tanh")? { Activation::GeluTanh } else { Activation::Gelu };
        build(arguments, &GELU, Function::Elementwise(function), 1.0)
    },
};

/// `Softmax(axis=channels)`
pub static SOFTMAX: Definition = Definition {
    name: "Softmax",
    aliases: &[],
    kind: "Softmax",
    category: Category::Activation,
    summary: "Probabilities that sum to one, alone or after a dense layer.",
    arguments: &[
        UNITS,
        BIAS,
        WEIGHT,
        Argument {
            name: "axis",
            takes: "`channels`, `height`, `width` or `time`",
            default: Default::Word("channels"),
            doc: "the axis along which values sum to one; one other than channels without a size",
        },
    ],
    details: "exp(x) / sum(exp(x)) along an axis: by default over the channels of each pixel, the features of each step, or all \
        features. An image has height, width and channels, a sequence time and channels.\n\nWith a size: (?, n) -> (?, units), the function of \
        x * weight + bias; weight (n, units), bias (units). Without one the shape stays.",
    example: "Input(4096) >> Softmax(10)",
    build: |arguments| {
        let axis = NamedAxis::of_word(arguments.word("axis", &NamedAxis::NAMES)?);
        if axis == NamedAxis::Channels {
            return build(arguments, &SOFTMAX, Function::Softmax, 1.0);
        }
        if arguments.given("units").is_some() {
            let needs = format!("takes only `channels` beside a size: write `Dense(…) >> Softmax(axis={axis})`");
            return Err(arguments.wrong("axis", needs));
        }
        build(arguments, &SOFTMAX, Function::SoftmaxAlong(axis), 1.0)
    },
};

/// A function without a dense layer.
fn alone(definition: &'static Definition, function: Activation) -> Arc<dyn Operation> {
    let (weight, function) = (Initializer::HeNormal { gain: 1.0 }, Function::Elementwise(function));
    Arc::new(Dense { definition, function, units: None, weight, bias: None })
}

macro_rules! functions {
    ($($item:ident: $name:literal, $summary:literal, $details:literal, $arguments:expr, $function:expr, $example:literal;)*) => {
        $(
            #[doc = $summary]
            pub static $item: Definition = Definition {
                name: $name,
                aliases: &[],
                kind: $name,
                category: Category::Activation,
                summary: $summary,
                arguments: &$arguments,
                details: concat!($details, " The shape stays; it has no parameters, and is applied by the layer before it where that can."),
                example: $example,
                build: |arguments| {
                    let function: fn(&Arguments) -> Result<Activation, Diagnostic> = $function;
                    Ok(alone(&$item, function(arguments)?))
                },
            };
        )*
    };
}

functions! {
    CLIP: "Clip", "Values limited to a range.", "min(max(x, min), max). `Clip(0, 6)` computes what `Relu6` does.",
        [
            Argument { name: "min", takes: "number", default: Default::Required, doc: "smallest value" },
            Argument { name: "max", takes: "number", default: Default::Required, doc: "largest value" },
        ],
        |arguments| {
            let (min, max) = (arguments.float("min")?, arguments.float("max")?);
            match min <= max {
                true => Ok(Activation::Clip { min, max }),
                false => Err(arguments.wrong("max", format!("must not be smaller than min={min}"))),
            }
        },
        "Input(32x32x3) >> Conv(3x3, 8) >> Clip(-1, 1)";
    EXP: "Exp", "The exponential function.", "e^x, which overflows to infinity above 88.7.", [],
        |_| Ok(Activation::Exp), "Input(20) >> Dense(8) >> Exp";
    LOG: "Log", "The natural logarithm.", "ln(x); minus infinity for 0, not a number below.", [],
        |_| Ok(Activation::Log), "Input(20) >> Softmax(8) >> Log";
    SQRT: "Sqrt", "The square root.", "sqrt(x); not a number below 0, and without a gradient at 0.", [],
        |_| Ok(Activation::Sqrt), "Input(20) >> Softplus(8) >> Sqrt";
    SQUARE: "Square", "The square.", "x^2", [],
        |_| Ok(Activation::Square), "Input(20) >> Dense(8) >> Square";
    POWER: "Power", "A power with a constant exponent.", "x^p; not a number below 0 unless p is an integer.",
        [Argument { name: "p", takes: "number", default: Default::Required, doc: "exponent" }],
        |arguments| Ok(Activation::Power { exponent: arguments.float("p")? }),
        "Input(32x32x3) >> Conv(3x3, 8) >> Clip(1e-6, 1000) >> Power(3) >> GlobalPool(avg) >> Power(1.0/3)";
    AFFINE: "Affine", "A constant factor and summand.",
        "scale x + shift with constants; `Scale` learns a factor for each channel.",
        [
            Argument { name: "scale", takes: "number", default: Default::Int(1), doc: "factor" },
            Argument { name: "shift", takes: "number", default: Default::Int(0), doc: "summand" },
        ],
        |arguments| Ok(Activation::Affine { scale: arguments.float("scale")?, shift: arguments.float("shift")? }),
        "Input(20) >> Tanh(8) >> Affine(0.5, shift=0.5)";
}
