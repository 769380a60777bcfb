//! Layers that exchange channels, or pixels for channels, without arithmetic. Each is a permutation of axes.

use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{Argument, AxisRule, Category, Definition, Lowered, Lowering, Operation, ShapeError};
use crate::ops::convolution::window::{image_sizes, known_channels};
use crate::plan::kernel::Kernel;
use crate::plan::steps::movement::TransposeStep;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A permutation of axes of an image, some of which are split before and joined after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rearrange {
    pub kind: Kind,
    /// The number of groups, or the side of a block of pixels.
    pub count: usize,
}

/// What is rearranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Shuffle,
    SpaceToDepth(BlockOrder),
    DepthToSpace(BlockOrder),
}

/// The order in which the values of a block of pixels become channels, named as ONNX names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOrder {
    /// Row of the block, column of the block, channel.
    Dcr,
    /// Channel, row of the block, column of the block.
    Crd,
}

/// `Shuffle(3)`
pub static SHUFFLE: Definition = Definition {
    name: "Shuffle",
    aliases: &["ChannelShuffle"],
    kind: "Shuffle",
    category: Category::Shape,
    summary: "Mixes the channels of several groups, so that grouped convolutions exchange values.",
    arguments: &[Argument {
        name: "groups",
        takes: "integer",
        default: Default::Required,
        doc: "number of groups, a divisor of the channels",
    }],
    details: "(?, h, w, c) -> (?, h, w, c): channel i of group g becomes channel i * groups + g (ShuffleNet, Zhang et al. 2017, arXiv \
        1707.01083; PyTorch's ChannelShuffle).",
    example: "Input(16x16x12) >> Conv(1x1, 24, groups=3) >> Relu >> Shuffle(3) >> DepthwiseConv(3x3, padding=same)",
    build: |arguments| Ok(Arc::new(Rearrange { kind: Kind::Shuffle, count: arguments.integer("groups", 1)? })),
};

const BLOCK: Argument = Argument {
    name: "block",
    takes: "integer",
    default: Default::Required,
    doc: "height and width of a block of pixels",
};
const ORDER: Argument = Argument {
    name: "order",
    takes: "`dcr` or `crd`",
    default: Default::Word("dcr"),
    doc: "channels by place in the block, then channel (TensorFlow, ONNX), or by channel, then place (PyTorch)",
};

/// `SpaceToDepth(2)`
pub static SPACE_TO_DEPTH: Definition = Definition {
    name: "SpaceToDepth",
    aliases: &[],
    kind: "SpaceToDepth",
    category: Category::Shape,
    summary: "Rearranges the pixels of each block into channels.",
    arguments: &[BLOCK, ORDER],
    details: "(?, h, w, c) -> (?, h / k, w / k, k * k * c). The pixel at (i, j) of a block becomes the channels from (i * k + j) * c on: TensorFlow's \
        space_to_depth and ONNX's SpaceToDepth. With order=crd channel d of it becomes channel d * k * k + i * k + j: PyTorch's pixel_unshuffle.",
    example: "Input(224x224x3) >> SpaceToDepth(2) >> Conv(3x3, 32, padding=same) >> Relu",
    build: |arguments| {
        let kind = Kind::SpaceToDepth(BlockOrder::named(arguments.word("order", &["dcr", "crd"])?));
        Ok(Arc::new(Rearrange { kind, count: arguments.integer("block", 1)? }))
    },
};

/// `DepthToSpace(2)`
pub static DEPTH_TO_SPACE: Definition = Definition {
    name: "DepthToSpace",
    aliases: &[],
    kind: "DepthToSpace",
    category: Category::Shape,
    summary: "Rearranges channels into the pixels of a block: enlarges an image without arithmetic.",
    arguments: &[BLOCK, ORDER],
    details: "(?, h, w, k * k * c) -> (?, h * k, w * k, c), the inverse of SpaceToDepth. The default order is that of TensorFlow's depth_to_space and of \
        ONNX's DepthToSpace (DCR). PyTorch's pixel_shuffle is `DepthToSpace(k, order=crd)` (Shi et al. 2016, arXiv 1609.05158).",
    example: "Input(32x32x3) >> Conv(3x3, 12, padding=same) >> DepthToSpace(2, order=crd)",
    build: |arguments| {
        let kind = Kind::DepthToSpace(BlockOrder::named(arguments.word("order", &["dcr", "crd"])?));
        Ok(Arc::new(Rearrange { kind, count: arguments.integer("block", 1)? }))
    },
};

impl BlockOrder {
    fn named(name: &str) -> Self {
        if name == "crd" { Self::Crd } else { Self::Dcr }
    }
}

/// Axes of an image, split and in another order.
struct Permutation {
    /// The sizes that the input's values are seen in.
    sizes: Vec<usize>,
    /// Axis i of the result is axis `order[i]` of these.
    order: &'static [usize],
    /// The sizes that the result is seen in.
    output: [usize; 3],
}

