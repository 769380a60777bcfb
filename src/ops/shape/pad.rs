//! Borders of images: padding and cropping.

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{Argument, Arguments, AxisRule, Category, Definition, Lowered, Lowering, Operation, ShapeError};
use crate::kernels::movement::border::Border;
use crate::kernels::movement::copy::PadGeometry;
use crate::ops::convolution::window::{image_sizes, short_pair};
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::resize_gradient::PadGradientStep;
use crate::plan::steps::resize::{CropStep, PadStep};
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, IxDyn, Slice};
use std::any::Any;
use std::sync::Arc;

/// Pixels on each side of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    pub top: usize,
    pub bottom: usize,
    pub left: usize,
    pub right: usize,
}

const SIZE: Argument = Argument {
    name: "size",
    takes: "integer, pair or [top, bottom, left, right]",
    default: Default::Required,
    doc: "pixels on each side: one number for all, a pair for height and width, or four",
};

impl Sides {
    /// Reads `size` of a call.
    fn of(arguments: &Arguments) -> Result<Sides, Diagnostic> {
        let sizes = arguments.given("size").and_then(|value| value.sizes());
        let sizes: Option<Vec<usize>> = sizes.and_then(|sizes| {
            // Sums of sizes and borders below this limit cannot overflow.
            let within =
                |size: Option<i64>| size.and_then(|size| usize::try_from(size).ok()).filter(|&size| size < 1 << 30);
            sizes.into_iter().map(within).collect()
        });
        let [top, bottom, left, right] = match sizes.as_deref() {
            Some(&[all]) => [all; 4],
            Some(&[height, width]) => [height, height, width, width],
            Some(&[top, bottom, left, right]) => [top, bottom, left, right],
            _ => {
                return Err(
                    arguments.wrong("size", "takes an integer, a pair or `[top, bottom, left, right]`, from 0 to 2^30")
                );
            }
        };
        Ok(Sides { top, bottom, left, right })
    }

    /// As it is written.
    fn text(&self) -> String {
        let Sides { top, bottom, left, right } = *self;
        match top == bottom && left == right {
            true => short_pair([top, left]),
            false => format!("[{top}, {bottom}, {left}, {right}]"),
        }
    }

    /// The geometry of a border of this width around an image.
    fn around(&self, in_h: usize, in_w: usize, channels: usize) -> PadGeometry {
        let Sides { top, bottom, left, right } = *self;
        PadGeometry { in_h, in_w, channels, top, left, bottom, right }
    }

    /// The part inside the border of an array (batch, height, width, channels) whose inner part has this size.
    fn inside(&self, height: usize, width: usize) -> impl FnMut(ndarray::AxisDescription) -> Slice + use<> {
        let Sides { top, left, .. } = *self;
        move |axis| match axis.axis.index() {
            1 => Slice::from(top..top + height),
            2 => Slice::from(left..left + width),
            _ => Slice::from(..),
        }
    }
}

/// A border around an image.
#[derive(Clone, Debug)]
pub struct Pad {
    pub definition: &'static Definition,
    pub sides: Sides,
    pub border: Border,
}

/// `ZeroPad(1)`
pub static ZERO_PAD: Definition = Definition {
    name: "ZeroPad",
    aliases: &["ZeroPadding"],
    kind: "ZeroPad",
    category: Category::Shape,
    summary: "Adds a border of zeros around an image.",
    arguments: &[SIZE],
    details: "(?, h, w, c) -> (?, top + h + bottom, left + w + right, c). For networks whose padding differs from `same` and before \
        layers that do not pad with zeros: Keras' and torchvision's ResNet pad 3 pixels before their first convolution.",
    example: "Input(224x224x3) >> ZeroPad(3) >> Conv(7x7, 64, stride=2) >> Relu >> ZeroPad([0, 1, 0, 1]) >> MaxPool(3x3, stride=2)",
    build: |arguments| Ok(Arc::new(Pad { definition: &ZERO_PAD, sides: Sides::of(arguments)?, border: Border::Zero })),
};

/// `Pad(1, mode=reflect)`
pub static PAD: Definition = Definition {
    name: "Pad",
    aliases: &[],
    kind: "Pad",
    category: Category::Shape,
    summary: "Adds a border around an image: of zeros, or of its own pixels.",
    arguments: &[
        SIZE,
        Argument {
            name: "mode",
            takes: "`zero`, `reflect` or `edge`",
            default: Default::Word(Border::ALL[0].name()),
            doc: "the values of the border: 0, the image mirrored at its outermost pixels, or those pixels repeated",
        },
    ],
    details: "(?, h, w, c) -> (?, top + h + bottom, left + w + right, c). `Pad(n)` is `ZeroPad(n)`. Of a row `a b c`, `Pad(2, mode=reflect)` \
        makes `c b a b c b a` and mode=edge `a a a b c c c`, as NumPy's and ONNX's pad; PyTorch's ReflectionPad2d and ReplicationPad2d. A \
        reflected border is narrower than the image.",
    example: "Input(32x32x3) >> Pad(1, mode=reflect) >> Conv(3x3, 16) >> Relu >> Pad([0, 1, 0, 1], mode=edge)",
    build: |arguments| {
        let name = arguments.word("mode", &Border::ALL.map(Border::name))?;
        let border = Border::ALL.into_iter().find(|border| border.name() == name).unwrap_or(Border::Zero);
        Ok(Arc::new(Pad { definition: &PAD, sides: Sides::of(arguments)?, border }))
    },
};

