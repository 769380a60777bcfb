//! Types of tensors: their shapes. All elements are f32.

use std::fmt;

pub use crate::size::MAX_TENSOR_VALUES;

/// The maximum number of sizes of a tensor, besides the batch.
pub const MAX_AXES: usize = 16;

/// One size of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// A known size.
    Known(usize),
    /// A size that the spec leaves open, written `?`.
    Open,
}

impl Size {
    /// The number, if it is known.
    pub fn known(self) -> Option<usize> {
        match self {
            Size::Known(size) => Some(size),
            Size::Open => None,
        }
    }

    /// Whether both may be the same number.
    pub fn agrees(self, other: Size) -> bool {
        match (self, other) {
            (Size::Known(a), Size::Known(b)) => a == b,
            _ => true,
        }
    }

    /// The more specific of two sizes that agree.
    pub fn meet(self, other: Size) -> Size {
        match self {
            Size::Known(_) => self,
            Size::Open => other,
        }
    }

    /// Applies a function to a known size; open stays open.
    pub fn map(self, f: impl FnOnce(usize) -> usize) -> Size {
        self.known().map_or(Size::Open, |size| Size::Known(f(size)))
    }
}

impl From<usize> for Size {
    fn from(size: usize) -> Self {
        Size::Known(size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Known(size) => write!(f, "{size}"),
            Size::Open => f.write_str("?"),
        }
    }
}

/// The type of a tensor: its sizes without the batch, and whether it has a batch.
/// Activations have one, whose size stays open until a plan runs; gradients of parameters have none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Sizes without the batch: (height, width, channels), (time, features) or (features).
    pub sizes: Vec<Size>,
    /// Whether it has a batch axis before them.
    pub batched: bool,
}

impl TensorType {
    /// A tensor with a batch before these sizes.
    pub fn batched(sizes: impl Into<Vec<Size>>) -> Self {
        Self { sizes: sizes.into(), batched: true }
    }

    /// A tensor with a batch before these known sizes.
    pub fn of(sizes: &[usize]) -> Self {
        Self::batched(sizes.iter().map(|&size| Size::Known(size)).collect::<Vec<_>>())
    }

    /// The number of axes, including the batch.
    pub fn rank(&self) -> usize {
        self.sizes.len() + usize::from(self.batched)
    }

    /// The number of values per image, if all sizes are known.
    pub fn len(&self) -> Option<usize> {
        self.sizes.iter().try_fold(1usize, |product, size| product.checked_mul(size.known()?))
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The sizes as numbers, if all are known.
    pub fn known(&self) -> Option<Vec<usize>> {
        self.sizes.iter().map(|size| size.known()).collect()
    }

    /// The last size: channels or features.
    pub fn channels(&self) -> Size {
        self.sizes.last().copied().unwrap_or(Size::Known(1))
    }

    /// Height, width and channels, if it is an image.
    pub fn image(&self) -> Option<(Size, Size, Size)> {
        match self.sizes[..] {
            [height, width, channels] if self.batched => Some((height, width, channels)),
            _ => None,
        }
    }

    /// Whether both may be the type of the same tensor.
    pub fn agrees(&self, other: &TensorType) -> bool {
        self.batched == other.batched
            && self.sizes.len() == other.sizes.len()
            && self.sizes.iter().zip(&other.sizes).all(|(a, b)| a.agrees(*b))
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = self.batched.then(|| "?".to_string());
        let sizes: Vec<String> = batch.into_iter().chain(self.sizes.iter().map(Size::to_string)).collect();
        match &sizes[..] {
            [single] if !self.batched => write!(f, "({single},)"),
            _ => write!(f, "({})", sizes.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_as_neupy_prints_them() {
        assert_eq!(TensorType::of(&[224, 224, 3]).to_string(), "(?, 224, 224, 3)");
        assert_eq!(TensorType::batched([Size::Open, Size::Known(3)]).to_string(), "(?, ?, 3)");
        assert_eq!(TensorType { sizes: vec![Size::Known(10)], batched: false }.to_string(), "(10,)");
    }

    #[test]
    fn an_open_size_agrees_with_any() {
        assert!(TensorType::of(&[4]).agrees(&TensorType::batched([Size::Open])));
        assert!(!TensorType::of(&[4]).agrees(&TensorType::of(&[5])));
        assert!(!TensorType::of(&[4]).agrees(&TensorType::of(&[4, 1])));
    }
}
