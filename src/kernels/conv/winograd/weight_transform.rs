//! The weight transform of Winograd convolution, and packing.

// Loops over registers use indices, which always unroll; iterators over nested arrays do not.
#![allow(clippy::needless_range_loop)]

use super::tile::{Tile, per_group};
use super::transforms::{F2, F2x5, F4, F6, MAX_POINTS, TileTransform};
use crate::kernels::gemm::panel::{packed_len, panels};
use crate::kernels::parallel::disjoint::{Stripe, share_stripes};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::Convolution;
use crate::size::product;

/// Minimum and maximum input channels of a task, with all output channels. A run of so many rows of a panel is written at once:
/// short ones, each on a page of its own, wait for memory line by line.
const MIN_ROWS: usize = 8;
const MAX_ROWS: usize = 64;
/// Minimum tasks, for load balance.
const MIN_TASKS: usize = 8;
/// Columns that are transformed together: the f64 lanes of a 256-bit register.
const LANES: usize = 4;

/// Length of the packed weights, in floats.
pub fn packed_len_weights(tile: Tile, conv: &Convolution) -> usize {
    let group_conv = per_group(conv);
    product([conv.groups, tile.points(), packed_len(group_conv.in_c, group_conv.out_c)])
}

/// Transforms and packs weights `(kernel, kernel, in_c / groups, out_c)`: panels of 16 output channels for each group and
/// point.
///
/// # Panics
/// If a slice has the wrong length, or the tile does not support the convolution.
pub fn pack_weights_into(tile: Tile, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
    assert!(tile.supports(conv), "not a convolution for {tile:?}: {conv:?}");
    let Convolution { in_c, out_c, .. } = per_group(conv);
    let tap = in_c * conv.out_c;
    assert_eq!(weights.len(), tile.kernel() * tile.kernel() * tap, "weights");
    assert_eq!(packed.len(), packed_len_weights(tile, conv), "packed weights");
    let transform = weight_transform(tile);
    let rows = (in_c / MIN_TASKS).clamp(MIN_ROWS, MAX_ROWS);
    let point_len = (tile.points() * packed_len(in_c, out_c)).max(1);
    for (group, packed) in packed.chunks_exact_mut(point_len).enumerate() {
        let taps = Taps { weights: &weights[group * out_c..], tap, ld: conv.out_c, out_c };
        // The stripe's parts are the panels of all points.
        share_stripes(threads, packed, tile.points() * panels(out_c), rows * PANEL, &|start, stripe| {
            transform_rows(tile, &transform, taps, start / PANEL, stripe);
        });
    }
}

/// One group's unpacked weights.
#[derive(Clone, Copy)]
struct Taps<'a> {
    weights: &'a [f32],
    /// Floats from one tap to the next.
    tap: usize,
    /// Floats from one input channel to the next.
    ld: usize,
    out_c: usize,
}

multiversion! {
    /// Transforms a range of rows (input channels) of all panels from `first` on; the stripe has them for every point and
    /// panel.
    fn transform_rows(tile: Tile, transform: &Transform, taps: Taps<'_>, first: usize, stripe: Stripe<'_>) {
        match tile {
            Tile::F2 => transform_panels::<{ F2::IN }, { F2::KERNEL }>(transform, taps, first, stripe),
            Tile::F4 => transform_panels::<{ F4::IN }, { F4::KERNEL }>(transform, taps, first, stripe),
            Tile::F6 => transform_panels::<{ F6::IN }, { F6::KERNEL }>(transform, taps, first, stripe),
            Tile::F2x5 => transform_panels::<{ F2x5::IN }, { F2x5::KERNEL }>(transform, taps, first, stripe),
        }
    }
}

#[inline(always)]
fn transform_panels<const N: usize, const K: usize>(
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
                    Some(full) if width == PANEL => *weights = *full,
                    _ => weights[..width].copy_from_slice(&from[..width]),
                }
            }
            for lane in (0..PANEL).step_by(LANES) {
                transform_lanes(transform, &weights, lane, &mut points);
            }
            for (point, values) in points.as_flattened().iter().enumerate() {
                let panel_rows = stripe.segment(point * panels(taps.out_c) + panel);
                panel_rows[index * PANEL..][..PANEL].copy_from_slice(values);
            }
        }
    }
}

/// Transforms [`LANES`] columns along one axis and then the other, in f64, so that the result is rounded once.
#[inline(always)]
fn transform_lanes<const N: usize, const K: usize>(
    transform: &Transform,
    weights: &[[[f32; PANEL]; K]; K],
    lane: usize,
    points: &mut [[[f32; PANEL]; N]; N],
) {
    let mut taps = [[[0.0f64; LANES]; K]; K];
    for x in 0..K {
        for y in 0..K {
            for l in 0..LANES {
                taps[x][y][l] = f64::from(weights[y][x][lane + l]);
            }
        }
    }
    for i in 0..N {
        let mut row = [[0.0f64; LANES]; K];
        for x in 0..K {
            row[x] = weighted_sum(&transform[i], &taps[x]);
        }
        for j in 0..N {
            let sum = weighted_sum(&transform[j], &row);
            for l in 0..LANES {
                points[i][j][lane + l] = sum[l] as f32;
            }
        }
    }
}

/// The sum of `K` vectors times their factors.
#[inline(always)]
fn weighted_sum<const K: usize>(factors: &[f64; MAX_TAPS], values: &[[f64; LANES]; K]) -> [f64; LANES] {
    let mut sum = [0.0; LANES];
    for k in 0..K {
        for l in 0..LANES {
            sum[l] += factors[k] * values[k][l];
        }
    }
    sum
}

/// The matrix G of the weight transform along one axis: a factor for each point and tap.
type Transform = [[f64; MAX_TAPS]; MAX_POINTS];

/// Maximum kernel taps along an axis.
const MAX_TAPS: usize = 5;

/// The matrix G: at point p, the powers 1, p, p^2, ... divided by the product of p's differences to the other points; at
/// infinity, the last tap.
fn weight_transform(tile: Tile) -> Transform {
    let positive = match tile {
        Tile::F2 => F2::POINTS,
        Tile::F4 => F4::POINTS,
        Tile::F6 => F6::POINTS,
        Tile::F2x5 => F2x5::POINTS,
    };
    let mut rows = [[0.0; MAX_TAPS]; MAX_POINTS];
    let count = 2 * positive.len() + 1;
    // Zero, then each point and its negative.
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
    use crate::kernels::conv::naive::convolution;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::noise;

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
                let point_len = packed_len(in_c, out_c);
                for (index, found) in packed.iter().enumerate() {
                    let (group, index) = (index / point_len / tile.points(), index % (point_len * tile.points()));
                    let (point, panel_row) = (index / point_len, index % point_len / PANEL);
                    let (row, column) = (panel_row % in_c, panel_row / in_c * PANEL + index % PANEL);
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
