//! Dense layers and activations, which are one family in NeuPy: `Relu(64)` is a dense layer with its activation, one layer
//! with parameters; `Relu` is the activation alone.

pub mod stepwise_dense;

use super::named_axis::{NamedAxis, axes};
use crate::diagnostics::{Code, Diagnostic};
use crate::graph::signature::definition::Default;
use crate::graph::signature::value::number_text;
use crate::graph::training::{Backward, Forward};
use crate::graph::{
    Argument, Arguments, AxisRule, Category, Definition, FusionRole, Initializer, Int8Lowering, Lowered, Lowering,
    NodeId, Operation, ParameterSpec, Part, PartInput, ShapeError, Supports, reference,
};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::activation_gradient::is_slope_from_output;
use crate::kernels::gemm::Backend;
use crate::plan::kernel::Kernel;
use crate::plan::steps::dense::DenseStep;
use crate::plan::steps::gradient::dense_gradient::{BiasGradientStep, DenseInputGradientStep, DenseWeightGradientStep};
use crate::plan::steps::gradient::pointwise_gradient::{ActivationGradientStep, SoftmaxGradientStep};
use crate::plan::steps::gradient::reduce_gradient::SoftmaxAlongGradientStep;
use crate::plan::steps::int8::dense::Int8DenseStep;
use crate::plan::steps::pointwise::{ActivationStep, SoftmaxStep};
use crate::plan::steps::reduce::SoftmaxAlongStep;
use crate::size::product;
use crate::tensor::{Size, TensorType};
use ndarray::ArrayD;
use std::any::Any;
use std::sync::Arc;
use stepwise_dense::{StepwiseDense, dense_parameters, dense_product};

/// The function after the product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    Elementwise(Activation),
    /// Softmax over the last axis.
    Softmax,
    /// Softmax along another axis; never after a product.
    SoftmaxAlong(NamedAxis),
}

impl Function {
    /// The numbers in effect, under the names that definitions give them, as they are written in specs.
    fn arguments(self) -> Vec<(&'static str, String)> {
        // The shortest digits that give the same `f32`.
        let text = |value: f32| number_text(value.to_string().parse().unwrap_or(f64::from(value)));
        match self {
            Function::SoftmaxAlong(axis) => vec![("axis", axis.to_string())],
            Function::Softmax => Vec::new(),
            Function::Elementwise(function) => match function {
                Activation::Relu { alpha } => vec![("alpha", text(alpha))],
                Activation::HardSigmoid { alpha, beta } => vec![("alpha", text(alpha)), ("beta", text(beta))],
                Activation::GeluTanh => vec![("tanh", "true".into())],
                Activation::Clip { min, max } => vec![("min", text(min)), ("max", text(max))],
                Activation::Power { exponent } => vec![("p", text(exponent))],
                Activation::Affine { scale, shift } => vec![("scale", text(scale)), ("shift", text(shift))],
                _ => Vec::new(),
            },
        }
    }
}

/// A dense layer, an activation, or both.
#[derive(Clone, Debug)]
pub struct Dense {
    pub definition: &'static Definition,
    pub function: Function,
    /// The output features; `None` for the function alone.
    pub units: Option<usize>,
    pub weight: Initializer,
    pub bias: Option<Initializer>,
}

pub(super) const UNITS: Argument = Argument {
    name: "units",
    takes: "integer",
    default: Default::Absent("the function alone, without parameters"),
    doc: "output features of the dense layer before the function",
};
pub(super) const WEIGHT: Argument = Argument {
    name: "weight",
    takes: "initialiser",
    default: Default::Absent("HeNormal(gain=1), for rectifiers gain=2"),
    doc: "initial weights",
};
pub(super) const BIAS: Argument = Argument {
    name: "bias",
    takes: "`true`, `false` or initialiser",
    default: Default::Bool(true),
    doc: "a bias per unit",
};
/// A layer of the family from its arguments; `gain` is that of its initial weights.
pub(super) fn build(
    arguments: &Arguments,
    definition: &'static Definition,
    function: Function,
    gain: f64,
) -> Result<Arc<dyn Operation>, Diagnostic> {
    let units = arguments.given("units").map(|_| arguments.integer("units", 1)).transpose()?;
    let weight = arguments.initializer("weight", Initializer::HeNormal { gain })?;
    let bias = arguments.bias("bias")?;
    Ok(Arc::new(Dense { definition, function, units, weight, bias }))
}

