//! Optimizers: in-place parameter updates in one pass over memory.

use serde::{Deserialize, Serialize};

use super::regularizer::{
    CHUNK, MaxMagnitude, PartialResults, Regularizer, add_linear_gradient, add_magnitudes, add_sign_gradient,
    add_squares, max_magnitude, task_len,
};
use crate::kernels::parallel::disjoint::share_all;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math::clip;

/// The update of a parameter w by its gradient g at learning rate `step`. Formulas and defaults are NeuPy's, which follow
/// TensorFlow; t counts the updates from 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum UpdateRule {
    /// w -= step g
    GradientDescent,
    /// a = momentum a + g, w -= step a; with `nesterov` w -= step (g + momentum a). Defaults 0.9, not Nesterov.
    Momentum { momentum: f32, nesterov: bool },
    /// Kingma and Ba, 2014: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
    /// w -= step sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt v + epsilon). Defaults 0.9, 0.999, 1e-7.
    Adam { beta1: f32, beta2: f32, epsilon: f32 },
    /// Loshchilov and Hutter, 2019: m and v as for Adam, w -= step (mhat / (sqrt vhat + epsilon) + decay w) with
    /// mhat = m / (1 - beta1^t) and vhat = v / (1 - beta2^t).
    AdamW { beta1: f32, beta2: f32, epsilon: f32, decay: f32 },
    /// Kingma and Ba, 2014: u = max(beta2 u, |g|), w -= step / (1 - beta1^t) m / (u + epsilon). Defaults as Adam's.
    Adamax { beta1: f32, beta2: f32, epsilon: f32 },
    /// Duchi et al., 2011: a += g^2, w -= step g / sqrt a; a is initially 0.1.
    Adagrad,
    /// Zeiler, 2012: a = decay a + (1 - decay) g^2, d = g sqrt(s + epsilon) / sqrt(a + epsilon),
    /// s = decay s + (1 - decay) d^2, w -= step d. Defaults 0.95, 1e-7.
    Adadelta { decay: f32, epsilon: f32 },
    /// Hinton, 2012: s = decay s + (1 - decay) g^2, initially 1; a = momentum a + step g / sqrt(s + epsilon), w -= a. With
    /// `centered`, s minus the square of the moving average of g. Defaults 0.95, 0, 1e-7, not centered.
    RmsProp { decay: f32, momentum: f32, epsilon: f32, centered: bool },
}

impl std::fmt::Display for UpdateRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::GradientDescent => f.write_str("gradient descent"),
            Self::Momentum { momentum, nesterov } => {
                write!(f, "{}momentum {momentum}", if *nesterov { "Nesterov " } else { "" })
            }
            Self::Adam { beta1, beta2, epsilon } => write!(f, "Adam {beta1} {beta2} {epsilon}"),
            Self::AdamW { beta1, beta2, epsilon, decay } => write!(f, "AdamW {beta1} {beta2} {epsilon} {decay}"),
            Self::Adamax { beta1, beta2, epsilon } => write!(f, "Adamax {beta1} {beta2} {epsilon}"),
            Self::Adagrad => f.write_str("Adagrad"),
            Self::Adadelta { decay, epsilon } => write!(f, "Adadelta {decay} {epsilon}"),
            Self::RmsProp { decay, momentum, epsilon, centered } => {
                let centered = if *centered { " centered" } else { "" };
                write!(f, "RMSProp {decay} {momentum} {epsilon}{centered}")
            }
        }
    }
}

impl UpdateRule {
    /// The number of optimizer slots: tensors of the parameter's shape that are kept between updates.
    pub fn slots(&self) -> usize {
        match *self {
            Self::GradientDescent => 0,
            Self::Momentum { .. } | Self::Adagrad => 1,
            Self::Adam { .. } | Self::AdamW { .. } | Self::Adamax { .. } | Self::Adadelta { .. } => 2,
            Self::RmsProp { momentum, centered, .. } => 1 + usize::from(centered) + usize::from(momentum != 0.0),
        }
    }

    /// The initial value of a slot.
    pub fn slot_start(&self, slot: usize) -> f32 {
        match self {
            Self::Adagrad => 0.1,
            Self::RmsProp { .. } if slot == 0 => 1.0,
            _ => 0.0,
        }
    }