impl Rearrange {
    /// What it does to an image of this size, which fits.
    fn permutation(&self, height: usize, width: usize, channels: usize) -> Permutation {
        let (k, square) = (self.count, self.count * self.count);
        let (sizes, order, output): (_, &[usize], _) = match self.kind {
            Kind::Shuffle => (vec![height * width, k, channels / k], &[0, 2, 1], [height, width, channels]),
            Kind::SpaceToDepth(order) => {
                let output = [height / k, width / k, channels * square];
                let order: &[usize] = match order {
                    BlockOrder::Dcr => &[0, 2, 1, 3, 4],
                    BlockOrder::Crd => &[0, 2, 4, 1, 3],
                };
                (vec![height / k, k, width / k, k, channels], order, output)
            }
            Kind::DepthToSpace(order) => {
                let depth = channels / square;
                let output = [height * k, width * k, depth];
                match order {
                    BlockOrder::Dcr => (vec![height, width, k, k, depth], &[0, 2, 1, 3, 4], output),
                    BlockOrder::Crd => (vec![height, width, depth, k, k], &[0, 3, 1, 4, 2], output),
                }
            }
        };
        Permutation { sizes, order, output }
    }

    fn name(&self) -> &'static str {
        self.definition().name
    }
}

impl Operation for Rearrange {
    fn definition(&self) -> &'static Definition {
        match self.kind {
            Kind::Shuffle => &SHUFFLE,
            Kind::SpaceToDepth(_) => &SPACE_TO_DEPTH,
            Kind::DepthToSpace(_) => &DEPTH_TO_SPACE,
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let name = if self.kind == Kind::Shuffle { "groups" } else { "block" };
        let mut list = vec![(name, self.count.to_string())];
        if matches!(self.kind, Kind::SpaceToDepth(BlockOrder::Crd) | Kind::DepthToSpace(BlockOrder::Crd)) {
            list.push(("order", "crd".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (height, width, channels) = image_sizes(self.name(), inputs[0])?;
        let k = self.count;
        // Sizes above the limit are reported as too large.
        let square = k.saturating_mul(k);
        let times = |size: Size, factor: usize| size.map(|size| size.saturating_mul(factor));
        match self.kind {
            Kind::Shuffle => {
                let known = known_channels(self.name(), inputs[0])?;
                if known % k != 0 {
                    return Err(ShapeError::new(
                        Code::Channels,
                        format!("{known} channels cannot be split into {k} groups"),
                        format!("groups={k} over {}", inputs[0]),
                    ));
                }
                Ok(inputs[0].clone())
            }
            Kind::SpaceToDepth(_) => {
                let blocks = |size: Size| match size.known() {
                    Some(size) if size % k != 0 => Err(ShapeError::new(
                        Code::Window,
                        format!("{} cannot be divided into blocks of {k}x{k}", inputs[0]),
                        format!("{size} is not a multiple of {k}"),
                    )
                    .help("`Pad` or `Crop` before it changes the size")),
                    size => Ok(size.map_or(Size::Open, |size| Size::Known(size / k))),
                };
                Ok(TensorType::batched([blocks(height)?, blocks(width)?, times(channels, square)]))
            }
            Kind::DepthToSpace(_) => {
                let known = known_channels(self.name(), inputs[0])?;
                if known % square != 0 {
                    return Err(ShapeError::new(
                        Code::Channels,
                        format!("{known} channels do not make blocks of {k}x{k} pixels"),
                        format!("needs a multiple of {square} channels, and its input is {}", inputs[0]),
                    ));
                }
                Ok(TensorType::batched([times(height, k), times(width, k), Size::Known(known / square)]))
            }
        }
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Image
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0];
        let [batch, height, width, channels] = x.shape()[..] else { return x.clone() };
        let k = self.count;
        // By index, not as the kernel's permutation.
        let [out_h, out_w, out_c] = self.permutation(height, width, channels).output;
        ArrayD::from_shape_fn(IxDyn(&[batch, out_h, out_w, out_c]), |at| {
            let (row, column, channel) = (at[1], at[2], at[3]);
            let [row, column, channel] = match self.kind {
                Kind::Shuffle => [row, column, channel % k * (channels / k) + channel / k],
                Kind::SpaceToDepth(order) => {
                    let (place, channel) = match order {
                        BlockOrder::Dcr => (channel / channels, channel % channels),
                        BlockOrder::Crd => (channel % (k * k), channel / (k * k)),
                    };
                    [row * k + place / k, column * k + place % k, channel]
                }
                Kind::DepthToSpace(order) => {
                    let place = row % k * k + column % k;
                    let channel = match order {
                        BlockOrder::Dcr => place * out_c + channel,
                        BlockOrder::Crd => channel * k * k + place,
                    };
                    [row / k, column / k, channel]
                }
            };
            x[[at[0], row, column, channel]]
        })
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [height, width, channels] = cx.inputs[0][..] else { return Err("its input is not an image".into()) };
        let Permutation { sizes, order, .. } = self.permutation(height, width, channels);
        Ok(Lowered::Step(Kernel::Transpose(TransposeStep { sizes, order: order.to_vec() })))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::Step(Kernel::Transpose(forward)) = self.lower(&cx.lowering())? else { return Ok(()) };
        cx.grad_input(0, Kernel::Transpose(forward.inverse()), &[cx.gradient], &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
