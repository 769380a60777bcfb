//! Loss functions and their gradients.
//!
//! Predictions and targets are `(n, features)` with row stride `ld`; the image stride of the views is ignored. A loss is the
//! (weighted) mean over rows: sum of `weights[r] * loss(r)` / n. The target of a row of weight 0 is ignored.

mod kind;
mod rows;

use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};

pub use kind::Loss;

/// The view with one row per image.
pub fn images<'a>(view: &View<'a>) -> View<'a> {
    View { ld: view.image, ..*view }
}

/// One image of a view, with one row per pixel.
pub fn image<'a>(view: &View<'a>, index: usize) -> View<'a> {
    View { data: &view.data[index * view.image..], ld: view.ld, image: view.ld }
}

fn row<'a>(view: &View<'a>, index: usize, features: usize) -> &'a [f32] {
    &view.data[index * view.ld..][..features]
}

fn weight(weights: Option<&[f32]>, row: usize) -> f32 {
    weights.map_or(1.0, |weights| weights[row])
}

/// The loss of `n` rows `(n, features)`; 0 if n is 0.
///
/// # Panics
/// If a view or `weights` is too short.
pub fn loss(
    kind: Loss,
    prediction: View<'_>,
    target: View<'_>,
    weights: Option<&[f32]>,
    n: usize,
    features: usize,
) -> f64 {
    let of_row = |i| match f64::from(weight(weights, i)) {
        0.0 => 0.0,
        weight => weight * kind.of_row(row(&prediction, i, features), row(&target, i, features)),
    };
    let mean = (0..n).map(of_row).sum::<f64>() / n.max(1) as f64;
    if kind.is_root() { mean.sqrt() } else { mean }
}

/// The loss of `n` images whose pixels are samples of their own, `(n, pixels, features)`: the (weighted) mean over all
/// pixels; `weights` is `(n, pixels)`.
///
/// # Panics
/// If a view or `weights` is too short.
pub fn loss_of_images(
    kind: Loss,
    prediction: View<'_>,
    target: View<'_>,
    weights: Option<&[f32]>,
    n: usize,
    (pixels, features): (usize, usize),
) -> f64 {
    if pixels == 1 {
        return loss(kind, images(&prediction), images(&target), weights, n, features);
    }
    let of_image = |index: usize| {
        let (y, t) = (image(&prediction, index), image(&target, index));
        loss(kind, y, t, weights.map(|weights| &weights[index * pixels..][..pixels]), pixels, features)
    };
    (0..n).map(of_image).sum::<f64>() / n.max(1) as f64
}

/// dy = the gradient of [`loss`] by the prediction, `(n, features)`. It is 0 where a value is clipped or a hinge inactive, and
/// for a square root of 0; tied classes of a hinge share it equally.
///
/// # Panics
/// If a view or `weights` is too short.
#[allow(clippy::too_many_arguments)] // The views are separate borrows.
pub fn loss_gradient(
    kind: Loss,
    prediction: View<'_>,
    target: View<'_>,
    weights: Option<&[f32]>,
    dy: ViewMut<'_>,
    n: usize,
    features: usize,
    threads: &ThreadPool,
) {
    let mut scale = 1.0 / n.max(1) as f64;
    if kind.is_root() {
        let root = loss(kind, prediction, target, weights, n, features);
        scale = if root > 0.0 { scale / (2.0 * root) } else { 0.0 };
    }
    for_rows(dy, (n, features), threads, &|i, dy| {
        let scale = (scale * f64::from(weight(weights, i))) as f32;
        if scale == 0.0 {
            return dy.fill(0.0);
        }
        kind.gradient_of_row(row(&prediction, i, features), row(&target, i, features), scale, dy);
    });
}

/// dx = the gradient of [`Loss::CategoricalCrossentropy`] and [`Loss::KlDivergence`] by the logits of the softmax that computed `prediction`,
/// `(n, features)`: y sum(t) - t, which is y - t for targets that sum to 1, times weight / n. Clipping is ignored.
///
/// # Panics
/// If a view or `weights` is too short.
#[allow(clippy::too_many_arguments)] // The views are separate borrows.
pub fn softmax_crossentropy_gradient(
    prediction: View<'_>,
    target: View<'_>,
    weights: Option<&[f32]>,
    dx: ViewMut<'_>,
    n: usize,
    features: usize,
    threads: &ThreadPool,
) {
    for_rows(dx, (n, features), threads, &|i, dx| {
        let (t, scale) = (row(&target, i, features), weight(weights, i) / n as f32);
        if scale == 0.0 {
            return dx.fill(0.0);
        }
        logit_gradient(dx, row(&prediction, i, features), t, t.iter().sum(), scale);
    });
}

/// dx = the gradient of [`Loss::BinaryCrossentropy`] by the logits of the sigmoid that computed `prediction`,
/// `(n, features)`: (y - t) weight / (n features). Clipping is ignored.
///
/// # Panics
/// If a view or `weights` is too short.
pub fn sigmoid_crossentropy_gradient(
    prediction: View<'_>,
    target: View<'_>,
    weights: Option<&[f32]>,
    dx: ViewMut<'_>,
    n: usize,
    features: usize,
    threads: &ThreadPool,
) {
    for_rows(dx, (n, features), threads, &|i, dx| {
        let scale = weight(weights, i) / (n * features) as f32;
        if scale == 0.0 {
            return dx.fill(0.0);
        }
        logit_gradient(dx, row(&prediction, i, features), row(&target, i, features), 1.0, scale);
    });
}

/// Calls `body(row, its floats)` for the rows of `y`.
fn for_rows(
    y: ViewMut<'_>,
    (n, features): (usize, usize),
    threads: &ThreadPool,
    body: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    let y = ViewMut { image: 0, ..y };
    pointwise(threads, None, y, Images { n: 1, pixels: n, channels: features }, &|band, values| {
        for (i, values) in values.chunks_exact_mut(features).enumerate() {
            body(band.first + i, values);
        }
    });
}

multiversion! {
    /// dx = scale (target_sum y - t)
    fn logit_gradient(dx: &mut [f32], y: &[f32], t: &[f32], target_sum: f32, scale: f32) {
        dx.iter_mut().zip(y.iter().zip(t)).for_each(|(dx, (y, t))| *dx = scale * (target_sum * y - t));
    }
}

#[cfg(test)]
mod tests;
