//! Kernel descriptions, one file per family. Their sizes come from untrusted files and are multiplied and added only with the
//! saturating functions of [`crate::size`]; clippy enforces this where possible.

#[deny(clippy::arithmetic_side_effects)]
pub mod convolution;
#[deny(clippy::arithmetic_side_effects)]
pub mod dense;
pub mod gradient;
#[deny(clippy::arithmetic_side_effects)]
pub mod int8;
pub mod merge;
pub mod movement;
pub mod norm;
#[deny(clippy::arithmetic_side_effects)]
pub mod pointwise;
#[deny(clippy::arithmetic_side_effects)]
pub mod pool;
pub mod prelu;
#[deny(clippy::arithmetic_side_effects)]
pub mod reduce;
#[deny(clippy::arithmetic_side_effects)]
pub mod resize;
pub mod sequence;
pub mod training;