impl Operation for Pad {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![("size", self.sides.text())];
        if self.border != Border::Zero {
            list.push(("mode", self.border.name().to_string()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let name = self.definition.name;
        let (height, width, channels) = image_sizes(name, inputs[0])?;
        let Sides { top, bottom, left, right } = self.sides;
        let padded = |size: Size, before: usize, after: usize| {
            let fits = |size: usize| self.border.supports(before, size) && self.border.supports(after, size);
            if size.known().is_some_and(|size| !fits(size)) {
                let wide = before.max(after);
                return Err(ShapeError::new(
                    Code::Window,
                    format!("the border of `{name}` is wider than the image that it reflects"),
                    format!("{wide} pixels around {}", inputs[0]),
                )
                .help("a reflected border is at most one pixel narrower than the image; `mode=edge` can be wider"));
            }
            Ok(size.map(|size| size.saturating_add(before + after)))
        };
        Ok(TensorType::batched([padded(height, top, bottom)?, padded(width, left, right)?, channels]))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0];
        let [batch, height, width, channels] = x.shape()[..] else { return x.clone() };
        let Sides { top, bottom, left, right } = self.sides;
        ArrayD::from_shape_fn(IxDyn(&[batch, top + height + bottom, left + width + right, channels]), |at| {
            let row = self.border.source(at[1], top, height);
            let column = self.border.source(at[2], left, width);
            row.zip(column).map_or(0.0, |(row, column)| x[[at[0], row, column, at[3]]])
        })
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [height, width, channels] = cx.inputs[0][..] else { return Err("its input is not an image".into()) };
        let step = PadStep { geometry: self.sides.around(height, width, channels), border: self.border };
        Ok(Lowered::Step(Kernel::Pad(step)))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::Pad(forward)) = self.lower(&cx.lowering())? else { return Ok(()) };
        let back = match self.border {
            Border::Zero => Kernel::Crop(CropStep { geometry: forward.geometry }),
            _ => Kernel::PadGradient(PadGradientStep { forward }),
        };
        cx.grad_input(0, back, &[cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An image without its border.
#[derive(Clone, Debug, PartialEq)]
pub struct Crop {
    pub sides: Sides,
}

/// `Crop(1)`
pub static CROP: Definition = Definition {
    name: "Crop",
    aliases: &["Cropping"],
    kind: "Crop",
    category: Category::Shape,
    summary: "Cuts pixels off the sides of an image.",
    arguments: &[SIZE],
    details: "(?, h, w, c) -> (?, h - top - bottom, w - left - right, c): Keras' Cropping2D. U-Net crops what it concatenates, and \
        `Crop(n)` takes off what `Pad(n)` adds.",
    example: "Input(32x32x3) >> Conv(3x3, 16, padding=2) >> Crop(1) >> Relu >> Crop([1, 0, 1, 0])",
    build: |arguments| Ok(Arc::new(Crop { sides: Sides::of(arguments)? })),
};

impl Crop {
    /// The geometry for an image of this size; `None` if nothing remains.
    fn geometry(&self, height: usize, width: usize, channels: usize) -> Option<PadGeometry> {
        let Sides { top, bottom, left, right } = self.sides;
        let inside = |size: usize, cut: usize| size.checked_sub(cut).filter(|&size| size > 0);
        Some(self.sides.around(inside(height, top + bottom)?, inside(width, left + right)?, channels))
    }
}

impl Operation for Crop {
    fn definition(&self) -> &'static Definition {
        &CROP
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.sides.text())]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (height, width, channels) = image_sizes("Crop", inputs[0])?;
        let Sides { top, bottom, left, right } = self.sides;
        let less = |size: Size, cut: usize| match size.known() {
            Some(size) if size <= cut => Err(ShapeError::new(
                Code::Window,
                "`Crop` leaves nothing of the image",
                format!("cuts {cut} of {size} pixels of {}", inputs[0]),
            )
            .help("cut fewer pixels: `Crop([top, bottom, left, right])`")),
            Some(size) => Ok(Size::Known(size - cut)),
            None => Ok(Size::Open),
        };
        Ok(TensorType::batched([less(height, top + bottom)?, less(width, left + right)?, channels]))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0];
        let [_, height, width, channels] = x.shape()[..] else { return x.clone() };
        let Some(geometry) = self.geometry(height, width, channels) else { return x.clone() };
        x.slice_each_axis(self.sides.inside(geometry.in_h, geometry.in_w)).as_standard_layout().into_owned()
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [height, width, channels] = cx.inputs[0][..] else { return Err("its input is not an image".into()) };
        let geometry = self.geometry(height, width, channels).ok_or("it leaves nothing of the image")?;
        Ok(Lowered::Step(Kernel::Crop(CropStep { geometry })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::Crop(CropStep { geometry })) = self.lower(&cx.lowering())? else { return Ok(()) };
        let back = Kernel::Pad(PadStep { geometry, border: Border::Zero });
        cx.grad_input(0, back, &[cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
