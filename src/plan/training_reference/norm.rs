//! Batch normalisation by the batch, and gradients of normalisations.

use crate::plan::steps::norm::layer_norm::LayerNormStep;
use crate::plan::steps::norm::{GroupNormStep, LocalResponseStep};
use ndarray::ArrayD;

/// The number of values of one channel.
fn count(x: &[f64], channels: usize) -> f64 {
    (x.len() / channels.max(1)) as f64
}

/// Mean and 1 / sqrt(biased variance + epsilon) of each channel: `(2, channels)`.
pub fn batch_statistics(x: &[f64], channels: usize, epsilon: f64) -> Vec<f64> {
    let of = |channel: usize| x.iter().skip(channel).step_by(channels);
    let means: Vec<f64> = (0..channels).map(|channel| of(channel).sum::<f64>() / count(x, channels)).collect();
    let inverse = |channel: usize| {
        let squares: f64 = of(channel).map(|x| (x - means[channel]).powi(2)).sum();
        1.0 / (squares / count(x, channels) + epsilon).sqrt()
    };
    means.iter().copied().chain((0..channels).map(inverse)).collect()
}

/// running = (1 - alpha) running + alpha batch, for means and for variances.
pub fn update_running_stats(alpha: f64, statistics: &[f64], running: &mut [ArrayD<f64>]) {
    let (means, inverses) = statistics.split_at(statistics.len() / 2);
    let average = |running: f64, batch: f64| (1.0 - alpha) * running + alpha * batch;
    if let [running_mean, running_inv_std] = running {
        running_mean.iter_mut().zip(means).for_each(|(running, batch)| *running = average(*running, *batch));
        for (running, batch) in running_inv_std.iter_mut().zip(inverses) {
            *running = 1.0 / average(1.0 / (*running * *running), 1.0 / (batch * batch)).sqrt();
        }
    }
}

/// (x - mean) inv_std of the value at an index of a batch.
fn normalized(x: f64, index: usize, statistics: &[f64]) -> f64 {
    let channels = statistics.len() / 2;
    (x - statistics[index % channels]) * statistics[channels + index % channels]
}

/// gamma (x - mean) inv_std + beta
pub fn batch_norm(x: &[f64], statistics: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let at = |(index, x): (usize, &f64)| {
        let channel = index % gamma.len();
        gamma[channel] * normalized(*x, index, statistics) + beta[channel]
    };
    x.iter().enumerate().map(at).collect()
}

/// Gradients of gamma and beta: `(2, channels)`.
pub fn scale_gradient(x: &[f64], dy: &[f64], statistics: &[f64]) -> Vec<f64> {
    let channels = statistics.len() / 2;
    let mut scales = vec![0.0; 2 * channels];
    for (index, (x, dy)) in x.iter().zip(dy).enumerate() {
        scales[index % channels] += dy * normalized(*x, index, statistics);
        scales[channels + index % channels] += dy;
    }
    scales
}

/// dx: with m values per channel, gamma inv_std (dy - (dbeta + xhat dgamma) / m).
pub fn batch_norm_gradient(x: &[f64], dy: &[f64], statistics: &[f64], scales: &[f64], gamma: &[f64]) -> Vec<f64> {
    let channels = gamma.len();
    let m = count(x, channels);
    let at = |(index, (x, dy)): (usize, (&f64, &f64))| {
        let channel = index % channels;
        let mean = (scales[channels + channel] + normalized(*x, index, statistics) * scales[channel]) / m;
        gamma[channel] * statistics[channels + channel] * (dy - mean)
    };
    x.iter().zip(dy).enumerate().map(at).collect()
}

/// The gradient of a scale per channel: sums of x dy.
pub fn channel_products(x: &[f64], dy: &[f64], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    x.iter().zip(dy).enumerate().for_each(|(index, (x, dy))| sums[index % channels] += x * dy);
    sums
}

/// dx of a scale per channel.
pub fn scaled(dy: &[f64], gamma: &[f64]) -> Vec<f64> {
    dy.iter().enumerate().map(|(index, dy)| dy * gamma[index % gamma.len()]).collect()
}

/// dx of a normalisation by stored statistics.
pub fn fixed_norm_gradient(dy: &[f64], inv_std: &[f64], gamma: &[f64]) -> Vec<f64> {
    let channels = gamma.len();
    dy.iter().enumerate().map(|(index, dy)| dy * gamma[index % channels] * inv_std[index % channels]).collect()
}

