//! The transforms of Winograd's convolution over vectors of channels.
//!
//! F(m x m, r x r) evaluates polynomials at n = m + r - 1 points: zero, pairs of opposite numbers, infinity. Opposite points
//! share their even and odd parts, which the one-dimensional transforms below compute once.

// Loops over registers count with plain indices, which unroll; iterators over nested arrays do not always.
#![allow(clippy::needless_range_loop)]

use crate::kernels::epilogue::{EpiloguePtrs, Output, Pool};
use crate::kernels::simd::vector::{SimdOp, Vector, prefetch};
use crate::kernels::simd::vector_math::activate_row;
use crate::kernels::tensor_view::Window;
use crate::size;
use std::marker::PhantomData;

/// Points along one axis, at most.
pub const MOST: usize = 8;

/// A size of output tile and kernel.
pub trait Tile: Copy {
    /// Output pixels along an axis.
    const OUT: usize;
    /// The kernel's taps along an axis.
    const KERNEL: usize = 3;
    /// Input pixels, and points, along an axis.
    const IN: usize = Self::OUT + Self::KERNEL - 1;
    /// The positive points; their opposites, zero and infinity belong to them.
    const POINTS: &'static [f64];

    /// Whether a point of both axes is a positive number on each. Behind a ReLU, products at these few points are the largest,
    /// and so is what their rounding does to the result.
    fn is_positive(point: usize) -> bool {
        let positive = |point: usize| point % 2 == 1 && point < Self::IN - 1;
        positive(point / Self::IN) && positive(point % Self::IN)
    }

    /// The input transform along one axis.
    ///
    /// # Safety
    /// The instruction set must be there.
    unsafe fn input<V: Vector>(d: [V; MOST]) -> [V; MOST];

    /// The output transform along one axis.
    ///
    /// # Safety
    /// The instruction set must be there.
    unsafe fn output<V: Vector>(m: [V; MOST]) -> [V; MOST];
}

/// 2 by 2 outputs, points 0, +-1.
#[derive(Clone, Copy)]
pub struct F2;
/// 4 by 4 outputs, points 0, +-11/16, +-23/16, exact in floats. Where inputs are positive and neighbours alike, as behind a
/// ReLU in the depth of a net, their squared error is a quarter less than that of +-5/8, +-3/2; for noise it is 4 % more.
#[derive(Clone, Copy)]
pub struct F4;
/// 6 by 6 outputs, points 0, +-1, +-2, +-1/2.
#[derive(Clone, Copy)]
pub struct F6;
/// 2 by 2 outputs of a 5x5 kernel, at the points of [`F4`]: inputs are transformed in the same way.
#[derive(Clone, Copy)]
pub struct F2x5;

impl Tile for F2 {
    const OUT: usize = 2;
    const POINTS: &'static [f64] = &[1.0];

    #[inline(always)]
    unsafe fn input<V: Vector>(d: [V; MOST]) -> [V; MOST] {
        let mut r = d;
        r[0] = d[2].sub(d[0]);
        r[1] = d[2].add(d[1]);
        r[2] = d[2].sub(d[1]);
        r[3] = d[3].sub(d[1]);
        r
    }

    #[inline(always)]
    unsafe fn output<V: Vector>(m: [V; MOST]) -> [V; MOST] {
        let mut y = m;
        y[0] = m[0].add(m[1].add(m[2]));
        y[1] = m[1].sub(m[2]).add(m[3]);
        y
    }
}

impl Tile for F4 {
    const OUT: usize = 4;
    const POINTS: &'static [f64] = &[0.6875, 1.4375];

