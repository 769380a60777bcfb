//! The updates of parameters by their gradients, in place and in one pass over memory.

use serde::{Deserialize, Serialize};

use super::regularizer::{
    CHUNK, Largest, Parts, Regularizer, add_sizes, add_squares, largest, part, pull_by_sign, pull_by_value,
};
use crate::kernels::parallel::disjoint::share_all;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math::clip;

/// How a gradient g changes a parameter w at learning rate `step`. Rules and defaults are NeuPy's, which follow
/// TensorFlow; t counts the updates from 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum UpdateRule {
    /// w -= step g
    GradientDescent,
    /// a = momentum a + g, w -= step a; with `nesterov` w -= step (g + momentum a). Default 0.9, without.
    Momentum { momentum: f32, nesterov: bool },
    /// Kingma and Ba, 2014: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
    /// w -= step sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt v + epsilon). Defaults 0.9, 0.999, 1e-7.
    Adam { beta1: f32, beta2: f32, epsilon: f32 },
    /// Loshchilov and Hutter, 2019: m and v as for Adam, w -= step (mhat / (sqrt vhat + epsilon) + decay w) with
    /// mhat = m / (1 - beta1^t) and vhat = v / (1 - beta2^t).
    AdamW { beta1: f32, beta2: f32, epsilon: f32, decay: f32 },
    /// Kingma and Ba, 2014: u = max(beta2 u, |g|), w -= step / (1 - beta1^t) m / (u + epsilon). Defaults as Adam's.
    Adamax { beta1: f32, beta2: f32, epsilon: f32 },
    /// Duchi et al., 2011: a += g^2, w -= step g / sqrt a; a begins at 0.1.
    Adagrad,
    /// Zeiler, 2012: a = decay a + (1 - decay) g^2, d = g sqrt(s + epsilon) / sqrt(a + epsilon),
    /// s = decay s + (1 - decay) d^2, w -= step d. Defaults 0.95, 1e-7.
    Adadelta { decay: f32, epsilon: f32 },
    /// Hinton, 2012: s = decay s + (1 - decay) g^2, which begins at 1; a = momentum a + step g / sqrt(s + epsilon),
    /// w -= a. With `centered`, s less the square of g's average. Defaults 0.95, 0, 1e-7, not centered.
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
    /// How many tensors of the parameter's size the rule keeps.
    pub fn slots(&self) -> usize {
        match *self {
            Self::GradientDescent => 0,
            Self::Momentum { .. } | Self::Adagrad => 1,
            Self::Adam { .. } | Self::AdamW { .. } | Self::Adamax { .. } | Self::Adadelta { .. } => 2,
            Self::RmsProp { momentum, centered, .. } => 1 + usize::from(centered) + usize::from(momentum != 0.0),
        }
    }

    /// What all values of a slot are before the first update.
    pub fn slot_start(&self, slot: usize) -> f32 {
        match self {
            Self::Adagrad => 0.1,
            Self::RmsProp { .. } if slot == 0 => 1.0,
            _ => 0.0,
        }
    }

    /// The learning rate and epsilon of the loops, with the corrections for averages that began at zero.
    fn corrected(&self, step: f32, count: u64) -> (f32, f32) {
        let missing = |beta: f32| 1.0 - libm::pow(f64::from(beta), count as f64 + 1.0);
        let step = f64::from(step);
        match *self {
            Self::Adam { beta1, beta2, epsilon } => ((step * missing(beta2).sqrt() / missing(beta1)) as f32, epsilon),
            // The same with epsilon beside the corrected root: both sides of the fraction times the correction.
            Self::AdamW { beta1, beta2, epsilon, .. } => {
                let root = missing(beta2).sqrt();
                ((step * root / missing(beta1)) as f32, (f64::from(epsilon) * root) as f32)
            }
            Self::Adamax { beta1, epsilon, .. } => ((step / missing(beta1)) as f32, epsilon),
            Self::Adadelta { epsilon, .. } | Self::RmsProp { epsilon, .. } => (step as f32, epsilon),
            Self::GradientDescent | Self::Momentum { .. } | Self::Adagrad => (step as f32, 0.0),
        }
    }
}

/// Updates the parameter `w` by the gradient `g` of the loss without `penalty`, and the rule's `slots`, which began at
/// [`UpdateRule::slot_start`]; returns the penalty before the update.
///
/// `step` is the learning rate now and `count` the updates done before. The penalty's gradient is added to g; the sum
/// is multiplied by `scale` and then clipped to +-`clip`.
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
    let largest = match penalty {
        Some(Regularizer::MaxNorm(_)) => largest(w, threads),
        _ => Largest::default(),
    };
    let corrected = rule.corrected(step, count);
    let pass = Pass { rule, step, corrected, scale, clip, penalty, largest };
    let sum = match slots {
        [] => pass.run([w], g, threads),
        [a] => pass.run([w, a], g, threads),
        [a, b] => pass.run([w, a, b], g, threads),
        [a, b, c] => pass.run([w, a, b, c], g, threads),
        _ => unreachable!("no rule keeps more than three slots"),
    };
    match penalty {
        None => 0.0,
        Some(Regularizer::L1(rate) | Regularizer::L2(rate)) => (f64::from(rate) * sum) as f32,
        Some(Regularizer::MaxNorm(rate)) => rate * largest.size,
    }
}

/// One update, as its tasks read it.
struct Pass<'a> {
    rule: &'a UpdateRule,
    step: f32,
    corrected: (f32, f32),
    scale: f32,
    clip: Option<f32>,
    penalty: Option<Regularizer>,
    largest: Largest,
}

