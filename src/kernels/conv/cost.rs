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
}

impl<'a> Sizes<'a> {
    pub fn of(conv: &'a Convolution) -> Self {
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
        }
    }

    /// Nanoseconds of a GEMM of `rows` by `depth` by the output channels, over all groups. A short depth is less efficient:
    /// starting and storing a register tile costs as much as `overhead` K steps.
    pub fn product(&self, rows: f64, depth: f64, overhead: f64) -> f64 {
        rows * depth * self.outputs * self.groups / (target::MACS_PER_NS * depth / (depth + overhead))
    }

    /// Nanoseconds to stream the weights from memory once.
    pub fn read_weights(&self) -> f64 {
        self.weight_bytes / target::MEMORY_BYTES_PER_NS
    }
}
