//! Compute kernels on slices of f32, which the steps of a plan call. All unsafe code but the memory maps is here.

pub mod attention;
pub mod conv;
pub mod dense;
pub mod elementwise;
pub mod epilogue;
pub mod gemm;
#[cfg(test)]
mod guarded;
pub mod int8;
pub mod movement;
pub mod norm;
pub mod parallel;
pub mod pool;
pub mod recurrent;
pub mod reduce;
pub mod simd;
pub mod target;
pub mod tensor_view;
#[cfg(test)]
mod testing;
pub mod training;
