//! `ConvTranspose` and `Deconvolution`: the transposed convolution, which enlarges an image.

use super::transposed_window::{SizeRule, Spreading};
use super::window::Sliding;
use super::window::{
    BIAS, DILATION, FILTERS, PADDING, Padding, SIZE, STRIDE, WEIGHT, image_sizes, known_channels, pair_text,
};
use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind, ParameterSpec,
    ShapeError, Supports, ValueKind,
};
use crate::kernels::gemm::Backend;
use crate::kernels::tensor_view::Convolution as Geometry;
use crate::plan::epilogue::Epilogue;
use crate::plan::kernel::Kernel;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::convolution::transposed_convolution::TransposedConvolutionStep;
use crate::plan::steps::gradient::convolution_gradient::WeightGradientStep;
use crate::plan::steps::gradient::dense_gradient::BiasGradientStep;
use crate::size::product;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A transposed convolution, channels last.
#[derive(Clone, Debug, PartialEq)]
pub struct TransposedConvolution {
    pub spreading: Spreading,
    pub filters: usize,
    pub groups: usize,
    pub weight: Initializer,
    pub bias: Option<Initializer>,
}

const TRANSPOSED_STRIDE: Argument =
    Argument { doc: "pixels between the windows of neighbouring input pixels", ..STRIDE };

/// `ConvTranspose(3x3, 16, stride=2, padding=1, output_padding=1)`
pub static CONV_TRANSPOSE: Definition = Definition {
    name: "ConvTranspose",
    aliases: &[],
    kind: "ConvTranspose",
    category: Category::Convolution,
    summary: "A transposed convolution: every pixel spreads a window of weights, which enlarges the image by the stride.",
    arguments: &[
        SIZE,
        FILTERS,
        TRANSPOSED_STRIDE,
        Argument {
            doc: "pixels cropped from both sides, or [1, 2, 0, 0] from top, bottom, left and right; `same` gives size times stride",
            ..PADDING
        },
        Argument {
            name: "output_padding",
            takes: "integer or pair",
            default: Default::Int(0),
            doc: "pixels added at the bottom and right, fewer than the stride or the dilation",
        },
        Argument {
            name: "groups",
            takes: "integer",
            default: Default::Int(1),
            doc: "groups of channels that are convolved separately",
        },
        DILATION,
        BIAS,
        WEIGHT,
    ],
    details: "(?, h, w, c) -> (?, h', w', filters). Along each axis (d - 1) * s - 2 * padding + dilation * (f - 1) + output_padding + 1, as PyTorch's \
        ConvTranspose2d, Keras' Conv2DTranspose and ONNX; `same` gives d * s. `Deconvolution` has NeuPy's rule: its padding=n gives s - 1 pixels more, \
        and its `valid` differs where the window is smaller than the stride, as Keras' does (`output_padding=s-f` here). It is the gradient of a convolution by its \
        input: y[i * s + k * dilation - pad] sums x[i] * weight[k]. Weight (height, width, filters / groups, c), bias (filters).",
    example: "Input(8x8x32) >> ConvTranspose(4x4, 16, stride=2, padding=1) >> Relu >> ConvTranspose(3x3, 3, stride=2, padding=1, output_padding=1) >> Sigmoid",
    build: |arguments| {
        let spreading = Spreading {
            rule: SizeRule::Covered,
            size: arguments.required_pair("size", 1)?,
            stride: arguments.required_pair("stride", 1)?,
            dilation: arguments.required_pair("dilation", 1)?,
            padding: Sliding::padding(arguments)?,
            output_padding: arguments.required_pair("output_padding", 0)?,
        };
        let Spreading { stride, dilation, output_padding, padding, .. } = spreading;
        if (0..2).any(|axis| output_padding[axis] > 0 && output_padding[axis] >= stride[axis].max(dilation[axis])) {
            return Err(arguments.wrong("output_padding", "must be smaller than the stride or the dilation"));
        }
        if padding == Padding::Same && output_padding != [0, 0] {
            return Err(arguments
                .wrong("output_padding", "changes nothing with `padding=same`, which gives size times stride")
                .help("give the padding in pixels: `padding=1, output_padding=1`"));
        }
        let filters = arguments.integer("filters", 1)?;
        let groups = arguments.integer("groups", 1)?;
        if filters % groups != 0 {
            return Err(arguments.wrong("groups", format!("must divide the {filters} filters")));
        }
        let weight = arguments.initializer("weight", Initializer::HeNormal { gain: 2.0 })?;
        Ok(Arc::new(TransposedConvolution { spreading, filters, groups, weight, bias: arguments.bias("bias")? }))
    },
};

