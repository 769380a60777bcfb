//! Gradients of convolutions, dense layers, biases and embeddings.

use crate::kernels::tensor_view::{Convolution, Window};
use crate::plan::steps::sequence::embedding::EmbeddingStep;

/// Calls `visit` with the output pixel, the tap and the input pixel of each tap inside the image.
pub fn each_tap(window: &Window, mut visit: impl FnMut(usize, usize, usize)) {
    for (row, column) in (0..window.out_h).flat_map(|row| (0..window.out_w).map(move |column| (row, column))) {
        for tap in 0..window.kernel_h * window.kernel_w {
            let (tap_row, tap_column) = (tap / window.kernel_w, tap % window.kernel_w);
            let y = (row * window.stride_h + tap_row * window.dilation_h).wrapping_sub(window.pad_top);
            let x = (column * window.stride_w + tap_column * window.dilation_w).wrapping_sub(window.pad_left);
            if y < window.in_h && x < window.in_w {
                visit(row * window.out_w + column, tap, y * window.in_w + x);
            }
        }
    }
}

/// Calls `visit` with the indices of each product of a convolution: into the output, the weights and the input.
fn each_product(conv: &Convolution, n: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let Convolution { window, in_c, out_c, groups } = *conv;
    let (depth, filters) = (in_c / groups, out_c / groups);
    let (in_pixels, out_pixels) = (window.in_h * window.in_w, window.out_h * window.out_w);
    for image in 0..n {
        each_tap(&window, |out_pixel, tap, in_pixel| {
            for filter in 0..out_c {
                for channel in 0..depth {
                    let output = (image * out_pixels + out_pixel) * out_c + filter;
                    let weight = (tap * depth + channel) * out_c + filter;
                    let input = (image * in_pixels + in_pixel) * in_c + filter / filters * depth + channel;
                    visit(output, weight, input);
                }
            }
        });
    }
}

/// A convolution without bias.
pub fn convolution(conv: &Convolution, x: &[f64], weights: &[f64], n: usize) -> Vec<f64> {
    let mut y = vec![0.0; n * conv.window.out_h * conv.window.out_w * conv.out_c];
    each_product(conv, n, |output, weight, input| y[output] += x[input] * weights[weight]);
    y
}

/// dx of a convolution.
pub fn input_gradient(conv: &Convolution, dy: &[f64], weights: &[f64], n: usize) -> Vec<f64> {
    let mut dx = vec![0.0; n * conv.window.in_h * conv.window.in_w * conv.in_c];
    each_product(conv, n, |output, weight, input| dx[input] += dy[output] * weights[weight]);
    dx
}

/// The gradient of a convolution's weights.
pub fn weight_gradient(conv: &Convolution, x: &[f64], dy: &[f64], n: usize) -> Vec<f64> {
    let mut dw = vec![0.0; conv.weights()];
    each_product(conv, n, |output, weight, input| dw[weight] += dy[output] * x[input]);
    dw
}

/// dx of a dense layer: dy times the transposed weights.
pub fn dense_input_gradient(dy: &[f64], weights: &[f64], outputs: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dy.chunks_exact(outputs).flat_map(|dy| weights.chunks_exact(outputs).map(move |weights| dot(dy, weights))).collect()
}

/// The gradient of a dense layer's weights: the transposed x times dy.
pub fn dense_weight_gradient(x: &[f64], dy: &[f64], inputs: usize, outputs: usize) -> Vec<f64> {
    let mut dw = vec![0.0; inputs * outputs];
    for (x, dy) in x.chunks_exact(inputs).zip(dy.chunks_exact(outputs)) {
        for (index, dw) in dw.iter_mut().enumerate() {
            *dw += x[index / outputs] * dy[index % outputs];
        }
    }
    dw
}

/// The sum of each channel: the gradient of a bias.
pub fn channel_sums(dy: &[f64], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    dy.iter().enumerate().for_each(|(index, dy)| sums[index % channels] += dy);
    sums
}

/// The gradient of an embedding's table.
pub fn embedding_gradient(layer: &EmbeddingStep, indices: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut table = vec![0.0; layer.rows * layer.features];
    for (index, dy) in indices.iter().zip(dy.chunks_exact(layer.features)) {
        let row = &mut table[*index as usize * layer.features..][..layer.features];
        row.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
    }
    table
}
