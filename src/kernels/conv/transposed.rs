//! Transposed convolution (deconvolution).
//!
//! The output pixels with equal coordinates modulo the stride, a phase, are a convolution of the input with stride 1, by the taps that
//! reach them: a few phases are computed so, and interleaved. Other geometries are, with many channels, matrix products, as the
//! gradient of a convolution by its input that it is, else register tiles.

mod layer;
mod phases;
mod tiles;

pub use layer::TransposedConvolution;

use crate::kernels::conv::algorithm::{ConvAlgorithm, ConvCall};
use crate::kernels::conv::gradient::input_gradient::{input_gradient, input_gradient_scratch_len};
use crate::kernels::conv::im2col::Im2col;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::epilogue::EpilogueArgs;
use crate::kernels::gemm::Backend;
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands, pointwise, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{Convolution, View, ViewMut};
use crate::size::{product, sum};
use phases::{Axis, Phase, phases, transpose};
use tiles::by_tiles;

/// The most phases that are computed as convolutions of their own.
const MAX_PHASES: usize = 16;
/// Floats of images whose phases are computed before they are interleaved; at least one image.
const PHASE_FLOATS: usize = 1 << 20;
/// The fewest channels of a group, on both sides, that fill the tiles of matrix products.
const MIN_CHANNELS: usize = 16;

/// How a transposed convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Phases,
    Products,
    Tiles,
}

impl Method {
    fn of(forward: &Convolution) -> Method {
        let w = &forward.window;
        let is_axis = |size: usize, axis: Axis| (0..axis.stride.min(size)).all(|first| axis.phase(first).is_some());
        let fills_tiles = |channels: usize| channels / forward.groups.max(1) >= MIN_CHANNELS;
        if forward.is_possible()
            && forward.groups == 1
            && product([w.stride_h, w.stride_w]) <= MAX_PHASES
            && is_axis(w.in_h, Axis::rows(w))
            && is_axis(w.in_w, Axis::columns(w))
        {
            Method::Phases
        } else if fills_tiles(forward.in_c) && fills_tiles(forward.out_c) {
            Method::Products
        } else {
            Method::Tiles
        }
    }
}

/// Floats of the packed weights.
pub fn packed_deconvolution_len(forward: &Convolution) -> usize {
    match Method::of(forward) {
        Method::Phases => sum(phases(forward).map(|phase| Im2col.packed_len(&phase.conv))),
        Method::Products | Method::Tiles => forward.weights(),
    }
}

/// Scratch memory of [`pack_deconvolution`], in floats.
pub fn pack_deconvolution_scratch_len(forward: &Convolution) -> usize {
    match Method::of(forward) {
        Method::Phases => phases(forward).map(|phase| phase.conv.weights()).max().unwrap_or(0),
        Method::Products | Method::Tiles => 0,
    }
}

/// Packs `weight`, `(kernel_h, kernel_w, in_c / groups, out_c)` in terms of `forward` - for one group this is NeuPy's and
/// TensorFlow's `(kernel_h, kernel_w, outputs, inputs)` of the transposed convolution - into [`packed_deconvolution_len`] floats.
///
/// # Panics
/// If a slice is too short.
pub fn pack_deconvolution(
    weight: &[f32],
    forward: &Convolution,
    packed: &mut [f32],
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    match Method::of(forward) {
        Method::Phases => {
            let mut rest = packed;
            for phase in phases(forward) {
                let (packed, after) = rest.split_at_mut(Im2col.packed_len(&phase.conv));
                let weights = &mut scratch[..phase.conv.weights()];
                phase.weights(forward, weight, weights);
                Im2col.pack(&phase.conv, weights, packed, threads);
                rest = after;
            }
        }
        Method::Products => packed.copy_from_slice(weight),
        Method::Tiles => {
            let (outputs, inputs) = (forward.in_c / forward.groups, forward.out_c);
            let taps = packed.chunks_exact_mut(outputs * inputs);
            weight.chunks_exact(outputs * inputs).zip(taps).for_each(|(tap, packed)| transpose(tap, outputs, packed));
        }
    }
}

/// Whether matrix products of the general kind compute it, which reserve a buffer.
pub fn uses_products(forward: &Convolution) -> bool {
    Method::of(forward) == Method::Products
}

/// Scratch memory of [`deconvolution`] for up to `batch` images on `workers` threads, in floats.
pub fn deconvolution_scratch_len(forward: &Convolution, batch: usize, workers: usize) -> usize {
    match Method::of(forward) {
        Method::Phases => sum([convolution_scratch_len(forward, batch, workers), interleaved_len(forward, batch)]),
        Method::Products => input_gradient_scratch_len(forward, workers),
        Method::Tiles => 0,
    }
}

