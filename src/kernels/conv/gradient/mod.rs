//! Gradients of convolutions.

mod depthwise_gradient;
pub mod input_gradient;
pub mod weight_gradient;
