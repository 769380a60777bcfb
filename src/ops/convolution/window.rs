//! The geometry that convolutions and pools share: padding, strides, and output sizes.
//! Shape rules are NeuPy's, which are TensorFlow's: `same` pads the end by one more where the padding is odd.

use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::graph::Argument;
use crate::graph::signature::definition::Default;
use crate::graph::{Arguments, ShapeError, ValueKind};
use crate::kernels::tensor_view::Window;
use crate::tensor::{Size, TensorType};

/// The padding of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// None: only windows inside the image count.
    Valid,
    /// So that the output has ceil(size / stride) pixels.
    Same,
    /// The same number of pixels on both sides, per axis.
    Pixels([usize; 2]),
    /// Pixels before and after the image, per axis.
    Sides([[usize; 2]; 2]),
}

impl Padding {
    /// As the setting `padding` gives it; `None` for the default.
    pub(super) fn text(self) -> Option<String> {
        match self {
            Padding::Valid => None,
            Padding::Same => Some("same".into()),
            Padding::Pixels(pixels) => Some(short_pair(pixels)),
            Padding::Sides([[top, bottom], [left, right]]) => Some(format!("[{top}, {bottom}, {left}, {right}]")),
        }
    }
}

/// The window of a layer, before its input is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    pub size: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub padding: Padding,
    /// Whether a last window that begins inside the image and exceeds it counts: sizes are rounded up, as in Caffe and in
    /// PyTorch with `ceil_mode`.
    pub ceil: bool,
}

/// The arguments `stride`, `padding` and `dilation` as layers define them.
pub const STRIDE: Argument =
    Argument { name: "stride", takes: "integer or pair", default: Default::Int(1), doc: "pixels between windows" };
/// See [`STRIDE`].
pub const PADDING: Argument = Argument {
    name: "padding",
    takes: "`same`, `valid`, integer, pair or four sides",
    default: Default::Word("valid"),
    doc: "`same` keeps the size (divided by the stride), a number adds so many pixels on both sides, [1, 2, 0, 0] at top, bottom, left and right",
};
/// See [`STRIDE`].
pub const DILATION: Argument =
    Argument { name: "dilation", takes: "integer or pair", default: Default::Int(1), doc: "pixels between taps" };

/// Further arguments that convolutions and transposed convolutions share.
pub const SIZE: Argument =
    Argument { name: "size", takes: "pair", default: Default::Required, doc: "height and width of the window" };
/// See [`SIZE`].
pub const FILTERS: Argument =
    Argument { name: "filters", takes: "integer", default: Default::Required, doc: "output channels" };
/// See [`SIZE`].
pub const BIAS: Argument = Argument {
    name: "bias",
    takes: "`true`, `false` or initialiser",
    default: Default::Bool(true),
    doc: "a bias per filter",
};
/// See [`SIZE`].
pub const WEIGHT: Argument = Argument {
    name: "weight",
    takes: "initialiser",
    default: Default::Absent("HeNormal(gain=2)"),
    doc: "initial weights",
};

impl Sliding {
    /// The window of a 1x1 convolution.
    pub const ONE_PIXEL: Sliding =
        Sliding { size: [1, 1], stride: [1, 1], dilation: [1, 1], padding: Padding::Valid, ceil: false };

    /// Reads `size`, `stride`, `dilation` and `padding` of a call.
    ///
    /// # Errors
    /// The first invalid argument.
    pub fn of(arguments: &Arguments) -> Result<Sliding, Diagnostic> {
        Ok(Sliding {
            size: arguments.required_pair("size", 1)?,
            stride: arguments.required_pair("stride", 1)?,
            dilation: arguments.required_pair("dilation", 1)?,
            padding: Sliding::padding(arguments)?,
            ceil: false,
        })
    }