/// Scratch memory of the convolution of any phase.
fn convolution_scratch_len(forward: &Convolution, batch: usize, workers: usize) -> usize {
    phases(forward).map(|phase| Im2col.scratch_len(&phase.conv, batch, None, workers)).max().unwrap_or(0)
}

/// Whether there is more than one phase, so that they are interleaved.
fn has_several(forward: &Convolution) -> bool {
    phases(forward).nth(1).is_some()
}

/// Floats of the phases that are computed before they are interleaved; none of a single one.
fn interleaved_len(forward: &Convolution, batch: usize) -> usize {
    if has_several(forward) { product([images_at_once(forward, batch), image(forward)]) } else { 0 }
}

/// Floats of an image of the output.
fn image(forward: &Convolution) -> usize {
    product([forward.window.in_h, forward.window.in_w, forward.in_c])
}

/// Images whose phases are computed before they are interleaved.
fn images_at_once(forward: &Convolution, batch: usize) -> usize {
    (PHASE_FLOATS / image(forward).max(1)).max(1).min(batch)
}

/// y = activation(transposed convolution of x + bias): x is `(n, out_h, out_w, out_c)` and y `(n, in_h, in_w, in_c)`
/// in terms of `forward`. Output row oy is the sum over the input rows iy and taps ky with
/// oy = iy * stride + ky * dilation - pad; likewise for columns. `scratch` has at least [`deconvolution_scratch_len`] floats.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn deconvolution(
    x: View<'_>,
    y: ViewMut<'_>,
    n: usize,
    layer: &TransposedConvolution<'_>,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    match Method::of(&layer.forward) {
        Method::Phases => by_phases(x, y, n, layer, scratch, threads),
        Method::Products => multiply(x, y, n, layer, scratch, threads),
        Method::Tiles => by_tiles(x, y, n, layer, threads),
    }
}

/// The same by a convolution for each phase.
fn by_phases(
    x: View<'_>,
    y: ViewMut<'_>,
    n: usize,
    layer: &TransposedConvolution<'_>,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let TransposedConvolution { forward, packed, bias, activation } = *layer;
    let epilogue = &EpilogueArgs { bias, activation, ..EpilogueArgs::default() };
    let mut phases = phases(&forward);
    let (own_scratch, parts) = scratch.split_at_mut(convolution_scratch_len(&forward, n, threads.count()));
    if !has_several(&forward) {
        if let Some(Phase { conv, .. }) = &phases.next() {
            let scratch = own_scratch;
            Im2col.run(ConvCall { threads, conv, batch: n, input: x, weights: packed, epilogue, scratch, output: y });
        }
        return;
    }
    let at_once = images_at_once(&forward, n).max(1);
    for first in (0..n).step_by(at_once) {
        let batch = at_once.min(n - first);
        let input = View { data: &x.data[first * x.image..], ..x };
        let (mut weights, mut rest) = (packed, &mut *parts);
        for phase in phases.clone() {
            let (own, after) = weights.split_at(Im2col.packed_len(&phase.conv));
            let (data, unused) = rest.split_at_mut(batch * phase.image());
            let output = ViewMut { data, ld: forward.in_c, image: phase.image() };
            let (conv, scratch) = (&phase.conv, &mut *own_scratch);
            Im2col.run(ConvCall { threads, conv, batch, input, weights: own, epilogue, scratch, output });
            (weights, rest) = (after, unused);
        }
        let output = ViewMut { data: &mut y.data[first * y.image..], ld: y.ld, image: y.image };
        interleave(parts, output, batch, &forward, threads);
    }
}

/// Writes the phases of `n` images, one after the other in `from`, to their pixels.
fn interleave(from: &[f32], y: ViewMut<'_>, n: usize, forward: &Convolution, threads: &ThreadPool) {
    let (w, channels, ld) = (forward.window, forward.in_c, y.ld);
    let y = ViewMut { data: y.data, ld: w.in_w * ld, image: y.image };
    let size = Images { n, pixels: w.in_h, channels: span(w.in_w, ld, channels) };
    bands(threads, y, size, Scratch::none(), &|band, out, _| {
        for (index, row) in out.chunks_mut(w.in_w * ld).enumerate() {
            let at = band.first + index;
            let mut start = 0;
            for phase in phases(forward) {
                if phase.first.0 == at % w.stride_h {
                    let line = phase.conv.window.out_w * channels;
                    let line = &from[start + band.image * phase.image() + at / w.stride_h * line..][..line];
                    let columns = (phase.first.1..w.in_w).step_by(w.stride_w);
                    for (pixel, column) in line.chunks_exact(channels).zip(columns) {
                        row[column * ld..][..channels].copy_from_slice(pixel);
                    }
                }
                start += n * phase.image();
            }
        }
    });
}

