//! Losses of a batch of predictions, and their gradients.
//!
//! Predictions and targets are `(n, features)`; row r of a view begins at `r * ld`, and its `image` is not looked at.
//! A loss is the mean over rows, each weighted if there are weights: sum of `weights[r] * loss(r)` / n. A row of weight 0
//! counts for nothing, whatever its target is.

use serde::{Deserialize, Serialize};

use crate::kernels::parallel::image_batches::{Images, pointwise};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math::clip;
use crate::kernels::tensor_view::{View, ViewMut};

/// Probabilities are clipped to this and to 1 less this before their logarithm, as in NeuPy and Keras.
const EPSILON: f32 = 1e-7;

/// What is minimised. The formulas are NeuPy's; y is a row of the prediction and t of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Loss {
    /// -sum t ln(y), y clipped to 1e-7 and 1 - 1e-7
    CategoricalCrossentropy,
    /// mean of -(t ln(y) + (1 - t) ln(1 - y)), y clipped likewise
    BinaryCrossentropy,
    /// mean of (y - t)^2
    Mse,
    /// mean of |y - t|
    Mae,
    /// The root of the whole batch's [`Loss::Mse`].
    Rmse,
    /// mean of (ln(1 + max(y, 0)) - ln(1 + max(t, 0)))^2
    Msle,
    /// The root of the whole batch's [`Loss::Msle`].
    Rmsle,
    /// mean of max(0, 1 - t y), for targets -1 and 1
    BinaryHinge,
    /// max(0, 1 + largest y of another class - y of the target's class), the class being the largest target's
    CategoricalHinge,
}

impl Loss {
    /// Every loss, with the name that NeuPy has for it.
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

    /// Whether it looks at classes along the last axis, so that each pixel of an image counts alone.
    pub fn is_categorical(self) -> bool {
        matches!(self, Self::CategoricalCrossentropy | Self::CategoricalHinge)
    }

    /// Whether it is the root of the mean.
    fn is_root(self) -> bool {
        matches!(self, Self::Rmse | Self::Rmsle)
    }

    /// One row's loss, before a root.
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
                let right = class(t);
                let other = largest_other(y, right);
                (1.0 + f64::from(other) - f64::from(y.get(right).copied().unwrap_or(0.0))).max(0.0)
            }
        }
    }

    /// Overwrites one row's `dy` with the loss's gradient by y, times `share`, before a root.
    fn gradient_of_row(self, y: &[f32], t: &[f32], share: f32, dy: &mut [f32]) {
        let each = share / y.len() as f32;
        match self {
            Self::CategoricalCrossentropy => categorical(dy, y, t, share),
            Self::BinaryCrossentropy => binary(dy, y, t, each),
            Self::Mse | Self::Rmse => squares(dy, y, t, 2.0 * each),
            Self::Mae => sizes(dy, y, t, each),
            Self::Msle | Self::Rmsle => {
                for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
                    let difference = y.max(0.0).ln_1p() - t.max(0.0).ln_1p();
                    *dy = if *y >= 0.0 { 2.0 * each * difference / (1.0 + y) } else { 0.0 };
                }
            }
            Self::BinaryHinge => hinge(dy, y, t, each),
            Self::CategoricalHinge => {
                let right = class(t);
                let other = largest_other(y, right);
                dy.fill(0.0);
                if 1.0 + other > y[right] {
                    let is_other = |(i, y): (usize, &f32)| i != right && *y == other;
                    let ties = y.iter().enumerate().filter(|&(i, y)| is_other((i, y))).count() as f32;
                    for (i, dy) in dy.iter_mut().enumerate() {
                        *dy = if is_other((i, &y[i])) { share / ties } else { 0.0 };
                    }
                    dy[right] = -share;
                }
            }
        }
    }
}

/// The first largest target's place.
fn class(t: &[f32]) -> usize {
    t.iter().enumerate().fold(0, |best, (i, value)| if *value > t[best] { i } else { best })
}

/// The largest value of another place; minus infinity for none.
fn largest_other(y: &[f32], right: usize) -> f32 {
    let others = y.iter().enumerate().filter(|(i, _)| *i != right);
    others.fold(f32::NEG_INFINITY, |most, (_, y)| if *y > most { *y } else { most })
}

/// The images of a view as rows.
pub fn images<'a>(view: &View<'a>) -> View<'a> {
    View { ld: view.image, ..*view }
}

/// One image of a view, its pixels as rows.
pub fn image<'a>(view: &View<'a>, index: usize) -> View<'a> {
    View { data: &view.data[index * view.image..], ld: view.ld, image: view.ld }
}

