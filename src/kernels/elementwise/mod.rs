//! Functions of single values, of several tensors value by value, and of rows.

pub mod activate;
pub mod activation;
pub mod activation_gradient;
pub(crate) mod column_reduce;
pub mod combine;
pub mod combine_gradient;
pub mod softmax;
