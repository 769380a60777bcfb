//! The transforms of the Winograd weight gradient, F(3x3, 4x4), over vectors of channels.
//!
//! The weight gradient, the sum over pixels of x[y + ky] dy[y], is a correlation too: a tile of 6 by 6 inputs and 4 by 4
//! values of dy yields the 3 by 3 taps. It is F(4x4, 3x3) with the roles of output and weights exchanged, at the same
//! points: the input transform is the same, that of dy is the transpose of the output transform, and that of the products
//! is the transpose of the weight transform.

// Loops over registers use indices, which always unroll; iterators over nested arrays do not.
#![allow(clippy::needless_range_loop)]

use super::transforms::{F4, TileTransform, Tiling};
use crate::kernels::simd::vector::{SimdOp, Vector};

/// Points along one axis.
const POINTS: usize = F4::IN;
/// Values of dy along one axis.
const SIDE: usize = F4::OUT;
const A: f32 = F4::POINTS[0] as f32;
const B: f32 = F4::POINTS[1] as f32;

/// The transform of dy along one axis: its polynomial at each point; at infinity, the last coefficient.
#[inline(always)]
unsafe fn transform_dy<V: Vector>(y: [V; SIDE]) -> [V; POINTS] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let even_a = y[2].mul_add(V::splat(A * A), y[0]);
        let odd_a = y[3].mul_add(V::splat(A * A * A), y[1].mul(V::splat(A)));
        let even_b = y[2].mul_add(V::splat(B * B), y[0]);
        let odd_b = y[3].mul_add(V::splat(B * B * B), y[1].mul(V::splat(B)));
        [y[0], even_a.add(odd_a), even_a.sub(odd_a), even_b.add(odd_b), even_b.sub(odd_b), y[3]]
    }
}

/// The weight transform's factors at points 0, +-A and +-B.
const FACTORS: [f32; 3] = {
    let (a2, b2) = (F4::POINTS[0] * F4::POINTS[0], F4::POINTS[1] * F4::POINTS[1]);
    [(1.0 / (a2 * b2)) as f32, (1.0 / (2.0 * a2 * (a2 - b2))) as f32, (1.0 / (2.0 * b2 * (b2 - a2))) as f32]
};

/// The inverse transform along one axis: from the products at the points to the three taps.
#[inline(always)]
unsafe fn inverse_transform<V: Vector>(m: [V; POINTS]) -> [V; 3] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let (zero, a, b) = (V::splat(FACTORS[0]), V::splat(FACTORS[1]), V::splat(FACTORS[2]));
        let (sum_a, difference_a) = (m[1].add(m[2]).mul(a), m[1].sub(m[2]).mul(a));
        let (sum_b, difference_b) = (m[3].add(m[4]).mul(b), m[3].sub(m[4]).mul(b));
        [
            m[0].mul_add(zero, sum_a.add(sum_b)),
            difference_a.mul_add(V::splat(A), difference_b.mul(V::splat(B))),
            sum_a.mul_add(V::splat(A * A), sum_b.mul_add(V::splat(B * B), m[5])),
        ]
    }
}

/// The transform of dy for a range of tiles: point p, tile t, channel c is written to `to[p * point + t * row + c]`.
pub struct OutputGradientTransform {
    pub tiling: Tiling,
    pub first: usize,
    pub count: usize,
    pub dy: *const f32,
    pub ld: usize,
    pub image: usize,
    pub channels: usize,
    /// The padding: one zero per channel.
    pub zeros: *const f32,
    pub to: *mut f32,
    pub point: usize,
    pub row: usize,
}

impl SimdOp for OutputGradientTransform {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let window = &self.tiling.window;
        let mut addresses = [self.zeros; SIDE * SIDE];
        // SAFETY: tiles and channels are within the checked views; pixels outside the image read the zeros.
        unsafe {
            for index in 0..self.count {
                let (image, tile_y, tile_x) = self.tiling.position(self.first + index);
                let dy = self.dy.add(image * self.image);
                for i in 0..SIDE {
                    let y = tile_y * SIDE + i;
                    for j in 0..SIDE {
                        let x = tile_x * SIDE + j;
                        let inside = y < window.out_h && x < window.out_w;
                        addresses[i * SIDE + j] =
                            if inside { dy.add((y * window.out_w + x) * self.ld) } else { self.zeros };
                    }
                }
                let to = self.to.add(index * self.row);
                let mut channel = 0;
                while channel < self.channels {
                    let lanes = V::LANES.min(self.channels - channel);
                    if lanes == V::LANES {
                        self.vector::<V, true>(&addresses, channel, lanes, to.add(channel));
                    } else {
                        self.vector::<V, false>(&addresses, channel, lanes, to.add(channel));
                    }
                    channel += lanes;
                }
            }
        }
    }
}

impl OutputGradientTransform {
    /// One tile, for one vector of channels.
    #[inline(always)]
    unsafe fn vector<V: Vector, const FULL: bool>(
        &self,
        addresses: &[*const f32; SIDE * SIDE],
        channel: usize,
        lanes: usize,
        to: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = V::splat(0.0);
            let mut rows = [[zero; POINTS]; SIDE];
            for i in 0..SIDE {
                let mut y = [zero; SIDE];
                for j in 0..SIDE {
                    let from = addresses[i * SIDE + j].add(channel);
                    y[j] = if FULL { V::load(from) } else { V::load_partial(from, lanes) };
                }
                rows[i] = transform_dy(y);
            }
            for j in 0..POINTS {
                let mut y = [zero; SIDE];
                for i in 0..SIDE {
                    y[i] = rows[i][j];
                }
                let r = transform_dy(y);
                for i in 0..POINTS {
                    let to = to.add((i * POINTS + j) * self.point);
                    if FULL {
                        r[i].store(to);
                    } else {
                        r[i].store_partial(to, lanes);
                    }
                }
            }
        }
    }
}

/// The inverse transform of `count` weights (pairs of channels): point p of weight i is read from `from[p * point + i]`, and
/// its tap k is written to `to[k * tap + i]`.
pub struct WeightGradientTransform {
    pub count: usize,
    pub from: *const f32,
    pub point: usize,
    pub to: *mut f32,
    pub tap: usize,
}

impl SimdOp for WeightGradientTransform {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the constructor promises `count` weights.
        unsafe {
            let mut offset = 0;
            while offset < self.count {
                let lanes = V::LANES.min(self.count - offset);
                if lanes == V::LANES {
                    self.vector::<V, true>(offset, lanes);
                } else {
                    self.vector::<V, false>(offset, lanes);
                }
                offset += lanes;
            }
        }
    }
}

impl WeightGradientTransform {
    #[inline(always)]
    unsafe fn vector<V: Vector, const FULL: bool>(&self, offset: usize, lanes: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = V::splat(0.0);
            let mut rows = [[zero; 3]; POINTS];
            for i in 0..POINTS {
                let mut m = [zero; POINTS];
                for j in 0..POINTS {
                    let from = self.from.add((i * POINTS + j) * self.point + offset);
                    m[j] = if FULL { V::load(from) } else { V::load_partial(from, lanes) };
                }
                rows[i] = inverse_transform(m);
            }
            for j in 0..3 {
                let mut m = [zero; POINTS];
                for i in 0..POINTS {
                    m[i] = rows[i][j];
                }
                let taps = inverse_transform(m);
                for i in 0..3 {
                    let to = self.to.add((i * 3 + j) * self.tap + offset);
                    if FULL {
                        taps[i].store(to);
                    } else {
                        taps[i].store_partial(to, lanes);
                    }
                }
            }
        }
    }
}