/// A row of a view, and its weight.
fn row<'a>(view: &View<'a>, index: usize, features: usize) -> &'a [f32] {
    &view.data[index * view.ld..][..features]
}

fn weight(weights: Option<&[f32]>, row: usize) -> f32 {
    weights.map_or(1.0, |weights| weights[row])
}

/// The loss of `n` rows; 0 for none.
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

/// The loss of `n` images of `pixels` rows that count alone: the mean over all rows, each weighted if there are weights.
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
    let one = |index: usize| {
        let (y, t) = (image(&prediction, index), image(&target, index));
        loss(kind, y, t, weights.map(|weights| &weights[index * pixels..][..pixels]), pixels, features)
    };
    (0..n).map(one).sum::<f64>() / n.max(1) as f64
}

/// dy = the gradient of [`loss`] by the prediction. Where a clip or a hinge holds a value, and for a root of 0, it is 0;
/// equally large classes of a hinge share it.
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
    let mut share = 1.0 / n.max(1) as f64;
    if kind.is_root() {
        let root = loss(kind, prediction, target, weights, n, features);
        share = if root > 0.0 { share / (2.0 * root) } else { 0.0 };
    }
    rows(dy, (n, features), threads, &|i, dy| {
        let share = (share * f64::from(weight(weights, i))) as f32;
        if share == 0.0 {
            return dy.fill(0.0);
        }
        kind.gradient_of_row(row(&prediction, i, features), row(&target, i, features), share, dy);
    });
}

/// dx = the gradient of [`Loss::CategoricalCrossentropy`] by the logits of the softmax that gave `prediction`:
/// y sum(t) - t, which is y - t for targets that add up to 1, times weight / n. No logarithm's clip is looked at.
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
    rows(dx, (n, features), threads, &|i, dx| {
        let (t, share) = (row(&target, i, features), weight(weights, i) / n as f32);
        if share == 0.0 {
            return dx.fill(0.0);
        }
        differences(dx, row(&prediction, i, features), t, t.iter().sum(), share);
    });
}

/// dx = the gradient of [`Loss::BinaryCrossentropy`] by the logits of the sigmoid that gave `prediction`:
/// (y - t) weight / (n features). No logarithm's clip is looked at.
pub fn sigmoid_crossentropy_gradient(
    prediction: View<'_>,
    target: View<'_>,
    weights: Option<&[f32]>,
    dx: ViewMut<'_>,
    n: usize,
    features: usize,
    threads: &ThreadPool,
) {
    rows(dx, (n, features), threads, &|i, dx| {
        let share = weight(weights, i) / (n * features) as f32;
        if share == 0.0 {
            return dx.fill(0.0);
        }
        differences(dx, row(&prediction, i, features), row(&target, i, features), 1.0, share);
    });
}

/// Calls `work(row, its floats)` for the rows of `y`.
fn rows(
    y: ViewMut<'_>,
    (n, features): (usize, usize),
    threads: &ThreadPool,
    work: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    let y = ViewMut { image: 0, ..y };
    pointwise(threads, None, y, Images { n: 1, pixels: n, channels: features }, &|band, values| {
        for (i, values) in values.chunks_exact_mut(features).enumerate() {
            work(band.first + i, values);
        }
    });
}

multiversion! {
    /// dy = share (total y - t)
    fn differences(dy: &mut [f32], y: &[f32], t: &[f32], total: f32, share: f32) {
        dy.iter_mut().zip(y.iter().zip(t)).for_each(|(dy, (y, t))| *dy = share * (total * y - t));
    }
}

multiversion! {
    fn squares(dy: &mut [f32], y: &[f32], t: &[f32], share: f32) {
        dy.iter_mut().zip(y.iter().zip(t)).for_each(|(dy, (y, t))| *dy = share * (y - t));
    }
}

multiversion! {
    fn sizes(dy: &mut [f32], y: &[f32], t: &[f32], share: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            let sign = if y > t { share } else { -share };
            *dy = if y == t { 0.0 } else { sign };
        }
    }
}

multiversion! {
    fn hinge(dy: &mut [f32], y: &[f32], t: &[f32], share: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            *dy = if t * y < 1.0 { -share * t } else { 0.0 };
        }
    }
}

multiversion! {
    fn categorical(dy: &mut [f32], y: &[f32], t: &[f32], share: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            *dy = if *y == clip(*y, EPSILON, 1.0 - EPSILON) { -share * t / y } else { 0.0 };
        }
    }
}

multiversion! {
    fn binary(dy: &mut [f32], y: &[f32], t: &[f32], share: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            let slope = (1.0 - t) / (1.0 - y) - t / y;
            *dy = if *y == clip(*y, EPSILON, 1.0 - EPSILON) { share * slope } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests;
