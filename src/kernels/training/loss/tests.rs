//! Losses and gradients compared with f64 references, and with a training run of NeuPy.

use super::*;
use crate::kernels::elementwise::activation_gradient::softmax_gradient;
use crate::kernels::elementwise::softmax::softmax;
use crate::kernels::testing::{Random, Tensor, close, dense};
use crate::kernels::training::optimizer::{UpdateRule, update};
use ndarray::{Array1, Array2, s};
use ndarray_npy::NpzReader;
use std::fs::File;

/// The loss in f64, from its definition; `y` and `t` are dense.
fn exact(kind: Loss, y: &[f64], t: &[f64], weights: Option<&[f32]>, features: usize) -> f64 {
    let n = y.len() / features;
    let mean = |loss: &dyn Fn(f64, f64) -> f64, i: usize| {
        (i * features..(i + 1) * features).map(|j| loss(y[j], t[j])).sum::<f64>() / features as f64
    };
    let clipped = |y: f64| y.clamp(1e-7, 1.0 - 1e-7);
    let row = |i: usize| match kind {
        Loss::CategoricalCrossentropy => mean(&|y, t| -t * clipped(y).ln(), i) * features as f64,
        Loss::BinaryCrossentropy => mean(&|y, t| -(t * clipped(y).ln() + (1.0 - t) * (1.0 - clipped(y)).ln()), i),
        Loss::Mse | Loss::Rmse => mean(&|y, t| (y - t).powi(2), i),
        Loss::Mae => mean(&|y, t| (y - t).abs(), i),
        Loss::Msle | Loss::Rmsle => mean(&|y, t| ((1.0 + y.max(0.0)).ln() - (1.0 + t.max(0.0)).ln()).powi(2), i),
        Loss::BinaryHinge => mean(&|y, t| (1.0 - t * y).max(0.0), i),
        Loss::CategoricalHinge => {
            let (y, t) = (&y[i * features..][..features], &t[i * features..][..features]);
            let class = (0..features).rev().max_by(|a, b| t[*a].total_cmp(&t[*b])).expect("a class");
            let other = (0..features).filter(|c| *c != class).map(|c| y[c]).fold(f64::NEG_INFINITY, f64::max);
            (other - y[class] + 1.0).max(0.0)
        }
        Loss::Huber { delta } => {
            let delta = f64::from(delta);
            let of_error = |d: f64| if d <= delta { d * d / 2.0 } else { delta * (d - delta / 2.0) };
            mean(&|y, t| of_error((y - t).abs()), i)
        }
        Loss::CategoricalFocal { gamma, alpha } => {
            let of = |y: f64, t: f64| -f64::from(alpha) * (1.0 - y).powf(gamma.into()) * t * y.ln();
            mean(&|y, t| of(clipped(y), t), i) * features as f64
        }
        Loss::BinaryFocal { gamma, alpha } => {
            let of = |p: f64, alpha: f64| -alpha * (1.0 - p).powf(gamma.into()) * p.ln();
            let alpha = f64::from(alpha);
            mean(&|y, t| if t == 1.0 { of(clipped(y), alpha) } else { of(1.0 - clipped(y), 1.0 - alpha) }, i)
        }
        Loss::KlDivergence => mean(&|y, t| if t > 0.0 { t * (t / clipped(y)).ln() } else { 0.0 }, i) * features as f64,
        Loss::Cosine => {
            let sum = |f: &dyn Fn(f64, f64) -> f64| mean(f, i) * features as f64;
            let lengths = (sum(&|y, _| y * y) + 1e-12) * (sum(&|_, t| t * t) + 1e-12);
            1.0 - sum(&|y, t| y * t) / lengths.sqrt()
        }
        Loss::Dice { smooth } => {
            let sum = |f: &dyn Fn(f64, f64) -> f64| mean(f, i) * features as f64;
            let smooth = f64::from(smooth);
            1.0 - (2.0 * sum(&|y, t| y * t) + smooth) / (sum(&|y, t| y + t) + smooth)
        }
        Loss::Contrastive { margin } => {
            mean(&|y, t| t * y * y + (1.0 - t) * (f64::from(margin) - y).max(0.0).powi(2), i)
        }
        Loss::Triplet { margin } => {
            let (y, width) = (&y[i * features..][..features], features / 3);
            let distance = |from: usize| (0..width).map(|at| (y[at] - y[from + at] + 1e-6).powi(2)).sum::<f64>().sqrt();
            (distance(width) - distance(2 * width) + f64::from(margin)).max(0.0)
        }
    };
    let weight = |i: usize| weights.map_or(1.0, |weights| f64::from(weights[i]));
    let value = (0..n).map(|i| weight(i) * row(i)).sum::<f64>() / n as f64;
    if kind.is_root() { value.sqrt() } else { value }
}