/// `Deconvolution(3x3, 16, stride=2)`
pub static DECONVOLUTION: Definition = Definition {
    name: "Deconvolution",
    aliases: &["Deconv"],
    kind: "Deconvolution",
    category: Category::Convolution,
    summary: "A transposed convolution with NeuPy's sizes; `ConvTranspose` has those of PyTorch, Keras and ONNX.",
    arguments: &[
        SIZE,
        FILTERS,
        TRANSPOSED_STRIDE,
        Argument {
            takes: "`same`, `valid`, integer or pair",
            doc: "`same` gives size times stride, a number crops so many pixels from both sides",
            ..PADDING
        },
        BIAS,
        WEIGHT,
    ],
    details: "(?, h, w, c) -> (?, h', w', filters). Along each axis `valid` gives d * s + max(f - s, 0), `same` d * s, \
        padding=n d * s - 2n + f - 1 (so 0 is not `valid` where s > 1), as NeuPy 0.8. `ConvTranspose` gives (d - 1) * s - 2n + f for padding=n, \
        which is s - 1 pixels less. It is the gradient of a convolution by its input (TensorFlow's conv2d_transpose): y[i * s + k - pad] sums \
        x[i] * weight[k]. Weight (height, width, filters, c), bias (filters).",
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
        let spreading = Spreading {
            rule: SizeRule::Neupy,
            size: arguments.required_pair("size", 1)?,
            stride: arguments.required_pair("stride", 1)?,
            dilation: [1, 1],
            padding,
            output_padding: [0, 0],
        };
        let weight = arguments.initializer("weight", Initializer::HeNormal { gain: 2.0 })?;
        let (filters, bias) = (arguments.integer("filters", 1)?, arguments.bias("bias")?);
        Ok(Arc::new(TransposedConvolution { spreading, filters, groups: 1, weight, bias }))
    },
};

impl TransposedConvolution {
    fn name(&self) -> &'static str {
        self.definition().name
    }

    /// The convolution that this one transposes: its input is this one's output.
    fn forward(&self, height: usize, width: usize, channels: usize) -> Option<Geometry> {
        let window = self.spreading.resolve(height, width)?;
        Some(Geometry { window, in_c: self.filters, out_c: channels, groups: self.groups })
    }

    /// The channels of an image, which the groups must divide.
    fn channels(&self, image: &TensorType) -> Result<usize, ShapeError> {
        let channels = known_channels(self.name(), image)?;
        if channels % self.groups != 0 {
            return Err(ShapeError::new(
                Code::Channels,
                format!("{channels} channels cannot be split into {} groups", self.groups),
                format!("groups={} over {image}", self.groups),
            ));
        }
        Ok(channels)
    }
}

impl Operation for TransposedConvolution {
    fn definition(&self) -> &'static Definition {
        match self.spreading.rule {
            SizeRule::Covered => &CONV_TRANSPOSE,
            SizeRule::Neupy => &DECONVOLUTION,
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = self.spreading.settings();
        list.insert(1, ("filters", self.filters.to_string()));
        if self.groups > 1 {
            list.push(("groups", self.groups.to_string()));
        }
        if self.bias.is_none() {
            list.push(("bias", "false".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (height, width, _) = image_sizes(self.name(), inputs[0])?;
        if self.groups > 1 {
            self.channels(inputs[0])?;
        }
        let mut sizes = vec![Size::Open, Size::Open, Size::Known(self.filters)];
        for (axis, size) in [height, width].into_iter().enumerate() {
            let Some(size) = size.known() else { continue };
            let (out, _) = self.spreading.along(axis, size).ok_or_else(|| {
                ShapeError::new(
                    Code::Window,
                    format!("the padding of `{}` crops more than the output", self.name()),
                    format!("a window of {} over {}", pair_text(self.spreading.size), inputs[0]),
                )
                .help("use a smaller `padding`")
            })?;
            sizes[axis] = Size::Known(out);
        }
        Ok(TensorType::batched(sizes))
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let channels = self.channels(inputs[0])?;
        let [height, width] = self.spreading.size;
        let mut specs = vec![ParameterSpec::new(
            "weight",
            ParameterKind::TransposedKernel,
            &[height, width, self.filters / self.groups, channels],
            self.weight,
        )];
        specs.extend(self.bias.map(|bias| ParameterSpec::new("bias", ParameterKind::Vector, &[self.filters], bias)));
        Ok(specs)
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        let [height, width] = self.spreading.size;
        inputs[0].len().map_or(0, |len| product([len, height, width, self.filters / self.groups]) as u64)
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let (x, weight) = (inputs[0], parameters[0]);
        let [batch, height, width, channels] = x.shape()[..] else { return x.clone() };
        let Some(Geometry { window, .. }) = self.forward(height, width, channels) else { return x.clone() };
        let (outputs, inputs) = (self.filters / self.groups, channels / self.groups);
        let mut y = ArrayD::zeros(IxDyn(&[batch, window.in_h, window.in_w, self.filters]));
        if let Some(bias) = parameters.get(1) {
            y += *bias;
        }
        for at in ndarray::indices((batch, height, width, window.kernel_h, window.kernel_w)) {
            let (image, row, column, tap_row, tap_column) = at;
            let to_row = (row * window.stride_h + tap_row * window.dilation_h).wrapping_sub(window.pad_top);
            let to_column = (column * window.stride_w + tap_column * window.dilation_w).wrapping_sub(window.pad_left);
            if to_row >= window.in_h || to_column >= window.in_w {
                continue;
            }
            for filter in 0..self.filters {
                let (group, of_group) = (filter / outputs, filter % outputs);
                let sum: f64 = (group * inputs..(group + 1) * inputs)
                    .map(|channel| x[[image, row, column, channel]] * weight[[tap_row, tap_column, of_group, channel]])
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

    /// The filters of a group are not an axis of the weight.
    fn with_foldable_bias(&self) -> Option<Arc<dyn Operation>> {
        let bias = Some(Initializer::Constant(0.0));
        (self.groups == 1).then(|| Arc::new(TransposedConvolution { bias, ..self.clone() }) as _)
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, ..Supports::default() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
