//! The weights of Winograd's convolution: transformed and packed.

// Loops over registers count with plain indices, which unroll; iterators over nested arrays do not always.
#![allow(clippy::needless_range_loop)]

use super::tile::{Tile, one_group};
use super::transforms::{F2, F2x5, F4, F6, MOST, Tile as TileKind};
use crate::kernels::gemm::panel::{packed_len, panels};
use crate::kernels::parallel::disjoint::{Stripe, share_stripes};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::Convolution;
use crate::size::product;

/// Input channels that one task transforms, for all output channels: the weights are read in long stretches.
const TASK_ROWS: usize = 8;
/// Doubles of a register: so many columns are transformed at once.
const LANES: usize = 4;

/// The floats of the packed weights.
pub fn packed_len_weights(tile: Tile, conv: &Convolution) -> usize {
    let one = one_group(conv);
    product([conv.groups, tile.points(), packed_len(one.in_c, one.out_c)])
}

/// Transforms and packs `(kernel, kernel, in_c / groups, out_c)`: for each group and point panels of 16 output channels.
///
/// # Panics
/// If a slice does not have its length, or the tile does not support the convolution.
pub fn pack_weights_into(tile: Tile, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
    assert!(tile.supports(conv), "not a convolution for {tile:?}: {conv:?}");
    let Convolution { in_c, out_c, .. } = one_group(conv);
    let tap = in_c * conv.out_c;
    assert_eq!(weights.len(), tile.kernel() * tile.kernel() * tap, "weights");
    assert_eq!(packed.len(), packed_len_weights(tile, conv), "packed weights");
    let transform = weight_transform(tile);
    let each = (tile.points() * packed_len(in_c, out_c)).max(1);
    for (group, packed) in packed.chunks_exact_mut(each).enumerate() {
        let taps = Taps { weights: &weights[group * out_c..], tap, ld: conv.out_c, out_c };
        // The parts are each point's panels.
        share_stripes(threads, packed, tile.points() * panels(out_c), TASK_ROWS * PANEL, &|start, stripe| {
            transform_rows(tile, &transform, taps, start / PANEL, stripe);
        });
    }
}

/// One group's weights as they stand.
#[derive(Clone, Copy)]
struct Taps<'a> {
    weights: &'a [f32],
    /// Floats from one tap to the next, and from one input channel to the next.
    tap: usize,
    ld: usize,
    out_c: usize,
}

multiversion! {
    /// Transforms some rows of all panels, from one on; a stripe holds them for each point and panel.
    fn transform_rows(tile: Tile, transform: &Transform, taps: Taps<'_>, first: usize, stripe: Stripe<'_>) {
        match tile {
            Tile::F2 => each_row::<{ F2::IN }, { F2::KERNEL }>(transform, taps, first, stripe),
            Tile::F4 => each_row::<{ F4::IN }, { F4::KERNEL }>(transform, taps, first, stripe),
            Tile::F6 => each_row::<{ F6::IN }, { F6::KERNEL }>(transform, taps, first, stripe),
            Tile::F2x5 => each_row::<{ F2x5::IN }, { F2x5::KERNEL }>(transform, taps, first, stripe),
        }
    }
}

#[inline(always)]
fn each_row<const N: usize, const K: usize>(
    transform: &Transform,
    taps: Taps<'_>,
    first: usize,
    mut stripe: Stripe<'_>,
) {
    let rows = stripe.segment(0).len() / PANEL;
    for panel in 0..panels(taps.out_c) {
        let width = PANEL.min(taps.out_c - panel * PANEL);
        let mut points = [[[0.0; PANEL]; N]; N];
        for index in 0..rows {
            let mut weights = [[[0.0; PANEL]; K]; K];
            for (tap, weights) in weights.as_flattened_mut().iter_mut().enumerate() {
                let from = &taps.weights[tap * taps.tap + (first + index) * taps.ld + panel * PANEL..];
                match from.first_chunk::<PANEL>() {
                    Some(whole) if width == PANEL => *weights = *whole,
                    _ => weights[..width].copy_from_slice(&from[..width]),
                }
            }
            for lane in (0..PANEL).step_by(LANES) {
                transform_lanes(transform, &weights, lane, &mut points);
            }
            for (point, values) in points.as_flattened().iter().enumerate() {
                let lines = stripe.segment(point * panels(taps.out_c) + panel);
                lines[index * PANEL..][..PANEL].copy_from_slice(values);
            }
        }
    }
}

