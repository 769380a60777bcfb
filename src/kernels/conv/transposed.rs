//! Transposed convolution (deconvolution): with many channels by matrix products, as the gradient of a convolution by its input
//! that it is, else by register tiles.

use crate::kernels::conv::gradient::input_gradient::{input_gradient, input_gradient_scratch_len};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::gemm::Backend;
use crate::kernels::gemm::small::accumulate;
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands, pointwise, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{Convolution, View, ViewMut, Window};

/// A transposed convolution: the gradient of `forward` with respect to its input. Its output has the shape of `forward`'s
/// input (`in_h`, `in_w`, `in_c`), its input that of `forward`'s output; padding, stride and dilation are `forward`'s.
#[derive(Clone, Copy, Debug)]
pub struct TransposedConvolution<'a> {
    pub forward: Convolution,
    /// Weights packed by [`pack_deconvolution`], or as they are if it [`uses_products`].
    pub packed: &'a [f32],
    /// `(in_c)` of `forward`: one float per output channel.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
}

/// Transposes each tap of `weight`, `(kernel_h, kernel_w, in_c / groups, out_c)` in terms of `forward` - for one group this is
/// NeuPy's and TensorFlow's `(kernel_h, kernel_w, outputs, inputs)` of the transposed convolution - to
/// `(kernel_h, kernel_w, out_c, in_c / groups)`, the layout of the kernel. Both slices have the same length.
pub fn pack_deconvolution(weight: &[f32], forward: &Convolution, packed: &mut [f32]) {
    let (outputs, inputs) = (forward.in_c / forward.groups, forward.out_c);
    for (tap, packed) in weight.chunks_exact(outputs * inputs).zip(packed.chunks_exact_mut(outputs * inputs)) {
        for i in 0..inputs {
            for o in 0..outputs {
                packed[i * outputs + o] = tap[o * inputs + i];
            }
        }
    }
}

/// The fewest channels of a group, on both sides, that fill the tiles of matrix products.
const MIN_CHANNELS: usize = 16;

/// Whether matrix products compute it. Its weights are not packed then.
pub fn uses_products(forward: &Convolution) -> bool {
    [forward.in_c, forward.out_c].iter().all(|channels| channels / forward.groups.max(1) >= MIN_CHANNELS)
}

