//! Axis rules of operations, and kinds of parameters.

use crate::tensor::TensorType;

/// How the axis order of an operation's output follows from that of its inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisRule {
    /// No rule: the order of the output is unknown.
    Unknown,
    /// Elementwise: activations, sums of branches. All inputs and the output have the same order. Of two inputs the smaller may
    /// have one value per channel of the other.
    Pointwise,
    /// Along the last axis of each pixel: a softmax, a normalisation to unit length. On features it reads all of them, or has a
    /// value for each.
    Channels,
    /// On an image: convolutions, pools. The input is an image in the file's framework too; the output is an image, or plain
    /// features.
    Image,
    /// Along a sequence (time, features): convolutions, pools. PyTorch has the features first there, and transposes its input
    /// another order. The output is a sequence, or plain features.
    AlongTime,
    /// On a sequence whose features PyTorch has first, each value in its place: a batch normalisation. A transpose before it may be
    /// undone after it.
    AlongTimeInPlace,
    /// On all features together: a dense layer. It takes any order, and its output can have any.
    Features,
    /// On values that the file's framework has in the same order: indices, the steps of a sequence.
    Sequence,
    /// On the steps of a sequence, or tokens, whose features stand together in the file's framework too. Where they are the
    /// pixels of an image, that framework has moved its channels after them.
    Steps,
    /// As `Steps`, each value in its place: a layer normalisation. A transpose before it may be undone after it.
    StepsInPlace,
    /// The same values, row-major, in another shape. The file's framework reshapes too.
    Reshape,
    /// Output axis i is input axis `order[i]`, both without the batch.
    Transpose(Vec<usize>),
    /// A reduction along axes that both frameworks name alike. The remaining axes keep their order.
    Reduce,
    /// A range of channels or features.
    Slice { from: usize, to: usize },
    /// A concatenation along an axis, counted without the batch.
    Concatenate { axis: usize },
    /// Inputs of the same order, weighted by the values of one of them.
    Mixture { gate: usize },
}

impl AxisRule {
    /// A layer with a value per channel, where the file's framework has the channels: first in an image or a sequence.
    pub fn of_channels(input: &TensorType) -> AxisRule {
        match input.sizes.len() {
            3 if input.batched => AxisRule::Image,
            2 => AxisRule::AlongTimeInPlace,
            _ => AxisRule::Channels,
        }
    }
}

/// The kind of a parameter, which decides how each framework stores it and which axis orders permute it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// (height, width, inputs of a group, outputs) of a convolution, depthwise ones too; along a sequence (size, inputs of a group,
    /// outputs).
    Kernel,
    /// (height, width, outputs of a group, inputs) of a transposed convolution.
    TransposedKernel,
    /// (input features, output features).
    Matrix,
    /// One row per index.
    Table,
    /// One value per channel or feature of the output.
    Vector,
    /// One value per index along other axes of the output.
    Values,
    /// Weights, biases and states of a recurrent layer.
    Recurrent,
}
