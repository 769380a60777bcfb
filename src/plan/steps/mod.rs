//! The descriptions of kernels, one file per family. Sizes of theirs come from files: [`crate::size`] multiplies and adds them,
//! and where nothing else is calculated clippy sees to it.

#[deny(clippy::arithmetic_side_effects)]
pub mod convolution;
#[deny(clippy::arithmetic_side_effects)]
pub mod dense;
pub mod embedding;
#[deny(clippy::arithmetic_side_effects)]
pub mod fused_convolutions;
pub mod gradient;
pub mod merge;
pub mod movement;
pub mod norm;
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
#[deny(clippy::arithmetic_side_effects)]
pub mod transposed_convolution;