/// The same by matrix products, with bias and activation in a pass after them.
fn multiply(
    x: View<'_>,
    y: ViewMut<'_>,
    n: usize,
    layer: &TransposedConvolution<'_>,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let TransposedConvolution { forward, packed, bias, activation } = *layer;
    let ViewMut { data, ld, image } = y;
    let products = ViewMut { data: &mut *data, ld, image };
    input_gradient(threads, Backend::Tiles, &forward, n, x, packed, products, scratch);
    if bias.is_none() && activation == Activation::Linear {
        return;
    }
    let size = Images { n, pixels: forward.window.in_h * forward.window.in_w, channels: forward.in_c };
    pointwise(threads, None, ViewMut { data, ld, image }, size, &|_, values| {
        if let Some(bias) = bias {
            add_bias(values, bias);
        }
        activation.apply(values);
    });
}

multiversion! {
    /// Adds a bias to each pixel.
    fn add_bias(values: &mut [f32], bias: &[f32]) {
        for pixel in values.chunks_exact_mut(bias.len()) {
            pixel.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::tensor_view::Window;
    use crate::kernels::testing::{Random, Tensor, receptive_field, windows};

    fn check(random: &mut Random, forward: Convolution, n: usize, gap: usize) {
        let Convolution { window: w, in_c, out_c, groups } = forward;
        let (outputs, inputs) = (in_c / groups, out_c / groups);
        let weight = random.floats(w.kernel_h * w.kernel_w * outputs * out_c);
        let bias = random.floats(in_c);
        let mut packed = Floats::filled(f32::NAN, packed_deconvolution_len(&forward));
        let mut scratch = Floats::filled(f32::NAN, pack_deconvolution_scratch_len(&forward));
        pack_deconvolution(&weight, &forward, &mut packed, &mut scratch, &ThreadPool::new(1));
        let tolerance = if Method::of(&forward) == Method::Tiles { 3e-6 } else { 1e-5 };
        let x = Tensor::random(random, n, w.out_h * w.out_w, out_c, gap);
        // Each output of the forward convolution is scattered over its receptive field, by definition of the gradient.
        let mut expected = vec![0.0; n * w.in_h * w.in_w * in_c];
        for image in 0..n {
            for p in 0..w.out_h * w.out_w {
                for (cell, ky, kx) in receptive_field(&w, p) {
                    for i in 0..out_c {
                        for o in 0..outputs {
                            let weight = weight[((ky * w.kernel_w + kx) * outputs + o) * out_c + i];
                            let channel = i / inputs * outputs + o;
                            expected[(image * w.in_h * w.in_w + cell) * in_c + channel] +=
                                x.at(image, p, i) * f64::from(weight);
                        }
                    }
                }
            }
        }
        let relu = Activation::Relu { alpha: 0.5 };
        for bias in [None, Some(&bias[..])] {
            let layer = TransposedConvolution { forward, packed: &packed, bias, activation: relu };
            let y = Tensor::new(n, w.in_h * w.in_w, in_c, gap / 2);
            let y = y.filled(|y, threads| {
                let mut scratch = Floats::filled(f32::NAN, deconvolution_scratch_len(&forward, n, threads.count()));
                deconvolution(x.view(), y, n, &layer, &mut scratch, threads);
            });
            y.check(tolerance, |n, p, c| {
                let bias = bias.map_or(0.0, |bias| f64::from(bias[c]));
                let value = expected[(n * w.in_h * w.in_w + p) * in_c + c] + bias;
                value.max(0.0) + 0.5 * value.min(0.0)
            });
        }
    }

    #[test]
    fn deconvolution_is_the_gradient_of_the_convolution() {
        let mut random = Random(22);
        for (i, window) in windows(&mut random, 40).into_iter().enumerate() {
            let (in_c, out_c, groups) = [(2, 4, 1), (17, 3, 1), (4, 6, 2), (21, 16, 1), (1, 1, 1), (32, 34, 2)][i % 6];
            check(&mut random, Convolution { window, in_c, out_c, groups }, 1 + i % 3, i % 2 * 4);
        }
    }

    #[test]
    fn deconvolution_of_wide_rows_with_many_channels() {
        let window = Window {
            in_h: 23,
            in_w: 45,
            out_h: 11,
            out_w: 22,
            kernel_h: 3,
            kernel_w: 3,
            stride_h: 2,
            stride_w: 2,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
        };
        check(&mut Random(23), Convolution { window, in_c: 32, out_c: 8, groups: 1 }, 1, 0);
    }
}
