//! Gradients of layers.

pub mod convolution_gradient;
pub mod dense_gradient;
pub mod merge_gradient;
pub mod norm_gradient;
pub mod pointwise_gradient;
pub mod pool_gradient;
pub mod recurrent_gradient;
pub mod reduce_gradient;
pub mod resize_gradient;