    /// The learning rate and epsilon with the bias correction of moving averages that are initially zero.
    fn bias_corrected(&self, step: f32, count: u64) -> (f32, f32) {
        let correction = |beta: f32| 1.0 - libm::pow(f64::from(beta), count as f64 + 1.0);
        let step = f64::from(step);
        match *self {
            Self::Adam { beta1, beta2, epsilon } => {
                ((step * correction(beta2).sqrt() / correction(beta1)) as f32, epsilon)
            }
            // As Adam, but epsilon is added to the corrected root: numerator and denominator are scaled by the correction.
            Self::AdamW { beta1, beta2, epsilon, .. } => {
                let root = correction(beta2).sqrt();
                ((step * root / correction(beta1)) as f32, (f64::from(epsilon) * root) as f32)
            }
            Self::Adamax { beta1, epsilon, .. } => ((step / correction(beta1)) as f32, epsilon),
            Self::Adadelta { epsilon, .. } | Self::RmsProp { epsilon, .. } => (step as f32, epsilon),
            Self::GradientDescent | Self::Momentum { .. } | Self::Adagrad => (step as f32, 0.0),
        }
    }
}

/// Updates the parameter `w` and the rule's `slots` (see [`UpdateRule::slot_start`]) by the gradient `g` of the loss without
/// `penalty`; returns the penalty before the update.
///
/// `step` is the current learning rate and `count` the number of previous updates. The gradient of the penalty is added to
/// g; the sum is multiplied by `scale` and then clipped to +-`clip`.
///
/// # Panics
/// If the slices differ in length, or there are not [`UpdateRule::slots`] slots.
#[allow(clippy::too_many_arguments)] // The rate changes with each update, and the tensors are separate borrows.
pub fn update(
    rule: &UpdateRule,
    step: f32,
    count: u64,
    scale: f32,
    clip: Option<f32>,
    penalty: Option<Regularizer>,
    w: &mut [f32],
    g: &[f32],
    slots: &mut [&mut [f32]],
    threads: &ThreadPool,
) -> f32 {
    assert_eq!(w.len(), g.len(), "one gradient for each parameter");
    assert_eq!(slots.len(), rule.slots(), "slots of {rule:?}");
    let max_magnitude = match penalty {
        Some(Regularizer::MaxNorm(_)) => max_magnitude(w, threads),
        _ => MaxMagnitude::default(),
    };
    let corrected = rule.bias_corrected(step, count);
    let update = Update { rule, step, corrected, scale, clip, penalty, max_magnitude };
    let sum = match slots {
        [] => update.run([w], g, threads),
        [a] => update.run([w, a], g, threads),
        [a, b] => update.run([w, a, b], g, threads),
        [a, b, c] => update.run([w, a, b, c], g, threads),
        _ => unreachable!("no rule has more than three slots"),
    };
    match penalty {
        None => 0.0,
        Some(Regularizer::L1(rate) | Regularizer::L2(rate)) => (f64::from(rate) * sum) as f32,
        Some(Regularizer::MaxNorm(rate)) => rate * max_magnitude.value,
    }
}

/// average = decay average + (1 - decay) w; a decay of 0 copies.
///
/// # Panics
/// If the slices differ in length.
pub fn move_average(average: &mut [f32], w: &[f32], decay: f32, threads: &ThreadPool) {
    assert_eq!(average.len(), w.len(), "one average for each parameter");
    let task_len = task_len(w.len());
    share_all(threads, [average], task_len, &|start, [average]| {
        interpolate(average, &w[start..start + average.len()], decay);
    });
}

/// sum += weight g
///
/// # Panics
/// If the slices differ in length.
pub fn accumulate(sum: &mut [f32], g: &[f32], weight: f32, threads: &ThreadPool) {
    assert_eq!(sum.len(), g.len(), "one sum for each gradient");
    let task_len = task_len(g.len());
    share_all(threads, [sum], task_len, &|start, [sum]| {
        add_linear_gradient(sum, &g[start..start + sum.len()], weight);
    });
}

/// The settings of one update, shared by its tasks.
struct Update<'a> {
    rule: &'a UpdateRule,
    step: f32,
    /// Learning rate and epsilon after bias correction.
    corrected: (f32, f32),
    scale: f32,
    clip: Option<f32>,
    penalty: Option<Regularizer>,
    max_magnitude: MaxMagnitude,
}