    #[inline(always)]
    unsafe fn input<V: Vector>(d: [V; MOST]) -> [V; MOST] {
        const A: f32 = F4::POINTS[0] as f32;
        const B: f32 = F4::POINTS[1] as f32;
        // SAFETY: the caller promises the instruction set.
        unsafe {
            let (a, b) = (V::splat(A), V::splat(B));
            let (minus_a2, minus_b2) = (V::splat(-A * A), V::splat(-B * B));
            let (minus_sum, product) = (V::splat(-(A * A + B * B)), V::splat(A * A * B * B));
            let even_a = d[2].mul_add(minus_b2, d[4]);
            // One rounding for both signs, which their sums and differences later undo; a fused sum would have two.
            let odd_a = d[1].mul_add(minus_b2, d[3]).mul(a);
            let even_b = d[2].mul_add(minus_a2, d[4]);
            let odd_b = d[1].mul_add(minus_a2, d[3]).mul(b);
            let mut r = d;
            r[0] = d[0].mul_add(product, d[2].mul_add(minus_sum, d[4]));
            r[1] = even_a.add(odd_a);
            r[2] = even_a.sub(odd_a);
            r[3] = even_b.add(odd_b);
            r[4] = even_b.sub(odd_b);
            r[5] = d[1].mul_add(product, d[3].mul_add(minus_sum, d[5]));
            r
        }
    }

    #[inline(always)]
    unsafe fn output<V: Vector>(m: [V; MOST]) -> [V; MOST] {
        const A: f32 = F4::POINTS[0] as f32;
        const B: f32 = F4::POINTS[1] as f32;
        // SAFETY: the caller promises the instruction set.
        unsafe {
            let (sum_a, difference_a) = (m[1].add(m[2]), m[1].sub(m[2]));
            let (sum_b, difference_b) = (m[3].add(m[4]), m[3].sub(m[4]));
            let mut y = m;
            y[0] = m[0].add(sum_a.add(sum_b));
            y[1] = difference_a.mul_add(V::splat(A), difference_b.mul(V::splat(B)));
            y[2] = sum_a.mul_add(V::splat(A * A), sum_b.mul(V::splat(B * B)));
            y[3] = difference_a.mul_add(V::splat(A * A * A), difference_b.mul_add(V::splat(B * B * B), m[5]));
            y
        }
    }
}

impl Tile for F2x5 {
    const OUT: usize = 2;
    const KERNEL: usize = 5;
    const POINTS: &'static [f64] = F4::POINTS;

    #[inline(always)]
    unsafe fn input<V: Vector>(d: [V; MOST]) -> [V; MOST] {
        // SAFETY: the caller's promise.
        unsafe { F4::input(d) }
    }

    #[inline(always)]
    unsafe fn output<V: Vector>(m: [V; MOST]) -> [V; MOST] {
        // SAFETY: the caller promises the instruction set.
        unsafe {
            let (a, b) = (V::splat(F4::POINTS[0] as f32), V::splat(F4::POINTS[1] as f32));
            let mut y = m;
            y[0] = m[0].add(m[1].add(m[2]).add(m[3].add(m[4])));
            y[1] = m[1].sub(m[2]).mul_add(a, m[3].sub(m[4]).mul_add(b, m[5]));
            y
        }
    }
}

impl Tile for F6 {
    const OUT: usize = 6;
    const POINTS: &'static [f64] = &[1.0, 2.0, 0.5];

    #[inline(always)]
    unsafe fn input<V: Vector>(d: [V; MOST]) -> [V; MOST] {
        // SAFETY: the caller promises the instruction set.
        unsafe {
            // x^6 - 5.25 x^4 + 5.25 x^2 - 1 has all six as its roots.
            let (minus_middle, middle) = (V::splat(-5.25), V::splat(5.25));
            let mut r = d;
            r[0] = d[4].mul_add(minus_middle, d[2].mul_add(middle, d[6].sub(d[0])));
            (r[1], r[2]) = f6_pair(d, 1.0, 4.25, 1.0);
            (r[3], r[4]) = f6_pair(d, 2.0, 1.25, 0.25);
            (r[5], r[6]) = f6_pair(d, 0.5, 5.0, 4.0);
            r[7] = d[5].mul_add(minus_middle, d[3].mul_add(middle, d[7].sub(d[1])));
            r
        }
    }