macro_rules! family {
    ($($item:ident: $name:literal $aliases:expr, $kind:literal, $summary:literal, $formula:literal, $function:expr, gain $gain:literal, $example:literal;)*) => {
        $(
            #[doc = $summary]
            pub static $item: Definition = Definition {
                name: $name,
                aliases: &$aliases,
                kind: $kind,
                category: Category::Activation,
                summary: $summary,
                arguments: &[UNITS, BIAS, WEIGHT],
                details: concat!($formula, "\n\nWith a size: (?, n) -> (?, units), the function of x * weight + bias; weight (n, units), bias (units); on a sequence for each step, (?, t, n) -> (?, t, units). Without one: the function of each value, the shape stays."),
                example: $example,
                build: |arguments| build(arguments, &$item, $function, $gain),
            };
        )*
    };
}

family! {
    DENSE: "Dense" ["Linear"], "Linear", "A fully connected layer: every unit reads every feature.", "x * weight + bias",
        Function::Elementwise(Activation::Linear), gain 1.0, "Input(784) >> Dense(10)";
    SIGMOID: "Sigmoid" [], "Sigmoid", "The logistic function, alone or after a dense layer.", "1 / (1 + exp(-x))",
        Function::Elementwise(Activation::Sigmoid), gain 1.0, "Input(20) >> Relu(8) >> Sigmoid(1)";
    TANH: "Tanh" [], "Tanh", "The hyperbolic tangent, alone or after a dense layer.", "tanh(x)",
        Function::Elementwise(Activation::Tanh), gain 1.0, "Input(20) >> Tanh(8) >> Dense(1)";
    ABSOLUTE: "Absolute" ["Abs"], "Absolute", "The absolute value.", "|x| = max(0, x) - min(0, x)",
        Function::Elementwise(Activation::Relu { alpha: -1.0 }), gain 1.0, "Input(20) >> Dense(8) >> Absolute";
    RELU6: "Relu6" [], "Relu6", "A rectifier capped at six (MobileNet).", "min(max(0, x), 6)",
        Function::Elementwise(Activation::Relu6), gain 2.0, "Input(32x32x3) >> Conv(3x3, 8) >> Relu6";
    ELU: "Elu" [], "Elu", "The exponential linear unit.", "x for x > 0, else exp(x) - 1",
        Function::Elementwise(Activation::Elu), gain 1.0, "Input(20) >> Elu(8)";
    SOFTPLUS: "Softplus" [], "Softplus", "A smooth rectifier.", "ln(1 + exp(x))",
        Function::Elementwise(Activation::Softplus), gain 1.0, "Input(20) >> Softplus(8)";
    SWISH: "Swish" ["SiLU"], "Swish", "The sigmoid-weighted linear unit (EfficientNet).", "x / (1 + exp(-x))",
        Function::Elementwise(Activation::Swish), gain 1.0, "Input(32x32x3) >> Conv(3x3, 8) >> Swish";
    HARD_SWISH: "HardSwish" [], "HardSwish", "A piecewise form of swish (MobileNetV3).", "x * relu6(x + 3) / 6",
        Function::Elementwise(Activation::HardSwish), gain 1.0, "Input(32x32x3) >> Conv(3x3, 8) >> HardSwish";
}

/// The kernel of a softmax along an axis of a tensor of these sizes.
fn softmax_along(axis: NamedAxis, sizes: &[usize]) -> Result<SoftmaxAlongStep, String> {
    let place = axis.place(sizes.len()).ok_or("its input does not have the axis")?;
    Ok(SoftmaxAlongStep { axes: axes(sizes, &[place], false) })
}

impl Dense {
    /// A dense layer without a function.
    pub fn linear(units: usize, weight: Initializer, bias: Option<Initializer>) -> Dense {
        let function = Function::Elementwise(Activation::Linear);
        Dense { definition: &DENSE, function, units: Some(units), weight, bias }
    }

    /// Whether it is a dense layer without a function.
    fn is_linear(&self) -> bool {
        self.units.is_some() && self.function == Function::Elementwise(Activation::Linear)
    }

    /// The layer as its product and its function, if it has one.
    fn parts(&self, product: Arc<dyn Operation>) -> Vec<Part> {
        let parameters = (0..1 + usize::from(self.bias.is_some())).collect();
        let mut parts =
            vec![Part { name: "product", operation: product, inputs: vec![PartInput::Layer(0)], parameters }];
        if !self.is_linear() {
            let operation = Arc::new(Dense { units: None, ..self.clone() });
            let inputs = vec![PartInput::Part(0)];
            parts.push(Part { name: "function", operation, inputs, parameters: Vec::new() });
        }
        parts
    }
}

