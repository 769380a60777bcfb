//! Losses, their gradients, and updates of parameters.

use crate::kernels::training::loss::Loss;
use crate::kernels::training::optimizer::UpdateRule;
use crate::kernels::training::regularizer::Regularizer;
use crate::plan::steps::training::update::{GradientBy, LossGradientStep, UpdateStep};
use ndarray::ArrayD;

/// Probabilities are clipped to this and to 1 less this.
const EPSILON: f64 = 1e-7;

/// The rows of a batch that a loss looks at, and their weights.
pub struct Rows<'a> {
    /// Rows of an image.
    pub pixels: usize,
    pub features: usize,
    pub weights: Option<&'a Vec<f64>>,
}

impl Rows<'_> {
    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// The rows that one mean is taken over: all if an image is one row, else those of each image.
    fn groups(&self, len: usize) -> Vec<std::ops::Range<usize>> {
        let rows = len / self.features.max(1);
        let group = if self.pixels == 1 { rows.max(1) } else { self.pixels };
        (0..rows / group).map(|index| index * group..(index + 1) * group).collect()
    }

    fn row<'v>(&self, values: &'v [f64], row: usize) -> &'v [f64] {
        &values[row * self.features..][..self.features]
    }
}

fn clip(y: f64) -> f64 {
    y.clamp(EPSILON, 1.0 - EPSILON)
}

fn is_root(loss: Loss) -> bool {
    matches!(loss, Loss::Rmse | Loss::Rmsle)
}

/// The class of a target, and the largest prediction of another class.
fn hinge(y: &[f64], t: &[f64]) -> (usize, f64) {
    let class = t.iter().enumerate().fold(0, |best, (index, value)| if *value > t[best] { index } else { best });
    let others = y.iter().enumerate().filter(|(index, _)| *index != class);
    (class, others.fold(f64::NEG_INFINITY, |most, (_, y)| most.max(*y)))
}

/// The loss of one row, before a root.
fn row_loss(loss: Loss, y: &[f64], t: &[f64]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| y.iter().zip(t).map(|(y, t)| f(*y, *t)).sum::<f64>();
    let mean = |f: &dyn Fn(f64, f64) -> f64| sum(f) / y.len() as f64;
    match loss {
        Loss::CategoricalCrossentropy => sum(&|y, t| -t * clip(y).ln()),
        Loss::BinaryCrossentropy => mean(&|y, t| -(t * clip(y).ln() + (1.0 - t) * (1.0 - clip(y)).ln())),
        Loss::Mse | Loss::Rmse => mean(&|y, t| (y - t).powi(2)),
        Loss::Mae => mean(&|y, t| (y - t).abs()),
        Loss::Msle | Loss::Rmsle => mean(&|y, t| (y.max(0.0).ln_1p() - t.max(0.0).ln_1p()).powi(2)),
        Loss::BinaryHinge => mean(&|y, t| (1.0 - t * y).max(0.0)),
        Loss::CategoricalHinge => {
            let (class, other) = hinge(y, t);
            (1.0 + other - y[class]).max(0.0)
        }
        Loss::Huber { delta } => {
            let delta = f64::from(delta);
            mean(&|y, t| match (y - t).abs() {
                d if d <= delta => d * d / 2.0,
                d => delta * (d - delta / 2.0),
            })
        }
        Loss::CategoricalFocal { gamma, alpha } => {
            sum(&|y, t| -f64::from(alpha) * (1.0 - clip(y)).powf(gamma.into()) * t * clip(y).ln())
        }
        Loss::BinaryFocal { gamma, alpha } => mean(&|y, t| {
            let (y, alpha) = (clip(y), f64::from(alpha));
            let right = y * t + (1.0 - y) * (1.0 - t);
            let entropy = -(t * y.ln() + (1.0 - t) * (1.0 - y).ln());
            (alpha * t + (1.0 - alpha) * (1.0 - t)) * (1.0 - right).powf(gamma.into()) * entropy
        }),
        Loss::KlDivergence => sum(&|y, t| if t > 0.0 { t * (t.ln() - clip(y).ln()) } else { 0.0 }),
        Loss::Cosine => {
            let [product, y2, t2] = lengths(y, t);
            1.0 - product / (y2 * t2).sqrt()
        }
        Loss::Dice { smooth } => {
            let smooth = f64::from(smooth);
            1.0 - (2.0 * sum(&|y, t| y * t) + smooth) / (sum(&|y, t| y + t) + smooth)
        }
        Loss::Contrastive { margin } => mean(&|y, t| t * y * y + (1.0 - t) * (f64::from(margin) - y).max(0.0).powi(2)),
        Loss::Triplet { margin } => {
            let width = y.len() / 3;
            let (near, far) = (distance(y, 0, width), distance(y, 0, 2 * width));
            (near - far + f64::from(margin)).max(0.0)
        }
    }
}