    #[inline(always)]
    unsafe fn output<V: Vector>(m: [V; MOST]) -> [V; MOST] {
        // SAFETY: the caller promises the instruction set.
        unsafe {
            let (sum_1, difference_1) = (m[1].add(m[2]), m[1].sub(m[2]));
            let (sum_2, difference_2) = (m[3].add(m[4]), m[3].sub(m[4]));
            let (sum_3, difference_3) = (m[5].add(m[6]), m[5].sub(m[6]));
            let mut y = m;
            y[0] = m[0].add(sum_1).add(sum_2.add(sum_3));
            y[1] = difference_2.mul_add(V::splat(2.0), difference_3.mul_add(V::splat(0.5), difference_1));
            y[2] = sum_2.mul_add(V::splat(4.0), sum_3.mul_add(V::splat(0.25), sum_1));
            y[3] = difference_2.mul_add(V::splat(8.0), difference_3.mul_add(V::splat(0.125), difference_1));
            y[4] = sum_2.mul_add(V::splat(16.0), sum_3.mul_add(V::splat(0.0625), sum_1));
            let last = difference_3.mul_add(V::splat(0.03125), difference_1.add(m[7]));
            y[5] = difference_2.mul_add(V::splat(32.0), last);
            y
        }
    }
}

/// F(6x6)'s input transform for the points +-p: with the other points q and s, x^4 - (q^2 + s^2) x^2 + q^2 s^2, times
/// x^2 and p x.
#[inline(always)]
unsafe fn f6_pair<V: Vector>(d: [V; MOST], p: f32, sum: f32, product: f32) -> (V, V) {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let even = d[2].mul_add(V::splat(product), d[4].mul_add(V::splat(-sum), d[6]));
        let odd = d[1].mul_add(V::splat(product), d[3].mul_add(V::splat(-sum), d[5]));
        let odd = odd.mul(V::splat(p));
        (even.add(odd), even.sub(odd))
    }
}

/// Where the tiles of a batch lie.
#[derive(Clone, Copy)]
pub struct Tiling {
    pub window: Window,
    pub tiles_x: usize,
    pub per_image: usize,
}

impl Tiling {
    /// The tiles that cover the output.
    pub fn new(window: Window, out: usize) -> Self {
        let tiles_x = window.out_w.div_ceil(out);
        Self { window, tiles_x, per_image: size::product([tiles_x, window.out_h.div_ceil(out)]) }
    }

    /// A tile's image, row and column.
    #[inline(always)]
    pub fn position(&self, tile: usize) -> (usize, usize, usize) {
        let (image, tile) = (tile / self.per_image, tile % self.per_image);
        (image, tile / self.tiles_x, tile % self.tiles_x)
    }
}

/// Transforms the inputs of some tiles: point p, tile t, channel c goes to `to[p * point + t * row + c]`.
pub struct InputTransform<T> {
    pub tile: PhantomData<T>,
    pub tiling: Tiling,
    pub first: usize,
    pub count: usize,
    pub input: *const f32,
    pub ld: usize,
    pub image: usize,
    pub channels: usize,
    /// As many zeros as channels.
    pub zeros: *const f32,
    pub to: *mut f32,
    pub point: usize,
    pub row: usize,
}

