//! Layers that change an image's size without arithmetic: nearest-neighbour upsampling and zero padding.

use super::convolution::window::{image_sizes, short_pair};
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{Argument, AxisRule, Category, Definition, Lowered, Lowering, Operation, ShapeError};
use crate::kernels::movement::copy::PadGeometry;
use crate::kernels::movement::upscale::Upscale as Repeat;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::pool_gradient::{UpscaleGradientStep, ZeroPadGradientStep};
use crate::plan::steps::resize::{UpscaleStep, ZeroPadStep};
use crate::tensor::TensorType;
use ndarray::{ArrayD, IxDyn, Slice};
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
    details: "(?, h, w, c) -> (?, h * scale, w * scale, c): y[i, j] = x[i / scale, j / scale].",
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

/// A border of zeros.
#[derive(Clone, Debug, PartialEq)]
pub struct ZeroPad {
    pub top: usize,
    pub bottom: usize,
    pub left: usize,
    pub right: usize,
}

/// `ZeroPad(1)`
pub static ZERO_PAD: Definition = Definition {
    name: "ZeroPad",
    aliases: &["ZeroPadding"],
    kind: "ZeroPad",
    category: Category::Shape,
    summary: "Adds a border of zeros around an image.",
    arguments: &[Argument {
        name: "size",
        takes: "integer, pair or [top, bottom, left, right]",
        default: Default::Required,
        doc: "pixels on each side: one number for all, a pair for height and width, or four",
    }],
    details: "(?, h, w, c) -> (?, top + h + bottom, left + w + right, c). For networks whose padding differs from `same` and before \
        layers that do not pad with zeros: Keras' and torchvision's ResNet pad 3 pixels before their first convolution.",
    example: "Input(224x224x3) >> ZeroPad(3) >> Conv(7x7, 64, stride=2) >> Relu >> ZeroPad([0, 1, 0, 1]) >> MaxPool(3x3, stride=2)",
    build: |arguments| {
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
        Ok(Arc::new(ZeroPad { top, bottom, left, right }))
    },
};

impl Operation for ZeroPad {
    fn definition(&self) -> &'static Definition {
        &ZERO_PAD
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let ZeroPad { top, bottom, left, right } = *self;
        let text = match top == bottom && left == right {
            true => short_pair([top, left]),
            false => format!("[{top}, {bottom}, {left}, {right}]"),
        };
        vec![("size", text)]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (height, width, channels) = image_sizes("ZeroPad", inputs[0])?;
        let plus = |border: usize| move |size: usize| size.saturating_add(border);
        Ok(TensorType::batched([
            height.map(plus(self.top + self.bottom)),
            width.map(plus(self.left + self.right)),
            channels,
        ]))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0];
        let [batch, height, width, channels] = x.shape()[..] else { return x.clone() };
        let shape = [batch, self.top + height + self.bottom, self.left + width + self.right, channels];
        let mut y = ArrayD::zeros(IxDyn(&shape));
        y.slice_each_axis_mut(|axis| match axis.axis.index() {
            1 => Slice::from(self.top..self.top + height),
            2 => Slice::from(self.left..self.left + width),
            _ => Slice::from(..),
        })
        .assign(x);
        y
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [in_h, in_w, channels] = cx.inputs[0][..] else { return Err("its input is not an image".into()) };
        let ZeroPad { top, bottom, left, right } = *self;
        let geometry = PadGeometry { in_h, in_w, channels, top, left, bottom, right };
        Ok(Lowered::Step(Kernel::ZeroPad(ZeroPadStep { geometry })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::ZeroPad(ZeroPadStep { geometry })) = self.lower(&cx.lowering())? else {
            return Ok(());
        };
        cx.grad_input(0, Kernel::ZeroPadGradient(ZeroPadGradientStep { geometry }), &[cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