/// The product of two rows, and the squares of their lengths with PyTorch's epsilon.
fn lengths(y: &[f64], t: &[f64]) -> [f64; 3] {
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    [sum(y, t), sum(y, y) + 1e-12, sum(t, t) + 1e-12]
}

/// The distance of two thirds of a row, which begin at these places, with PyTorch's epsilon.
fn distance(y: &[f64], a: usize, b: usize) -> f64 {
    (0..y.len() / 3).map(|at| (y[a + at] - y[b + at] + 1e-6).powi(2)).sum::<f64>().sqrt()
}

/// The gradient of [`row_loss`].
fn row_gradient(loss: Loss, y: &[f64], t: &[f64]) -> Vec<f64> {
    let each = 1.0 / y.len() as f64;
    let map = |f: &dyn Fn(f64, f64) -> f64| y.iter().zip(t).map(|(y, t)| f(*y, *t)).collect::<Vec<f64>>();
    let is_unclipped = |y: f64| y == clip(y);
    match loss {
        Loss::CategoricalCrossentropy => map(&|y, t| if is_unclipped(y) { -t / y } else { 0.0 }),
        Loss::BinaryCrossentropy => {
            map(&|y, t| if is_unclipped(y) { each * ((1.0 - t) / (1.0 - y) - t / y) } else { 0.0 })
        }
        Loss::Mse | Loss::Rmse => map(&|y, t| 2.0 * each * (y - t)),
        Loss::Mae => map(&|y, t| if y == t { 0.0 } else { each * (y - t).signum() }),
        Loss::Msle | Loss::Rmsle => map(&|y, t| {
            let difference = y.max(0.0).ln_1p() - t.max(0.0).ln_1p();
            if y >= 0.0 { 2.0 * each * difference / (1.0 + y) } else { 0.0 }
        }),
        Loss::BinaryHinge => map(&|y, t| if t * y < 1.0 { -each * t } else { 0.0 }),
        Loss::CategoricalHinge => {
            let (class, other) = hinge(y, t);
            let mut gradient = vec![0.0; y.len()];
            if 1.0 + other > y[class] {
                let ties = y.iter().enumerate().filter(|(index, y)| *index != class && **y == other).count() as f64;
                for (index, gradient) in gradient.iter_mut().enumerate() {
                    *gradient = if index != class && y[index] == other { 1.0 / ties } else { 0.0 };
                }
                gradient[class] = -1.0;
            }
            gradient
        }
        Loss::Huber { delta } => map(&|y, t| each * (y - t).clamp(-f64::from(delta), f64::from(delta))),
        Loss::CategoricalFocal { gamma, alpha } => map(&|y, t| {
            let (gamma, alpha) = (f64::from(gamma), f64::from(alpha));
            let slope = gamma * (1.0 - y).powf(gamma - 1.0) * y.ln() - (1.0 - y).powf(gamma) / y;
            if is_unclipped(y) { alpha * t * slope } else { 0.0 }
        }),
        Loss::BinaryFocal { gamma, alpha } => map(&|y, t| {
            let (gamma, alpha) = (f64::from(gamma), f64::from(alpha));
            let missed = 1.0 - (y * t + (1.0 - y) * (1.0 - t));
            let entropy = -(t * y.ln() + (1.0 - t) * (1.0 - y).ln());
            let slope = missed.powf(gamma) * ((1.0 - t) / (1.0 - y) - t / y)
                - gamma * missed.powf(gamma - 1.0) * (2.0 * t - 1.0) * entropy;
            if is_unclipped(y) { each * (alpha * t + (1.0 - alpha) * (1.0 - t)) * slope } else { 0.0 }
        }),
        Loss::KlDivergence => map(&|y, t| if is_unclipped(y) { -t / y } else { 0.0 }),
        Loss::Cosine => {
            let [product, y2, t2] = lengths(y, t);
            map(&|y, t| (product * y / y2 - t) / (y2 * t2).sqrt())
        }
        Loss::Dice { smooth } => {
            let sum = |f: &dyn Fn(f64, f64) -> f64| y.iter().zip(t).map(|(y, t)| f(*y, *t)).sum::<f64>();
            let smooth = f64::from(smooth);
            let (over, under) = (2.0 * sum(&|y, t| y * t) + smooth, sum(&|y, t| y + t) + smooth);
            map(&|_, t| over / (under * under) - 2.0 * t / under)
        }
        Loss::Contrastive { margin } => {
            map(&|y, t| 2.0 * each * (t * y - (1.0 - t) * (f64::from(margin) - y).max(0.0)))
        }
        Loss::Triplet { .. } => {
            let width = y.len() / 3;
            let mut gradient = vec![0.0; y.len()];
            if row_loss(loss, y, t) > 0.0 {
                let toward = |at: usize, b: usize| (y[at] - y[b + at] + 1e-6) / distance(y, 0, b);
                for at in 0..width {
                    let (near, far) = (toward(at, width), toward(at, 2 * width));
                    (gradient[at], gradient[width + at], gradient[2 * width + at]) = (near - far, -near, far);
                }
            }
            gradient
        }
    }
}