/// Random predictions and targets in the domain of a loss.
fn tensors(random: &mut Random, kind: Loss, n: usize, features: usize) -> (Tensor, Tensor) {
    let y = Tensor::random(random, 1, n, features, 3);
    let t = Tensor::random(random, 1, n, features, 1);
    match kind {
        Loss::CategoricalCrossentropy
        | Loss::BinaryCrossentropy
        | Loss::CategoricalFocal { .. }
        | Loss::KlDivergence
        | Loss::Dice { .. } => {
            (Tensor::of(&y, |i, p, c| 0.5 + 0.45 * y.at(i, p, c)), Tensor::of(&t, |i, p, c| t.at(i, p, c).abs()))
        }
        Loss::BinaryFocal { .. } => (
            Tensor::of(&y, |i, p, c| 0.5 + 0.45 * y.at(i, p, c)),
            Tensor::of(&t, |i, p, c| f64::from(u8::from(t.at(i, p, c) > 0.0))),
        ),
        Loss::Contrastive { .. } => (
            Tensor::of(&y, |i, p, c| 0.9 + y.at(i, p, c).abs()),
            Tensor::of(&t, |i, p, c| f64::from(u8::from(t.at(i, p, c) > 0.0))),
        ),
        Loss::BinaryHinge => (y, Tensor::of(&t, |i, p, c| t.at(i, p, c).signum())),
        _ => (y, t),
    }
}

/// Every loss, and those that have other settings than the defaults.
fn every() -> impl Iterator<Item = Loss> {
    let others = [
        Loss::Huber { delta: 0.25 },
        Loss::CategoricalFocal { gamma: 0.5, alpha: 0.5 },
        Loss::BinaryFocal { gamma: 2.0, alpha: 0.25 },
        Loss::BinaryFocal { gamma: 1.5, alpha: 0.75 },
        Loss::Dice { smooth: 1.0 },
        Loss::Contrastive { margin: 1.25 },
        Loss::Triplet { margin: 0.5 },
    ];
    Loss::ALL.into_iter().chain(others)
}