impl Pass<'_> {
    /// Updates the parameter, which comes first, and its slots; returns the penalty's sum over the old values.
    fn run<const N: usize>(&self, data: [&mut [f32]; N], g: &[f32], threads: &ThreadPool) -> f64 {
        let sums = Parts::default();
        let each = part(g.len());
        share_all(threads, data, each, &|start, pieces| {
            let mut buffer = [0.0; CHUNK];
            let mut sum = 0.0;
            let mut pieces = pieces.map(|piece| piece.chunks_mut(CHUNK));
            for g in g[start..g.len().min(start + each)].chunks(CHUNK) {
                // All slices have the gradient's length.
                let mut chunk = pieces.each_mut().map(|chunks| chunks.next().unwrap_or_default());
                let Some((w, slots)) = chunk.split_first_mut() else { continue };
                let g = self.prepare(w, g, &mut buffer[..g.len()], &mut sum);
                self.apply(w, g, slots);
            }
            sums.set(start / each, sum);
        });
        sums.sum()
    }

    /// The gradient with the penalty's, scaled and clipped; in `buffer` if anything of that is asked.
    fn prepare<'b>(&self, w: &[f32], g: &'b [f32], buffer: &'b mut [f32], sum: &mut f64) -> &'b [f32] {
        if self.penalty.is_none() && self.clip.is_none() && self.scale == 1.0 {
            return g;
        }
        buffer.copy_from_slice(g);
        match self.penalty {
            None => {}
            Some(Regularizer::L1(rate)) => {
                add_sizes(w, sum);
                pull_by_sign(buffer, w, rate, 0.0);
            }
            Some(Regularizer::L2(rate)) => {
                add_squares(w, sum);
                pull_by_value(buffer, w, 2.0 * rate);
            }
            Some(Regularizer::MaxNorm(rate)) => {
                pull_by_sign(buffer, w, rate / self.largest.count.max(1) as f32, self.largest.size);
            }
        }
        bound(buffer, self.scale, self.clip.unwrap_or(f32::INFINITY));
        buffer
    }

    fn apply(&self, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        let (step, epsilon) = self.corrected;
        match (*self.rule, slots) {
            (UpdateRule::GradientDescent, _) => descend(w, g, step),
            (UpdateRule::Momentum { momentum, nesterov: false }, [a]) => roll(w, g, a, step, momentum),
            (UpdateRule::Momentum { momentum, nesterov: true }, [a]) => look_ahead(w, g, a, step, momentum),
            (UpdateRule::Adam { beta1, beta2, .. }, [m, v]) => adam(w, g, [m, v], [beta1, beta2, step, epsilon, 0.0]),
            (UpdateRule::AdamW { beta1, beta2, decay, .. }, [m, v]) => {
                adam(w, g, [m, v], [beta1, beta2, step, epsilon, self.step * decay]);
            }
            (UpdateRule::Adamax { beta1, beta2, .. }, [m, u]) => adamax(w, g, [m, u], [beta1, beta2, step, epsilon]),
            (UpdateRule::Adagrad, [a]) => adagrad(w, g, a, step),
            (UpdateRule::Adadelta { decay, .. }, [a, s]) => adadelta(w, g, [a, s], [decay, step, epsilon]),
            (UpdateRule::RmsProp { decay, momentum, centered, .. }, [s, slots @ ..]) => {
                let mut buffer = [0.0; CHUNK];
                let spread = &mut buffer[..g.len()];
                mean_squares(g, s, spread, decay, epsilon);
                let slots = match slots {
                    [average, slots @ ..] if centered => {
                        subtract_average(g, average, spread, decay);
                        slots
                    }
                    slots => slots,
                };
                divide_roots(spread, g, step);
                match slots {
                    [a] => roll(w, spread, a, 1.0, momentum),
                    _ => descend(w, spread, 1.0),
                }
            }
            _ => unreachable!("the slots were counted"),
        }
    }
}

multiversion! {
    fn bound(g: &mut [f32], scale: f32, most: f32) {
        g.iter_mut().for_each(|g| *g = clip(*g * scale, -most, most));
    }
}

multiversion! {
    fn descend(w: &mut [f32], g: &[f32], step: f32) {
        w.iter_mut().zip(g).for_each(|(w, g)| *w -= step * g);
    }
}

multiversion! {
    /// Momentum.
    fn roll(w: &mut [f32], g: &[f32], a: &mut [f32], step: f32, momentum: f32) {
        for ((w, g), a) in w.iter_mut().zip(g).zip(a) {
            *a = momentum * *a + g;
            *w -= step * *a;
        }
    }
}

multiversion! {
    /// Nesterov's momentum.
    fn look_ahead(w: &mut [f32], g: &[f32], a: &mut [f32], step: f32, momentum: f32) {
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
            // Written so that a gradient that is not a number shows.
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
    /// The average of squares `s`, and `spread` = s + epsilon.
    fn mean_squares(g: &[f32], s: &mut [f32], spread: &mut [f32], decay: f32, epsilon: f32) {
        for ((g, s), spread) in g.iter().zip(s).zip(spread) {
            *s = decay * *s + (1.0 - decay) * (g * g);
            *spread = *s + epsilon;
        }
    }
}

multiversion! {
    /// The average of gradients, and `spread` less its square.
    fn subtract_average(g: &[f32], average: &mut [f32], spread: &mut [f32], decay: f32) {
        for ((g, average), spread) in g.iter().zip(average).zip(spread) {
            *average = decay * *average + (1.0 - decay) * g;
            *spread -= *average * *average;
        }
    }
}

multiversion! {
    /// spread = step g / sqrt(spread)
    fn divide_roots(spread: &mut [f32], g: &[f32], step: f32) {
        spread.iter_mut().zip(g).for_each(|(spread, g)| *spread = step * g / spread.sqrt());
    }
}

#[cfg(test)]
mod tests;
