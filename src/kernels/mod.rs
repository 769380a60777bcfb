//! Arithmetic on slices: what a plan's steps run. The only room with unsafe code besides the memory maps.

pub mod activate;
pub mod activation;
pub mod batch_norm;
mod columns;
pub mod conv_blas;
pub mod conv_chain;
pub mod conv_depthwise;
pub mod conv_direct;
pub mod conv_im2col;
pub mod conv_pointwise;
pub mod copy;
pub mod cores;
pub mod deconvolution;
pub mod dense;
pub mod dense_half;
pub mod dense_narrow;
pub(crate) mod disjoint;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
pub mod epilogue;
pub mod gemm;
pub mod global_pool;
pub mod gradient_activation;
pub mod gradient_convolution;
mod gradient_depthwise;
pub mod gradient_embedding;
pub mod gradient_group_norm;
pub mod gradient_input;
pub mod gradient_merge;
pub mod gradient_narrow;
pub mod gradient_pool;
pub mod gradient_recurrent;
pub mod gradient_response;
mod gradient_winograd;
pub mod group_norm;
mod image_rows;
pub mod images;
#[cfg(test)]
mod kernel_tests;
pub mod local_response_norm;
pub mod loss;
mod math;
mod micro;
pub mod optimizer;
pub mod peak;
pub mod penalty;
mod philox;
pub mod pool;
pub mod recurrent;
pub mod scale_shift;
pub mod simd;
mod simd_across;
mod simd_depthwise;
mod simd_math;
#[cfg(target_arch = "aarch64")]
mod simd_neon;
pub mod simd_panel;
mod simd_portable;
mod simd_rows;
mod simd_tile;
#[cfg(test)]
mod simd_tile_tests;
mod simd_winograd;
mod simd_winograd_gradient;
#[cfg(target_arch = "x86_64")]
mod simd_x86;
#[cfg(target_arch = "x86_64")]
mod simd_x86_across;
#[cfg(target_arch = "x86_64")]
mod simd_x86_tile;
pub mod softmax;
pub mod threads;
pub mod transpose;
pub mod upscale;
pub mod view;
mod wide;
mod windows;
pub mod winograd;
mod winograd_weights;
