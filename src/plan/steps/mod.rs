//! The descriptions of kernels, one file per family.

pub mod chain;
pub mod convolution;
pub mod deconvolution;
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
pub mod pointwise;
pub mod pool;
pub mod prelu;
pub mod recurrent;
pub mod resize;
pub mod training;
