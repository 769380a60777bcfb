//! Kernels on bytes: activations are unsigned bytes with a scale and a zero point, weights signed bytes with a scale for each
//! output channel, sums 32-bit integers, which are rescaled to the next layer's bytes in registers.
//!
//! Every instruction set gives the same bytes: integer sums are exact, and rescaling is the same sequence of IEEE operations
//! everywhere: convert the sum to f32, one fused multiply-add for each operand, round to the nearest integer (ties to even),
//! clamp. A kernel is written once, generic over `lanes::Lanes`.

pub mod add;
pub mod bands;
pub mod conv;
pub mod convert;
pub mod depthwise;
mod lanes;
pub mod pool;
mod product;
pub mod quantization;
#[cfg(test)]
mod testing;
mod tile;
pub mod weights;