/// Scratch memory of [`deconvolution`] for `workers` threads, in floats.
pub fn deconvolution_scratch_len(forward: &Convolution, workers: usize) -> usize {
    if uses_products(forward) { input_gradient_scratch_len(forward, workers) } else { 0 }
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
    if uses_products(&layer.forward) {
        multiply(x, y, n, layer, scratch, threads);
        return;
    }
    let Window { in_h, in_w, out_h, out_w, .. } = layer.forward.window;
    let ld = y.ld;
    let row = span(in_w, ld, layer.forward.in_c);
    let y = ViewMut { data: y.data, ld: in_w * ld, image: y.image };
    let image = span(out_h * out_w, x.ld, layer.forward.out_c);
    bands(threads, y, Images { n, pixels: in_h, channels: row }, Scratch::none(), &|band, out, _| {
        let data = &x.data[band.image * x.image..][..image];
        for (i, row) in out.chunks_mut(in_w * ld).enumerate() {
            write_row(Source { data, ld: x.ld, layer }, row, ld, band.first + i);
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

/// The input image and the layer of an output row.
#[derive(Clone, Copy)]
struct Source<'a> {
    data: &'a [f32],
    ld: usize,
    layer: &'a TransposedConvolution<'a>,
}

/// The input coordinate that contributes to output coordinate `out` through tap `k`, which may be outside the image; none
/// if the stride skips it.
#[inline(always)]
fn input_index(out: usize, pad: usize, k: usize, dilation: usize, stride: usize) -> Option<isize> {
    let distance = (out + pad) as isize - (k * dilation) as isize;
    let stride = stride as isize;
    (distance.rem_euclid(stride) == 0).then(|| distance.div_euclid(stride))
}

/// Output pixels of a register tile, which share their taps.
const TILE_PIXELS: usize = 4;

multiversion! {
    fn write_row(source: Source<'_>, row: &mut [f32], ld: usize, oy: usize) {
        let layer = source.layer;
        let w = &layer.forward.window;
        // Output columns congruent modulo the stride have the same taps, at consecutive input columns.
        for phase in 0..w.stride_w.min(w.in_w) {
            let mut ox = phase;
            while ox < w.in_w {
                if ox + (TILE_PIXELS - 1) * w.stride_w < w.in_w && is_uniform(w, ox) {
                    write_pixels::<TILE_PIXELS>(source, row, ld, oy, ox);
                    ox += TILE_PIXELS * w.stride_w;
                } else {
                    write_pixels::<1>(source, row, ld, oy, ox);
                    ox += w.stride_w;
                }
            }
        }
        for pixel in row.chunks_mut(ld) {
            layer.activation.apply(&mut pixel[..layer.forward.in_c]);
        }
    }
}

/// Whether, for every tap, the input columns of a tile's pixels are all inside the image or all outside.
#[inline(always)]
fn is_uniform(w: &Window, ox: usize) -> bool {
    (0..w.kernel_w).all(|kx| {
        input_index(ox, w.pad_left, kx, w.dilation_w, w.stride_w).is_none_or(|ix| {
            let (last, width) = (ix + TILE_PIXELS as isize - 1, w.out_w as isize);
            (ix >= 0 && last < width) || last < 0 || ix >= width
        })
    })
}

#[inline(always)]
fn write_pixels<const N: usize>(source: Source<'_>, row: &mut [f32], ld: usize, oy: usize, ox: usize) {
    let forward = &source.layer.forward;
    let outputs = forward.in_c / forward.groups;
    for group in 0..forward.groups {
        let mut c = 0;
        while c < outputs {
            let remaining = outputs - c;
            if remaining >= 16 {
                write_tile::<N, 16>(source, row, ld, (oy, ox), (group, c));
                c += 16;
            } else if remaining >= 4 {
                write_tile::<N, 4>(source, row, ld, (oy, ox), (group, c));
                c += 4;
            } else {
                write_tile::<N, 1>(source, row, ld, (oy, ox), (group, c));
                c += 1;
            }
        }
    }
}

#[inline(always)]
fn write_tile<const N: usize, const C: usize>(
    source: Source<'_>,
    row: &mut [f32],
    ld: usize,
    (oy, ox): (usize, usize),
    (group, c): (usize, usize),
) {
    let TransposedConvolution { forward, packed, bias, .. } = source.layer;
    let w = &forward.window;
    let (outputs, inputs) = (forward.in_c / forward.groups, forward.out_c / forward.groups);
    let channel = group * outputs + c;
    let mut acc = [[0.0; C]; N];
    if let Some(bias) = bias {
        acc.iter_mut().for_each(|pixel| pixel.copy_from_slice(&bias[channel..][..C]));
    }
    for ky in 0..w.kernel_h {
        let iy = input_index(oy, w.pad_top, ky, w.dilation_h, w.stride_h);
        let Some(iy) = iy.filter(|iy| (0..w.out_h as isize).contains(iy)) else { continue };
        for kx in 0..w.kernel_w {
            let ix = input_index(ox, w.pad_left, kx, w.dilation_w, w.stride_w);
            let Some(ix) = ix.filter(|ix| (0..w.out_w as isize).contains(ix)) else { continue };
            let start = (iy as usize * w.out_w + ix as usize) * source.ld + group * inputs;
            let x = std::array::from_fn(|p| &source.data[start + p * source.ld..][..inputs]);
            let tap = ((ky * w.kernel_w + kx) * forward.out_c + group * inputs) * outputs + c;
            accumulate(&mut acc, x, &packed[tap..], outputs);
        }
    }
    for (p, pixel) in acc.iter().enumerate() {
        row[(ox + p * w.stride_w) * ld + channel..][..C].copy_from_slice(pixel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::{Random, Tensor, receptive_field, windows};

    fn check(random: &mut Random, forward: Convolution, n: usize, gap: usize) {
        let Convolution { window: w, in_c, out_c, groups } = forward;
        let (outputs, inputs) = (in_c / groups, out_c / groups);
        let weight = random.floats(w.kernel_h * w.kernel_w * outputs * out_c);
        let bias = random.floats(in_c);
        let mut packed = weight.clone();
        if !uses_products(&forward) {
            pack_deconvolution(&weight, &forward, &mut packed);
        }
        let tolerance = if uses_products(&forward) { 1e-5 } else { 3e-6 };
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
                let mut scratch = Floats::filled(f32::NAN, deconvolution_scratch_len(&forward, threads.count()));
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