impl Operation for Dense {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = Vec::new();
        if let Some(units) = self.units {
            list.push(("units", units.to_string()));
            if self.bias.is_none() {
                list.push(("bias", "false".into()));
            }
        }
        // Those that the definition has, unless they are its defaults.
        list.extend(self.function.arguments().into_iter().filter(|(name, text)| {
            let defined = self.definition.arguments.iter().find(|argument| argument.name == *name);
            defined.is_some_and(|argument| argument.signature() != format!("{name}={text}"))
        }));
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let name = self.definition.name;
        let Some(units) = self.units else {
            if let Function::SoftmaxAlong(axis) = self.function {
                axis.place_in(name, inputs[0])?;
            }
            return Ok(inputs[0].clone());
        };
        match inputs[0].sizes[..] {
            [_] => Ok(TensorType::batched([Size::Known(units)])),
            [steps, _] => Ok(TensorType::batched([steps, Size::Known(units)])),
            _ => {
                let what = if inputs[0].image().is_some() { "an image" } else { "a tensor of more axes" };
                let mut error = ShapeError::new(
                    Code::WrongRank,
                    format!("`{name}({units})` needs features or a sequence, but gets {what}"),
                    "expects (?, n) or (?, time, n)",
                );
                if let Some(len) = inputs[0].len() {
                    let on_pixels = format!("`Conv(1x1, {units})` is a dense layer on each pixel");
                    error = error
                        .help(format!(
                            "put `Flatten` between them: `>> Flatten >> {name}({units})` ({len} features), or `GlobalPool(avg)`, the mean \
                             of each channel; {on_pixels}"
                        ))
                        .before(&["Flatten"]);
                }
                Err(error)
            }
        }
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let Some(units) = self.units else { return Ok(Vec::new()) };
        dense_parameters(self.definition.name, inputs[0], units, self.weight, self.bias)
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        inputs[0].len().map_or(0, |len| product([len, self.units.unwrap_or(0)]) as u64)
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        match (self.units, self.function) {
            (Some(_), _) if inputs[0].sizes.len() > 1 => AxisRule::Steps,
            (Some(_), _) => AxisRule::Features,
            (None, Function::Softmax) => AxisRule::Channels,
            // Another axis than the last is the same axis in both frameworks.
            (None, Function::Elementwise(_) | Function::SoftmaxAlong(_)) => AxisRule::Pointwise,
        }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let mut y = match self.units {
            Some(_) => dense_product(inputs[0], parameters),
            None => inputs[0].clone(),
        };
        match self.function {
            Function::Elementwise(function) => y.mapv_inplace(|x| function.exact(x)),
            Function::Softmax => {
                let last = y.ndim().saturating_sub(1);
                reference::softmax(&mut y, last);
            }
            Function::SoftmaxAlong(axis) => {
                if let Some(place) = axis.place(y.ndim().saturating_sub(1)) {
                    reference::softmax(&mut y, place + 1);
                }
            }
        }
        y
    }

    fn lower_int8(&self, cx: &Lowering, formats: &Int8Lowering) -> Option<Lowered> {
        let Lowered::Step(Kernel::Dense(DenseStep { inputs, outputs, epilogue, .. })) = self.lower(cx).ok()? else {
            return None;
        };
        let (input, output) = ((*formats.inputs.first()?)?, formats.output);
        let step = Int8DenseStep { inputs, outputs, epilogue, input, output };
        Int8DenseStep::supports(&epilogue, output).then_some(Lowered::Step(Kernel::Int8Dense(step)))
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let sizes = &cx.inputs[0];
        let (channels, len) = (sizes.last().copied().unwrap_or(1), sizes.iter().product::<usize>());
        let pixels = len / channels.max(1);
        Ok(match (self.units, self.function) {
            (Some(units), function) => {
                let mut epilogue = cx.epilogue;
                match function {
                    Function::Elementwise(Activation::Linear) => {}
                    Function::Elementwise(function) => epilogue.activation = function,
                    Function::Softmax => epilogue.softmax = true,
                    Function::SoftmaxAlong(_) => {
                        return Err("it has a product before a softmax along another axis".into());
                    }
                }
                Lowered::Step(Kernel::Dense(DenseStep::new(len, units, self.bias.is_some(), epilogue)))
            }
            (None, Function::Elementwise(Activation::Linear)) => Lowered::View,
            (None, Function::Elementwise(activation)) => {
                Lowered::InPlace(Kernel::Activation(ActivationStep { pixels, channels, activation }))
            }
            (None, Function::Softmax) => Lowered::InPlace(Kernel::Softmax(SoftmaxStep { pixels, channels })),
            (None, Function::SoftmaxAlong(axis)) => Lowered::InPlace(Kernel::SoftmaxAlong(softmax_along(axis, sizes)?)),
        })
    }

    /// On a sequence it is a product of each step, and the function by itself.
    fn decompose(&self, inputs: &[&TensorType]) -> Option<Vec<Part>> {
        let units = self.units.filter(|_| inputs[0].sizes.len() > 1)?;
        let Dense { weight, bias, .. } = *self;
        Some(self.parts(Arc::new(StepwiseDense { definition: &DENSE, units, weight, bias })))
    }

    /// The product and the function become two layers: a gradient may need the tensor between them.
    fn train(&self, cx: &mut Forward<'_>) -> Result<NodeId, String> {
        if self.units.is_none() || self.is_linear() || cx.sizes(0).len() > 1 {
            return cx.add_unchanged();
        }
        let function = Function::Elementwise(Activation::Linear);
        let product = Dense { definition: &DENSE, function, ..self.clone() };
        cx.add_parts(&self.parts(Arc::new(product)))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (x, y, dy) = (cx.layer.inputs[0], cx.layer.node, cx.gradient);
        let (pixels, channels) = cx.pixels_channels(0);
        match (self.units, self.function) {
            (Some(outputs), _) => {
                let inputs = pixels * channels;
                let weight = cx.layer.parameters[..1].to_vec();
                let back = DenseInputGradientStep { inputs, outputs, backend: Backend::default() };
                cx.grad_input(0, Kernel::DenseInputGradient(back), &[dy], &weight);
                let step = DenseWeightGradientStep { inputs, outputs, backend: Backend::default() };
                cx.grad_parameter(0, Kernel::DenseWeightGradient(step), &[x, dy]);
                cx.grad_parameter(1, Kernel::BiasGradient(BiasGradientStep { pixels: 1, channels: outputs }), &[dy]);
            }
            (None, Function::Elementwise(Activation::Linear)) => cx.set_grad_input(0, dy),
            (None, Function::Elementwise(activation)) => {
                let known = if is_slope_from_output(activation) { y } else { x };
                let step = ActivationGradientStep { pixels, channels, activation };
                cx.grad_input_in_place(0, Kernel::ActivationGradient(step), &[dy, known], &[]);
            }
            (None, Function::Softmax) => {
                cx.grad_input_in_place(
                    0,
                    Kernel::SoftmaxGradient(SoftmaxGradientStep { pixels, channels }),
                    &[dy, y],
                    &[],
                );
            }
            (None, Function::SoftmaxAlong(axis)) => {
                let step = SoftmaxAlongGradientStep { layer: softmax_along(axis, &cx.sizes(0))? };
                cx.grad_input_in_place(0, Kernel::SoftmaxAlongGradient(step), &[dy, y], &[]);
            }
        }
        Ok(())
    }

    fn keeps_values(&self) -> bool {
        self.units.is_none() && matches!(self.function, Function::Elementwise(_))
    }

    fn fusion_role(&self) -> FusionRole<'_> {
        match (self.units, self.function) {
            (None, Function::Elementwise(function)) => FusionRole::Activation(function),
            (None, Function::Softmax) => FusionRole::Softmax,
            (Some(_), _) | (None, Function::SoftmaxAlong(_)) => FusionRole::None,
        }
    }

    fn category(&self) -> Category {
        if self.units.is_some() { Category::Dense } else { Category::Activation }
    }

    fn supports(&self) -> Supports {
        let linear = self.is_linear();
        Supports { activation: linear, softmax: linear, ..Supports::default() }
    }

    fn with_foldable_bias(&self) -> Option<Arc<dyn Operation>> {
        let with_bias = || Dense { bias: Some(Initializer::Constant(0.0)), ..self.clone() };
        self.is_linear().then(|| Arc::new(with_bias()) as Arc<dyn Operation>)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