/// For each image and channel the mean and inverse deviation of its group, the sum of dy xhat and the sum of dy:
/// `(n, 4, channels)`.
pub fn group_sums(layer: &GroupNormStep, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let channels = layer.channels;
    let (len, each) = (layer.pixels * channels, channels / layer.norm.groups);
    let mut all = Vec::new();
    for (x, dy) in x.chunks_exact(len).zip(dy.chunks_exact(len)) {
        let mut sums = vec![0.0; 4 * channels];
        for channel in 0..channels {
            let group = channel / each;
            let values: Vec<f64> =
                x.iter().enumerate().filter(|(index, _)| index % channels / each == group).map(|(_, x)| *x).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
            sums[channel] = mean;
            sums[channels + channel] = 1.0 / (variance + f64::from(layer.norm.epsilon)).sqrt();
        }
        for (index, (x, dy)) in x.iter().zip(dy).enumerate() {
            let channel = index % channels;
            sums[2 * channels + channel] += dy * (x - sums[channel]) * sums[channels + channel];
            sums[3 * channels + channel] += dy;
        }
        all.extend(sums);
    }
    all
}

/// dx: with means over the group, inv_std (gamma dy - mean(gamma dy) - xhat mean(gamma dy xhat)).
pub fn group_norm_gradient(layer: &GroupNormStep, x: &[f64], dy: &[f64], sums: &[f64], gamma: &[f64]) -> Vec<f64> {
    let channels = layer.channels;
    let (len, each) = (layer.pixels * channels, channels / layer.norm.groups);
    let at = |(index, (x, dy)): (usize, (&f64, &f64))| {
        let (channel, sums) = (index % channels, &sums[index / len * 4 * channels..][..4 * channels]);
        let first = channel / each * each;
        let mean = |part: usize| {
            let group = first..first + each;
            group.map(|channel| gamma[channel] * sums[part * channels + channel]).sum::<f64>()
                / (each * layer.pixels) as f64
        };
        let inv_std = sums[channels + channel];
        inv_std * (gamma[channel] * dy - mean(3) - (x - sums[channel]) * inv_std * mean(2))
    };
    x.iter().zip(dy).enumerate().map(at).collect()
}

/// Gradients of gamma and beta: `(2, channels)`.
pub fn group_scale_gradient(sums: &[f64], channels: usize) -> Vec<f64> {
    let mut scales = vec![0.0; 2 * channels];
    for sums in sums.chunks_exact(4 * channels) {
        scales.iter_mut().zip(&sums[2 * channels..]).for_each(|(scale, sum)| *scale += sum);
    }
    scales
}

/// Mean and 1 / sqrt(biased variance + epsilon) of a pixel's channels.
fn pixel_moments(x: &[f64], epsilon: f32) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    (mean, 1.0 / (variance + f64::from(epsilon)).sqrt())
}

/// dx: with means over the channels, inv_std (gamma dy - mean(gamma dy) - xhat mean(gamma dy xhat)).
pub fn layer_norm_gradient(layer: &LayerNormStep, x: &[f64], dy: &[f64], gamma: &[f64]) -> Vec<f64> {
    let mut dx = Vec::with_capacity(x.len());
    for (x, dy) in x.chunks_exact(layer.channels).zip(dy.chunks_exact(layer.channels)) {
        let (mean, inv_std) = pixel_moments(x, layer.epsilon);
        let xhat: Vec<f64> = x.iter().map(|x| (x - mean) * inv_std).collect();
        let scaled: Vec<f64> = dy.iter().zip(gamma).map(|(dy, gamma)| dy * gamma).collect();
        let first = scaled.iter().sum::<f64>() / x.len() as f64;
        let second = scaled.iter().zip(&xhat).map(|(dy, xhat)| dy * xhat).sum::<f64>() / x.len() as f64;
        dx.extend(scaled.iter().zip(&xhat).map(|(dy, xhat)| inv_std * (dy - first - xhat * second)));
    }
    dx
}

/// Gradients of gamma and beta: `(2, channels)`.
pub fn layer_scale_gradient(layer: &LayerNormStep, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let channels = layer.channels;
    let mut scales = vec![0.0; 2 * channels];
    for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
        let (mean, inv_std) = pixel_moments(x, layer.epsilon);
        for channel in 0..channels {
            scales[channel] += dy[channel] * (x[channel] - mean) * inv_std;
            scales[channels + channel] += dy[channel];
        }
    }
    scales
}

/// dx: with s = k + alpha sum of x^2 over the window, dy s^-beta - 2 alpha beta x (sum over the window of
/// dy x s^(-beta - 1)).
pub fn local_response_gradient(layer: &LocalResponseStep, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let (alpha, beta, k) = (f64::from(layer.alpha), f64::from(layer.beta), f64::from(layer.k));
    let mut dx = Vec::with_capacity(x.len());
    for (x, dy) in x.chunks_exact(layer.channels).zip(dy.chunks_exact(layer.channels)) {
        let window = |channel: usize| channel.saturating_sub(layer.radius)..(channel + layer.radius + 1).min(x.len());
        let s: Vec<f64> =
            (0..x.len()).map(|channel| k + alpha * x[window(channel)].iter().map(|x| x * x).sum::<f64>()).collect();
        dx.extend((0..x.len()).map(|channel| {
            let pull: f64 = window(channel).map(|other| dy[other] * x[other] * s[other].powf(-beta - 1.0)).sum();
            dy[channel] * s[channel].powf(-beta) - 2.0 * alpha * beta * x[channel] * pull
        }));
    }
    dx
}