/// Computed by hand: three pixels whose classes have probabilities 0.8, 0.5 and 0.25, and an unlabelled one.
#[test]
fn rows_of_weight_0_are_ignored_even_with_nan_targets() {
    let y = [0.8, 0.2, 0.5, 0.5, 0.75, 0.25, 0.9, 0.1f32];
    let t = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, f32::NAN, f32::NAN];
    // Scaled by 4/3, so that the mean over four rows is that over the three labelled ones; the second class weighs half.
    let weights = [4.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.0f32];
    let view = |data| View { data, ld: 2, image: 8 };
    let expected = (-(0.8f64.ln()) - 0.5 * 0.5f64.ln() - 0.5 * 0.25f64.ln()) / 3.0;
    let kind = Loss::CategoricalCrossentropy;
    let found = loss_of_images(kind, view(&y), view(&t), Some(&weights), 1, (4, 2));
    assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
    let threads = ThreadPool::new(1);
    let mut dx = [7.0f32; 8];
    let out = ViewMut { data: &mut dx, ld: 2, image: 2 };
    softmax_crossentropy_gradient(view(&y), view(&t), Some(&weights), out, 4, 2, &threads);
    // (probability - target) * weight / 4 rows.
    let expected = [-0.2, 0.2, 0.25, -0.25, 0.375, -0.375, 0.0, 0.0].map(|value: f32| value / 3.0);
    assert!(dx.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{dx:?} instead of {expected:?}");
    // Embeddings are three of a size.
    for kind in every().filter(|kind| !matches!(kind, Loss::Triplet { .. })) {
        let mut dy = [7.0f32; 8];
        let out = ViewMut { data: &mut dy, ld: 2, image: 2 };
        let value = loss(kind, view(&y), view(&t), Some(&weights), 4, 2);
        loss_gradient(kind, view(&y), view(&t), Some(&weights), out, 4, 2, &threads);
        assert!(
            value.is_finite() && dy[6..] == [0.0; 2] && dy[..6].iter().all(|value| value.is_finite()),
            "{kind:?}: {dy:?}"
        );
    }
}

#[test]
fn losses_and_gradients_match_the_reference() {
    const STEP: f64 = 1e-6;
    let mut random = Random(81);
    for kind in every() {
        for (n, features, weighted) in [(1, 1, false), (5, 3, true), (4, 17, false), (3, 2, true), (1500, 9, true)] {
            let is_triplet = matches!(kind, Loss::Triplet { .. });
            if is_triplet && features % 3 != 0 || kind == Loss::Cosine && features == 1 {
                continue;
            }
            let (y, t) = tensors(&mut random, kind, n, features);
            let weights: Vec<f32> = random.floats(n).iter().map(|w| w.abs() + 0.1).collect();
            let weights = weighted.then_some(&weights[..]);
            let (wide_y, wide_t) = (dense(&y), dense(&t));
            let found = loss(kind, y.view(), t.view(), weights, n, features);
            close(found, exact(kind, &wide_y, &wide_t, weights, features), 1e-6, &format!("{kind:?}"));
            let dy = Tensor::new(1, n, features, 2);
            let dy = dy.filled(|dy, threads| {
                loss_gradient(kind, y.view(), t.view(), weights, dy, n, features, threads);
            });
            // All elements of small batches, a sample of the large one; scaled so that errors are relative.
            for index in (0..n * features).step_by(n.div_ceil(20) * 7).take(40) {
                let at = |shift: f64| {
                    let mut y = wide_y.clone();
                    y[index] += shift;
                    exact(kind, &y, &wide_t, weights, features)
                };
                let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP) * (n * features) as f64;
                let found = dy.at(0, index / features, index % features) * (n * features) as f64;
                close(found, slope, 2e-5, &format!("{kind:?} {n}x{features}, element {index}"));
            }
        }
    }
}