impl<T: Tile> SimdOp for InputTransform<T> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let window = &self.tiling.window;
        let mut addresses = [self.zeros; MOST * MOST];
        // SAFETY: tiles and channels are within what the maker checked; pixels outside the image read the zeros.
        unsafe {
            for index in 0..self.count {
                let (image, tile_y, tile_x) = self.tiling.position(self.first + index);
                let input = self.input.add(image * self.image);
                for i in 0..T::IN {
                    let y = (tile_y * T::OUT + i).wrapping_sub(window.pad_top);
                    for j in 0..T::IN {
                        let x = (tile_x * T::OUT + j).wrapping_sub(window.pad_left);
                        let inside = y < window.in_h && x < window.in_w;
                        addresses[i * T::IN + j] =
                            if inside { input.add((y * window.in_w + x) * self.ld) } else { self.zeros };
                    }
                }
                let to = self.to.add(index * self.row);
                let mut channel = 0;
                while channel + V::LANES <= self.channels {
                    self.vector::<V, true>(&addresses, channel, V::LANES, to.add(channel));
                    channel += V::LANES;
                }
                if channel < self.channels {
                    self.vector::<V, false>(&addresses, channel, self.channels - channel, to.add(channel));
                }
            }
        }
    }
}

impl<T: Tile> InputTransform<T> {
    /// One tile's vector of channels.
    #[inline(always)]
    unsafe fn vector<V: Vector, const FULL: bool>(
        &self,
        addresses: &[*const f32; MOST * MOST],
        channel: usize,
        lanes: usize,
        to: *mut f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = V::splat(0.0);
            let mut rows = [[zero; MOST]; MOST];
            for i in 0..T::IN {
                let mut d = [zero; MOST];
                for j in 0..T::IN {
                    let from = addresses[i * T::IN + j].add(channel);
                    d[j] = if FULL { V::load(from) } else { V::load_partial(from, lanes) };
                    // The next tile's pixels that this one does not see.
                    if j >= T::IN - T::OUT {
                        prefetch(from.wrapping_add(T::OUT * self.ld));
                    }
                }
                rows[i] = T::input(d);
            }
            for j in 0..T::IN {
                let mut d = [zero; MOST];
                for i in 0..T::IN {
                    d[i] = rows[i][j];
                }
                let r = T::input(d);
                for i in 0..T::IN {
                    let to = to.add((i * T::IN + j) * self.point);
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

/// Transforms the products of some tiles back, finishes and stores them: point p, tile t, channel c is read from
/// `from[p * point + t * row + c]`.
pub(crate) struct OutputTransform<'a, T> {
    pub tile: PhantomData<T>,
    pub tiling: Tiling,
    pub first: usize,
    pub count: usize,
    pub from: *const f32,
    pub point: usize,
    pub row: usize,
    pub first_channel: usize,
    pub channels: usize,
    pub output: Output<'a>,
    pub epilogue: &'a EpiloguePtrs<'a>,
    pub pool: Option<Pool>,
}

impl<T: Tile> SimdOp for OutputTransform<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: tiles and channels are within what the maker checked.
        unsafe {
            for index in 0..self.count {
                let position = self.tiling.position(self.first + index);
                let from = self.from.add(index * self.row);
                let mut channel = 0;
                while channel + V::LANES <= self.channels {
                    self.vector::<V, true>(position, from, channel, V::LANES);
                    channel += V::LANES;
                }
                if channel < self.channels {
                    self.vector::<V, false>(position, from, channel, self.channels - channel);
                }
            }
        }
    }
}

impl<T: Tile> OutputTransform<'_, T> {
    /// One tile's vector of channels.
    #[inline(always)]
    unsafe fn vector<V: Vector, const FULL: bool>(
        &self,
        (image, tile_y, tile_x): (usize, usize, usize),
        from: *const f32,
        channel: usize,
        lanes: usize,
    ) {
        let window = &self.tiling.window;
        let epilogue = self.epilogue;
        let at = self.first_channel + channel;
        // SAFETY: only pixels within the output, and lanes that exist, are touched.
        unsafe {
            let zero = V::splat(0.0);
            let mut columns = [[zero; MOST]; MOST];
            for i in 0..T::IN {
                let mut m = [zero; MOST];
                for j in 0..T::IN {
                    m[j] = V::load(from.add((i * T::IN + j) * self.point + channel));
                }
                columns[i] = T::output(m);
            }
            let mut results = [[zero; MOST]; MOST];
            for j in 0..T::OUT {
                let mut m = [zero; MOST];
                for i in 0..T::IN {
                    m[i] = columns[i][j];
                }
                let y = T::output(m);
                for i in 0..T::OUT {
                    results[i][j] = y[i];
                }
            }
            let bias = if epilogue.bias.is_null() {
                zero
            } else if FULL {
                V::load(epilogue.bias.add(at))
            } else {
                V::load_partial(epilogue.bias.add(at), lanes)
            };
            let (low, high) = (V::splat(epilogue.low), V::splat(epilogue.high));
            let (out_y, out_x) = (tile_y * T::OUT, tile_x * T::OUT);
            let height = T::OUT.min(window.out_h - out_y);
            let width = T::OUT.min(window.out_w - out_x);
            let residual = epilogue.residual(image, out_y * window.out_w + out_x);
            for i in 0..T::OUT {
                for j in 0..T::OUT {
                    let mut value = results[i][j].add(bias);
                    if !residual.is_null() && i < height && j < width {
                        let from = residual.add((i * window.out_w + j) * epilogue.residual_ld + at);
                        value = value.add(if FULL { V::load(from) } else { V::load_partial(from, lanes) });
                    }
                    results[i][j] = value.max(low).min(high);
                }
            }
            if epilogue.clips {
                self.put_tile::<V, FULL>(results, (image, out_y, out_x), at, lanes);
            } else {
                let mut activated = results;
                let floats = MOST * MOST * V::LANES;
                activate_row::<V>(epilogue.activation, activated.as_mut_ptr().cast(), floats);
                self.put_tile::<V, FULL>(activated, (image, out_y, out_x), at, lanes);
            }
        }
    }

