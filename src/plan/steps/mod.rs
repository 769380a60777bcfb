//! The descriptions of kernels, one file per family. Sizes of theirs come from files: [`crate::size`] multiplies and adds them,
//! and where nothing else is calculated clippy sees to it.

#[deny(clippy::arithmetic_side_effects)]
pub mod chain;
#[deny(clippy::arithmetic_side_effects)]
pub mod convolution;
#[deny(clippy::arithmetic_side_effects)]
pub mod deconvolution;
#[deny(clippy::arithmetic_side_effects)]
pub mod dense;
pub mod embedding;
pub mod gradient_convolution;
pub mod gradient_dense;
pub mod gradient_merge;
pub mod gradient_norm;
pub mod gradient_pointwise;
pub mod gradient_pool;
pub mod gradient_recurrent;
pub mod merge;
pub mod movement;
pub mod noise;
pub mod norm;
pub mod pack;
#[deny(clippy::arithmetic_side_effects)]
pub mod pointwise;
#[deny(clippy::arithmetic_side_effects)]
pub mod pool;
pub mod prelu;
#[deny(clippy::arithmetic_side_effects)]
pub mod recurrent;
#[deny(clippy::arithmetic_side_effects)]
pub mod resize;
pub mod training;
