//! `Convolution`: a window of weights that slides over an image, or along a sequence.

pub mod separable;
pub mod sequence;
pub mod transposed_convolution;
pub mod transposed_window;
pub mod window;

use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Int8Lowering, Lowered, Lowering, Operation, ParameterKind,
    ParameterSpec, ShapeError, Supports,
};
use crate::kernels::gemm::Backend;
use crate::kernels::tensor_view::{Convolution as Geometry, Window};
use crate::plan::kernel::Kernel;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::gradient::convolution_gradient::{InputGradientStep, WeightGradientStep};
use crate::plan::steps::gradient::dense_gradient::BiasGradientStep;
use crate::plan::steps::int8::convolution::Int8ConvolutionStep;
use crate::size::product;
use crate::tensor::{Size, TensorType};
use ndarray::{Array4, ArrayD, ArrayView4, Ix1, Ix4};
use sequence::{as_images, is_single, reshaped, resolve, slide, window_sizes};
use std::any::Any;
use std::sync::Arc;
use window::{BIAS, DILATION, FILTERS, PADDING, Padding, SIZE, STRIDE, Sliding, WEIGHT, known_channels};

/// A convolution over two axes of an image or one of a sequence, channels last.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    pub window: Sliding,
    /// Whether the window is given by single numbers, so that it slides along sequences too.
    pub single: bool,
    pub filters: usize,
    pub groups: usize,
    pub weight: Initializer,
    pub bias: Option<Initializer>,
    /// One filter bank per input channel: `filters` is then a multiple of the channels, and so are the groups.
    pub depthwise: bool,
}

/// `Convolution(3x3, 64, padding=same)`
pub static CONVOLUTION: Definition = Definition {
    name: "Convolution",
    aliases: &["Conv"],
    kind: "Convolution",
    category: Category::Convolution,
    summary: "Slides a window of weights over an image: \"3x3, 64\", as papers write it.",
    arguments: &[
        SIZE,
        FILTERS,
        STRIDE,
        PADDING,
        DILATION,
        Argument {
            name: "groups",
            takes: "integer",
            default: Default::Int(1),
            doc: "groups of channels that are convolved separately",
        },
        BIAS,
        WEIGHT,
    ],
    details: "(?, h, w, c) -> (?, h', w', filters). Along each axis, with f' = f + (f - 1)(dilation - 1): `valid` gives \
        ceil((d - f' + 1) / s), `same` ceil(d / s), padding=n ceil((d + 2n - f' + 1) / s). `same` is TensorFlow's: an odd padding puts one more \
        at the end. The window is not flipped (cross-correlation). Weight (height, width, c / groups, filters), bias (filters). On a sequence \
        (?, t, f) a window of one number slides along t, as Conv1D: `Conv(3, 16)`, weight (size, f / groups, filters).",
    example: "Input(32x32x3) >> Conv(3x3, 16, padding=same) >> Relu >> Flatten >> Softmax(10)",
    build: |arguments| {
        let (window, single) = (Sliding::of(arguments)?, is_single(arguments));
        let filters = arguments.integer("filters", 1)?;
        let groups = arguments.integer("groups", 1)?;
        if filters % groups != 0 {
            return Err(arguments.wrong("groups", format!("must divide the {filters} filters")));
        }
        let weight = arguments.initializer("weight", Initializer::HeNormal { gain: 2.0 })?;
        let bias = arguments.bias("bias")?;
        Ok(Arc::new(Convolution { window, single, filters, groups, weight, bias, depthwise: false }))
    },
};

/// `DepthwiseConvolution(3x3, padding=same)`
pub static DEPTHWISE: Definition = Definition {
    name: "DepthwiseConvolution",
    aliases: &["DepthwiseConv", "DWConv"],
    kind: "DepthwiseConvolution",
    category: Category::Convolution,
    summary: "A convolution of each channel separately.",
    arguments: &[
        SIZE,
        STRIDE,
        PADDING,
        DILATION,
        Argument { name: "multiplier", takes: "integer", default: Default::Int(1), doc: "filters per channel" },
        BIAS,
        WEIGHT,
    ],
    details: "(?, h, w, c) -> (?, h', w', c * multiplier): the same as a convolution with as many groups as channels. Weight (height, width, 1, c * multiplier). \
        On a sequence (?, t, f) a window of one number slides along t: weight (size, 1, f * multiplier).",
    example: "Input(32x32x8) >> DepthwiseConv(3x3, padding=same) >> Relu6",
    build: |arguments| {
        let (window, single) = (Sliding::of(arguments)?, is_single(arguments));
        let filters = arguments.integer("multiplier", 1)?;
        let weight = arguments.initializer("weight", Initializer::HeNormal { gain: 2.0 })?;
        let bias = arguments.bias("bias")?;
        Ok(Arc::new(Convolution { window, single, filters, groups: 1, weight, bias, depthwise: true }))
    },
};