    /// Reads `padding` of a call.
    ///
    /// # Errors
    /// If it is invalid.
    pub fn padding(arguments: &Arguments) -> Result<Padding, Diagnostic> {
        match arguments.given("padding").map(|value| &value.kind) {
            None => Ok(Padding::Valid),
            Some(ValueKind::Word(word) | ValueKind::Text(word)) => match word.to_ascii_lowercase().as_str() {
                "same" => Ok(Padding::Same),
                "valid" => Ok(Padding::Valid),
                _ => {
                    let place = arguments.given("padding").map_or(arguments.span, |value| value.span);
                    Err(arguments.wrong("padding", "takes `same`, `valid`, an integer or a pair").suggest_name(
                        place,
                        word,
                        suggest::nearest(word, ["same", "valid"]),
                    ))
                }
            },
            Some(ValueKind::List(list)) if list.len() == 4 => {
                let sizes = arguments.given("padding").and_then(|value| value.sizes()).unwrap_or_default();
                let sides: Option<Vec<usize>> =
                    sizes.iter().map(|side| side.and_then(|side| usize::try_from(side).ok())).collect();
                match sides.as_deref() {
                    Some(&[top, bottom, left, right]) => Ok(match [[top, bottom], [left, right]] {
                        [[0, 0], [0, 0]] => Padding::Valid,
                        [rows, columns] if rows[0] == rows[1] && columns[0] == columns[1] => {
                            Padding::Pixels([top, left])
                        }
                        sides => Padding::Sides(sides),
                    }),
                    _ => Err(arguments.wrong("padding", "takes four integers from 0: top, bottom, left and right")),
                }
            }
            Some(_) => match arguments.pair("padding", 0)? {
                Some([0, 0]) | None => Ok(Padding::Valid),
                Some(pixels) => Ok(Padding::Pixels(pixels)),
            },
        }
    }

    /// The settings for the text forms, without defaults. `single` is whether they were given by single numbers.
    pub fn settings(&self, default_stride: [usize; 2], single: bool) -> Vec<(&'static str, String)> {
        let mut list = vec![("size", if single { short_pair(self.size) } else { pair_text(self.size) })];
        if self.stride != default_stride {
            list.push(("stride", short_pair(self.stride)));
        }
        list.extend(self.padding.text().map(|text| ("padding", text)));
        if self.ceil {
            list.push(("ceil", "true".into()));
        }
        if self.dilation != [1, 1] {
            list.push(("dilation", short_pair(self.dilation)));
        }
        list
    }

    /// The window's extent with its dilation.
    pub(super) fn extent(&self, axis: usize) -> usize {
        self.size[axis] + (self.size[axis] - 1) * (self.dilation[axis] - 1)
    }

    /// Output size and leading padding of an axis of known size; `None` if no window fits.
    pub fn along(&self, axis: usize, size: usize) -> Option<(usize, usize)> {
        let (extent, stride) = (self.extent(axis), self.stride[axis]);
        let [before, after] = match self.padding {
            Padding::Same => {
                let out = size.div_ceil(stride);
                let total = ((out.max(1) - 1) * stride + extent).saturating_sub(size);
                return (out > 0).then_some((out, total / 2));
            }
            Padding::Valid => [0, 0],
            Padding::Pixels(pixels) => [pixels[axis]; 2],
            Padding::Sides(sides) => sides[axis],
        };
        let padded = size.checked_add(before)?.checked_add(after)?;
        let over = padded.checked_sub(extent)?;
        let out = over / stride + 1;
        // One more window if pixels remain and it begins in the image or before it.
        let more = self.ceil && over % stride > 0 && out * stride < size + before;
        Some((out + usize::from(more), before))
    }

    /// The number of pixels at the end of an axis that no window covers.
    pub fn unseen(&self, axis: usize, size: usize) -> usize {
        let Some((out, before)) = self.along(axis, size) else { return 0 };
        (size + before).saturating_sub((out - 1) * self.stride[axis] + self.extent(axis))
    }

    /// The output's height and width for an image of this type.
    ///
    /// # Errors
    /// If it is not an image, or smaller than the window.
    pub fn infer(&self, layer: &str, image: &TensorType) -> Result<[Size; 2], ShapeError> {
        let (height, width, _) = image_sizes(layer, image)?;
        let mut out = [Size::Open; 2];
        for (axis, size) in [height, width].into_iter().enumerate() {
            let Some(size) = size.known() else { continue };
            let extent = || pair_text([self.extent(0), self.extent(1)]);
            let (along, _) = self.along(axis, size).ok_or_else(|| self.too_small(layer, "image", &extent(), image))?;
            out[axis] = Size::Known(along);
        }
        Ok(out)
    }

