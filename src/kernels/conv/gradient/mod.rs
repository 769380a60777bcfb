//! Gradients of convolutions with respect to input and weights.

mod depthwise_gradient;
pub mod input_gradient;
pub mod weight_gradient;