impl Update<'_> {
    /// Updates the parameter, the first of `data`, and its slots; returns the penalty's sum over the old values.
    fn run<const N: usize>(&self, data: [&mut [f32]; N], g: &[f32], threads: &ThreadPool) -> f64 {
        let sums = PartialResults::default();
        let task_len = task_len(g.len());
        share_all(threads, data, task_len, &|start, slices| {
            let mut buffer = [0.0; CHUNK];
            let mut sum = 0.0;
            let mut slices = slices.map(|slice| slice.chunks_mut(CHUNK));
            for g in g[start..g.len().min(start + task_len)].chunks(CHUNK) {
                // All slices have the length of the gradient.
                let mut chunk = slices.each_mut().map(|chunks| chunks.next().unwrap_or_default());
                let Some((w, slots)) = chunk.split_first_mut() else { continue };
                let g = self.prepare(w, g, &mut buffer[..g.len()], &mut sum);
                self.apply(w, g, slots);
            }
            sums.set(start / task_len, sum);
        });
        sums.sum()
    }

    /// The regularized, scaled and clipped gradient; in `buffer` unless it is `g` itself.
    fn prepare<'b>(&self, w: &[f32], g: &'b [f32], buffer: &'b mut [f32], sum: &mut f64) -> &'b [f32] {
        if self.penalty.is_none() && self.clip.is_none() && self.scale == 1.0 {
            return g;
        }
        buffer.copy_from_slice(g);
        match self.penalty {
            None => {}
            Some(Regularizer::L1(rate)) => {
                add_magnitudes(w, sum);
                add_sign_gradient(buffer, w, rate, 0.0);
            }
            Some(Regularizer::L2(rate)) => {
                add_squares(w, sum);
                add_linear_gradient(buffer, w, 2.0 * rate);
            }
            Some(Regularizer::MaxNorm(rate)) => {
                let MaxMagnitude { value, count } = self.max_magnitude;
                add_sign_gradient(buffer, w, rate / count.max(1) as f32, value);
            }
        }
        scale_and_clip(buffer, self.scale, self.clip.unwrap_or(f32::INFINITY));
        buffer
    }

    fn apply(&self, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        let (step, epsilon) = self.corrected;
        match (*self.rule, slots) {
            (UpdateRule::GradientDescent, _) => gradient_descent(w, g, step),
            (UpdateRule::Momentum { momentum, nesterov: false }, [a]) => heavy_ball(w, g, a, step, momentum),
            (UpdateRule::Momentum { momentum, nesterov: true }, [a]) => nesterov_momentum(w, g, a, step, momentum),
            (UpdateRule::Adam { beta1, beta2, .. }, [m, v]) => adam(w, g, [m, v], [beta1, beta2, step, epsilon, 0.0]),
            (UpdateRule::AdamW { beta1, beta2, decay, .. }, [m, v]) => {
                adam(w, g, [m, v], [beta1, beta2, step, epsilon, self.step * decay]);
            }
            (UpdateRule::Adamax { beta1, beta2, .. }, [m, u]) => adamax(w, g, [m, u], [beta1, beta2, step, epsilon]),
            (UpdateRule::Adagrad, [a]) => adagrad(w, g, a, step),
            (UpdateRule::Adadelta { decay, .. }, [a, s]) => adadelta(w, g, [a, s], [decay, step, epsilon]),
            (UpdateRule::RmsProp { decay, momentum, centered, .. }, [s, slots @ ..]) => {
                let mut buffer = [0.0; CHUNK];
                let buffer = &mut buffer[..g.len()];
                second_moment(g, s, buffer, decay, epsilon);
                let slots = match slots {
                    [average, slots @ ..] if centered => {
                        center(g, average, buffer, decay);
                        slots
                    }
                    slots => slots,
                };
                normalise(buffer, g, step);
                match slots {
                    [a] => heavy_ball(w, buffer, a, 1.0, momentum),
                    _ => gradient_descent(w, buffer, 1.0),
                }
            }
            _ => unreachable!("`update` checks the number of slots"),
        }
    }
}