    /// Stores a tile's finished vector, pooled if so asked.
    #[inline(always)]
    unsafe fn put_tile<V: Vector, const FULL: bool>(
        &self,
        results: [[V; MOST]; MOST],
        (image, out_y, out_x): (usize, usize, usize),
        at: usize,
        lanes: usize,
    ) {
        let window = &self.tiling.window;
        let height = T::OUT.min(window.out_h - out_y);
        let width = T::OUT.min(window.out_w - out_x);
        // SAFETY: only pixels within the output are written.
        unsafe {
            match self.pool {
                None => {
                    let to = self.output.pixel(image, out_y * window.out_w + out_x).add(at);
                    for i in 0..T::OUT {
                        for j in 0..T::OUT {
                            if i < height && j < width {
                                let to = to.add((i * window.out_w + j) * self.output.ld);
                                prefetch(to.wrapping_add(T::OUT * self.output.ld));
                                put::<V, FULL>(results[i][j], to, lanes);
                            }
                        }
                    }
                }
                Some(Pool::Max2x2) => {
                    let pooled_w = window.out_w / 2;
                    for i in 0..T::OUT / 2 {
                        for j in 0..T::OUT / 2 {
                            if 2 * i + 1 < height && 2 * j + 1 < width {
                                let upper = results[2 * i][2 * j].max(results[2 * i][2 * j + 1]);
                                let lower = results[2 * i + 1][2 * j].max(results[2 * i + 1][2 * j + 1]);
                                let pixel = (out_y / 2 + i) * pooled_w + out_x / 2 + j;
                                let to = self.output.pixel(image, pixel).add(at);
                                put::<V, FULL>(upper.max(lower), to, lanes);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Stores a whole vector where `FULL`, else its first `lanes`.
#[inline(always)]
unsafe fn put<V: Vector, const FULL: bool>(value: V, to: *mut f32, lanes: usize) {
    // SAFETY: the caller promises that as many floats are writable.
    unsafe {
        if FULL {
            value.store(to);
        } else {
            value.store_partial(to, lanes);
        }
    }
}
