//! Which algorithm computes a convolution, by sizes alone: the same on every machine.

use crate::kernels::winograd::{Blocking, Tile};
use crate::kernels::{conv_depthwise, conv_direct, conv_pointwise, winograd};
use crate::plan::steps::convolution::{Algorithm, ConvolutionStep};

/// Fewest channels on either side for which Winograd's transforms pay.
const WINOGRAD_CHANNELS: usize = 16;
/// Most input channels that the direct kernel reads faster than rows are gathered.
const DIRECT_CHANNELS: usize = 4;
/// The arena of a chunk should stay within this many floats (16 MiB), so that it stays in the last cache.
const CHUNK_FLOATS: usize = 4 << 20;
/// More images than this do not spare more reading of weights.
const MOST_IMAGES: usize = 8;

/// How many images make a chunk.
pub fn chunk(floats_per_image: usize) -> usize {
    (CHUNK_FLOATS / floats_per_image.max(1)).clamp(1, MOST_IMAGES)
}

/// Chooses for one convolution.
pub fn convolution(step: &mut ConvolutionStep, chunk: usize, exact: bool) {
    let conv = &step.geometry;
    step.algorithm = if conv_depthwise::supports(conv) {
        Algorithm::Depthwise
    } else if conv_pointwise::supports(conv) {
        Algorithm::Pointwise
    } else if conv_direct::supports(conv) && conv.in_c <= DIRECT_CHANNELS {
        Algorithm::Direct
    } else if !exact && winograd::supports(conv) && conv.in_c.min(conv.out_c) >= WINOGRAD_CHANNELS {
        Algorithm::Winograd(Blocking::new(Tile::F4, conv, chunk))
    } else {
        Algorithm::Im2col
    };
}
