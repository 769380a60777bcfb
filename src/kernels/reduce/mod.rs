//! Reductions of an image along an axis of its pixels, along its channels, or both, their gradients, and softmax along an
//! axis of the pixels.

pub mod gradient;
pub mod reduction;
pub mod softmax;

use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::span;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::ViewMut;
use crate::size::product;
use serde::{Deserialize, Serialize};

/// The axes of a reduction: an image is `(outer, len, inner)` pixels of `channels` floats, of which it reduces `len`, and the
/// channels too if `over_channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axes {
    pub outer: usize,
    pub len: usize,
    pub inner: usize,
    pub channels: usize,
    pub over_channels: bool,
}

impl Axes {
    /// Pixels before the reduction.
    pub fn pixels(&self) -> usize {
        product([self.outer, self.len, self.inner])
    }

    /// Pixels and channels after it.
    pub fn reduced(&self) -> (usize, usize) {
        let channels = if self.over_channels { 1 } else { self.channels };
        (product([self.outer, self.inner]), channels)
    }

    /// The values that each result is made of.
    pub fn count(&self) -> usize {
        product([self.len, if self.over_channels { self.channels } else { 1 }])
    }

    /// Whether all sizes are above zero.
    pub fn is_possible(&self) -> bool {
        [self.outer, self.len, self.inner, self.channels].iter().all(|&size| size > 0)
    }

    /// The same axes of tensors whose pixels have no gaps: then the inner pixels and the channels are one axis.
    fn merged(self) -> Axes {
        match self.over_channels {
            true => self,
            false => Axes { inner: 1, channels: self.inner * self.channels, ..self },
        }
    }
}

/// Channels that are worked on together where each has an intermediate result.
const BLOCK: usize = 64;

/// Calls `body(image, index among the outer pixels, their len * inner pixels)` for each, in parallel.
fn for_each_outer(
    y: ViewMut<'_>,
    n: usize,
    axes: &Axes,
    threads: &ThreadPool,
    body: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
) {
    let pixels = axes.len * axes.inner;
    let len = span(pixels, y.ld, axes.channels);
    let partition =
        Partition { outer: n, outer_stride: y.image, inner: axes.outer, inner_stride: pixels * y.ld, len, last: len };
    share(threads, y.data, partition, Scratch::none(), &|chunk, out, _| body(chunk.outer, chunk.inner, out));
}
