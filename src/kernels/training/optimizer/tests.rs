//! Updates compared with scalar references in f64.

use super::*;
use crate::kernels::testing::{Random, close};
use crate::kernels::training::regularizer::square_sum;

fn rules() -> Vec<UpdateRule> {
    let rms = |momentum, centered| UpdateRule::RmsProp { decay: 0.95, momentum, epsilon: 1e-7, centered };
    vec![
        UpdateRule::GradientDescent,
        UpdateRule::Momentum { momentum: 0.9, nesterov: false },
        UpdateRule::Momentum { momentum: 0.8, nesterov: true },
        UpdateRule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
        UpdateRule::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, decay: 0.1 },
        UpdateRule::Adamax { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
        UpdateRule::Adagrad,
        UpdateRule::Adadelta { decay: 0.95, epsilon: 1e-3 },
        rms(0.0, false),
        rms(0.5, false),
        rms(0.0, true),
        rms(0.7, true),
    ]
}

/// The update of one value from the formula of its rule.
fn exact(rule: UpdateRule, step: f64, t: i32, w: &mut f64, g: f64, slots: &mut [f64]) {
    let wide = f64::from;
    match (rule, slots) {
        (UpdateRule::GradientDescent, _) => *w -= step * g,
        (UpdateRule::Momentum { momentum, nesterov }, [a]) => {
            *a = wide(momentum) * *a + g;
            *w -= step * if nesterov { g + wide(momentum) * *a } else { *a };
        }
        (UpdateRule::Adam { beta1, beta2, epsilon }, [m, v]) => {
            let (beta1, beta2) = (wide(beta1), wide(beta2));
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let step = step * (1.0 - beta2.powi(t)).sqrt() / (1.0 - beta1.powi(t));
            *w -= step * *m / (v.sqrt() + wide(epsilon));
        }
        (UpdateRule::AdamW { beta1, beta2, epsilon, decay }, [m, v]) => {
            let (beta1, beta2) = (wide(beta1), wide(beta2));
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let (mean, square) = (*m / (1.0 - beta1.powi(t)), *v / (1.0 - beta2.powi(t)));
            *w -= step * (mean / (square.sqrt() + wide(epsilon)) + wide(decay) * *w);
        }
        (UpdateRule::Adamax { beta1, beta2, epsilon }, [m, u]) => {
            *m = wide(beta1) * *m + (1.0 - wide(beta1)) * g;
            *u = (wide(beta2) * *u).max(g.abs());
            *w -= step / (1.0 - wide(beta1).powi(t)) * *m / (*u + wide(epsilon));
        }
        (UpdateRule::Adagrad, [a]) => {
            *a += g * g;
            *w -= step * g / a.sqrt();
        }
        (UpdateRule::Adadelta { decay, epsilon }, [a, s]) => {
            let (decay, epsilon) = (wide(decay), wide(epsilon));
            *a = decay * *a + (1.0 - decay) * g * g;
            let d = g * (*s + epsilon).sqrt() / (*a + epsilon).sqrt();
            *s = decay * *s + (1.0 - decay) * d * d;
            *w -= step * d;
        }
        (UpdateRule::RmsProp { decay, momentum, epsilon, centered }, [s, slots @ ..]) => {
            let decay = wide(decay);
            *s = decay * *s + (1.0 - decay) * g * g;
            let mut variance = *s;
            if centered {
                slots[0] = decay * slots[0] + (1.0 - decay) * g;
                variance -= slots[0] * slots[0];
            }
            let change = step * g / (variance + wide(epsilon)).sqrt();
            match slots.get_mut(usize::from(centered)) {
                Some(a) => {
                    *a = wide(momentum) * *a + change;
                    *w -= *a;
                }
                None => *w -= change,
            }
        }
        (rule, slots) => panic!("{} slots for {rule:?}", slots.len()),
    }
}

/// The penalty and its gradient.
fn exact_penalty(penalty: Option<Regularizer>, w: &[f64]) -> (f64, Vec<f64>) {
    let sign = |w: f64| if w == 0.0 { 0.0 } else { w.signum() };
    let max = w.iter().fold(0.0f64, |max, w| max.max(w.abs()));
    match penalty {
        None => (0.0, vec![0.0; w.len()]),
        Some(Regularizer::L1(rate)) => {
            let rate = f64::from(rate);
            (rate * w.iter().map(|w| w.abs()).sum::<f64>(), w.iter().map(|w| rate * sign(*w)).collect())
        }
        Some(Regularizer::L2(rate)) => {
            let rate = f64::from(rate);
            (rate * w.iter().map(|w| w * w).sum::<f64>(), w.iter().map(|w| 2.0 * rate * w).collect())
        }
        Some(Regularizer::MaxNorm(rate)) => {
            let rate = f64::from(rate);
            let ties = w.iter().filter(|w| w.abs() == max).count() as f64;
            let gradient = w.iter().map(|w| if w.abs() == max { rate * sign(*w) / ties } else { 0.0 });
            (rate * max, gradient.collect())
        }
    }
}

/// Parameters, slots and penalties after three updates.
#[derive(PartialEq, Debug)]
struct State {
    w: Vec<f32>,
    slots: Vec<Vec<f32>>,
    penalties: Vec<f32>,
}

#[derive(Clone, Copy)]
struct Case {
    rule: UpdateRule,
    scale: f32,
    clip: Option<f32>,
    penalty: Option<Regularizer>,
}