multiversion! {
    fn scale_and_clip(g: &mut [f32], scale: f32, limit: f32) {
        g.iter_mut().for_each(|g| *g = clip(*g * scale, -limit, limit));
    }
}

multiversion! {
    fn interpolate(average: &mut [f32], w: &[f32], decay: f32) {
        for (average, w) in average.iter_mut().zip(w) {
            *average = if decay == 0.0 { *w } else { decay * *average + (1.0 - decay) * w };
        }
    }
}

multiversion! {
    fn gradient_descent(w: &mut [f32], g: &[f32], step: f32) {
        w.iter_mut().zip(g).for_each(|(w, g)| *w -= step * g);
    }
}

multiversion! {
    /// Momentum (Polyak's heavy ball).
    fn heavy_ball(w: &mut [f32], g: &[f32], a: &mut [f32], step: f32, momentum: f32) {
        for ((w, g), a) in w.iter_mut().zip(g).zip(a) {
            *a = momentum * *a + g;
            *w -= step * *a;
        }
    }
}

multiversion! {
    /// Nesterov's momentum.
    fn nesterov_momentum(w: &mut [f32], g: &[f32], a: &mut [f32], step: f32, momentum: f32) {
        for ((w, g), a) in w.iter_mut().zip(g).zip(a) {
            *a = momentum * *a + g;
            *w -= step * (g + momentum * *a);
        }
    }
}

multiversion! {
    fn adam(w: &mut [f32], g: &[f32], slots: [&mut [f32]; 2], settings: [f32; 5]) {
        let [beta1, beta2, step, epsilon, decay] = settings;
        let [m, v] = slots;
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * (g * g);
            *w -= step * *m / (v.sqrt() + epsilon) + decay * *w;
        }
    }
}

multiversion! {
    fn adamax(w: &mut [f32], g: &[f32], slots: [&mut [f32]; 2], settings: [f32; 4]) {
        let [beta1, beta2, step, epsilon] = settings;
        let [m, u] = slots;
        for (((w, g), m), u) in w.iter_mut().zip(g).zip(m).zip(u) {
            *m = beta1 * *m + (1.0 - beta1) * g;
            // Not `f32::max`, which would hide a NaN gradient.
            *u = if beta2 * *u > g.abs() { beta2 * *u } else { g.abs() };
            *w -= step * *m / (*u + epsilon);
        }
    }
}

multiversion! {
    fn adagrad(w: &mut [f32], g: &[f32], a: &mut [f32], step: f32) {
        for ((w, g), a) in w.iter_mut().zip(g).zip(a) {
            *a += g * g;
            *w -= step * g / a.sqrt();
        }
    }
}

multiversion! {
    fn adadelta(w: &mut [f32], g: &[f32], slots: [&mut [f32]; 2], settings: [f32; 3]) {
        let [decay, step, epsilon] = settings;
        let [a, s] = slots;
        for (((w, g), a), s) in w.iter_mut().zip(g).zip(a).zip(s) {
            *a = decay * *a + (1.0 - decay) * (g * g);
            let d = g * (*s + epsilon).sqrt() / (*a + epsilon).sqrt();
            *s = decay * *s + (1.0 - decay) * (d * d);
            *w -= step * d;
        }
    }
}

multiversion! {
    /// Updates the moving average of squares `s`; `variance` = s + epsilon.
    fn second_moment(g: &[f32], s: &mut [f32], variance: &mut [f32], decay: f32, epsilon: f32) {
        for ((g, s), variance) in g.iter().zip(s).zip(variance) {
            *s = decay * *s + (1.0 - decay) * (g * g);
            *variance = *s + epsilon;
        }
    }
}

multiversion! {
    /// Updates the moving average of gradients and subtracts its square from `variance`.
    fn center(g: &[f32], average: &mut [f32], variance: &mut [f32], decay: f32) {
        for ((g, average), variance) in g.iter().zip(average).zip(variance) {
            *average = decay * *average + (1.0 - decay) * g;
            *variance -= *average * *average;
        }
    }
}

multiversion! {
    /// variance = step g / sqrt(variance)
    fn normalise(variance: &mut [f32], g: &[f32], step: f32) {
        variance.iter_mut().zip(g).for_each(|(variance, g)| *variance = step * g / variance.sqrt());
    }
}

#[cfg(test)]
mod tests;
