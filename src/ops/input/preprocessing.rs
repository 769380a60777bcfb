//! The preprocessing of photos: the values of `Image(...)` in a spec. `photo` applies them to pixels.

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;

/// How a photo is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resize {
    /// The shorter side to this many pixels, keeping the aspect ratio (rounded down).
    ShorterSide(u32),
    /// Both sides to those of the Input, ignoring the aspect ratio.
    Squash,
}

/// How the pixels of a resized photo come from those around them, with antialiasing (Pillow's filters of these names).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interpolation {
    /// A triangle.
    #[default]
    Bilinear,
    /// Keys' cubic kernel with a = -0.5.
    Bicubic,
}

impl Interpolation {
    /// The words in specs, with their meanings.
    pub const WORDS: [(&'static str, Self); 2] = [("bilinear", Self::Bilinear), ("bicubic", Self::Bicubic)];

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which part of the resized photo is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Crop {
    /// The middle; if the border cannot be halved, its left and top take the smaller half (NeuPy, Caffe, Keras'
    /// `CenterCrop`).
    #[default]
    Center,
    /// The middle; if the border cannot be halved, the part begins at the even one of the two pixels (torchvision's
    /// `CenterCrop`, which rounds half to even).
    CenterEven,
}

impl Crop {
    /// The words in specs, with their meanings.
    pub const WORDS: [(&'static str, Self); 2] = [("center", Self::Center), ("center_even", Self::CenterEven)];

    /// The offset of a crop of `count` pixels in `side` pixels, at least as many.
    pub fn start(self, side: u64, count: u64) -> u64 {
        let border = side.saturating_sub(count);
        match self {
            Crop::Center => border / 2,
            Crop::CenterEven => border / 2 + u64::from(border % 4 == 3),
        }
    }
}

/// The order of the tensor's three channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelOrder {
    Rgb,
    Bgr,
}

/// The preprocessing of an Input: resize, crop, channel order, then `(x * scale - mean) / std` on x in 0..=255.
///
/// `mean` and `std` are in the order of the tensor's channels (blue first under [`ChannelOrder::Bgr`]);
/// a one-channel Input takes the first of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    pub resize: Resize,
    #[serde(default, skip_serializing_if = "Interpolation::is_default")]
    pub interpolation: Interpolation,
    pub crop: Crop,
    pub order: ChannelOrder,
    pub scale: f32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// Why a [`Preprocessing`] is invalid.
#[derive(Clone, Debug, PartialEq)]
pub enum PreprocessingError {
    /// `resize=0`, or too large a size.
    Resize { resize: u32, limit: u32 },
    /// An infinite number or NaN.
    NotFinite { key: &'static str, value: f32 },
    /// A standard deviation that would divide by zero.
    ZeroStd,
}

impl Preprocessing {
    /// The maximum `resize`, in pixels.
    pub const MAX_RESIZE: u32 = 16_384;
    /// The names of the presets, in the order of the documentation.
    pub const PRESETS: [&'static str; 4] = ["Caffe", "Torch", "Unit", "Symmetric"];

    /// The preprocessing of the VGG authors' and NeuPy's ImageNet weights: BGR minus the ImageNet mean, in 0..=255
    /// (facts: Keras' `caffe` mode, NeuPy's `imagenet_tools.load_image`).
    pub const fn caffe() -> Self {
        Self {
            resize: Resize::ShorterSide(256),
            interpolation: Interpolation::Bilinear,
            crop: Crop::Center,
            order: ChannelOrder::Bgr,
            scale: 1.0,
            mean: [103.939, 116.779, 123.68],
            std: [1.0; 3],
        }
    }

    /// The preprocessing of torchvision's ImageNet weights: RGB in 0..=1, standardised.
    pub const fn torch() -> Self {
        Self {
            resize: Resize::ShorterSide(256),
            interpolation: Interpolation::Bilinear,
            crop: Crop::CenterEven,
            order: ChannelOrder::Rgb,
            scale: 1.0 / 255.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }

    /// RGB from 0 to 1: `x / 255`, which 255 as `std` gives exactly. Squashed, so that it serves an Input of any size
    /// (as Keras' `load_img(target_size=...)`).
    pub const fn unit() -> Self {
        Self {
            resize: Resize::Squash,
            interpolation: Interpolation::Bilinear,
            crop: Crop::Center,
            order: ChannelOrder::Rgb,
            scale: 1.0,
            mean: [0.0; 3],
            std: [255.0; 3],
        }
    }

    /// RGB from -1 to 1: `(x - 127.5) / 127.5` (Keras' `tf` mode). Squashed, as [`Preprocessing::unit`].
    pub const fn symmetric() -> Self {
        Self { mean: [127.5; 3], std: [127.5; 3], ..Self::unit() }
    }

    /// Finds a preset by its name in specs (`Caffe`).
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "Caffe" => Some(Self::caffe()),
            "Torch" => Some(Self::torch()),
            "Unit" => Some(Self::unit()),
            "Symmetric" => Some(Self::symmetric()),
            _ => None,
        }
    }

    /// The name of the preset that it equals.
    pub fn preset_name(&self) -> Option<&'static str> {
        Self::PRESETS.into_iter().find(|name| Self::preset(name).as_ref() == Some(self))
    }

    /// The same with another `resize`, as in `Caffe(resize=227)`.
    pub fn with_resize(self, resize: Resize) -> Self {
        Self { resize, ..self }
    }

    /// Checks that tensors will be finite; required for values from a file or a spec.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self) -> Result<(), PreprocessingError> {
        if let Resize::ShorterSide(resize) = self.resize
            && !(1..=Self::MAX_RESIZE).contains(&resize)
        {
            return Err(PreprocessingError::Resize { resize, limit: Self::MAX_RESIZE });
        }
        let numbers = [("scale", &[self.scale][..]), ("mean", &self.mean), ("std", &self.std)];
        for (key, values) in numbers {
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                return Err(PreprocessingError::NotFinite { key, value });
            }
        }
        if self.std.contains(&0.0) {
            return Err(PreprocessingError::ZeroStd);
        }
        Ok(())
    }

    /// The value of a pixel 0..=255 in channel `channel` of the tensor: `(x * scale - mean) / std`.
    ///
    /// Computed in f64 and rounded once, so within an ulp or two of f32 arithmetic.
    pub fn value(&self, pixel: u8, channel: usize) -> f32 {
        let channel = channel.min(2);
        let (mean, std) = (f64::from(self.mean[channel]), f64::from(self.std[channel]));
        ((f64::from(pixel) * f64::from(self.scale) - mean) / std) as f32
    }
}

/// The canonical text, valid in specs: `Image(resize=256, crop=center, order=bgr, scale=1, mean=[...], std=1)`; it names an
/// interpolation that is not bilinear.
impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resize, interpolation, crop, order, scale, mean, std } = self;
        let (mean, std) = (Channels(mean), Channels(std));
        write!(f, "Image(resize={resize}, ")?;
        if !interpolation.is_default() {
            write!(f, "interpolation={interpolation}, ")?;
        }
        write!(f, "crop={crop}, order={order}, scale={scale}, mean={mean}, std={std})")
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resize::ShorterSide(pixels) => write!(f, "{pixels}"),
            Resize::Squash => f.write_str("squash"),
        }
    }
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(&Self::WORDS, self))
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(&Self::WORDS, self))
    }
}

