//! The loss of one row, and its gradient.

use super::Loss;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math::clip;

/// Probabilities are clipped to [EPSILON, 1 - EPSILON] before the logarithm, as in NeuPy and Keras.
const EPSILON: f32 = 1e-7;
/// Added to the squared lengths of vectors (PyTorch's `cosine_embedding_loss`).
const LENGTH_EPSILON: f64 = 1e-12;
/// Added to the differences of embeddings (PyTorch's `pairwise_distance`).
const DISTANCE_EPSILON: f64 = 1e-6;
/// Partial sums of a row, which the compiler keeps in vectors.
const LANES: usize = 16;

impl Loss {
    /// The loss of one row, before the square root.
    pub(super) fn of_row(self, y: &[f32], t: &[f32]) -> f64 {
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
            Self::Huber { delta } => {
                let delta = f64::from(delta);
                let of_error = |d: f64| if d <= delta { d * d / 2.0 } else { delta * (d - delta / 2.0) };
                pairs().map(|(y, t)| of_error((y - t).abs())).sum::<f64>() / count
            }
            Self::CategoricalFocal { gamma, alpha } => {
                probabilities().map(|(y, t)| categorical_focal(y, t, gamma, alpha).0).sum()
            }
            Self::BinaryFocal { gamma, alpha } => {
                probabilities().map(|(y, t)| binary_focal(y, t, gamma, alpha).0).sum::<f64>() / count
            }
            Self::KlDivergence => probabilities().filter(|(_, t)| *t > 0.0).map(|(y, t)| t * (t.ln() - y.ln())).sum(),
            Self::Cosine => {
                let [product, y, t] = lengths(y, t);
                1.0 - product / (y * t).sqrt()
            }
            Self::Dice { smooth } => {
                let smooth = f64::from(smooth);
                let (product, total) = overlap(y, t);
                1.0 - (2.0 * product + smooth) / (total + smooth)
            }
            Self::Contrastive { margin } => {
                let apart = |y: f64| (f64::from(margin) - y).max(0.0);
                pairs().map(|(y, t)| t * y * y + (1.0 - t) * apart(y) * apart(y)).sum::<f64>() / count
            }
            Self::Triplet { margin } => {
                let [a, p, n] = thirds(y);
                (distance(a, p) - distance(a, n) + f64::from(margin)).max(0.0)
            }
        }
    }

    /// Overwrites `dy` with the gradient of one row's loss (before the square root), times `scale`.
    pub(super) fn gradient_of_row(self, y: &[f32], t: &[f32], scale: f32, dy: &mut [f32]) {
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
            Self::Huber { delta } => huber_gradient(dy, y, t, delta, mean_scale),
            Self::CategoricalFocal { gamma, alpha } => {
                focal_gradient(dy, y, t, scale, &|y, t| categorical_focal(y, t, gamma, alpha).1)
            }
            Self::BinaryFocal { gamma, alpha } => {
                focal_gradient(dy, y, t, mean_scale, &|y, t| binary_focal(y, t, gamma, alpha).1)
            }
            // As that of the crossentropy: t ln(t) is a constant.
            Self::KlDivergence => categorical_crossentropy_gradient(dy, y, t, scale),
            Self::Cosine => {
                let [product, y2, t2] = lengths(y, t);
                let root = (y2 * t2).sqrt();
                linear_combination(dy, y, t, (product / (y2 * root)) as f32 * scale, (-1.0 / root) as f32 * scale);
            }
            Self::Dice { smooth } => {
                let smooth = f64::from(smooth);
                let (product, total) = overlap(y, t);
                let (over, under) = (2.0 * product + smooth, total + smooth);
                scaled_plus(dy, t, (-2.0 / under) as f32 * scale, (over / (under * under)) as f32 * scale);
            }
            Self::Contrastive { margin } => contrastive_gradient(dy, y, t, margin, mean_scale),
            Self::Triplet { margin } => {
                let [a, p, n] = thirds(y);
                let (near, far) = (distance(a, p), distance(a, n));
                dy.fill(0.0);
                if near - far + f64::from(margin) <= 0.0 {
                    return;
                }
                let width = a.len();
                let toward = |from: f32, to: f32, distance: f64| match distance > 0.0 {
                    true => ((f64::from(from) - f64::from(to) + DISTANCE_EPSILON) / distance) as f32 * scale,
                    false => 0.0,
                };
                for at in 0..width {
                    let (near, far) = (toward(a[at], p[at], near), toward(a[at], n[at], far));
                    (dy[at], dy[width + at], dy[2 * width + at]) = (near - far, -near, far);
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

/// The focal loss of a class's probability y with the target t, and its derivative by y.
fn categorical_focal(y: f64, t: f64, gamma: f32, alpha: f32) -> (f64, f64) {
    let (gamma, alpha) = (f64::from(gamma), f64::from(alpha));
    let (log, power) = (y.ln(), (1.0 - y).powf(gamma));
    let slope = gamma * (1.0 - y).powf(gamma - 1.0) * log - power / y;
    (-alpha * t * power * log, alpha * t * slope)
}

/// The focal loss of an independent probability y with the target t, and its derivative by y.
fn binary_focal(y: f64, t: f64, gamma: f32, alpha: f32) -> (f64, f64) {
    let (gamma, alpha) = (f64::from(gamma), f64::from(alpha));
    let factor = alpha * t + (1.0 - alpha) * (1.0 - t);
    let missed = 1.0 - (y * t + (1.0 - y) * (1.0 - t));
    let entropy = -(t * y.ln() + (1.0 - t) * (1.0 - y).ln());
    let power = missed.powf(gamma);
    let slope = power * ((1.0 - t) / (1.0 - y) - t / y) - gamma * missed.powf(gamma - 1.0) * (2.0 * t - 1.0) * entropy;
    (factor * power * entropy, factor * slope)
}

/// The product of two rows, and the squares of their lengths, which are above 0.
fn lengths(y: &[f32], t: &[f32]) -> [f64; 3] {
    let mut sums = [0.0; 3];
    add_products(y, t, &mut sums[0]);
    add_products(y, y, &mut sums[1]);
    add_products(t, t, &mut sums[2]);
    [sums[0], sums[1] + LENGTH_EPSILON, sums[2] + LENGTH_EPSILON]
}

/// The sum of y t, and that of y and t.
fn overlap(y: &[f32], t: &[f32]) -> (f64, f64) {
    let (mut product, mut total) = (0.0, 0.0);
    add_products(y, t, &mut product);
    add_values(y, &mut total);
    add_values(t, &mut total);
    (product, total)
}

/// The embeddings of anchor, positive and negative.
fn thirds(y: &[f32]) -> [&[f32]; 3] {
    let width = y.len() / 3;
    [&y[..width], &y[width..2 * width], &y[2 * width..3 * width]]
}

/// The Euclidean distance.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b) + DISTANCE_EPSILON);
    differences.map(|difference| difference * difference).sum::<f64>().sqrt()
}

/// dy = scale slope(y, t), 0 where y is clipped.
fn focal_gradient(dy: &mut [f32], y: &[f32], t: &[f32], scale: f32, slope: &dyn Fn(f64, f64) -> f64) {
    for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
        let is_unclipped = *y == clip(*y, EPSILON, 1.0 - EPSILON);
        *dy = if is_unclipped { scale * slope(f64::from(*y), f64::from(*t)) as f32 } else { 0.0 };
    }
}

multiversion! {
    /// sum += sum of a b
    fn add_products(a: &[f32], b: &[f32], sum: &mut f64) {
        let mut lanes = [0.0; LANES];
        let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for i in 0..LANES {
                lanes[i] += f64::from(a[i]) * f64::from(b[i]);
            }
        }
        let tail = a_tail.iter().zip(b_tail).map(|(a, b)| f64::from(*a) * f64::from(*b));
        *sum += lanes.iter().sum::<f64>() + tail.sum::<f64>();
    }
}

