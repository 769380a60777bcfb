//! Attention and its gradient against plain loops in f64.

use super::gradient::{By, attention_gradient, attention_gradient_scratch_len};
use super::*;
use crate::kernels::guarded::Floats;
use crate::kernels::testing::{Random, Tensor, dense, differences};

/// Which key each query sees, of a sample.
type Seen<'a> = dyn Fn(usize, usize, usize) -> bool + 'a;

/// y of dense operands.
fn forward(size: &Attention, n: usize, [q, k, v]: [&[f64]; 3], seen: &Seen<'_>) -> Vec<f64> {
    let (features, depth) = (size.features(), size.depth);
    let mut y = vec![0.0; n * size.queries * features];
    for (image, head, row) in
        (0..n).flat_map(|n| (0..size.heads).flat_map(move |h| (0..size.queries).map(move |q| (n, h, q))))
    {
        let at =
            |x: &[f64], steps: usize, step: usize, c: usize| x[(image * steps + step) * features + head * depth + c];
        let dot = |key: usize| -> f64 {
            (0..depth).map(|c| at(q, size.queries, row, c) * at(k, size.keys, key, c)).sum::<f64>()
                / (depth as f64).sqrt()
        };
        let sees = |key: &usize| seen(image, row, *key) && (!size.causal || *key <= row);
        let weights: Vec<(usize, f64)> = (0..size.keys).filter(sees).map(|key| (key, dot(key).exp())).collect();
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        for (key, weight) in &weights {
            for c in 0..depth {
                y[(image * size.queries + row) * features + head * depth + c] +=
                    weight / total * at(v, size.keys, *key, c);
            }
        }
    }
    y
}

/// A part of the columns of a tensor.
fn part(tensor: &Tensor, first: usize) -> View<'_> {
    View { data: &tensor.data[first..], ..tensor.view() }
}

#[test]
fn values_and_gradients_match_the_reference() {
    let mut random = Random(41);
    for (n, queries, keys, heads, depth, causal, gap) in [
        (1, 1, 1, 1, 1, false, 0),
        (2, 5, 5, 2, 3, false, 1),
        (2, 7, 7, 3, 4, true, 0),
        (1, 70, 70, 1, 5, true, 2),
        (2, 6, 9, 2, 4, false, 0),
        (1, 6, 4, 1, 3, true, 0),
        (1, 67, 33, 2, 16, false, 1),
    ] {
        let size = Attention { queries, keys, heads, depth, causal };
        let features = size.features();
        let q = Tensor::random(&mut random, n, queries, features, gap);
        let memory = Tensor::random(&mut random, n, keys, 2 * features, gap);
        let dy = Tensor::random(&mut random, n, queries, features, 1);
        // Both kinds of masks; the first query of a sample may see nothing.
        let hidden = |n: usize, q: usize, k: usize| (n + 2 * q + 3 * k).is_multiple_of(4);
        let pairs = Tensor::of(&Tensor::new(n, queries, keys, 1), |n, q, k| if hidden(n, q, k) { 0.0 } else { 1.5 });
        let of_keys = Tensor::of(&Tensor::new(n, 1, keys, 0), |n, _, k| if hidden(n, 0, k) { 0.0 } else { 1.0 });
        let masks: [(Option<Mask<'_>>, &Seen<'_>); 3] = [
            (None, &|_, _, _| true),
            (Some(Mask::Keys(of_keys.view())), &|n, _, k| !hidden(n, 0, k)),
            (Some(Mask::Pairs(pairs.view())), &|n, q, k| !hidden(n, q, k)),
        ];
        for (mask, seen) in masks {
            let x = Operands { queries: q.view(), keys: memory.view(), values: part(&memory, features), mask };
            let wide = dense(&memory);
            let half = |from: usize| -> Vec<f64> {
                wide.chunks_exact(2 * features).flat_map(|row| row[from..from + features].to_vec()).collect()
            };
            let (wide_q, wide_k, wide_v, wide_dy) = (dense(&q), half(0), half(features), dense(&dy));
            let y = Tensor::new(n, queries, features, 1).filled(|y, threads| {
                let mut scratch = Floats::filled(f32::NAN, attention_scratch_len(&size, threads.count()));
                attention(&size, n, &x, y, None, &mut scratch, threads);
            });
            y.check_dense(2e-6, &forward(&size, n, [&wide_q, &wide_k, &wide_v], seen));
            let back = |by: By| {
                let (rows, columns) = by.sizes(&size);
                Tensor::new(n, rows, columns, 1).filled(|dx, threads| {
                    let mut scratch = Floats::filled(f32::NAN, attention_gradient_scratch_len(&size, threads.count()));
                    attention_gradient(&size, n, &x, dy.view(), by, dx, None, &mut scratch, threads);
                })
            };
            let dq = differences(&wide_q, &wide_dy, |q| forward(&size, n, [q, &wide_k, &wide_v], seen));
            let dk = differences(&wide_k, &wide_dy, |k| forward(&size, n, [&wide_q, k, &wide_v], seen));
            let dv = differences(&wide_v, &wide_dy, |v| forward(&size, n, [&wide_q, &wide_k, v], seen));
            back(By::Queries).check_dense(1e-5, &dq);
            let at = |n: usize, k: usize, c: usize| match c < features {
                true => dk[(n * keys + k) * features + c],
                false => dv[(n * keys + k) * features + c - features],
            };
            back(By::Memory).check(1e-5, at);
            if queries == keys {
                back(By::All).check(1e-5, |n, k, c| match c.checked_sub(features) {
                    None => dq[(n * queries + k) * features + c],
                    Some(c) => at(n, k, c),
                });
            }
        }
    }
}

