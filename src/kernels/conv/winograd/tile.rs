//! The tile sizes of Winograd convolution.

use super::transforms::{F2, F2x5, F4, F6, TileTransform};
use crate::kernels::tensor_view::Convolution;
use serde::{Deserialize, Serialize};

/// F(m x m, r x r): the size of the output tile and of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tile {
    /// F(2x2,3x3): 2.25 times fewer multiplications than direct.
    F2,
    /// F(4x4,3x3): 4 times fewer.
    F4,
    /// F(6x6,3x3): 5.06 times fewer, a little less accurate.
    F6,
    /// F(2x2,5x5): 2.78 times fewer.
    F2x5,
}

impl Tile {
    /// Output pixels along an axis.
    pub fn out(self) -> usize {
        match self {
            Self::F2 => F2::OUT,
            Self::F4 => F4::OUT,
            Self::F6 => F6::OUT,
            Self::F2x5 => F2x5::OUT,
        }
    }

    /// Kernel taps along an axis.
    pub fn kernel(self) -> usize {
        match self {
            Self::F2 | Self::F4 | Self::F6 => 3,
            Self::F2x5 => F2x5::KERNEL,
        }
    }

    /// Points of the transform along an axis.
    pub fn side(self) -> usize {
        self.out() + self.kernel() - 1
    }

    /// Points of the transform in both axes: multiplications per tile and pair of channels.
    pub fn points(self) -> usize {
        self.side() * self.side()
    }

    /// Whether it supports the convolution: its kernel size, stride 1, no dilation, padding smaller than the kernel.
    pub fn supports(self, conv: &Convolution) -> bool {
        let window = &conv.window;
        (window.kernel_h, window.kernel_w) == (self.kernel(), self.kernel())
            && (window.stride_h, window.stride_w) == (1, 1)
            && (window.dilation_h, window.dilation_w) == (1, 1)
            && window.pad_top < self.kernel()
            && window.pad_left < self.kernel()
    }
}

/// The geometry of one group as an ungrouped convolution.
pub(super) fn per_group(conv: &Convolution) -> Convolution {
    Convolution { in_c: conv.in_c / conv.groups, out_c: conv.out_c / conv.groups, groups: 1, ..*conv }
}