/// PyTorch 2.15 in float64: `HuberLoss`, `CosineEmbeddingLoss` with a target of 1, `KLDivLoss(reduction="batchmean")` of the
/// logarithm, torchvision's `sigmoid_focal_loss` of the logit, `TripletMarginLoss`; Keras' formulas of
/// `CategoricalFocalCrossentropy` and `Dice`, and Hadsell's, by PyTorch's autograd.
#[test]
fn losses_are_those_of_pytorch() {
    const ERRORS: ([f32; 6], [f32; 6]) = ([0.5, -2.0, 1.25, 3.0, 0.25, -0.75], [0.75, 1.0, 1.0, 0.5, 0.25, -1.0]);
    const CLASSES: [f32; 6] = [0.5, 0.25, 0.25, 0.125, 0.75, 0.125];
    const BINARY: ([f32; 6], [f32; 6]) = ([0.5, 0.25, 0.875, 0.125, 0.75, 0.0625], [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    /// A loss, predictions and targets, its value and gradient.
    type Case = (Loss, ([f32; 6], [f32; 6]), f64, [f64; 6]);
    let cases: [Case; 8] = [
        (
            Loss::Huber { delta: 1.0 },
            ERRORS,
            0.765625,
            [
                -0.041666666666666664,
                -0.16666666666666666,
                0.041666666666666664,
                0.16666666666666666,
                0.0,
                0.041666666666666664,
            ],
        ),
        (
            Loss::Huber { delta: 0.5 },
            ERRORS,
            0.4322916666666667,
            [
                -0.041666666666666664,
                -0.08333333333333333,
                0.041666666666666664,
                0.08333333333333333,
                0.0,
                0.041666666666666664,
            ],
        ),
        (
            Loss::Cosine,
            ERRORS,
            0.723270167959307,
            [
                -0.10134600493605561,
                -0.11283885085664291,
                -0.14000375939619975,
                0.031058335386226932,
                -0.02671930323669048,
                0.1153269071327227,
            ],
        ),
        (
            Loss::KlDivergence,
            (CLASSES, [0.25, 0.75, 0.0, 0.5, 0.25, 0.25]),
            0.621226662447,
            [-0.25, -1.5, 0.0, -2.0, -0.16666666666666666, -1.0],
        ),
        (
            Loss::CategoricalFocal { gamma: 2.0, alpha: 0.25 },
            (CLASSES, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
            0.22066990318607632,
            [-0.14914339756999317, 0.0, 0.0, 0.0, 0.0, -1.220502837242464],
        ),
        (
            Loss::BinaryFocal { gamma: 2.0, alpha: 0.25 },
            BINARY,
            0.31102206020767237,
            [
                -0.049714465856664385,
                0.028396796194902985,
                1.220502837242464,
                0.006404998876659193,
                -0.009465598731634323,
                -0.802545993924983,
            ],
        ),
        (
            Loss::Dice { smooth: 1.0 },
            BINARY,
            0.39080459770114945,
            [
                -0.19976218787158145,
                0.07609988109393578,
                0.07609988109393578,
                0.08465608465608465,
                -0.1693121693121693,
                -0.1693121693121693,
            ],
        ),
        (
            Loss::Triplet { margin: 1.0 },
            ([0.5, -1.0, 0.25, -0.5, 0.75, 0.0], [0.0; 6]),
            0.528241353436415,
            [
                0.6897506823546418,
                0.07571655366305708,
                -0.44721574212564564,
                0.8944261176838522,
                -0.2425349402289962,
                -0.9701426713469072,
            ],
        ),
    ];
    for (kind, (y, t), expected, slopes) in cases {
        let features = if matches!(kind, Loss::Triplet { .. }) { 6 } else { 3 };
        let found = loss(kind, view(&y, features), view(&t, features), None, 6 / features, features);
        close(found, expected, 1e-6, &format!("{kind:?}"));
        for (found, slope) in gradient(kind, &y, &t, features).into_iter().zip(slopes) {
            close(f64::from(found), slope, 1e-6, &format!("gradient of {kind:?}"));
        }
    }
    let (y, t) = ([0.25, 0.5, 1.5, 0.75], [1.0, 0.0, 0.0, 1.0]);
    let kind = Loss::Contrastive { margin: 1.0 };
    close(loss(kind, view(&y, 1), view(&t, 1), None, 4, 1), 0.21875, 1e-6, "contrastive");
    assert_eq!(gradient(kind, &y, &t, 1), [0.125, -0.25, 0.0, 0.375]);
    // A triplet whose negative is far enough has no loss.
    let far = [1.0, 1.0, 1.0, 1.25, 5.0, -3.0];
    assert_eq!(gradient(Loss::Triplet { margin: 1.0 }, &far, &[0.0; 6], 6), [0.0; 6]);
}

fn view(data: &[f32], features: usize) -> View<'_> {
    View { data, ld: features, image: 0 }
}

fn view_mut(data: &mut [f32], features: usize) -> ViewMut<'_> {
    ViewMut { data, ld: features, image: 0 }
}

fn gradient(kind: Loss, y: &[f32], t: &[f32], features: usize) -> Vec<f32> {
    let mut dy = vec![9.0; y.len()];
    let n = y.len() / features;
    let (y, t) = (view(y, features), view(t, features));
    loss_gradient(kind, y, t, None, view_mut(&mut dy, features), n, features, &ThreadPool::new(1));
    dy
}

#[test]
fn gradients_at_clips_kinks_and_ties() {
    // Clipped probabilities, a square root of 0, an inactive hinge and tied classes.
    assert_eq!(gradient(Loss::CategoricalCrossentropy, &[0.0, 1.0], &[1.0, 1.0], 2), [0.0, 0.0]);
    assert_eq!(gradient(Loss::BinaryCrossentropy, &[0.0, 1.0], &[1.0, 0.0], 2), [0.0, 0.0]);
    let loss_of = |kind, y: &[f32], t: &[f32]| loss(kind, view(y, 2), view(t, 2), None, 1, 2);
    close(loss_of(Loss::CategoricalCrossentropy, &[0.0, 1.0], &[1.0, 0.0]), -1e-7f64.ln(), 1e-6, "clipped");
    assert_eq!(gradient(Loss::Rmse, &[3.0], &[3.0], 1), [0.0]);
    assert_eq!(gradient(Loss::Mae, &[3.0, 4.0], &[3.0, 1.0], 2), [0.0, 0.5]);
    assert_eq!(gradient(Loss::Msle, &[-1.0], &[2.0], 1), [0.0]);
    assert_eq!(gradient(Loss::BinaryHinge, &[2.0, 0.5], &[1.0, 1.0], 2), [0.0, -0.5]);
    assert_eq!(gradient(Loss::CategoricalHinge, &[2.0, 0.0, 2.0], &[0.0, 1.0, 0.0], 3), [0.5, -1.0, 0.5]);
    assert_eq!(gradient(Loss::CategoricalHinge, &[0.0, 2.0, 1.0], &[0.0, 1.0, 0.0], 3), [0.0; 3]);
    assert_eq!(gradient(Loss::CategoricalHinge, &[5.0], &[1.0], 1), [0.0]);
    assert_eq!(loss(Loss::Mse, view(&[], 2), view(&[], 2), None, 0, 2), 0.0);
}

#[test]
fn fused_softmax_and_sigmoid_gradients_match_finite_differences() {
    let mut random = Random(82);
    for (n, features, weighted) in [(1, 2, false), (6, 5, true)] {
        let logits = Tensor::random(&mut random, 1, n, features, 0);
        let t = Tensor::of(&logits, |_, p, c| f64::from(u8::from(c == p % features)) * 0.9 + 0.02 * c as f64);
        let weights = random.floats(n);
        let weights = weighted.then_some(&weights[..]);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let softmax = |x: &[f64]| -> Vec<f64> {
            let row = |i: usize| &x[i / features * features..][..features];
            (0..x.len()).map(|i| x[i].exp() / row(i).iter().map(|x| x.exp()).sum::<f64>()).collect()
        };
        let wide = dense(&logits);
        let slopes = |forward: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
            let step = 1e-5;
            let slope = |i: usize| {
                let at = |shift: f64| {
                    let mut x = wide.clone();
                    x[i] += shift;
                    forward(&x)
                };
                (at(step) - at(-step)) / (2.0 * step)
            };
            (0..wide.len()).map(slope).collect()
        };
        let probabilities = softmax(&wide);
        let y = Tensor::of(&logits, |_, p, c| probabilities[p * features + c]);
        let dx = Tensor::new(1, n, features, 1);
        let run = dx.filled(|dx, threads| {
            softmax_crossentropy_gradient(y.view(), t.view(), weights, dx, n, features, threads);
        });
        let categorical = Loss::CategoricalCrossentropy;
        let forward = |x: &[f64]| exact(categorical, &softmax(x), &dense(&t), weights, features);
        run.check_dense(1e-6, &slopes(&forward));
        let y = Tensor::of(&logits, |_, p, c| sigmoid(logits.at(0, p, c)));
        let run = dx.filled(|dx, threads| {
            sigmoid_crossentropy_gradient(y.view(), t.view(), weights, dx, n, features, threads);
        });
        let forward = |x: &[f64]| {
            let y: Vec<f64> = x.iter().map(|x| sigmoid(*x)).collect();
            exact(Loss::BinaryCrossentropy, &y, &dense(&t), weights, features)
        };
        run.check_dense(1e-6, &slopes(&forward));
    }
}

