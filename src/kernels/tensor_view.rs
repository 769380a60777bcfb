//! Strided tensor views, the operands of kernels, and the geometry of sliding windows.
//!
//! The layout is NHWC (channels last): a pixel is `channels` contiguous floats, pixels are `ld` floats apart (leading
//! dimension; more than `channels` in a slice of a wider tensor, as for a branch that writes into its concatenation),
//! images `image` floats apart.

use crate::size::{MAX_TENSOR_VALUES, is_tensor, product, span, sum};
use serde::{Deserialize, Serialize};

/// A read-only view of a batch of images or rows.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The data, from the first float of the first image.
    pub data: &'a [f32],
    /// Leading dimension: floats from one pixel (or row) to the next.
    pub ld: usize,
    /// Image stride: floats from one image to the next.
    pub image: usize,
}

/// A mutable view of a batch of images or rows; see [`View`].
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// The data, from the first float of the first image.
    pub data: &'a mut [f32],
    /// Leading dimension: floats from one pixel (or row) to the next.
    pub ld: usize,
    /// Image stride: floats from one image to the next.
    pub image: usize,
}

/// A read-only view of a batch of images or rows of bytes; see [`View`].
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    /// The data, from the first byte of the first image.
    pub data: &'a [u8],
    /// Bytes from one pixel (or row) to the next.
    pub ld: usize,
    /// Bytes from one image to the next.
    pub image: usize,
}

/// A mutable view of a batch of images or rows of bytes; see [`View`].
#[derive(Debug)]
pub struct BytesMut<'a> {
    /// The data, from the first byte of the first image.
    pub data: &'a mut [u8],
    /// Bytes from one pixel (or row) to the next.
    pub ld: usize,
    /// Bytes from one image to the next.
    pub image: usize,
}

impl<'a> View<'a> {
    /// The bytes of a tensor of bytes: its memory is given in words of four, its strides in bytes.
    pub fn bytes(self) -> Bytes<'a> {
        Bytes { data: bytemuck::cast_slice(self.data), ld: self.ld, image: self.image }
    }
}

impl<'a> ViewMut<'a> {
    /// As [`View::bytes`].
    pub fn bytes(self) -> BytesMut<'a> {
        BytesMut { data: bytemuck::cast_slice_mut(self.data), ld: self.ld, image: self.image }
    }
}

/// The geometry of a kernel window that slides over an image with zero padding (minus infinity for max pooling), in pixels.
/// `out_h` and `out_w` are resolved, so the padding at the bottom and right is implied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    pub in_h: usize,
    pub in_w: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub kernel_h: usize,
    pub kernel_w: usize,
    pub stride_h: usize,
    pub stride_w: usize,
    pub dilation_h: usize,
    pub dilation_w: usize,
    pub pad_top: usize,
    pub pad_left: usize,
}

impl Window {
    /// A square window over a square image, padded alike on all sides, without dilation.
    ///
    /// # Panics
    /// If the padded image is smaller than the window, or `stride` is 0.
    pub fn square(size: usize, kernel: usize, stride: usize, pad: usize) -> Self {
        let out = (size + 2 * pad - kernel) / stride + 1;
        Self {
            in_h: size,
            in_w: size,
            out_h: out,
            out_w: out,
            kernel_h: kernel,
            kernel_w: kernel,
            stride_h: stride,
            stride_w: stride,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: pad,
            pad_left: pad,
        }
    }

    /// The height of the dilated kernel: (kernel_h - 1) * dilation_h + 1.
    pub fn reach_h(&self) -> usize {
        span(self.kernel_h.max(1), self.dilation_h, 1)
    }

    /// Whether the geometry is valid: no size is 0, and no coordinate of the padded image exceeds [`MAX_TENSOR_VALUES`].
    #[deny(clippy::arithmetic_side_effects)]
    pub fn is_possible(&self) -> bool {
        let is_axis_valid = |size: usize, out: usize, kernel: usize, stride: usize, dilation: usize, pad: usize| {
            let extent = span(out, stride, span(kernel, dilation, 1));
            let sizes = [size, out, kernel, stride, dilation, sum([pad, size]), extent];
            sizes.iter().all(|size| (1..=MAX_TENSOR_VALUES).contains(size))
        };
        is_axis_valid(self.in_h, self.out_h, self.kernel_h, self.stride_h, self.dilation_h, self.pad_top)
            && is_axis_valid(self.in_w, self.out_w, self.kernel_w, self.stride_w, self.dilation_w, self.pad_left)
    }
}

/// The geometry of a convolution. Weights are `(kernel_h, kernel_w, in_c / groups, out_c)`, row-major (HWIO).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Convolution {
    pub window: Window,
    pub in_c: usize,
    pub out_c: usize,
    pub groups: usize,
}

impl Convolution {
    /// Whether the geometry is valid: the window is, `groups` divides both channel counts, and no tensor is too large.
    #[deny(clippy::arithmetic_side_effects)]
    pub fn is_possible(&self) -> bool {
        let Convolution { window, in_c, out_c, groups } = *self;
        let divides = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
        window.is_possible()
            && divides(in_c)
            && divides(out_c)
            && is_tensor(&[window.in_h, window.in_w, in_c])
            && is_tensor(&[window.out_h, window.out_w, out_c])
            && (1..=MAX_TENSOR_VALUES).contains(&self.weights())
    }

    /// Whether it is a matrix product over pixels: 1x1, stride 1, no padding.
    pub fn is_pixelwise(&self) -> bool {
        let window = &self.window;
        (window.kernel_h, window.kernel_w, window.stride_h, window.stride_w) == (1, 1, 1, 1)
            && (window.pad_top, window.pad_left) == (0, 0)
            && (window.out_h, window.out_w) == (window.in_h, window.in_w)
    }

    /// The number of weights.
    pub fn weights(&self) -> usize {
        product([self.window.kernel_h, self.window.kernel_w, self.in_c / self.groups.max(1), self.out_c])
    }

    /// Multiply-adds per image of the direct method.
    pub fn macs(&self) -> usize {
        product([self.window.out_h, self.window.out_w, self.weights()])
    }
}
