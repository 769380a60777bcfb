//! Axes by their names: height, width and channels of an image, time and channels of a sequence, channels of features.

use crate::diagnostics::{Code, suggest};
use crate::graph::ShapeError;
use crate::kernels::reduce::Axes;
use crate::size::product;
use crate::tensor::TensorType;
use std::fmt;

/// An axis by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NamedAxis {
    Height,
    Width,
    Time,
    /// The last axis: channels of an image, features of each step, or all features.
    Channels,
}

const ALL: [NamedAxis; 4] = [NamedAxis::Height, NamedAxis::Width, NamedAxis::Time, NamedAxis::Channels];

impl NamedAxis {
    /// The names in specs.
    pub const NAMES: [&'static str; 4] = ["height", "width", "time", "channels"];

    /// The axis of one of [`NamedAxis::NAMES`].
    pub fn of_word(word: &str) -> NamedAxis {
        ALL.into_iter().find(|axis| axis.name() == word).unwrap_or(NamedAxis::Channels)
    }

    /// Its name in specs.
    pub fn name(self) -> &'static str {
        NamedAxis::NAMES[self as usize]
    }

    /// Its place among a number of sizes without the batch; `None` if such a tensor does not have it.
    pub fn place(self, sizes: usize) -> Option<usize> {
        match (self, sizes) {
            (NamedAxis::Height, 3) | (NamedAxis::Time, 2) => Some(0),
            (NamedAxis::Width, 3) => Some(1),
            (NamedAxis::Channels, 1..) => Some(sizes - 1),
            _ => None,
        }
    }

    /// Its place among the sizes of a layer's input.
    ///
    /// # Errors
    /// If the input does not have it.
    pub fn place_in(self, layer: &str, input: &TensorType) -> Result<usize, ShapeError> {
        let sizes = input.sizes.len();
        self.place(sizes).ok_or_else(|| {
            let what = match sizes {
                1 => "features",
                2 => "a sequence",
                3 => "an image",
                _ => "a tensor",
            };
            let has = ALL.into_iter().filter(|axis| axis.place(sizes).is_some()).map(NamedAxis::name);
            let message = format!("`{layer}` works along the {self}, which {what} {input} does not have");
            ShapeError::new(Code::WrongRank, message, format!("has {}", suggest::one_of(has).replace(" or ", " and ")))
        })
    }
}

impl fmt::Display for NamedAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How axes at these places, in ascending order and without the channels, lie among the pixels of a tensor of at most three
/// sizes. `over_channels` says whether the channels are reduced too.
pub fn axes(sizes: &[usize], places: &[usize], over_channels: bool) -> Axes {
    let channels = sizes.last().copied().unwrap_or(1);
    let pixels = &sizes[..sizes.len().saturating_sub(1)];
    let (first, end) = match places {
        [] => (pixels.len(), pixels.len()),
        [first, ..] => (*first, first + places.len()),
    };
    let len = |part: &[usize]| product(part.iter().copied());
    Axes {
        outer: len(&pixels[..first]),
        len: len(&pixels[first..end]),
        inner: len(&pixels[end..]),
        channels,
        over_channels,
    }
}
