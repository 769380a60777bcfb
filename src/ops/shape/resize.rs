//! Images in other sizes: pixels repeated or interpolated.

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::signature::definition::Default;
use crate::graph::signature::value::number_text;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, Arguments, AxisRule, Category, Definition, Lowered, Lowering, Operation, ShapeError, Value, ValueKind,
};
use crate::kernels::movement::resample::{Interpolation, Resize as Geometry, ResizeAxis};
use crate::kernels::movement::upscale::Upscale as Repeat;
use crate::ops::convolution::window::{image_sizes, pair_text, short_pair};
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::pool_gradient::UpscaleGradientStep;
use crate::plan::steps::gradient::resize_gradient::ResizeGradientStep;
use crate::plan::steps::resize::{ResizeStep, UpscaleStep};
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// Every pixel repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct Upscale {
    pub scale: [usize; 2],
}

/// `Upscale(2)`
pub static UPSCALE: Definition = Definition {
    name: "Upscale",
    aliases: &[],
    kind: "Upscale",
    category: Category::Shape,
    summary: "Repeats every pixel: nearest-neighbour upsampling.",
    arguments: &[Argument {
        name: "scale",
        takes: "integer or pair",
        default: Default::Required,
        doc: "repetitions of each row and column",
    }],
    details: "(?, h, w, c) -> (?, h * scale, w * scale, c): y[i, j] = x[i / scale, j / scale]. `Resize` interpolates, and takes other sizes.",
    example: "Input(8x8x16) >> Upscale(2) >> Conv(3x3, 8, padding=same) >> Relu",
    build: |arguments| Ok(Arc::new(Upscale { scale: arguments.required_pair("scale", 1)? })),
};

