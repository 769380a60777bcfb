//! Pooling: the maximum or the average of a window, or of the entire image or sequence.

pub mod reduce;

use super::convolution::sequence::{as_images, is_single, reshaped, resolve, sequence_sizes, slide};
use super::convolution::window::{PADDING, Padding, Sliding, image_sizes};
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, Arguments, AxisRule, Category, Definition, FusionRole, Int8Lowering, Lowered, Lowering, Operation,
    ShapeError,
};
use crate::kernels::tensor_view::Window;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::pool_gradient::{GlobalPoolGradientStep, PoolGradientStep};
use crate::plan::steps::int8::pool::{Int8GlobalPoolStep, Int8PoolStep};
use crate::plan::steps::pool::{GlobalPoolStep, PoolStep, Reduction};
use crate::tensor::TensorType;
use ndarray::{ArrayD, Axis, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A pool over a sliding window.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub average: bool,
    pub window: Sliding,
    /// Whether the window is given by single numbers, so that it slides along sequences too.
    pub single: bool,
}

const SIZE: Argument = Argument {
    name: "size",
    takes: "integer or pair",
    default: Default::Required,
    doc: "height and width of the window",
};
const STRIDE: Argument = Argument {
    name: "stride",
    takes: "integer or pair",
    default: Default::Absent("the size: windows do not overlap"),
    doc: "pixels between windows",
};

const CEIL: Argument = Argument {
    name: "ceil",
    takes: "`true` or `false`",
    default: Default::Bool(false),
    doc: "whether a last window that exceeds the image counts: sizes are rounded up (Caffe, PyTorch's ceil_mode)",
};

/// `MaxPooling(2x2)`
pub static MAX_POOLING: Definition = Definition {
    name: "MaxPooling",
    aliases: &["MaxPool"],
    kind: "MaxPooling",
    category: Category::Pool,
    summary: "The maximum of each window.",
    arguments: &[SIZE, STRIDE, PADDING, CEIL],
    details: "(?, h, w, c) -> (?, h', w', c). `valid` gives ceil((d - f + 1) / s), `same` ceil(d / s); padding counts as minus infinity. On a \
        sequence (?, t, f) a window of one number slides along t.",
    example: "Input(32x32x3) >> Conv(3x3, 16) >> Relu >> MaxPool(2x2)",
    build: |arguments| Ok(Arc::new(Pool { average: false, window: window(arguments)?, single: is_single(arguments) })),
};

/// `AveragePooling(2x2)`
pub static AVERAGE_POOLING: Definition = Definition {
    name: "AveragePooling",
    aliases: &["AvgPool", "AveragePool"],
    kind: "AveragePooling",
    category: Category::Pool,
    summary: "The mean of each window.",
    arguments: &[SIZE, STRIDE, PADDING, CEIL],
    details: "(?, h, w, c) -> (?, h', w', c). Sizes as for MaxPooling, and on a sequence (?, t, f) along t. Padding is not counted: the sum is \
        divided by the real pixels.",
    example: "Input(32x32x3) >> Conv(3x3, 16) >> Relu >> AvgPool(2x2)",
    build: |arguments| Ok(Arc::new(Pool { average: true, window: window(arguments)?, single: is_single(arguments) })),
};

fn window(arguments: &Arguments) -> Result<Sliding, crate::diagnostics::Diagnostic> {
    let size = arguments.required_pair("size", 1)?;
    let stride = arguments.pair("stride", 1)?.unwrap_or(size);
    let padding = Sliding::padding(arguments)?;
    let sides = match padding {
        Padding::Valid | Padding::Same => [[0; 2]; 2],
        Padding::Pixels(pixels) => pixels.map(|pixels| [pixels; 2]),
        Padding::Sides(sides) => sides,
    };
    if sides.iter().zip(size).any(|(sides, size)| sides.iter().any(|&side| side >= size)) {
        return Err(arguments.wrong("padding", "must be smaller than the window"));
    }
    let ceil = arguments.boolean("ceil")?;
    if ceil && padding == Padding::Same {
        return Err(arguments.wrong("ceil", "changes nothing with `padding=same`, which rounds up already"));
    }
    Ok(Sliding { size, stride, dilation: [1, 1], padding, ceil })
}

