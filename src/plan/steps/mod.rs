//! The descriptions of kernels, one file per family.

pub mod convolution;
pub mod deconvolution;
pub mod dense;
pub mod embedding;
pub mod merge;
pub mod movement;
pub mod norm;
pub mod pack;
pub mod pointwise;
pub mod pool;
pub mod prelu;
pub mod recurrent;
pub mod resize;
