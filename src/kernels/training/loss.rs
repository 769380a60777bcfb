//! Loss functions and their gradients.
//!
//! Predictions and targets are `(n, features)` with row stride `ld`; the image stride of the views is ignored. A loss is the
//! (weighted) mean over rows: sum of `weights[r] * loss(r)` / n. The target of a row of weight 0 is ignored.

use serde::{Deserialize, Serialize};

use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math::clip;
use crate::kernels::tensor_view::{View, ViewMut};

/// Probabilities are clipped to [EPSILON, 1 - EPSILON] before the logarithm, as in NeuPy and Keras.
const EPSILON: f32 = 1e-7;

/// A loss function. The formulas are NeuPy's; y is a row of the prediction and t of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Loss {
    /// -sum t ln(y), y clipped to [1e-7, 1 - 1e-7]
    CategoricalCrossentropy,
    /// mean of -(t ln(y) + (1 - t) ln(1 - y)), y clipped to [1e-7, 1 - 1e-7]
    BinaryCrossentropy,
    /// mean of (y - t)^2
    Mse,
    /// mean of |y - t|
    Mae,
    /// The square root of the batch's [`Loss::Mse`].
    Rmse,
    /// mean of (ln(1 + max(y, 0)) - ln(1 + max(t, 0)))^2
    Msle,
    /// The square root of the batch's [`Loss::Msle`].
    Rmsle,
    /// mean of max(0, 1 - t y), for targets -1 and 1
    BinaryHinge,
    /// max(0, 1 + max y of the other classes - y of the target class), the target class being the argmax of t
    CategoricalHinge,
}

impl Loss {
    /// Every loss with its NeuPy name.
    pub const ALL: [(&'static str, Loss); 9] = [
        ("categorical_crossentropy", Self::CategoricalCrossentropy),
        ("binary_crossentropy", Self::BinaryCrossentropy),
        ("mse", Self::Mse),
        ("mae", Self::Mae),
        ("rmse", Self::Rmse),
        ("msle", Self::Msle),
        ("rmsle", Self::Rmsle),
        ("binary_hinge", Self::BinaryHinge),
        ("categorical_hinge", Self::CategoricalHinge),
    ];

    /// NeuPy's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, loss)| *loss == self).map_or("", |(name, _)| name)
    }