impl Pool {
    fn reduction(&self) -> Reduction {
        if self.average { Reduction::Average } else { Reduction::Maximum }
    }
}

impl Operation for Pool {
    fn definition(&self) -> &'static Definition {
        if self.average { &AVERAGE_POOLING } else { &MAX_POOLING }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.window.settings(self.window.size, self.single)
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let mut sizes = slide(&self.window, self.single, self.definition().name, inputs[0])?;
        sizes.push(inputs[0].channels());
        Ok(TensorType::batched(sizes))
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        if inputs[0].image().is_some() { AxisRule::Image } else { AxisRule::AlongTime }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let Some((window, _)) = resolve(&self.window, &inputs[0].shape()[1..]) else { return inputs[0].clone() };
        let x = as_images(inputs[0]);
        let y = ArrayD::from_shape_fn(IxDyn(&[x.shape()[0], window.out_h, window.out_w, x.shape()[3]]), |at| {
            let (mut sum, mut largest, mut count) = (0.0, f64::NEG_INFINITY, 0.0);
            for (row, column) in taps(&window, at[1], at[2]) {
                let value = x[[at[0], row, column, at[3]]];
                sum += value;
                largest = largest.max(value);
                count += 1.0;
            }
            if self.average { sum / count } else { largest }
        });
        match inputs[0].ndim() {
            4 => y,
            _ => reshaped(&y, &[y.shape()[0], y.shape()[2], y.shape()[3]]),
        }
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let (window, channels) = resolve(&self.window, &cx.inputs[0]).ok_or("its window is larger than its input")?;
        Ok(Lowered::Step(Kernel::Pool(PoolStep { window, channels, reduction: self.reduction() })))
    }

    /// The output has the input's scale.
    fn lower_int8(&self, cx: &Lowering, formats: &Int8Lowering) -> Option<Lowered> {
        let (window, channels) = resolve(&self.window, &cx.inputs[0])?;
        let bytes = formats.output.filter(|bytes| formats.inputs == [Some(*bytes)])?;
        Some(Lowered::Step(Kernel::Int8Pool(Int8PoolStep { window, channels, reduction: self.reduction(), bytes })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::Pool(pool)) = self.lower(&cx.lowering())? else { return Ok(()) };
        let chooses = pool.reduction.gradient_needs_input();
        back(cx, Kernel::PoolGradient(PoolGradientStep { pool }), chooses);
        Ok(())
    }

    fn fusion_role(&self) -> FusionRole<'_> {
        let fuses = !self.average
            && self.window.size == [2, 2]
            && self.window.stride == [2, 2]
            && !self.window.ceil
            && super::convolution::is_unpadded(self.window.padding);
        if fuses { FusionRole::MaxPool2x2 } else { FusionRole::None }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Adds the gradient by the input of a pool: from dy, and for a maximum from the input too.
fn back(cx: &mut Backward<'_>, kernel: Kernel, chooses: bool) {
    let from = [cx.gradient, cx.layer.inputs[0]];
    cx.grad_input(0, kernel, if chooses { &from } else { &from[..1] }, &[]);
}

/// The pixels of a window that are inside the image.
fn taps(window: &Window, row: usize, column: usize) -> impl Iterator<Item = (usize, usize)> {
    let along = |at: usize, stride: usize, pad: usize, kernel: usize, size: usize| {
        (0..kernel).map(move |tap| (at * stride + tap).wrapping_sub(pad)).filter(move |&at| at < size)
    };
    let window = *window;
    along(row, window.stride_h, window.pad_top, window.kernel_h, window.in_h).flat_map(move |row| {
        along(column, window.stride_w, window.pad_left, window.kernel_w, window.in_w).map(move |column| (row, column))
    })
}

/// A pool over the entire image.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalPool {
    pub reduction: Reduction,
}