/// The word of a value, of all that there are.
fn word_of<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)
}

impl fmt::Display for ChannelOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChannelOrder::Rgb => "rgb",
            ChannelOrder::Bgr => "bgr",
        })
    }
}

impl fmt::Display for PreprocessingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resize { resize, limit } => write!(f, "`resize={resize}` is not between 1 and {limit} pixels"),
            Self::NotFinite { key, value } => write!(f, "`{key}` contains {value}, which is not a finite number"),
            Self::ZeroStd => f.write_str("`std` holds 0, by which nothing can be divided"),
        }
    }
}

impl Error for PreprocessingError {}

/// One number if the three are equal, else the list.
struct Channels<'a>(&'a [f32; 3]);

impl fmt::Display for Channels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        if a == b && b == c { write!(f, "{a}") } else { write!(f, "[{a}, {b}, {c}]") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text() {
        let texts = Preprocessing::PRESETS.map(|name| Preprocessing::preset(name).map(|p| p.to_string()));
        assert_eq!(
            texts.map(Option::unwrap_or_default),
            [
                "Image(resize=256, crop=center, order=bgr, scale=1, mean=[103.939, 116.779, 123.68], std=1)",
                "Image(resize=256, crop=center_even, order=rgb, scale=0.003921569, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])",
                "Image(resize=squash, crop=center, order=rgb, scale=1, mean=0, std=255)",
                "Image(resize=squash, crop=center, order=rgb, scale=1, mean=127.5, std=127.5)",
            ]
        );
    }

