//! Arithmetic on slices: what a plan's steps run. The only room with unsafe code besides the memory maps.

pub mod conv;
pub mod dense;
pub mod elementwise;
pub mod epilogue;
pub mod gemm;
#[cfg(test)]
mod guarded;
pub mod movement;
pub mod norm;
pub mod parallel;
pub mod pool;
pub mod recurrent;
pub mod simd;
pub mod target;
pub mod tensor_view;
#[cfg(test)]
mod testing;
pub mod training;
