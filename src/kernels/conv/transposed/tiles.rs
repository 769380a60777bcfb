//! Register tiles of output pixels.

use super::layer::TransposedConvolution;
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{Images, bands, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut, Window};

/// Output pixels of a register tile, which share their taps.
const TILE_PIXELS: usize = 4;

/// The input image and the layer of an output row.
#[derive(Clone, Copy)]
struct Source<'a> {
    data: &'a [f32],
    ld: usize,
    layer: &'a TransposedConvolution<'a>,
}

/// The same by register tiles.
pub(super) fn by_tiles(x: View<'_>, y: ViewMut<'_>, n: usize, layer: &TransposedConvolution<'_>, threads: &ThreadPool) {
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

/// The input coordinate that contributes to output coordinate `out` through tap `k`, which may be outside the image; none
/// if the stride skips it.
#[inline(always)]
fn input_index(out: usize, pad: usize, k: usize, dilation: usize, stride: usize) -> Option<isize> {
    let distance = (out + pad) as isize - (k * dilation) as isize;
    let stride = stride as isize;
    (distance.rem_euclid(stride) == 0).then(|| distance.div_euclid(stride))
}

/// `acc[p][c] +=` sum over k of `x[p][k] * w[k * ld + c]`
#[inline(always)]
fn accumulate<const P: usize, const C: usize>(acc: &mut [[f32; C]; P], x: [&[f32]; P], w: &[f32], ld: usize) {
    for k in 0..x[0].len() {
        let row = &w[k * ld..][..C];
        for p in 0..P {
            let factor = x[p][k];
            for c in 0..C {
                acc[p][c] += factor * row[c];
            }
        }
    }
}

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