/// The weighted mean of the losses of some rows, with the root of it where the loss has one.
fn group_loss(loss: Loss, y: &[f64], t: &[f64], rows: &Rows<'_>, group: std::ops::Range<usize>) -> f64 {
    let count = group.len() as f64;
    let mean =
        group.map(|row| rows.weight(row) * row_loss(loss, rows.row(y, row), rows.row(t, row))).sum::<f64>() / count;
    if is_root(loss) { mean.sqrt() } else { mean }
}

/// The loss of a batch.
pub fn loss(loss: Loss, y: &[f64], t: &[f64], rows: &Rows<'_>) -> f64 {
    let groups = rows.groups(y.len());
    let count = groups.len() as f64;
    groups.into_iter().map(|group| group_loss(loss, y, t, rows, group)).sum::<f64>() / count
}

/// The gradient of [`loss`] by the prediction, or by the logits of the softmax or sigmoid that gave it.
pub fn loss_gradient(step: &LossGradientStep, y: &[f64], t: &[f64], rows: &Rows<'_>) -> Vec<f64> {
    let (loss, by) = (step.loss, step.by);
    let groups = rows.groups(y.len());
    let groups_share = f64::from(step.factor) / groups.len() as f64;
    let mut gradient = Vec::with_capacity(y.len());
    for group in groups {
        let mut share = groups_share / group.len() as f64;
        if is_root(loss) && by == GradientBy::Prediction {
            let root = group_loss(loss, y, t, rows, group.clone());
            share = if root > 0.0 { share / (2.0 * root) } else { 0.0 };
        }
        for row in group {
            let (y, t, share) = (rows.row(y, row), rows.row(t, row), share * rows.weight(row));
            let logits = |total: f64, share: f64| y.iter().zip(t).map(|(y, t)| share * (total * y - t)).collect();
            let values: Vec<f64> = match by {
                GradientBy::Prediction => row_gradient(loss, y, t).iter().map(|value| share * value).collect(),
                GradientBy::SoftmaxLogits => logits(t.iter().sum(), share),
                GradientBy::SigmoidLogits => logits(1.0, share / y.len() as f64),
            };
            gradient.extend(values);
        }
    }
    gradient
}

/// The largest magnitude, and how many values have it.
fn max_norm(w: &[f64]) -> (f64, f64) {
    let max = w.iter().fold(0.0, |max: f64, w| max.max(w.abs()));
    (max, w.iter().filter(|w| w.abs() == max).count() as f64)
}

/// The penalty of a parameter.
pub fn penalty(regularizer: Regularizer, w: &[f64]) -> f64 {
    match regularizer {
        Regularizer::L1(rate) => f64::from(rate) * w.iter().map(|w| w.abs()).sum::<f64>(),
        Regularizer::L2(rate) => f64::from(rate) * w.iter().map(|w| w * w).sum::<f64>(),
        Regularizer::MaxNorm(rate) => f64::from(rate) * max_norm(w).0,
    }
}

/// The gradient of [`penalty`].
fn penalty_gradient(regularizer: Regularizer, w: &[f64]) -> Vec<f64> {
    let sign = |w: f64| if w == 0.0 { 0.0 } else { w.signum() };
    match regularizer {
        Regularizer::L1(rate) => w.iter().map(|w| f64::from(rate) * sign(*w)).collect(),
        Regularizer::L2(rate) => w.iter().map(|w| 2.0 * f64::from(rate) * w).collect(),
        Regularizer::MaxNorm(rate) => {
            let (max, count) = max_norm(w);
            let share = f64::from(rate) / count;
            w.iter().map(|w| if w.abs() == max { share * sign(*w) } else { 0.0 }).collect()
        }
    }
}

/// Adds the gradient of a batch to a sum over batches, which comes first; then come the batch's weight and whether it is the
/// first.
pub fn accumulated(gradient: &[f64], parameters: &[Vec<f64>]) -> Vec<f64> {
    let (sum, weight, is_first) = (&parameters[0], parameters[1][0], parameters[1][1] != 0.0);
    let before = |at: usize| if is_first { 0.0 } else { sum[at] };
    gradient.iter().enumerate().map(|(at, gradient)| before(at) + weight * gradient).collect()
}

