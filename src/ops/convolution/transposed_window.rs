//! The geometry of transposed convolutions: the size that an image of spread windows has.

use super::window::{Padding, pair_text, short_pair};
use crate::kernels::tensor_view::Window;

/// How the output's size follows from the input's where no word such as `same` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeRule {
    /// The pixels that the windows cover, less the padding, plus the output padding: PyTorch, Keras and ONNX.
    Covered,
    /// NeuPy's 0.8: `stride` pixels for each pixel of the input, and the reach of the window beyond them.
    Neupy,
}

/// The windows of a transposed convolution, before its input is known: each input pixel spreads one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spreading {
    pub rule: SizeRule,
    pub size: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// What is cropped from the output.
    pub padding: Padding,
    /// Pixels added at the end of each axis.
    pub output_padding: [usize; 2],
}

impl Spreading {
    /// Pixels from the first to the last tap.
    fn extent(&self, axis: usize) -> Option<usize> {
        (self.size[axis] - 1).checked_mul(self.dilation[axis])?.checked_add(1)
    }

    /// Output size and pixels cropped from the front along an axis; `None` if the result is empty or too large.
    pub fn along(&self, axis: usize, size: usize) -> Option<(usize, usize)> {
        let (extent, stride) = (self.extent(axis)?, self.stride[axis]);
        let spread = size.checked_mul(stride)?;
        let over = extent.saturating_sub(stride);
        let (out, front) = match (self.padding, self.rule) {
            // TensorFlow's: the gradient of a convolution with `same`.
            (Padding::Same, _) => (spread, over / 2),
            (Padding::Valid, SizeRule::Neupy) => (spread.checked_add(over)?, 0),
            (Padding::Pixels(pixels), SizeRule::Neupy) => {
                let pad = pixels[axis];
                (spread.checked_add(extent - 1)?.checked_sub(pad.checked_mul(2)?)?, pad)
            }
            (padding, _) => {
                let [before, after] = match padding {
                    Padding::Pixels(pixels) => [pixels[axis]; 2],
                    Padding::Sides(sides) => sides[axis],
                    Padding::Same | Padding::Valid => [0, 0],
                };
                let covered =
                    spread.checked_sub(stride)?.checked_add(extent)?.checked_add(self.output_padding[axis])?;
                (covered.checked_sub(before.checked_add(after)?)?, before)
            }
        };
        (out > 0).then_some((out, front))
    }

    /// The window of the convolution that this one transposes, whose output is this one's input.
    pub fn resolve(&self, height: usize, width: usize) -> Option<Window> {
        let ((in_h, pad_top), (in_w, pad_left)) = (self.along(0, height)?, self.along(1, width)?);
        Some(Window {
            in_h,
            in_w,
            out_h: height,
            out_w: width,
            kernel_h: self.size[0],
            kernel_w: self.size[1],
            stride_h: self.stride[0],
            stride_w: self.stride[1],
            dilation_h: self.dilation[0],
            dilation_w: self.dilation[1],
            pad_top,
            pad_left,
        })
    }

    /// The settings for the text forms, without defaults.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![("size", pair_text(self.size))];
        if self.stride != [1, 1] {
            list.push(("stride", short_pair(self.stride)));
        }
        list.extend(self.padding.text().map(|text| ("padding", text)));
        if self.output_padding != [0, 0] {
            list.push(("output_padding", short_pair(self.output_padding)));
        }
        if self.dilation != [1, 1] {
            list.push(("dilation", short_pair(self.dilation)));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn along(
        size: usize,
        window: usize,
        stride: usize,
        padding: Padding,
        more: (usize, usize),
    ) -> Option<(usize, usize)> {
        let (output_padding, dilation) = (more.0, more.1);
        let spreading = Spreading {
            rule: SizeRule::Covered,
            size: [window; 2],
            stride: [stride; 2],
            dilation: [dilation; 2],
            padding,
            output_padding: [output_padding; 2],
        };
        spreading.along(0, size)
    }

    /// As `torch.nn.ConvTranspose2d` gives them.
    #[test]
    fn sizes_are_those_of_pytorch() {
        assert_eq!(along(5, 3, 2, Padding::Valid, (0, 1)), Some((11, 0)));
        assert_eq!(along(5, 3, 2, Padding::Pixels([1, 1]), (1, 1)), Some((10, 1)));
        assert_eq!(along(5, 4, 2, Padding::Pixels([1, 1]), (0, 1)), Some((10, 1)));
        assert_eq!(along(5, 2, 3, Padding::Valid, (0, 1)), Some((14, 0)));
        assert_eq!(along(5, 3, 1, Padding::Valid, (0, 2)), Some((9, 0)));
        assert_eq!(along(1, 3, 2, Padding::Pixels([2, 2]), (0, 1)), None);
        assert_eq!(along(5, 3, 2, Padding::Sides([[0, 1], [9, 9]]), (0, 1)), Some((10, 0)));
        assert_eq!(along(usize::MAX, 3, 2, Padding::Valid, (0, 1)), None);
    }

    /// As `keras.layers.Conv2DTranspose(padding="same")` gives them.
    #[test]
    fn same_multiplies_by_the_stride() {
        assert_eq!(along(5, 3, 2, Padding::Same, (0, 1)), Some((10, 0)));
        assert_eq!(along(5, 5, 2, Padding::Same, (0, 1)), Some((10, 1)));
        assert_eq!(along(5, 3, 1, Padding::Same, (0, 2)), Some((5, 2)));
        assert_eq!(along(5, 2, 3, Padding::Same, (0, 1)), Some((15, 0)));
    }
}
