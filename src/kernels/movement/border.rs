//! Padding with the pixels of the image itself: reflected or repeated.

use serde::{Deserialize, Serialize};

use super::copy::PadGeometry;
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands, copy_rows, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};

/// What the pixels of a border are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Border {
    Zero,
    /// The image mirrored at the centre of its outermost pixels: `c b | a b c | b a`.
    Reflect,
    /// The outermost pixels repeated: `a a | a b c | c c`.
    Edge,
}

impl Border {
    /// All, in the order of the documentation.
    pub const ALL: [Border; 3] = [Self::Zero, Self::Reflect, Self::Edge];

    /// Its name in specs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Reflect => "reflect",
            Self::Edge => "edge",
        }
    }

    /// Whether an axis of `size` pixels can have so many before or after it.
    pub fn supports(self, pixels: usize, size: usize) -> bool {
        self != Self::Reflect || pixels < size
    }

    /// The pixel of an axis of `size` that place `at` of the padded axis shows, whose first `before` places are border. `None`
    /// for a border of zeros.
    #[inline]
    pub fn source(self, at: usize, before: usize, size: usize) -> Option<usize> {
        match at.checked_sub(before) {
            Some(inside) if inside < size => Some(inside),
            None => match self {
                Self::Zero => None,
                Self::Reflect => Some(before - at),
                Self::Edge => Some(0),
            },
            Some(beyond) => match self {
                Self::Zero => None,
                Self::Reflect => Some(2 * (size - 1) - beyond),
                Self::Edge => Some(size - 1),
            },
        }
    }

    fn pixel(self, at: usize, before: usize, size: usize) -> usize {
        self.source(at, before, size).unwrap_or(0)
    }
}

/// The places of the border along an axis.
fn border(before: usize, size: usize, after: usize) -> impl Iterator<Item = usize> {
    (0..before).chain(before + size..before + size + after)
}

/// y = x with a border of its own pixels: x is `(n, in_h, in_w, channels)`, y
/// `(n, top + in_h + bottom, left + in_w + right, channels)`. The border is not [`Border::Zero`].
///
/// # Panics
/// If a slice is too short, or the border is wider than the image allows.
pub fn extend(x: View<'_>, y: ViewMut<'_>, n: usize, geometry: &PadGeometry, kind: Border, threads: &ThreadPool) {
    let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = *geometry;
    let (ld, out_w) = (y.ld, left + in_w + right);
    let rows = Images { n, pixels: top + in_h + bottom, channels: span(out_w, ld, channels) };
    let y = ViewMut { data: y.data, ld: out_w * ld, image: y.image };
    bands(threads, y, rows, Scratch::none(), &|band, out, _| {
        for (i, row) in out.chunks_mut(out_w * ld).enumerate() {
            let source = kind.pixel(band.first + i, top, in_h);
            let from = &x.data[band.image * x.image + source * in_w * x.ld..][..span(in_w, x.ld, channels)];
            copy_rows(from, x.ld, &mut row[left * ld..][..span(in_w, ld, channels)], ld, channels);
            for j in border(left, in_w, right) {
                row[j * ld..][..channels].copy_from_slice(&from[kind.pixel(j, left, in_w) * x.ld..][..channels]);
            }
        }
    });
}

/// The gradient of [`extend`]: each pixel of dx is the sum of the dy of the places that show it. dy is
/// `(n, top + in_h + bottom, left + in_w + right, channels)`, dx `(n, in_h, in_w, channels)`.
///
/// # Panics
/// As [`extend`].
pub fn extend_gradient(
    dy: View<'_>,
    dx: ViewMut<'_>,
    n: usize,
    geometry: &PadGeometry,
    kind: Border,
    threads: &ThreadPool,
) {
    let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = *geometry;
    let (ld, out_w) = (dx.ld, left + in_w + right);
    let rows = Images { n, pixels: in_h, channels: span(in_w, ld, channels) };
    let dx = ViewMut { data: dx.data, ld: in_w * ld, image: dx.image };
    bands(threads, dx, rows, Scratch::none(), &|band, out, _| {
        for (i, row) in out.chunks_mut(in_w * ld).enumerate() {
            let input = band.first + i;
            row.chunks_mut(ld).for_each(|pixel| pixel[..channels].fill(0.0));
            let shown = border(top, in_h, bottom).filter(|&place| kind.pixel(place, top, in_h) == input);
            for output in std::iter::once(top + input).chain(shown) {
                let from = &dy.data[band.image * dy.image + output * out_w * dy.ld..];
                let mut add = |input: usize, output: usize| {
                    let to = &mut row[input * ld..][..channels];
                    to.iter_mut().zip(&from[output * dy.ld..][..channels]).for_each(|(to, from)| *to += from);
                };
                (0..in_w).for_each(|j| add(j, left + j));
                border(left, in_w, right).for_each(|j| add(kind.pixel(j, left, in_w), j));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Random, Tensor, dense, differences};

    const SIDES: [[usize; 4]; 5] = [[0, 0, 0, 0], [1, 2, 1, 2], [3, 2, 0, 1], [0, 0, 3, 0], [2, 0, 0, 1]];

    #[test]
    fn borders_are_numpys() {
        let axis = |kind: Border| (0..8).map(|at| kind.source(at, 3, 4)).collect::<Vec<_>>();
        assert_eq!(axis(Border::Reflect), [3, 2, 1, 0, 1, 2, 3, 2].map(Some));
        assert_eq!(axis(Border::Edge), [0, 0, 0, 0, 1, 2, 3, 3].map(Some));
        assert_eq!(axis(Border::Zero), [None, None, None, Some(0), Some(1), Some(2), Some(3), None]);
        assert!(Border::Reflect.supports(3, 4) && !Border::Reflect.supports(4, 4) && Border::Edge.supports(9, 4));
    }

    fn reference(x: &[f64], n: usize, geometry: &PadGeometry, kind: Border) -> Vec<f64> {
        let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = *geometry;
        let mut y = Vec::new();
        for (image, i, j) in ndarray::indices((n, top + in_h + bottom, left + in_w + right)) {
            let (row, column) = (kind.source(i, top, in_h).unwrap(), kind.source(j, left, in_w).unwrap());
            y.extend_from_slice(&x[((image * in_h + row) * in_w + column) * channels..][..channels]);
        }
        y
    }

    #[test]
    fn images_are_extended_and_gradients_summed() {
        let mut random = Random(43);
        for (i, [top, bottom, left, right]) in SIDES.into_iter().enumerate() {
            for (kind, gap, channels) in [(Border::Reflect, 0, 1), (Border::Edge, 3, 5), (Border::Reflect, 1, 17)] {
                let (n, in_h, in_w) = (1 + i % 3, 4, 3);
                let geometry = PadGeometry { in_h, in_w, channels, top, left, bottom, right };
                let out = (top + in_h + bottom) * (left + in_w + right);
                let x = Tensor::random(&mut random, n, in_h * in_w, channels, 2);
                let y = Tensor::new(n, out, channels, gap);
                let y = y.filled(|y, threads| extend(x.view(), y, n, &geometry, kind, threads));
                y.check_dense(0.0, &reference(&dense(&x), n, &geometry, kind));
                let dy = Tensor::random(&mut random, n, out, channels, gap);
                let dx = Tensor::new(n, in_h * in_w, channels, 1);
                let dx = dx.filled(|dx, threads| extend_gradient(dy.view(), dx, n, &geometry, kind, threads));
                let expected = differences(&dense(&x), &dense(&dy), |x| reference(x, n, &geometry, kind));
                dx.check_dense(1e-5, &expected);
            }
        }
    }
}