    /// `int((side - count) / 2)`, and Python's `int(round((side - count) / 2.0))`.
    #[test]
    fn crops_begin_where_each_framework_begins() {
        let starts = |crop: Crop| [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|border| crop.start(224 + border, 224));
        assert_eq!(starts(Crop::Center), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(starts(Crop::CenterEven), [0, 0, 1, 2, 2, 2, 3, 4, 4, 4]);
        let crops = Preprocessing::PRESETS.map(|name| Preprocessing::preset(name).map(|p| p.crop.to_string()));
        assert_eq!(crops.map(Option::unwrap_or_default), ["center", "center_even", "center", "center"]);
    }

    #[test]
    fn presets_by_name() {
        for name in Preprocessing::PRESETS {
            assert_eq!(Preprocessing::preset(name).unwrap().preset_name(), Some(name));
            assert_eq!(Preprocessing::preset(name).unwrap().check(), Ok(()));
        }
        assert_eq!(Preprocessing::preset("caffe"), None);
        assert_eq!(Preprocessing::caffe().with_resize(Resize::ShorterSide(227)).preset_name(), None);
    }

    #[test]
    fn ends_of_the_scale() {
        assert_eq!([0, 255].map(|x| Preprocessing::unit().value(x, 0)), [0.0, 1.0]);
        assert_eq!([0, 255].map(|x| Preprocessing::symmetric().value(x, 2)), [-1.0, 1.0]);
        assert_eq!(Preprocessing::caffe().value(0, 0), -103.939);
        assert!((Preprocessing::torch().value(255, 0) - (1.0 - 0.485) / 0.229).abs() < 5e-7);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let of = |resize| Preprocessing::caffe().with_resize(Resize::ShorterSide(resize)).check();
        assert_eq!(of(0), Err(PreprocessingError::Resize { resize: 0, limit: 16_384 }));
        assert!(of(16_385).is_err() && of(16_384).is_ok());
        let zero = Preprocessing { std: [1.0, 0.0, 1.0], ..Preprocessing::torch() };
        assert_eq!(zero.check(), Err(PreprocessingError::ZeroStd));
        let nan = Preprocessing { scale: f32::NAN, ..Preprocessing::unit() };
        assert_eq!(nan.check().unwrap_err().to_string(), "`scale` contains NaN, which is not a finite number");
    }

    /// Artifacts of versions without the entry are read, and are written as they were.
    #[test]
    fn survives_serde() {
        let bicubic = Preprocessing { interpolation: Interpolation::Bicubic, ..Preprocessing::torch() };
        assert!(!serde_json::to_string(&Preprocessing::torch()).unwrap().contains("interpolation"));
        for preset in
            Preprocessing::PRESETS.map(|name| Preprocessing::preset(name).unwrap()).into_iter().chain([bicubic])
        {
            let text = serde_json::to_string(&preset).unwrap();
            assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), preset);
        }
    }
}