/// The gradient drops the scores that the forward pass dropped: differences of the kernel itself.
#[test]
fn dropped_scores_have_the_gradient_of_the_same_draw() {
    let mut random = Random(42);
    let size = Attention { queries: 5, keys: 5, heads: 2, depth: 3, causal: false };
    let dropout = ScoreDropout { proba: 0.4, key: RandomKey { seed: 3, update: 1, layer: 2 } };
    let (x, dy) = (Tensor::random(&mut random, 2, 5, 18, 0), Tensor::random(&mut random, 2, 5, 6, 0));
    let run = |x: &Tensor| {
        let operands = Operands { queries: x.view(), keys: part(x, 6), values: part(x, 12), mask: None };
        Tensor::new(2, 5, 6, 0).filled(|y, threads| {
            let mut scratch = Floats::filled(f32::NAN, attention_scratch_len(&size, threads.count()));
            attention(&size, 2, &operands, y, Some(&dropout), &mut scratch, threads);
        })
    };
    let operands = Operands { queries: x.view(), keys: part(&x, 6), values: part(&x, 12), mask: None };
    let found = Tensor::new(2, 5, 18, 0).filled(|dx, threads| {
        let mut scratch = Floats::filled(f32::NAN, attention_gradient_scratch_len(&size, threads.count()));
        attention_gradient(&size, 2, &operands, dy.view(), By::All, dx, Some(&dropout), &mut scratch, threads);
    });
    let loss = |x: &Tensor| dense(&run(x)).iter().zip(dense(&dy)).map(|(y, dy)| y * dy).sum::<f64>();
    for index in (0..x.data.len()).step_by(7) {
        let side = |step: f32| {
            let mut moved = x.clone();
            moved.data[index] += step;
            loss(&moved)
        };
        let expected = (side(0.01) - side(-0.01)) / 0.02;
        assert!((f64::from(found.data[index]) - expected).abs() < 1e-3, "{index}: {} {expected}", found.data[index]);
    }
    // Inverted dropout keeps the mean of a score.
    let wide = Attention { queries: 4000, keys: 1, heads: 1, depth: 1, causal: false };
    let (q, ones) = (Tensor::random(&mut random, 1, 4000, 1, 0), Tensor::of(&Tensor::new(1, 1, 1, 0), |_, _, _| 1.0));
    let operands = Operands { queries: q.view(), keys: ones.view(), values: ones.view(), mask: None };
    let y = Tensor::new(1, 4000, 1, 0).filled(|y, threads| {
        let mut scratch = Floats::filled(f32::NAN, attention_scratch_len(&wide, threads.count()));
        attention(&wide, 1, &operands, y, Some(&dropout), &mut scratch, threads);
    });
    let mean = y.data.iter().sum::<f32>() / 4000.0;
    assert!((mean - 1.0).abs() < 0.05, "{mean}");
}