const STEP: f32 = 0.05;

fn run(case: Case, start: &[f32], gradients: &[Vec<f32>], threads: &ThreadPool) -> State {
    let Case { rule, scale, clip, penalty } = case;
    let mut w = start.to_vec();
    let mut slots: Vec<Vec<f32>> = (0..rule.slots()).map(|slot| vec![rule.slot_start(slot); w.len()]).collect();
    let mut penalties = Vec::new();
    for (count, g) in gradients.iter().enumerate() {
        let mut slots: Vec<&mut [f32]> = slots.iter_mut().map(Vec::as_mut_slice).collect();
        penalties.push(update(&rule, STEP, count as u64, scale, clip, penalty, &mut w, g, &mut slots, threads));
    }
    State { w, slots, penalties }
}

fn check(case: Case, start: &[f32], gradients: &[Vec<f32>]) {
    let state = run(case, start, gradients, &ThreadPool::new(1));
    for count in 2..4 {
        assert_eq!(state, run(case, start, gradients, &ThreadPool::new(count)), "threads change the result");
    }
    let Case { rule, scale, clip, penalty } = case;
    let mut w: Vec<f64> = start.iter().map(|w| f64::from(*w)).collect();
    let start = |_| (0..rule.slots()).map(|slot| f64::from(rule.slot_start(slot))).collect();
    let mut slots: Vec<Vec<f64>> = w.iter().map(start).collect();
    for (count, g) in gradients.iter().enumerate() {
        let (value, penalty_gradient) = exact_penalty(penalty, &w);
        close(f64::from(state.penalties[count]), value, 1e-6, &format!("{rule:?}: penalty"));
        for (i, w) in w.iter_mut().enumerate() {
            let g = (f64::from(g[i]) + penalty_gradient[i]) * f64::from(scale);
            let g = clip.map_or(g, |limit| g.clamp(-f64::from(limit), f64::from(limit)));
            exact(rule, f64::from(STEP), count as i32 + 1, w, g, &mut slots[i]);
        }
    }
    for (i, w) in w.iter().enumerate() {
        close(f64::from(state.w[i]), *w, 3e-6, &format!("{rule:?} of {}: value {i}", state.w.len()));
        for (slot, found) in state.slots.iter().enumerate() {
            close(f64::from(found[i]), slots[i][slot], 3e-6, &format!("{rule:?}: slot {slot}, value {i}"));
        }
    }
}

#[test]
fn rules_match_the_reference_for_all_lengths() {
    let mut random = Random(91);
    for rule in rules() {
        for len in (0..=33).chain([70_001]) {
            let gradients: Vec<_> = (0..3).map(|_| random.floats(len).to_vec()).collect();
            check(Case { rule, scale: 1.0, clip: None, penalty: None }, &random.floats(len), &gradients);
        }
    }
}

#[test]
fn penalties_scaling_and_clipping_match_the_reference() {
    let mut random = Random(92);
    // L1 and max norm are discontinuous at zero and at ties, where f32 and f64 would diverge: starts away from zero.
    for (i, rule) in rules().into_iter().enumerate() {
        let penalty = [Regularizer::L2(0.3), Regularizer::L1(0.01), Regularizer::MaxNorm(0.2)][i % 3];
        let clip = [None, Some(0.4)][i % 2];
        for len in [1, 7, 33, 10_001] {
            let start: Vec<f32> = random.floats(len).iter().map(|w| w + 3.0 * w.signum()).collect();
            let gradients: Vec<_> = (0..3).map(|_| random.floats(len).to_vec()).collect();
            check(Case { rule, scale: 0.7, clip, penalty: Some(penalty) }, &start, &gradients);
        }
    }
}

#[test]
fn penalty_gradients_at_zero_and_at_ties() {
    let threads = ThreadPool::new(1);
    let step = |penalty, w: &[f32]| {
        let mut w = w.to_vec();
        let g = vec![0.0; w.len()];
        let value =
            update(&UpdateRule::GradientDescent, 1.0, 0, 1.0, None, Some(penalty), &mut w, &g, &mut [], &threads);
        (value, w)
    };
    assert_eq!(step(Regularizer::L1(0.5), &[2.0, 0.0, -1.0]), (1.5, vec![1.5, 0.0, -0.5]));
    assert_eq!(step(Regularizer::MaxNorm(0.5), &[2.0, 0.0, -2.0]), (1.0, vec![1.75, 0.0, -1.75]));
    assert_eq!(step(Regularizer::MaxNorm(0.5), &[0.0, 0.0]), (0.0, vec![0.0, 0.0]));
    // The maximum is in another task than the first.
    let mut many = vec![1.0; 50_000];
    many[49_000] = -3.0;
    let (value, after) = step(Regularizer::MaxNorm(1.0), &many);
    assert_eq!((value, after[49_000], after[0]), (3.0, -2.0, 1.0));
}

#[test]
fn square_sums_do_not_depend_on_threads() {
    let mut random = Random(93);
    for len in [0, 1, 9, 4097, 300_003] {
        let values = random.floats(len);
        let sum = square_sum(&values, &ThreadPool::new(1));
        assert_eq!(sum.to_bits(), square_sum(&values, &ThreadPool::new(3)).to_bits());
        close(sum, values.iter().map(|v| f64::from(*v).powi(2)).sum(), 1e-12, "sum");
    }
}
