//! `SeparableConv`: a depthwise convolution and one of single pixels, in one layer.

use super::Convolution;
use super::sequence::{is_single, slide, window_sizes};
use super::window::{BIAS, DILATION, FILTERS, PADDING, SIZE, STRIDE, Sliding, WEIGHT, known_channels};
use crate::graph::signature::definition::Default;
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind, ParameterSpec,
    Part, PartInput, ShapeError,
};
use crate::tensor::{Size, TensorType};
use ndarray::ArrayD;
use std::any::Any;
use std::sync::Arc;

/// A depthwise convolution without bias, then a 1x1 convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct SeparableConvolution {
    pub window: Sliding,
    /// Whether the window is given by single numbers, so that it slides along sequences too.
    pub single: bool,
    pub filters: usize,
    /// Filters per channel of the depthwise convolution.
    pub multiplier: usize,
    pub weight: Initializer,
    pub bias: Option<Initializer>,
}

/// `SeparableConv(3x3, 64, padding=same)`
pub static SEPARABLE: Definition = Definition {
    name: "SeparableConv",
    aliases: &["SeparableConvolution"],
    kind: "SeparableConvolution",
    category: Category::Convolution,
    summary: "A convolution of each channel separately, then a 1x1 convolution of its results.",
    arguments: &[
        SIZE,
        FILTERS,
        STRIDE,
        PADDING,
        DILATION,
        Argument {
            name: "depth_multiplier",
            takes: "integer",
            default: Default::Int(1),
            doc: "filters per channel of the first",
        },
        BIAS,
        WEIGHT,
    ],
    details: "(?, h, w, c) -> (?, h', w', filters): `DepthwiseConv(size, multiplier=depth_multiplier, bias=false) >> Conv(1x1, filters)`, and computed so; \
        Keras' SeparableConv2D, and on a sequence (?, t, f) with a window of one number SeparableConv1D (Xception, Chollet 2016, arXiv 1610.02357). Weights \
        depthwise_weight (height, width, 1, c * multiplier), pointwise_weight (1, 1, c * multiplier, filters), bias (filters).",
    example: "Input(32x32x8) >> SeparableConv(3x3, 16, padding=same) >> BatchNorm >> Relu",
    build: |arguments| {
        Ok(Arc::new(SeparableConvolution {
            window: Sliding::of(arguments)?,
            single: is_single(arguments),
            filters: arguments.integer("filters", 1)?,
            multiplier: arguments.integer("depth_multiplier", 1)?,
            weight: arguments.initializer("weight", Initializer::HeNormal { gain: 2.0 })?,
            bias: arguments.bias("bias")?,
        }))
    },
};

impl SeparableConvolution {
    /// The first convolution.
    pub fn depthwise(&self) -> Convolution {
        Convolution {
            window: self.window,
            single: self.single,
            filters: self.multiplier,
            groups: 1,
            weight: self.weight,
            bias: None,
            depthwise: true,
        }
    }

    /// The second convolution.
    pub fn pointwise(&self) -> Convolution {
        Convolution {
            window: Sliding::ONE_PIXEL,
            single: true,
            filters: self.filters,
            groups: 1,
            weight: self.weight,
            bias: self.bias,
            depthwise: false,
        }
    }
}

impl Operation for SeparableConvolution {
    fn definition(&self) -> &'static Definition {
        &SEPARABLE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = self.window.settings([1, 1], self.single);
        list.insert(1, ("filters", self.filters.to_string()));
        if self.multiplier > 1 {
            list.push(("depth_multiplier", self.multiplier.to_string()));
        }
        if self.bias.is_none() {
            list.push(("bias", "false".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let mut sizes = slide(&self.window, self.single, SEPARABLE.name, inputs[0])?;
        sizes.push(Size::Known(self.filters));
        Ok(TensorType::batched(sizes))
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        slide(&self.window, self.single, SEPARABLE.name, inputs[0])?;
        // Sizes that are too large are reported.
        let channels = known_channels(SEPARABLE.name, inputs[0])?.saturating_mul(self.multiplier);
        let window = window_sizes(&self.window, inputs[0]);
        let kernel = |role, window: &[usize], inputs: usize, outputs: usize| {
            let shape = [window, &[inputs, outputs]].concat();
            ParameterSpec::new(role, ParameterKind::Kernel, &shape, self.weight)
        };
        let mut specs = vec![
            kernel("depthwise_weight", &window, 1, channels),
            kernel("pointwise_weight", &vec![1; window.len()], channels, self.filters),
        ];
        specs.extend(self.bias.map(|bias| ParameterSpec::new("bias", ParameterKind::Vector, &[self.filters], bias)));
        Ok(specs)
    }

    fn decompose(&self, _: &[&TensorType]) -> Option<Vec<Part>> {
        let pointwise = [1, 2].into_iter().take(1 + usize::from(self.bias.is_some())).collect();
        Some(vec![
            Part {
                name: "depthwise",
                operation: Arc::new(self.depthwise()),
                inputs: vec![PartInput::Layer(0)],
                parameters: vec![0],
            },
            Part {
                name: "pointwise",
                operation: Arc::new(self.pointwise()),
                inputs: vec![PartInput::Part(0)],
                parameters: pointwise,
            },
        ])
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        let Ok(between) = self.depthwise().infer(inputs) else { return 0 };
        self.depthwise().macs(inputs).saturating_add(self.pointwise().macs(&[&between]))
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        self.depthwise().axis_rule(inputs)
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let between = self.depthwise().evaluate(inputs, &parameters[..1]);
        self.pointwise().evaluate(&[&between], &parameters[1..])
    }

    fn lower(&self, _: &Lowering) -> Result<Lowered, String> {
        Err("it is computed as two convolutions".into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