/// A softmax layer trained by NeuPy 0.8.2 with Momentum: the loss of each update, and the final parameters.
#[test]
fn training_matches_neupy() {
    for (name, kind) in [("categorical_crossentropy", Loss::CategoricalCrossentropy), ("mse", Loss::Mse)] {
        let path = format!("{}/tests/neupy_momentum/{name}.npz", env!("CARGO_MANIFEST_DIR"));
        let mut file = NpzReader::new(File::open(path).unwrap()).unwrap();
        let mut matrix = |name| -> Array2<f32> { file.by_name(name).unwrap() };
        let (x, t, mut w, final_w) = (matrix("X"), matrix("Y"), matrix("W0"), matrix("W"));
        let mut vector = |name| -> Array1<f32> { file.by_name(name).unwrap() };
        let (mut b, final_b, errors) = (vector("b0"), vector("b"), vector("errors"));
        let threads = ThreadPool::new(1);
        let rule = UpdateRule::Momentum { momentum: 0.9, nesterov: false };
        let (n, features) = (16, t.ncols());
        let size = Images { n: 1, pixels: n, channels: features };
        let (mut slot_w, mut slot_b) = (vec![0.0; w.len()], vec![0.0; b.len()]);
        for (count, error) in errors.iter().enumerate() {
            let from = count % 3 * n;
            let (x, t) = (x.slice(s![from..from + n, ..]), t.slice(s![from..from + n, ..]));
            let mut y = x.dot(&w) + &b;

            softmax(None, view_mut(y.as_slice_mut().unwrap(), features), size, &threads);
            let (p, t) = (view(y.as_slice().unwrap(), features), view(t.to_slice().unwrap(), features));
            close(loss(kind, p, t, None, n, features), f64::from(*error), 1e-5, &format!("{name} {count}"));
            let mut dx = Array2::zeros((n, features));
            let out = dx.as_slice_mut().unwrap();
            if kind == Loss::Mse {
                loss_gradient(kind, p, t, None, view_mut(out, features), n, features, &threads);
                softmax_gradient(p, None, view_mut(out, features), size, &threads);
            } else {
                softmax_crossentropy_gradient(p, t, None, view_mut(out, features), n, features, &threads);
            }
            let dw = x.t().dot(&dx);
            let dw: Vec<f32> = dw.iter().copied().collect();
            let db = dx.sum_axis(ndarray::Axis(0)).to_vec();
            let step = |w: &mut [f32], g: &[f32], slot: &mut [f32]| {
                update(&rule, 0.1, count as u64, 1.0, None, None, w, g, &mut [slot], &threads);
            };
            step(w.as_slice_mut().unwrap(), &dw, &mut slot_w);
            step(b.as_slice_mut().unwrap(), &db, &mut slot_b);
        }
        for (found, expected) in w.iter().zip(&final_w).chain(b.iter().zip(&final_b)) {
            close(f64::from(*found), f64::from(*expected), 1e-5, name);
        }
    }
}
