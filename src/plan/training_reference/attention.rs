//! The gradient of attention.

use crate::kernels::attention::Attention;
use crate::kernels::attention::gradient::By;
use crate::plan::steps::sequence::attention::{AttentionStep, MaskKind};

/// The operands of an attention as `(rows, floats of a row, floats before the part)`.
struct Part<'a> {
    values: &'a [f64],
    width: usize,
    first: usize,
}

impl Part<'_> {
    fn at(&self, row: usize, feature: usize) -> f64 {
        self.values[row * self.width + self.first + feature]
    }
}

/// The gradient by queries, keys and values, as [`By`] says; `inputs` are those of the attention, then dy.
pub fn gradient(layer: &AttentionStep, by: By, inputs: &[Vec<f64>]) -> Vec<f64> {
    let Attention { queries, keys, heads, depth, causal } = layer.size;
    let features = heads * depth;
    let part = |input: usize, width: usize, first: usize| Part { values: &inputs[input], width, first };
    let (q, k, v, mask) = match layer.memory {
        true => (part(0, features, 0), part(1, 2 * features, 0), part(1, 2 * features, features), inputs.get(2)),
        false => {
            let width = 3 * features;
            (part(0, width, 0), part(0, width, features), part(0, width, 2 * features), inputs.get(1))
        }
    };
    let dy = part(inputs.len() - 1, features, 0);
    let n = dy.values.len() / (queries * features);
    let (mut dq, mut dk) = (vec![0.0; n * queries * features], vec![0.0; n * keys * features]);
    let mut dv = dk.clone();
    let scale = 1.0 / (depth as f64).sqrt();
    for (image, head, query) in (0..n).flat_map(|n| (0..heads).flat_map(move |h| (0..queries).map(move |q| (n, h, q))))
    {
        let row = image * queries + query;
        let seen = |key: &usize| {
            let unmasked = match (layer.mask, mask) {
                (Some(MaskKind::Keys), Some(mask)) => mask[image * keys + key] != 0.0,
                (Some(MaskKind::Pairs), Some(mask)) => mask[row * keys + key] != 0.0,
                _ => true,
            };
            unmasked && (!causal || *key <= query)
        };
        let channels = head * depth..(head + 1) * depth;
        let dot = |a: &Part<'_>, b: &Part<'_>, key: usize| -> f64 {
            channels.clone().map(|c| a.at(row, c) * b.at(image * keys + key, c)).sum()
        };
        let list: Vec<usize> = (0..keys).filter(seen).collect();
        let scores: Vec<f64> = list.iter().map(|&key| (dot(&q, &k, key) * scale).exp()).collect();
        let total: f64 = scores.iter().sum();
        let p: Vec<f64> = scores.iter().map(|score| score / total).collect();
        let dp: Vec<f64> = list.iter().map(|&key| dot(&dy, &v, key)).collect();
        let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
        for ((&key, p), dp) in list.iter().zip(&p).zip(&dp) {
            let (ds, key) = (p * (dp - mean) * scale, image * keys + key);
            for c in channels.clone() {
                dq[row * features + c] += ds * k.at(key, c);
                dk[key * features + c] += ds * q.at(row, c);
                dv[key * features + c] += p * dy.at(row, c);
            }
        }
    }
    let parts: &[&Vec<f64>] = match by {
        By::All => &[&dq, &dk, &dv],
        By::Queries => &[&dq],
        By::Memory => &[&dk, &dv],
    };
    let rows = parts[0].len() / features;
    (0..rows).flat_map(|row| parts.iter().flat_map(move |part| part[row * features..][..features].to_vec())).collect()
}