impl Operation for Upscale {
    fn definition(&self) -> &'static Definition {
        &UPSCALE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("scale", short_pair(self.scale))]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (height, width, channels) = image_sizes("Upscale", inputs[0])?;
        // The product saturates, so that sizes that are too large are reported.
        let times = |scale: usize| move |size: usize| size.saturating_mul(scale);
        Ok(TensorType::batched([height.map(times(self.scale[0])), width.map(times(self.scale[1])), channels]))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0];
        let [batch, height, width, channels] = x.shape()[..] else { return x.clone() };
        let [rows, columns] = self.scale;
        ArrayD::from_shape_fn(IxDyn(&[batch, height * rows, width * columns, channels]), |at| {
            x[[at[0], at[1] / rows, at[2] / columns, at[3]]]
        })
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [in_h, in_w, channels] = cx.inputs[0][..] else { return Err("its input is not an image".into()) };
        let [scale_h, scale_w] = self.scale;
        let repeat = Repeat { in_h, in_w, channels, scale_h, scale_w };
        Ok(Lowered::Step(Kernel::Upscale(UpscaleStep { repeat })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::Upscale(upscale)) = self.lower(&cx.lowering())? else { return Ok(()) };
        cx.grad_input(0, Kernel::UpscaleGradient(UpscaleGradientStep { upscale }), &[cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Interpolation to another size.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    pub target: Target,
    pub interpolation: Interpolation,
    pub align_corners: bool,
}

/// The size that an image gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    Size([usize; 2]),
    /// Factors of height and width.
    Scale([f64; 2]),
}

/// The largest factor, and the inverse of the smallest: beyond every image.
const MAX_SCALE: f64 = (1u64 << 24) as f64;

/// `Resize(64x64, mode=bilinear)`
pub static RESIZE: Definition = Definition {
    name: "Resize",
    aliases: &[],
    kind: "Resize",
    category: Category::Shape,
    summary: "Interpolates an image to another size.",
    arguments: &[
        Argument {
            name: "size",
            takes: "integer or pair",
            default: Default::Absent("`scale` is given"),
            doc: "height and width of the output",
        },
        Argument {
            name: "scale",
            takes: "number or list of two",
            default: Default::Absent("`size` is given"),
            doc: "factor of height and width, which may be a fraction: sizes are rounded down",
        },
        Argument {
            name: "mode",
            takes: "`nearest`, `bilinear` or `bicubic`",
            default: Default::Word(Interpolation::ALL[0].name()),
            doc: "the nearest pixel, or a weighted sum of 2x2 or 4x4",
        },
        Argument {
            name: "align_corners",
            takes: "`true` or `false`",
            default: Default::Bool(false),
            doc: "whether the centres of the corner pixels stay at the corners",
        },
    ],
    details: "(?, h, w, c) -> (?, h', w', c), as PyTorch's interpolate computes it. With r input pixels per output pixel along an axis - h / h', or \
        1 / scale where that is given - output i lies at r (i + 0.5) - 0.5 (ONNX's half_pixel), with align_corners at i (h - 1) / (h' - 1); `nearest` takes \
        pixel floor(r i) (ONNX's asymmetric with floor). Beyond the border the outermost pixels count. `bicubic` is Keys' kernel with a = -0.75, as in ONNX \
        and OpenCV. Nothing is smoothed before an image is made smaller.",
    example: "Input(32x32x3) >> Conv(3x3, 8, padding=same) >> Relu >> Resize(scale=2, mode=bilinear) >> Conv(3x3, 3) >> Resize(48x64, mode=bicubic)",
    build: |arguments| {
        let name = arguments.word("mode", &Interpolation::ALL.map(Interpolation::name))?;
        let interpolation = Interpolation::ALL.into_iter().find(|kind| kind.name() == name);
        let interpolation = interpolation.unwrap_or(Interpolation::Nearest);
        let align_corners = arguments.boolean("align_corners")?;
        if align_corners && interpolation == Interpolation::Nearest {
            return Err(
                arguments.wrong("align_corners", "has no meaning for `mode=nearest`: bilinear and bicubic have it")
            );
        }
        Ok(Arc::new(Resize { target: target(arguments)?, interpolation, align_corners }))
    },
};

fn target(arguments: &Arguments) -> Result<Target, Diagnostic> {
    match (arguments.given("size"), arguments.given("scale")) {
        (Some(_), None) => Ok(Target::Size(arguments.required_pair("size", 1)?)),
        (None, Some(scale)) => {
            let numbers = match &scale.kind {
                ValueKind::List(list) => list.iter().map(Value::number).collect(),
                ValueKind::Sizes(sizes) => sizes.iter().map(|size| size.map(|size| size as f64)).collect(),
                _ => scale.number().map(|both| vec![both, both]),
            };
            match numbers.as_deref() {
                Some(&[rows, columns])
                    if [rows, columns].iter().all(|scale| (1.0 / MAX_SCALE..=MAX_SCALE).contains(scale)) =>
                {
                    Ok(Target::Scale([rows, columns]))
                }
                _ => Err(arguments.wrong("scale", "takes a positive number such as 1.5, or two: `[2, 1.5]`")),
            }
        }
        (Some(_), Some(_)) => {
            Err(arguments.wrong("scale", "stands beside `size`: one of them gives the output's size"))
        }
        (None, None) => Err(Diagnostic::new(Code::MissingArgument, "`Resize` needs `size` or `scale`")
            .at(arguments.span, "integer or pair: height and width of the output")
            .help("`Resize(64x64)` gives a size, `Resize(scale=2)` a factor")),
    }
}

impl Resize {
    /// The geometry along an axis; `None` if nothing remains.
    fn along(&self, axis: usize, input: usize) -> Option<ResizeAxis> {
        let output = match self.target {
            Target::Size(size) => size[axis],
            // Casts saturate, so that sizes that are too large are reported.
            Target::Scale(scale) => (input as f64 * scale[axis]).floor() as usize,
        };
        let ratio = match self.target {
            _ if self.align_corners && output > 1 => input.saturating_sub(1) as f64 / (output - 1) as f64,
            _ if self.align_corners => 0.0,
            Target::Scale(scale) => 1.0 / scale[axis],
            Target::Size(_) => input as f64 / output as f64,
        };
        (output > 0).then_some(ResizeAxis { input, output, ratio })
    }

    /// The geometry for an image of known size.
    fn geometry(&self, height: usize, width: usize, channels: usize) -> Option<Geometry> {
        Some(Geometry {
            rows: self.along(0, height)?,
            columns: self.along(1, width)?,
            channels,
            interpolation: self.interpolation,
            half_pixels: !self.align_corners,
        })
    }
}

impl Operation for Resize {
    fn definition(&self) -> &'static Definition {
        &RESIZE
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![match self.target {
            Target::Size(size) => ("size", pair_text(size)),
            Target::Scale([rows, columns]) if rows == columns => ("scale", number_text(rows)),
            Target::Scale([rows, columns]) => ("scale", format!("[{}, {}]", number_text(rows), number_text(columns))),
        }];
        if self.interpolation != Interpolation::Nearest {
            list.push(("mode", self.interpolation.name().to_string()));
        }
        if self.align_corners {
            list.push(("align_corners", "true".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (height, width, channels) = image_sizes("Resize", inputs[0])?;
        let side = |axis: usize, size: Size| match (size.known(), self.target) {
            (None, Target::Scale(_)) => Ok(Size::Open),
            (None, Target::Size(size)) => Ok(Size::Known(size[axis])),
            (Some(size), _) => match self.along(axis, size) {
                Some(along) => Ok(Size::Known(along.output)),
                None => Err(ShapeError::new(
                    Code::Window,
                    "the scale of `Resize` leaves nothing of the image",
                    format!("less than one pixel of {}", inputs[0]),
                )
                .help("use a larger `scale`")),
            },
        };
        Ok(TensorType::batched([side(0, height)?, side(1, width)?, channels]))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0];
        let [batch, height, width, channels] = x.shape()[..] else { return x.clone() };
        let Some(geometry) = self.geometry(height, width, channels) else { return x.clone() };
        let shape = [batch, geometry.rows.output, geometry.columns.output, channels];
        let taps = self.interpolation.taps();
        ArrayD::from_shape_fn(IxDyn(&shape), |at| {
            let (rows, row_weights) = geometry.taps(&geometry.rows, at[1]);
            let (columns, column_weights) = geometry.taps(&geometry.columns, at[2]);
            let row = |row: usize, a: usize| -> f64 {
                (0..taps).map(|b| row_weights[a] * column_weights[b] * x[[at[0], row, columns[b], at[3]]]).sum()
            };
            (0..taps).map(|a| row(rows[a], a)).sum()
        })
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [height, width, channels] = cx.inputs[0][..] else { return Err("its input is not an image".into()) };
        let resize = self.geometry(height, width, channels).ok_or("it leaves nothing of the image")?;
        Ok(Lowered::Step(Kernel::Resize(ResizeStep { resize })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::Resize(forward)) = self.lower(&cx.lowering())? else { return Ok(()) };
        cx.grad_input(0, Kernel::ResizeGradient(ResizeGradientStep { forward }), &[cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