    /// The error of a tensor, `noun`, that is smaller than a window of this extent.
    pub(super) fn too_small(&self, layer: &str, noun: &str, extent: &str, tensor: &TensorType) -> ShapeError {
        ShapeError::new(
            Code::Window,
            format!("the window of `{layer}` is larger than the {noun}"),
            format!("a window of {extent} over {tensor}"),
        )
        .help("use `padding=same`, a smaller size, or fewer pools before it")
    }

    /// The window over an image of known size; `None` if none fits.
    pub fn resolve(&self, height: usize, width: usize) -> Option<Window> {
        let ((out_h, pad_top), (out_w, pad_left)) = (self.along(0, height)?, self.along(1, width)?);
        Some(Window {
            in_h: height,
            in_w: width,
            out_h,
            out_w,
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
}

/// Height, width and channels of an image.
///
/// # Errors
/// If the tensor is not an image.
pub fn image_sizes(layer: &str, tensor: &TensorType) -> Result<(Size, Size, Size), ShapeError> {
    tensor.image().ok_or_else(|| {
        ShapeError::new(
            Code::WrongRank,
            format!("`{layer}` needs an image, but gets {tensor}"),
            "expects (?, height, width, channels)",
        )
    })
}

/// The number of channels.
///
/// # Errors
/// If it is open.
pub fn known_channels(layer: &str, tensor: &TensorType) -> Result<usize, ShapeError> {
    tensor.channels().known().ok_or_else(|| {
        ShapeError::new(
            Code::OpenSize,
            format!("`{layer}` must know the last size of its input"),
            format!("its parameters depend on it, and its input is {tensor}"),
        )
        .help("give the size a number in `Input`")
    })
}

/// `3x3`
pub fn pair_text(pair: [usize; 2]) -> String {
    format!("{}x{}", pair[0], pair[1])
}

/// `2` for `2x2`, else `2x1`
pub fn short_pair(pair: [usize; 2]) -> String {
    if pair[0] == pair[1] { pair[0].to_string() } else { pair_text(pair) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn along(size: usize, window: usize, stride: usize, dilation: usize, padding: Padding) -> Option<(usize, usize)> {
        Sliding { size: [window; 2], stride: [stride; 2], dilation: [dilation; 2], padding, ceil: false }.along(0, size)
    }

    fn ceil(size: usize, window: usize, stride: usize, padding: Padding) -> Option<(usize, usize)> {
        Sliding { size: [window; 2], stride: [stride; 2], dilation: [1; 2], padding, ceil: true }.along(0, size)
    }

    /// As PyTorch's `ceil_mode`: `floor((n + 2p - f + s - 1) / s) + 1`, less one if the last window begins after the image.
    #[test]
    fn sizes_are_rounded_up_where_asked() {
        assert_eq!(ceil(112, 3, 2, Padding::Valid), Some((56, 0)));
        assert_eq!(along(112, 3, 2, 1, Padding::Valid), Some((55, 0)));
        assert_eq!(ceil(9, 3, 2, Padding::Valid), Some((4, 0)));
        assert_eq!(ceil(5, 2, 2, Padding::Pixels([1, 1])), Some((3, 1)));
        assert_eq!(ceil(4, 1, 3, Padding::Pixels([0, 0])), Some((2, 0)));
        assert_eq!(ceil(6, 2, 3, Padding::Sides([[0, 1], [0, 0]])), Some((2, 0)));
        assert_eq!(ceil(2, 3, 1, Padding::Valid), None);
    }

    #[test]
    fn sides_are_padded_by_themselves() {
        assert_eq!(along(8, 3, 2, 1, Padding::Sides([[0, 1], [9, 9]])), Some((4, 0)));
        assert_eq!(along(8, 3, 2, 1, Padding::Sides([[1, 0], [9, 9]])), Some((4, 1)));
    }

    #[test]
    fn sizes_are_those_of_tensorflow() {
        assert_eq!(along(4, 3, 2, 1, Padding::Same), Some((2, 0)));
        assert_eq!(along(224, 7, 2, 1, Padding::Same), Some((112, 2)));
        assert_eq!(along(227, 7, 2, 1, Padding::Valid), Some((111, 0)));
        assert_eq!(along(9, 3, 1, 2, Padding::Same), Some((9, 2)));
        assert_eq!(along(9, 3, 2, 1, Padding::Pixels([1, 1])), Some((5, 1)));
        assert_eq!(along(2, 3, 1, 1, Padding::Valid), None);
    }
}
