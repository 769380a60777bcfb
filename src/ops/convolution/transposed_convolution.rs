//! `Deconvolution`: the transposed convolution, which upsamples an image.

use super::window::Sliding;
use super::window::{
    BIAS, FILTERS, PADDING, Padding, SIZE, STRIDE, WEIGHT, image_sizes, known_channels, pair_text, short_pair,
};
use crate::diagnostics::Code;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind, ParameterSpec,
    ShapeError, Supports, ValueKind,
};
use crate::kernels::gemm::Backend;
use crate::kernels::tensor_view::{Convolution as Geometry, Window};
use crate::plan::epilogue::Epilogue;
use crate::plan::kernel::Kernel;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::gradient::convolution_gradient::WeightGradientStep;
use crate::plan::steps::gradient::dense_gradient::BiasGradientStep;
use crate::plan::steps::transposed_convolution::TransposedConvolutionStep;
use crate::size::product;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A transposed convolution, channels last.
#[derive(Clone, Debug, PartialEq)]
pub struct Deconvolution {
    pub size: [usize; 2],
    pub filters: usize,
    pub stride: [usize; 2],
    pub padding: Padding,
    pub weight: Initializer,
    pub bias: Option<Initializer>,
}

/// `Deconvolution(3x3, 16, stride=2)`
pub static DECONVOLUTION: Definition = Definition {
    name: "Deconvolution",
    aliases: &["Deconv"],
    kind: "Deconvolution",
    category: Category::Convolution,
    summary: "A transposed convolution: every pixel spreads a window of weights, which enlarges the image by the stride.",
    arguments: &[
        SIZE,
        FILTERS,
        Argument { doc: "pixels between the windows of neighbouring input pixels", ..STRIDE },
        Argument {
            takes: "same, valid, integer or pair",
            doc: "`same` gives size times stride, a number crops so many pixels from both sides",
            ..PADDING
        },
        BIAS,
        WEIGHT,
    ],
    details: "(?, h, w, c) -> (?, h', w', filters). Along each axis `valid` gives d * s + max(f - s, 0), `same` d * s, \
        padding=n d * s - 2n + f - 1 (so 0 is not `valid` where s > 1), as NeuPy 0.8. It is the gradient of a convolution by its \
        input (TensorFlow's conv2d_transpose): y[i * s + k - pad] sums x[i] * weight[k]. Weight (height, width, filters, c), bias (filters).",
    example: "Input(8x8x32) >> Deconv(3x3, 16, stride=2, padding=same) >> Relu >> Deconv(3x3, 3, stride=2, padding=same) >> Sigmoid",
    build: |arguments| {
        // An explicit 0 has another size rule than `valid`.
        let written = arguments
            .given("padding")
            .is_some_and(|value| !matches!(value.kind, ValueKind::Word(_) | ValueKind::Text(_)));
        let padding = match Sliding::padding(arguments)? {
            Padding::Valid if written => Padding::Pixels([0, 0]),
            Padding::Sides(_) => return Err(arguments.wrong("padding", "takes `same`, `valid`, an integer or a pair")),
            padding => padding,
        };
        Ok(Arc::new(Deconvolution {
            size: arguments.required_pair("size", 1)?,
            filters: arguments.integer("filters", 1)?,
            stride: arguments.required_pair("stride", 1)?,
            padding,
            weight: arguments.initializer("weight", Initializer::HeNormal { gain: 2.0 })?,
            bias: arguments.bias("bias")?,
        }))
    },
};

impl Deconvolution {
    /// Output size and pixels cropped from the front along an axis; `None` if the result is empty or too large.
    fn along(&self, axis: usize, size: usize) -> Option<(usize, usize)> {
        let (window, stride) = (self.size[axis], self.stride[axis]);
        let spread = size.checked_mul(stride)?;
        let over = window.saturating_sub(stride);
        let (out, front) = match self.padding {
            Padding::Valid => (spread.checked_add(over)?, 0),
            Padding::Same => (spread, over / 2),
            Padding::Pixels(pixels) => {
                let pad = pixels[axis];
                (spread.checked_add(window - 1)?.checked_sub(pad.checked_mul(2)?)?, pad)
            }
            Padding::Sides(_) => return None,
        };
        (out > 0).then_some((out, front))
    }

    /// The convolution that this one transposes: its input is this one's output.
    fn forward(&self, height: usize, width: usize, channels: usize) -> Option<Geometry> {
        let ((in_h, pad_top), (in_w, pad_left)) = (self.along(0, height)?, self.along(1, width)?);
        let window = Window {
            in_h,
            in_w,
            out_h: height,
            out_w: width,
            kernel_h: self.size[0],
            kernel_w: self.size[1],
            stride_h: self.stride[0],
            stride_w: self.stride[1],
            dilation_h: 1,
            dilation_w: 1,
            pad_top,
            pad_left,
        };
        Some(Geometry { window, in_c: self.filters, out_c: channels, groups: 1 })
    }
}

