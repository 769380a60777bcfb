//! Elementwise functions of one or several tensors, softmax, column reductions, and their gradients.

pub mod activate;
pub mod activation;
pub mod activation_gradient;
pub(crate) mod column_reduce;
pub mod combine;
pub mod combine_gradient;
pub mod softmax;