/// `GlobalPooling(avg)`
pub static GLOBAL_POOLING: Definition = Definition {
    name: "GlobalPooling",
    aliases: &["GlobalPool"],
    kind: "GlobalPooling",
    category: Category::Pool,
    summary: "One value per channel, over the entire image or sequence.",
    arguments: &[Argument {
        name: "function",
        takes: "`avg`, `max` or `sum`",
        default: Default::Word("avg"),
        doc: "reduction over all pixels or steps of a channel",
    }],
    details: "(?, h, w, c) -> (?, c), and of a sequence (?, t, f) -> (?, f). Features (?, n) pass through, as in NeuPy.",
    example: "Input(32x32x3) >> Conv(3x3, 16) >> Relu >> GlobalPool(avg) >> Softmax(10)",
    build: |arguments| {
        let reduction = match arguments.word("function", &["avg", "max", "sum"])? {
            "avg" => Reduction::Average,
            "max" => Reduction::Maximum,
            _ => Reduction::Sum,
        };
        Ok(Arc::new(GlobalPool { reduction }))
    },
};

impl Operation for GlobalPool {
    fn definition(&self) -> &'static Definition {
        &GLOBAL_POOLING
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("function", self.reduction.name().to_string())]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        if inputs[0].sizes.len() == 1 {
            return Ok(inputs[0].clone());
        }
        if let Some((_, features)) = sequence_sizes(inputs[0]) {
            return Ok(TensorType::batched([features]));
        }
        let (_, _, channels) = image_sizes(self.definition().name, inputs[0])?;
        Ok(TensorType::batched([channels]))
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        match inputs[0].sizes.len() {
            3 => AxisRule::Image,
            2 => AxisRule::AlongTime,
            _ => AxisRule::Pointwise,
        }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = &as_images(inputs[0]);
        if x.ndim() != 4 {
            return x.clone();
        }
        let pixels = (x.shape()[1] * x.shape()[2]) as f64;
        match self.reduction {
            Reduction::Average => x.sum_axis(Axis(1)).sum_axis(Axis(1)) / pixels,
            Reduction::Sum => x.sum_axis(Axis(1)).sum_axis(Axis(1)),
            Reduction::Maximum => {
                let largest = |x: &ArrayD<f64>| x.fold_axis(Axis(1), f64::NEG_INFINITY, |a, &b| a.max(b));
                largest(&largest(x))
            }
        }
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        Ok(match cx.inputs[0][..] {
            [ref pixels @ .., channels] if !pixels.is_empty() => Lowered::Step(Kernel::GlobalPool(GlobalPoolStep {
                pixels: pixels.iter().product(),
                channels,
                reduction: self.reduction,
            })),
            _ => Lowered::View,
        })
    }

    fn lower_int8(&self, cx: &Lowering, formats: &Int8Lowering) -> Option<Lowered> {
        match self.lower(cx).ok()? {
            Lowered::Step(Kernel::GlobalPool(GlobalPoolStep { pixels, channels, reduction: Reduction::Average })) => {
                let (input, output) = ((*formats.inputs.first()?)?, formats.output);
                Some(Lowered::Step(Kernel::Int8GlobalPool(Int8GlobalPoolStep { pixels, channels, input, output })))
            }
            _ => None,
        }
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::GlobalPool(pool)) = self.lower(&cx.lowering())? else {
            cx.set_grad_input(0, cx.gradient);
            return Ok(());
        };
        let chooses = pool.reduction.gradient_needs_input();
        back(cx, Kernel::GlobalPoolGradient(GlobalPoolGradientStep { pool }), chooses);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