/// Updates a parameter, which comes first, the slots of its rule after it and the moving average; then come the learning rate,
/// the count of updates, and by what gradients are accumulated. `norm` is that of all gradients.
pub fn update(step: &UpdateStep, gradient: &[f64], norm: Option<f64>, parameters: &mut [ArrayD<f64>]) {
    let slots = step.rule.slots();
    let after = slots + usize::from(step.average.is_some());
    let [rate, count] = [1, 2].map(|index: usize| parameters[after + index].iter().copied().next().unwrap_or(0.0));
    let rate = rate * f64::from(step.rate);
    if step.accumulated && parameters[after + 3].iter().nth(2) == Some(&0.0) {
        return;
    }
    // The count is stored as the bits of an integer.
    let t = u64::from((count as f32).to_bits()).saturating_sub(step.begun) as f64 + 1.0;
    let scale = match (step.norm.map(f64::from), norm) {
        (Some(limit), Some(norm)) if norm > limit => limit / norm,
        _ => 1.0,
    };
    let mut state: Vec<Vec<f64>> = parameters[..=slots].iter().map(|array| array.iter().copied().collect()).collect();
    let pull = step.penalty.map_or_else(|| vec![0.0; step.len], |penalty| penalty_gradient(penalty, &state[0]));
    let limit = step.clip.map_or(f64::INFINITY, f64::from);
    for index in 0..step.len {
        let g = ((gradient[index] + pull[index]) * scale).clamp(-limit, limit);
        let mut values: Vec<f64> = state.iter().map(|values| values[index]).collect();
        if let Some((w, slots)) = values.split_first_mut() {
            apply_rule(step.rule, rate, t, g, w, slots);
        }
        state.iter_mut().zip(values).for_each(|(list, value)| list[index] = value);
    }
    if let Some(decay) = step.average {
        let decay = if t == 1.0 { 0.0 } else { f64::from(decay) };
        let average = parameters[after].iter_mut().zip(&state[0]);
        average.for_each(|(average, w)| *average = decay * *average + (1.0 - decay) * w);
    }
    for (array, values) in parameters.iter_mut().zip(state) {
        array.iter_mut().zip(values).for_each(|(to, value)| *to = value);
    }
}

/// The update of one value `w` by its gradient `g` at learning rate `rate`; `t` counts updates from 1. See [`UpdateRule`].
fn apply_rule(rule: UpdateRule, rate: f64, t: f64, g: f64, w: &mut f64, slots: &mut [f64]) {
    let average = |value: &mut f64, beta: f32, new: f64| {
        *value = f64::from(beta) * *value + (1.0 - f64::from(beta)) * new;
    };
    let correction = |beta: f32| 1.0 - f64::from(beta).powf(t);
    match (rule, slots) {
        (UpdateRule::Momentum { momentum, nesterov }, [a]) => {
            *a = f64::from(momentum) * *a + g;
            *w -= rate * if nesterov { g + f64::from(momentum) * *a } else { *a };
        }
        (UpdateRule::Adam { beta1, beta2, epsilon }, [m, v]) => {
            average(m, beta1, g);
            average(v, beta2, g * g);
            *w -= rate * correction(beta2).sqrt() / correction(beta1) * *m / (v.sqrt() + f64::from(epsilon));
        }
        (UpdateRule::AdamW { beta1, beta2, epsilon, decay }, [m, v]) => {
            average(m, beta1, g);
            average(v, beta2, g * g);
            let (m_hat, v_hat) = (*m / correction(beta1), *v / correction(beta2));
            *w -= rate * (m_hat / (v_hat.sqrt() + f64::from(epsilon)) + f64::from(decay) * *w);
        }
        (UpdateRule::Adamax { beta1, beta2, epsilon }, [m, u]) => {
            average(m, beta1, g);
            *u = (f64::from(beta2) * *u).max(g.abs());
            *w -= rate / correction(beta1) * *m / (*u + f64::from(epsilon));
        }
        (UpdateRule::Adagrad, [a]) => {
            *a += g * g;
            *w -= rate * g / a.sqrt();
        }
        (UpdateRule::Adadelta { decay, epsilon }, [a, s]) => {
            let epsilon = f64::from(epsilon);
            average(a, decay, g * g);
            let d = g * (*s + epsilon).sqrt() / (*a + epsilon).sqrt();
            average(s, decay, d * d);
            *w -= rate * d;
        }
        (UpdateRule::RmsProp { decay, momentum, epsilon, centered }, [s, slots @ ..]) => {
            average(s, decay, g * g);
            let mut spread = *s + f64::from(epsilon);
            let slots = match slots {
                [mean, slots @ ..] if centered => {
                    average(mean, decay, g);
                    spread -= *mean * *mean;
                    slots
                }
                slots => slots,
            };
            let d = rate * g / spread.sqrt();
            match slots {
                [a] => {
                    *a = f64::from(momentum) * *a + d;
                    *w -= *a;
                }
                _ => *w -= d,
            }
        }
        _ => *w -= rate * g,
    }
}
