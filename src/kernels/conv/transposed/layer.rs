//! The parameters of a transposed convolution.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::tensor_view::Convolution;

/// A transposed convolution: the gradient of `forward` with respect to its input. Its output has the shape of `forward`'s
/// input (`in_h`, `in_w`, `in_c`), its input that of `forward`'s output; padding, stride and dilation are `forward`'s.
#[derive(Clone, Copy, Debug)]
pub struct TransposedConvolution<'a> {
    pub forward: Convolution,
    /// Weights packed by [`pack_deconvolution`](super::pack_deconvolution).
    pub packed: &'a [f32],
    /// `(in_c)` of `forward`: one float per output channel.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
}
