//! The sizes that convolution cost estimates depend on, and the terms that they share.

use crate::kernels::simd::tile::PANEL;
use crate::kernels::target;
use crate::kernels::tensor_view::Convolution;

/// The sizes of one image's convolution, as floating-point numbers.
pub struct Sizes<'a> {
    pub conv: &'a Convolution,
    /// Output pixels.
    pub pixels: f64,
    /// Input channels of a group.
    pub inputs: f64,
    /// Output channels of a group, rounded up to whole panels.
    pub outputs: f64,
    pub groups: f64,
    /// K of a group's GEMM: the kernel's taps times the input channels.
    pub depth: f64,
    /// Bytes of the input and the output together.
    pub activation_bytes: f64,
    /// Bytes of the packed weights.
    pub weight_bytes: f64,
    /// Where the net's weights are when the convolution begins.
    pub residency: Residency,
}

/// Where the weights of a net are between two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// In the last-level cache, as all weights of the net fit there.
    Cache,
    Memory,
}

impl Residency {
    /// Of a net with so many floats of weights.
    pub fn of(floats: usize) -> Self {
        if 4.0 * floats as f64 > target::LAST_CACHE_BYTES { Self::Memory } else { Self::Cache }
    }
}

impl<'a> Sizes<'a> {
    pub fn of(conv: &'a Convolution, residency: Residency) -> Self {
        let window = &conv.window;
        let pixels = (window.out_h * window.out_w) as f64;
        let inputs = (conv.in_c / conv.groups) as f64;
        let outputs = (conv.out_c / conv.groups).next_multiple_of(PANEL) as f64;
        let (depth, groups) = ((window.kernel_h * window.kernel_w) as f64 * inputs, conv.groups as f64);
        Sizes {
            conv,
            pixels,
            inputs,
            outputs,
            groups,
            depth,
            activation_bytes: 4.0 * ((window.in_h * window.in_w * conv.in_c) as f64 + pixels * conv.out_c as f64),
            weight_bytes: 4.0 * depth * outputs * groups,
            residency,
        }
    }

    /// Nanoseconds of a GEMM of `rows` by `depth` by the output channels, over all groups. A short depth is less efficient:
    /// starting and storing a register tile costs as much as `overhead` K steps.
    pub fn product(&self, rows: f64, depth: f64, overhead: f64) -> f64 {
        rows * depth * self.outputs * self.groups / (target::MACS_PER_NS * depth / (depth + overhead))
    }

    /// Nanoseconds to read so many bytes of weights once.
    pub fn read(&self, bytes: f64) -> f64 {
        match self.residency {
            Residency::Cache => bytes / target::LAST_CACHE_BYTES_PER_NS,
            Residency::Memory => bytes / target::SHARED_MEMORY_BYTES_PER_NS,
        }
    }

    /// Nanoseconds to read the weights, packed as for a GEMM, once.
    pub fn read_weights(&self) -> f64 {
        self.read(self.weight_bytes)
    }
}