impl Convolution {
    fn name(&self) -> &'static str {
        self.definition().name
    }

    /// The geometry over an image or a sequence of the lowering's sizes.
    ///
    /// # Errors
    /// If the input is smaller than the window.
    pub fn geometry(&self, cx: &Lowering) -> Result<Geometry, String> {
        let (window, channels) = resolve(&self.window, &cx.inputs[0]).ok_or("its window is larger than its input")?;
        let (out_c, groups) = match self.depthwise {
            true => (channels * self.filters, channels),
            false => (self.filters, self.groups),
        };
        Ok(Geometry { window, in_c: channels, out_c, groups })
    }

    /// Adds the gradients of a convolution of this geometry, whose parameters are a weight and perhaps a bias.
    pub fn add_gradients(geometry: Geometry, cx: &mut Backward<'_>) {
        let (x, dy, weight) = (cx.layer.inputs[0], cx.gradient, cx.layer.parameters[..1].to_vec());
        let back = match ConvolutionStep::input_gradient(&geometry) {
            Some(step) => Kernel::Convolution(step),
            None => Kernel::InputGradient(InputGradientStep { geometry, backend: Backend::default() }),
        };
        cx.grad_input(0, back, &[dy], &weight);
        let step = WeightGradientStep { geometry, backend: Backend::default() };
        cx.grad_parameter(0, Kernel::WeightGradient(step), &[x, dy]);
        let pixels = geometry.window.out_h * geometry.window.out_w;
        cx.grad_parameter(1, Kernel::BiasGradient(BiasGradientStep { pixels, channels: geometry.out_c }), &[dy]);
    }

    /// Input channels, output channels and groups, for an image of this many channels.
    fn channels(&self, image: &TensorType) -> Result<(usize, usize, usize), ShapeError> {
        let channels = known_channels(self.name(), image)?;
        if self.depthwise {
            return Ok((channels, channels * self.filters, channels));
        }
        if channels % self.groups != 0 {
            return Err(ShapeError::new(
                Code::Channels,
                format!("{channels} channels cannot be split into {} groups", self.groups),
                format!("groups={} over {image}", self.groups),
            ));
        }
        Ok((channels, self.filters, self.groups))
    }
}