/// Transforms some columns along one axis and then the other, in f64: the sums of products are rounded once.
#[inline(always)]
fn transform_lanes<const N: usize, const K: usize>(
    transform: &Transform,
    weights: &[[[f32; PANEL]; K]; K],
    lane: usize,
    points: &mut [[[f32; PANEL]; N]; N],
) {
    let mut columns = [[[0.0f64; LANES]; K]; N];
    for i in 0..N {
        for x in 0..K {
            for l in 0..LANES {
                for y in 0..K {
                    columns[i][x][l] += transform[i][y] * f64::from(weights[y][x][lane + l]);
                }
            }
        }
    }
    for i in 0..N {
        for j in 0..N {
            for l in 0..LANES {
                let mut sum = 0.0;
                for x in 0..K {
                    sum += transform[j][x] * columns[i][x][l];
                }
                points[i][j][lane + l] = sum as f32;
            }
        }
    }
}

/// The weight transform along one axis: for each point a factor for each tap.
type Transform = [[f64; MAX_TAPS]; MOST];

/// Taps of a kernel along an axis, at most.
const MAX_TAPS: usize = 5;

/// The weight transform: for point p the powers 1, p, p^2 and so on over the product of p's differences to the other
/// points; for infinity the last tap.
fn weight_transform(tile: Tile) -> Transform {
    let positive = match tile {
        Tile::F2 => F2::POINTS,
        Tile::F4 => F4::POINTS,
        Tile::F6 => F6::POINTS,
        Tile::F2x5 => F2x5::POINTS,
    };
    let mut rows = [[0.0; MAX_TAPS]; MOST];
    let count = 2 * positive.len() + 1;
    // Zero, then each point and its opposite.
    let point = |index: usize| match index {
        0 => 0.0,
        odd if odd % 2 == 1 => positive[odd / 2],
        even => -positive[even / 2 - 1],
    };
    for (index, row) in rows[..count].iter_mut().enumerate() {
        let p = point(index);
        let norm: f64 = (0..count).filter(|&other| other != index).map(|other| p - point(other)).product();
        let mut power = 1.0;
        for factor in &mut row[..tile.kernel()] {
            *factor = power / norm;
            power *= p;
        }
    }
    rows[count][tile.kernel() - 1] = 1.0;
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{convolution, noise};
    use crate::kernels::guarded::Floats;

    #[test]
    fn points_are_polynomials_of_the_taps() {
        for (in_c, out_c, groups) in [(1, 1, 1), (5, 33, 1), (70, 16, 1), (6, 40, 2)] {
            for tile in [Tile::F2, Tile::F4, Tile::F6, Tile::F2x5] {
                let kernel = tile.kernel();
                let conv = convolution((9, 9), (in_c, out_c, groups), (kernel, 1, 1), (1, 1));
                let (in_c, out_c) = (in_c / groups, out_c / groups);
                let weights = noise(kernel * kernel * in_c * conv.out_c, 3);
                let mut packed = Floats::filled(0.0, packed_len_weights(tile, &conv));
                pack_weights_into(tile, &conv, &weights, &mut packed, &ThreadPool::new(1));
                let mut other = vec![f32::NAN; packed.len()];
                pack_weights_into(tile, &conv, &weights, &mut other, &ThreadPool::new(3));
                assert_eq!(packed, other, "threads change the result");
                let transform = weight_transform(tile);
                let each = packed_len(in_c, out_c);
                for (place, found) in packed.iter().enumerate() {
                    let (group, place) = (place / each / tile.points(), place % (each * tile.points()));
                    let (point, line) = (place / each, place % each / PANEL);
                    let (row, column) = (line % in_c, line / in_c * PANEL + place % PANEL);
                    let (i, j) = (point / tile.side(), point % tile.side());
                    let tap = |tap: usize| {
                        let weight = weights[(tap * in_c + row) * conv.out_c + group * out_c + column];
                        transform[i][tap / kernel] * transform[j][tap % kernel] * f64::from(weight)
                    };
                    let expected = if column < out_c { (0..kernel * kernel).map(tap).sum::<f64>() } else { 0.0 };
                    assert!((f64::from(*found) - expected).abs() <= 1e-7 * expected.abs().max(0.1));
                }
            }
        }
    }
}
