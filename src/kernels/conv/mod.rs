//! Convolutions, one algorithm a file.

pub mod algorithm;
pub mod cost;
pub mod depthwise;
mod depthwise_tile;
pub mod direct;
pub mod fused_rows;
pub mod gradient;
pub mod im2col;
pub mod im2col_blas;
mod input_rows;
#[cfg(test)]
pub(crate) mod naive;
pub mod pointwise;
pub mod transposed;
mod window_copy;
pub mod winograd;