impl Operation for Convolution {
    fn definition(&self) -> &'static Definition {
        if self.depthwise { &DEPTHWISE } else { &CONVOLUTION }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = self.window.settings([1, 1], self.single);
        match self.depthwise {
            true if self.filters > 1 => list.push(("multiplier", self.filters.to_string())),
            true => {}
            false => list.insert(1, ("filters", self.filters.to_string())),
        }
        if self.groups > 1 {
            list.push(("groups", self.groups.to_string()));
        }
        if self.bias.is_none() {
            list.push(("bias", "false".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let mut sizes = slide(&self.window, self.single, self.name(), inputs[0])?;
        let filters = match self.depthwise || self.groups > 1 {
            true => self.channels(inputs[0])?.1,
            false => self.filters,
        };
        sizes.push(Size::Known(filters));
        Ok(TensorType::batched(sizes))
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        slide(&self.window, self.single, self.name(), inputs[0])?;
        let (channels, filters, groups) = self.channels(inputs[0])?;
        let mut shape = window_sizes(&self.window, inputs[0]);
        shape.extend([channels / groups, filters]);
        let mut specs = vec![ParameterSpec::new("weight", ParameterKind::Kernel, &shape, self.weight)];
        specs.extend(self.bias.map(|bias| ParameterSpec::new("bias", ParameterKind::Vector, &[filters], bias)));
        Ok(specs)
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        let (Ok(output), Ok((channels, _, groups))) = (self.infer(inputs), self.channels(inputs[0])) else { return 0 };
        let taps = product(window_sizes(&self.window, inputs[0]));
        output.len().map_or(0, |len| product([len, taps, channels / groups]) as u64)
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        if inputs[0].image().is_some() { AxisRule::Image } else { AxisRule::AlongTime }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let view = |array: ArrayD<f64>| array.into_dimensionality::<Ix4>().ok();
        let (Some(x), Some(weight)) = (view(as_images(inputs[0])), view(as_kernel(parameters[0]))) else {
            return inputs[0].clone();
        };
        let Some((window, channels)) = resolve(&self.window, &inputs[0].shape()[1..]) else { return inputs[0].clone() };
        let bias = parameters.get(1).and_then(|bias| bias.view().into_dimensionality::<Ix1>().ok());
        let mut y = correlate(x.view(), weight.view(), &window, channels / weight.dim().2);
        if let Some(bias) = bias {
            y += &bias;
        }
        let y = y.into_dyn();
        match inputs[0].ndim() {
            4 => y,
            _ => reshaped(&y, &[y.shape()[0], y.shape()[2], y.shape()[3]]),
        }
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let step = ConvolutionStep::new(self.geometry(cx)?, self.bias.is_some(), cx.epilogue);
        Ok(Lowered::Step(Kernel::Convolution(step)))
    }

    fn lower_int8(&self, cx: &Lowering, formats: &Int8Lowering) -> Option<Lowered> {
        let geometry = self.geometry(cx).ok()?;
        let (activation, output) = (cx.epilogue.activation, formats.output);
        let residual = if cx.epilogue.residual { Some((*formats.inputs.last()?)?) } else { None };
        let supported = Int8ConvolutionStep::supports(&geometry, activation, output) && !cx.epilogue.pool;
        let input = (*formats.inputs.first()?)?;
        let step = Int8ConvolutionStep { geometry, activation, input, residual, output };
        supported.then_some(Lowered::Step(Kernel::Int8Convolution(step)))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        Convolution::add_gradients(self.geometry(&cx.lowering())?, cx);
        Ok(())
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, residual: true, pool: true, softmax: false }
    }

    fn with_foldable_bias(&self) -> Option<Arc<dyn Operation>> {
        Some(Arc::new(Convolution { bias: Some(Initializer::Constant(0.0)), ..self.clone() }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A kernel of one axis as one of two; one of two as it is.
fn as_kernel(weight: &ArrayD<f64>) -> ArrayD<f64> {
    // As with sequences, the first axis is the one that is missing.
    match *weight.shape() {
        [size, inputs, outputs] => reshaped(weight, &[1, size, inputs, outputs]),
        _ => weight.clone(),
    }
}

/// Cross-correlation of (n, h, w, c) with (kh, kw, c / groups, filters).
fn correlate(x: ArrayView4<f64>, weight: ArrayView4<f64>, window: &Window, groups: usize) -> Array4<f64> {
    let (batch, height, width, channels) = x.dim();
    let (_, _, depth, filters) = weight.dim();
    let mut y = Array4::zeros((batch, window.out_h, window.out_w, filters));
    let (per_group, x, weight) = (filters / groups, x.as_standard_layout(), weight.as_standard_layout());
    let (x, weight) = (x.as_slice().unwrap_or(&[]), weight.as_slice().unwrap_or(&[]));
    for ((image, row, column, group), mut out) in ndarray::indices((batch, window.out_h, window.out_w, groups))
        .into_iter()
        .zip(y.exact_chunks_mut((1, 1, 1, per_group)))
    {
        let Some(out) = out.as_slice_mut() else { continue };
        for tap_row in 0..window.kernel_h {
            let at_row = (row * window.stride_h + tap_row * window.dilation_h).wrapping_sub(window.pad_top);
            for tap_column in 0..window.kernel_w {
                let at_column =
                    (column * window.stride_w + tap_column * window.dilation_w).wrapping_sub(window.pad_left);
                if at_row >= height || at_column >= width {
                    continue;
                }
                let pixel = ((image * height + at_row) * width + at_column) * channels + group * depth;
                let tap = (tap_row * window.kernel_w + tap_column) * depth * filters + group * per_group;
                for channel in 0..depth {
                    let value = x[pixel + channel];
                    let weights = &weight[tap + channel * filters..][..per_group];
                    out.iter_mut().zip(weights).for_each(|(out, weight)| *out += value * weight);
                }
            }
        }
    }
    y
}

/// Whether a padding adds nothing.
pub fn is_unpadded(padding: Padding) -> bool {
    matches!(padding, Padding::Valid | Padding::Pixels([0, 0]))
}
