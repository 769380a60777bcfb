//! Categories of layers.

/// The category of a layer, by which pictures colour it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    Input,
    Convolution,
    Dense,
    Recurrent,
    Pool,
    Activation,
    Norm,
    Merge,
    Shape,
    Regulariser,
}