impl Operation for Deconvolution {
    fn definition(&self) -> &'static Definition {
        &DECONVOLUTION
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![("size", pair_text(self.size)), ("filters", self.filters.to_string())];
        if self.stride != [1, 1] {
            list.push(("stride", short_pair(self.stride)));
        }
        match self.padding {
            Padding::Valid | Padding::Sides(_) => {}
            Padding::Same => list.push(("padding", "same".into())),
            Padding::Pixels(pixels) => list.push(("padding", short_pair(pixels))),
        }
        if self.bias.is_none() {
            list.push(("bias", "false".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (height, width, _) = image_sizes("Deconvolution", inputs[0])?;
        let mut sizes = vec![Size::Open, Size::Open, Size::Known(self.filters)];
        for (axis, size) in [height, width].into_iter().enumerate() {
            let Some(size) = size.known() else { continue };
            let (out, _) = self.along(axis, size).ok_or_else(|| {
                ShapeError::new(
                    Code::Window,
                    "the padding of `Deconvolution` crops more than the output",
                    format!("a window of {} over {}", pair_text(self.size), inputs[0]),
                )
                .help("use a smaller `padding`")
            })?;
            sizes[axis] = Size::Known(out);
        }
        Ok(TensorType::batched(sizes))
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let channels = known_channels("Deconvolution", inputs[0])?;
        let [height, width] = self.size;
        let mut specs = vec![ParameterSpec::new(
            "weight",
            ParameterKind::TransposedKernel,
            &[height, width, self.filters, channels],
            self.weight,
        )];
        specs.extend(self.bias.map(|bias| ParameterSpec::new("bias", ParameterKind::Vector, &[self.filters], bias)));
        Ok(specs)
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        inputs[0].len().map_or(0, |len| product([len, self.size[0], self.size[1], self.filters]) as u64)
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let (x, weight) = (inputs[0], parameters[0]);
        let [batch, height, width, channels] = x.shape()[..] else { return x.clone() };
        let Some(Geometry { window, .. }) = self.forward(height, width, channels) else { return x.clone() };
        let mut y = ArrayD::zeros(IxDyn(&[batch, window.in_h, window.in_w, self.filters]));
        if let Some(bias) = parameters.get(1) {
            y += *bias;
        }
        for at in ndarray::indices((batch, height, width, window.kernel_h, window.kernel_w)) {
            let (image, row, column, tap_row, tap_column) = at;
            let to_row = (row * window.stride_h + tap_row).wrapping_sub(window.pad_top);
            let to_column = (column * window.stride_w + tap_column).wrapping_sub(window.pad_left);
            if to_row >= window.in_h || to_column >= window.in_w {
                continue;
            }
            for filter in 0..self.filters {
                let sum: f64 = (0..channels)
                    .map(|channel| x[[image, row, column, channel]] * weight[[tap_row, tap_column, filter, channel]])
                    .sum();
                y[[image, to_row, to_column, filter]] += sum;
            }
        }
        y
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [height, width, channels] = cx.inputs[0][..] else { return Err("its input is not an image".into()) };
        let forward = self.forward(height, width, channels).ok_or("its padding crops more than the output")?;
        let (bias, activation) = (self.bias.is_some(), cx.epilogue.activation);
        Ok(Lowered::Step(Kernel::TransposedConvolution(TransposedConvolutionStep { forward, bias, activation })))
    }

    /// The gradient by the input is the convolution that this one transposes, with the same weights.
    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::TransposedConvolution(TransposedConvolutionStep { forward, .. })) =
            self.lower(&cx.lowering())?
        else {
            return Ok(());
        };
        let (x, dy, weight) = (cx.layer.inputs[0], cx.gradient, cx.layer.parameters[..1].to_vec());
        let back = ConvolutionStep::new(forward, false, Epilogue::default());
        cx.grad_input(0, Kernel::Convolution(back), &[dy], &weight);
        cx.grad_parameter(
            0,
            Kernel::WeightGradient(WeightGradientStep { geometry: forward, backend: Backend::default() }),
            &[dy, x],
        );
        let pixels = forward.window.in_h * forward.window.in_w;
        cx.grad_parameter(1, Kernel::BiasGradient(BiasGradientStep { pixels, channels: forward.in_c }), &[dy]);
        Ok(())
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, ..Supports::default() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
