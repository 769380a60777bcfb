//! Gradients of layers that change the size of images or move values.

use super::linear::each_tap;
use crate::kernels::movement::copy::PadGeometry;
use crate::kernels::movement::resample::Resize;
use crate::kernels::movement::upscale::Upscale;
use crate::kernels::reduce::Axes;
use crate::plan::steps::gradient::pointwise_gradient::ScatterSliceStep;
use crate::plan::steps::gradient::reduce_gradient::ReduceGradientStep;
use crate::plan::steps::movement::TransposeStep;
use crate::plan::steps::pool::{GlobalPoolStep, PoolStep, Reduction};
use crate::plan::steps::resize::PadStep;

/// Axes in another order.
pub fn transpose(step: &TransposeStep, x: &[f64], n: usize) -> Vec<f64> {
    let len: usize = step.sizes.iter().product();
    let strides: Vec<usize> = (0..step.sizes.len()).map(|axis| step.sizes[axis + 1..].iter().product()).collect();
    let source = |mut index: usize| {
        let mut from = 0;
        for &axis in step.order.iter().rev() {
            from += index % step.sizes[axis] * strides[axis];
            index /= step.sizes[axis];
        }
        from
    };
    (0..n * len).map(|index| x[index / len * len + source(index % len)]).collect()
}

/// Channels of a wider tensor whose other channels are 0: the gradient of a slice.
pub fn scatter_slice(step: &ScatterSliceStep, dy: &[f64]) -> Vec<f64> {
    let mut dx = Vec::with_capacity(dy.len() / step.channels * step.width);
    for row in dy.chunks_exact(step.channels) {
        let start = dx.len();
        dx.resize(start + step.width, 0.0);
        dx[start + step.channel_offset..][..step.channels].copy_from_slice(row);
    }
    dx
}

/// dx of a pool: a maximum's goes to the first maximum of each window, an average's to all pixels of it.
pub fn pool_gradient(pool: &PoolStep, dy: &[f64], x: Option<&[f64]>, n: usize) -> Vec<f64> {
    let (window, channels) = (&pool.window, pool.channels);
    let mut pixels_of = vec![Vec::new(); window.out_h * window.out_w];
    each_tap(window, |output, _, input| pixels_of[output].push(input));
    let len = window.in_h * window.in_w;
    let mut dx = vec![0.0; n * len * channels];
    for (index, dy) in dy.iter().enumerate() {
        let (channel, pixel) = (index % channels, index / channels);
        let (image, pixels) = (pixel / pixels_of.len(), &pixels_of[pixel % pixels_of.len()]);
        let at = |input: usize| (image * len + input) * channels + channel;
        match x {
            Some(x) => {
                let first_max =
                    pixels.iter().copied().reduce(|best, next| if x[at(next)] > x[at(best)] { next } else { best });
                first_max.into_iter().for_each(|input| dx[at(input)] += dy);
            }
            None => pixels.iter().for_each(|&input| dx[at(input)] += dy / pixels.len() as f64),
        }
    }
    dx
}

/// dx of a pool over the whole image.
pub fn global_pool_gradient(pool: &GlobalPoolStep, dy: &[f64], x: Option<&[f64]>, n: usize) -> Vec<f64> {
    let GlobalPoolStep { pixels, channels, reduction } = *pool;
    let mut dx = vec![0.0; n * pixels * channels];
    for (index, dy) in dy.iter().enumerate() {
        let at = |pixel: usize| (index / channels * pixels + pixel) * channels + index % channels;
        match x {
            Some(x) => {
                let best = (0..pixels).reduce(|best, next| if x[at(next)] > x[at(best)] { next } else { best });
                best.into_iter().for_each(|pixel| dx[at(pixel)] += dy);
            }
            None => {
                let share = if reduction == Reduction::Average { dy / pixels as f64 } else { *dy };
                (0..pixels).for_each(|pixel| dx[at(pixel)] += share);
            }
        }
    }
    dx
}

/// The index of the result of a reduction that the value at an index of a batch belongs to.
fn reduced_index(axes: &Axes, index: usize) -> usize {
    let (pixel, channel) = (index / axes.channels, index % axes.channels);
    // Outer pixels of all images together.
    let to = pixel / (axes.len * axes.inner) * axes.inner + pixel % axes.inner;
    if axes.over_channels { to } else { to * axes.channels + channel }
}

/// dx of a reduction along axes: a maximum's goes to the first maximum, that of others to all values.
pub fn reduce_gradient(step: &ReduceGradientStep, dy: &[f64], x: Option<&[f64]>) -> Vec<f64> {
    let axes = &step.layer.axes;
    let Some(x) = x else {
        let len = dy.len() * axes.count();
        return (0..len).map(|index| dy[reduced_index(axes, index)] * step.factor()).collect();
    };
    let mut best: Vec<Option<usize>> = vec![None; dy.len()];
    for (index, value) in x.iter().enumerate() {
        let best = &mut best[reduced_index(axes, index)];
        if best.is_none_or(|best| *value > x[best]) {
            *best = Some(index);
        }
    }
    let mut dx = vec![0.0; x.len()];
    best.iter().zip(dy).for_each(|(best, dy)| best.iter().for_each(|&index| dx[index] += dy));
    dx
}