    /// Its formula and the targets that it is for, in one line.
    pub fn doc(self) -> &'static str {
        match self {
            Self::CategoricalCrossentropy => {
                "-sum t ln(y), y clipped to 1e-7 and 1 - 1e-7 (NeuPy), for classes behind `Softmax(n)`; the gradient is computed from the logits"
            }
            Self::BinaryCrossentropy => {
                "the mean of -(t ln(y) + (1 - t) ln(1 - y)), y clipped to 1e-7 and 1 - 1e-7 (NeuPy), for two classes behind `Sigmoid(1)` or independent labels behind `Sigmoid(n)`"
            }
            Self::Mse => "the mean squared error: the mean of (y - t)^2, for numbers behind `Dense(n)`",
            Self::Mae => "the mean absolute error: the mean of |y - t|",
            Self::Rmse => "the root of the mean squared error of the batch (NeuPy)",
            Self::Msle => {
                "the mean of (ln(1 + max(y, 0)) - ln(1 + max(t, 0)))^2, for numbers whose ratio matters (NeuPy)"
            }
            Self::Rmsle => "the root of the batch's msle (NeuPy)",
            Self::BinaryHinge => "the mean of max(0, 1 - t y), for targets -1 and 1 behind `Tanh(1)` (NeuPy)",
            Self::CategoricalHinge => {
                "max(0, 1 + the largest y of another class - y of the target's class), for classes (NeuPy)"
            }
        }
    }

    /// Whether the last axis are classes, so that each pixel of an image is a sample of its own.
    pub fn is_categorical(self) -> bool {
        matches!(self, Self::CategoricalCrossentropy | Self::CategoricalHinge)
    }

    /// Whether the loss is the square root of the mean.
    fn is_root(self) -> bool {
        matches!(self, Self::Rmse | Self::Rmsle)
    }

    /// The loss of one row, before the square root.
    fn of_row(self, y: &[f32], t: &[f32]) -> f64 {
        let pairs = || y.iter().zip(t).map(|(y, t)| (f64::from(*y), f64::from(*t)));
        let probabilities =
            || y.iter().zip(t).map(|(y, t)| (f64::from(clip(*y, EPSILON, 1.0 - EPSILON)), f64::from(*t)));
        let count = y.len().max(1) as f64;
        match self {
            Self::CategoricalCrossentropy => probabilities().map(|(y, t)| -t * y.ln()).sum(),
            Self::BinaryCrossentropy => {
                probabilities().map(|(y, t)| -(t * y.ln() + (1.0 - t) * (1.0 - y).ln())).sum::<f64>() / count
            }
            Self::Mse | Self::Rmse => pairs().map(|(y, t)| (y - t) * (y - t)).sum::<f64>() / count,
            Self::Mae => pairs().map(|(y, t)| (y - t).abs()).sum::<f64>() / count,
            Self::Msle | Self::Rmsle => {
                pairs().map(|(y, t)| (y.max(0.0).ln_1p() - t.max(0.0).ln_1p()).powi(2)).sum::<f64>() / count
            }
            Self::BinaryHinge => pairs().map(|(y, t)| (1.0 - t * y).max(0.0)).sum::<f64>() / count,
            Self::CategoricalHinge => {
                let class = argmax(t);
                let other = max_other(y, class);
                (1.0 + f64::from(other) - f64::from(y.get(class).copied().unwrap_or(0.0))).max(0.0)
            }
        }
    }

    /// Overwrites `dy` with the gradient of one row's loss (before the square root), times `scale`.
    fn gradient_of_row(self, y: &[f32], t: &[f32], scale: f32, dy: &mut [f32]) {
        let mean_scale = scale / y.len() as f32;
        match self {
            Self::CategoricalCrossentropy => categorical_crossentropy_gradient(dy, y, t, scale),
            Self::BinaryCrossentropy => binary_crossentropy_gradient(dy, y, t, mean_scale),
            Self::Mse | Self::Rmse => scaled_difference(dy, y, t, 2.0 * mean_scale),
            Self::Mae => scaled_sign(dy, y, t, mean_scale),
            Self::Msle | Self::Rmsle => {
                for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
                    let difference = y.max(0.0).ln_1p() - t.max(0.0).ln_1p();
                    *dy = if *y >= 0.0 { 2.0 * mean_scale * difference / (1.0 + y) } else { 0.0 };
                }
            }
            Self::BinaryHinge => hinge_gradient(dy, y, t, mean_scale),
            Self::CategoricalHinge => {
                let class = argmax(t);
                let other = max_other(y, class);
                dy.fill(0.0);
                if 1.0 + other > y[class] {
                    let is_max = |(i, y): (usize, &f32)| i != class && *y == other;
                    let ties = y.iter().enumerate().filter(|&(i, y)| is_max((i, y))).count() as f32;
                    for (i, dy) in dy.iter_mut().enumerate() {
                        *dy = if is_max((i, &y[i])) { scale / ties } else { 0.0 };
                    }
                    dy[class] = -scale;
                }
            }
        }
    }
}

/// The index of the first maximum.
fn argmax(t: &[f32]) -> usize {
    t.iter().enumerate().fold(0, |best, (i, value)| if *value > t[best] { i } else { best })
}

/// The maximum over all classes but one; minus infinity if there is no other.
fn max_other(y: &[f32], class: usize) -> f32 {
    let others = y.iter().enumerate().filter(|(i, _)| *i != class);
    others.fold(f32::NEG_INFINITY, |max, (_, y)| if *y > max { *y } else { max })
}

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

/// dx = the gradient of [`Loss::CategoricalCrossentropy`] by the logits of the softmax that computed `prediction`,
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

multiversion! {
    fn scaled_difference(dy: &mut [f32], y: &[f32], t: &[f32], scale: f32) {
        dy.iter_mut().zip(y.iter().zip(t)).for_each(|(dy, (y, t))| *dy = scale * (y - t));
    }
}

multiversion! {
    /// dy = scale sign(y - t)
    fn scaled_sign(dy: &mut [f32], y: &[f32], t: &[f32], scale: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            let sign = if y > t { scale } else { -scale };
            *dy = if y == t { 0.0 } else { sign };
        }
    }
}

multiversion! {
    fn hinge_gradient(dy: &mut [f32], y: &[f32], t: &[f32], scale: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            *dy = if t * y < 1.0 { -scale * t } else { 0.0 };
        }
    }
}

multiversion! {
    fn categorical_crossentropy_gradient(dy: &mut [f32], y: &[f32], t: &[f32], scale: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            *dy = if *y == clip(*y, EPSILON, 1.0 - EPSILON) { -scale * t / y } else { 0.0 };
        }
    }
}

multiversion! {
    fn binary_crossentropy_gradient(dy: &mut [f32], y: &[f32], t: &[f32], scale: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            let slope = (1.0 - t) / (1.0 - y) - t / y;
            *dy = if *y == clip(*y, EPSILON, 1.0 - EPSILON) { scale * slope } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests;
