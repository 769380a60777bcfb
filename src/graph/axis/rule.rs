//! What operations say of themselves.

/// How the order of an operation's inputs goes over to its output.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisRule {
    /// Nothing is known of it: behind it the order cannot be told.
    Unknown,
    /// Value by value: activations, sums of branches. All inputs have one order, the output too. Of two inputs the smaller may be
    /// one value for each channel of the other.
    Pointwise,
    /// Along the last axis at each place by itself: a softmax, a normalisation to unit length. On features it looks at all of them,
    /// or has a value for each.
    Channels,
    /// Height, width and channels each in their own way: convolutions, pools. The input is an image to the file's framework too;
    /// what comes out is an image, or features in its own order.
    Image,
    /// All features together: a dense layer. It takes any order, and its output can be given any.
    Features,
    /// The values as they stand: indices, the steps of a sequence. The file's framework has the same order.
    Sequence,
    /// The same values, row-major, in another shape. The file's framework reshapes too.
    Reshape,
    /// Output axis i is input axis `order[i]`, both without the batch.
    Transpose(Vec<usize>),
    /// Channels or features from one to before another.
    Slice { from: usize, to: usize },
    /// Inputs beside each other along an axis, counted without the batch.
    Concatenate { axis: usize },
    /// Inputs of one order, weighed by the values of one of them.
    Mixture { gate: usize },
}

/// What a parameter is to its layer. From this follows how each framework stores it, and what permutes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// (height, width, inputs of a group, outputs) of a convolution, depthwise ones too.
    Kernel,
    /// (height, width, outputs, inputs) of a transposed convolution.
    TransposedKernel,
    /// (features that come in, features that come out).
    Matrix,
    /// A row for each index.
    Table,
    /// A value for each channel or feature of the output.
    Vector,
    /// A value for each place along other axes of the output.
    Values,
    /// Weights, biases and states of a recurrent layer.
    Recurrent,
}