multiversion! {
    /// sum += sum of the values
    fn add_values(values: &[f32], sum: &mut f64) {
        let mut lanes = [0.0; LANES];
        let (blocks, tail) = values.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] += f64::from(block[i]);
            }
        }
        *sum += lanes.iter().sum::<f64>() + tail.iter().map(|value| f64::from(*value)).sum::<f64>();
    }
}

multiversion! {
    /// dy = a y + b t
    fn linear_combination(dy: &mut [f32], y: &[f32], t: &[f32], a: f32, b: f32) {
        dy.iter_mut().zip(y.iter().zip(t)).for_each(|(dy, (y, t))| *dy = a * y + b * t);
    }
}

multiversion! {
    /// dy = a t + b
    fn scaled_plus(dy: &mut [f32], t: &[f32], a: f32, b: f32) {
        dy.iter_mut().zip(t).for_each(|(dy, t)| *dy = a * t + b);
    }
}

multiversion! {
    fn huber_gradient(dy: &mut [f32], y: &[f32], t: &[f32], delta: f32, scale: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            *dy = scale * clip(y - t, -delta, delta);
        }
    }
}

multiversion! {
    fn contrastive_gradient(dy: &mut [f32], y: &[f32], t: &[f32], margin: f32, scale: f32) {
        for (dy, (y, t)) in dy.iter_mut().zip(y.iter().zip(t)) {
            let apart = if margin > *y { margin - y } else { 0.0 };
            *dy = 2.0 * scale * (t * y - (1.0 - t) * apart);
        }
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