/// dx of a softmax along an axis of the pixels: y (dy - sum of dy y).
pub fn softmax_along_gradient(axes: &Axes, dy: &[f64], y: &[f64]) -> Vec<f64> {
    let axes = Axes { over_channels: false, ..*axes };
    let mut sums = vec![0.0; dy.len() / axes.len.max(1)];
    dy.iter().zip(y).enumerate().for_each(|(index, (dy, y))| sums[reduced_index(&axes, index)] += dy * y);
    dy.iter().zip(y).enumerate().map(|(index, (dy, y))| y * (dy - sums[reduced_index(&axes, index)])).collect()
}

/// dx of repeated pixels: the sum over the copies.
pub fn upscale_gradient(size: &Upscale, dy: &[f64], n: usize) -> Vec<f64> {
    let Upscale { in_h, in_w, channels, scale_h, scale_w } = *size;
    let (out_h, out_w) = (in_h * scale_h, in_w * scale_w);
    let mut dx = vec![0.0; n * in_h * in_w * channels];
    for (index, dy) in dy.iter().enumerate() {
        let (channel, pixel) = (index % channels, index / channels);
        let (column, row, image) = (pixel % out_w, pixel / out_w % out_h, pixel / out_w / out_h);
        dx[((image * in_h + row / scale_h) * in_w + column / scale_w) * channels + channel] += dy;
    }
    dx
}

/// dx of interpolation: each dy goes to the pixels that it is a sum of, by their weights.
pub fn resize_gradient(size: &Resize, dy: &[f64], n: usize) -> Vec<f64> {
    let Resize { rows, columns, channels, interpolation, .. } = *size;
    let mut dx = vec![0.0; n * rows.input * columns.input * channels];
    for (index, dy) in dy.iter().enumerate() {
        let (channel, pixel) = (index % channels, index / channels);
        let (image, pixel) = (pixel / (rows.output * columns.output), pixel % (rows.output * columns.output));
        let (i, i_weights) = size.taps(&rows, pixel / columns.output);
        let (j, j_weights) = size.taps(&columns, pixel % columns.output);
        for (a, b) in (0..interpolation.taps()).flat_map(|a| (0..interpolation.taps()).map(move |b| (a, b))) {
            let at = (image * rows.input + i[a]) * columns.input + j[b];
            dx[at * channels + channel] += i_weights[a] * j_weights[b] * dy;
        }
    }
    dx
}

/// dx of a border of the image's own pixels: each dy goes to the pixel that its place shows.
pub fn pad_gradient(step: &PadStep, dy: &[f64], n: usize) -> Vec<f64> {
    let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = step.geometry;
    let (out_h, out_w) = (top + in_h + bottom, left + in_w + right);
    let mut dx = vec![0.0; n * in_h * in_w * channels];
    for (index, dy) in dy.iter().enumerate() {
        let (channel, pixel) = (index % channels, index / channels);
        let (column, row, image) = (pixel % out_w, pixel / out_w % out_h, pixel / out_w / out_h);
        let (row, column) = (step.border.source(row, top, in_h), step.border.source(column, left, in_w));
        if let (Some(row), Some(column)) = (row, column) {
            dx[((image * in_h + row) * in_w + column) * channels + channel] += dy;
        }
    }
    dx
}

/// The image with a border of zeros: dx of a crop.
pub fn zero_pad(geometry: &PadGeometry, dy: &[f64], n: usize) -> Vec<f64> {
    let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = *geometry;
    let (out_h, out_w) = (top + in_h + bottom, left + in_w + right);
    let mut dx = vec![0.0; n * out_h * out_w * channels];
    for (at, row) in dy.chunks_exact(in_w * channels).enumerate() {
        let place = (at / in_h * out_h + top + at % in_h) * out_w + left;
        dx[place * channels..][..row.len()].copy_from_slice(row);
    }
    dx
}

/// The image without its border: dx of a zero padding.
pub fn crop(geometry: &PadGeometry, dy: &[f64], n: usize) -> Vec<f64> {
    let PadGeometry { in_h, in_w, channels, top, left, bottom, right } = *geometry;
    let (out_h, out_w) = (top + in_h + bottom, left + in_w + right);
    let rows = (0..n).flat_map(|image| (0..in_h).map(move |row| image * out_h + top + row));
    rows.flat_map(|row| &dy[(row * out_w + left) * channels..][..in_w * channels]).copied().collect()
}
