//! Test fixtures of kernels: random strided tensors, error bounds, and central differences in f64.

use super::guarded::{Floats, Side};
use super::parallel::image_batches::Images;
use super::parallel::thread_pool::ThreadPool;
use super::tensor_view::{View, ViewMut, Window};

/// A deterministic generator (Steele's splitmix64): tests use the same values on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform integer below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.word() % limit as u64) as usize
    }

    /// A uniform float in [-1, 1).
    pub fn float(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, count: usize) -> Floats {
        (0..count).map(|_| self.float()).collect()
    }
}

/// Pseudo-random floats from -0.5 to 0.5.
pub fn noise(count: usize, seed: u64) -> Floats {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

/// The sentinel in the gaps of outputs, which kernels must not overwrite.
const GAP: f32 = 1234.5;

/// A batch of images with gaps between pixels and between images, as slices of wider tensors have.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub data: Floats,
    pub size: Images,
    pub ld: usize,
    pub image: usize,
}

impl Tensor {
    /// A tensor filled with the sentinel.
    pub fn new(n: usize, pixels: usize, channels: usize, gap: usize) -> Self {
        let ld = channels + gap;
        let image = pixels * ld + 3 * gap;
        // There is no gap after the last pixel's channels.
        let len = n * image - if n > 0 && pixels > 0 { 4 * gap } else { 0 };
        Self { data: Floats::filled(GAP, len), size: Images { n, pixels, channels }, ld, image }
    }

    /// A tensor of `value(image, pixel, channel)`, with NaN in the gaps so that reads of them show in results.
    pub fn of(like: &Tensor, value: impl Fn(usize, usize, usize) -> f64) -> Self {
        let mut tensor = Self { data: Floats::filled(f32::NAN, like.data.len()), ..like.clone() };
        tensor.for_each(|tensor, index, (n, p, c)| tensor.data[index] = value(n, p, c) as f32);
        tensor
    }

    pub fn random(random: &mut Random, n: usize, pixels: usize, channels: usize, gap: usize) -> Self {
        let mut tensor = Self::new(n, pixels, channels, gap);
        tensor.data.fill(f32::NAN);
        tensor.for_each(|tensor, index, _| tensor.data[index] = random.float());
        tensor
    }

    fn for_each(&mut self, mut work: impl FnMut(&mut Self, usize, (usize, usize, usize))) {
        for n in 0..self.size.n {
            for p in 0..self.size.pixels {
                for c in 0..self.size.channels {
                    work(self, n * self.image + p * self.ld + c, (n, p, c));
                }
            }
        }
    }

    pub fn at(&self, n: usize, pixel: usize, channel: usize) -> f64 {
        f64::from(self.data[n * self.image + pixel * self.ld + channel])
    }

    pub fn view(&self) -> View<'_> {
        View { data: &self.data, ld: self.ld, image: self.image }
    }

    pub fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut { data: &mut self.data, ld: self.ld, image: self.image }
    }

    /// Runs a kernel on copies of `self` with one, two and three threads, and checks that all give the same bits.
    pub fn filled(&self, run: impl Fn(ViewMut<'_>, &ThreadPool)) -> Tensor {
        let mut first = self.clone();
        run(first.view_mut(), &ThreadPool::new(1));
        for count in 2..4 {
            let mut other = self.clone();
            other.data = Floats::copy(&self.data, if count == 2 { Side::Start } else { Side::End });
            run(other.view_mut(), &ThreadPool::new(count));
            let is_same = first.data.iter().zip(&other.data).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(is_same, "{count} threads change the result");
        }
        first
    }

    /// Compares every value with `expected(image, pixel, channel)`, and checks that the gaps are untouched.
    pub fn check(&self, tolerance: f64, expected: impl Fn(usize, usize, usize) -> f64) {
        let mut gaps = self.clone();
        gaps.for_each(|gaps, index, (n, p, c)| {
            close(self.at(n, p, c), expected(n, p, c), tolerance, &format!("image {n} pixel {p} channel {c}"));
            gaps.data[index] = GAP;
        });
        assert!(gaps.data.iter().all(|v| *v == GAP || v.is_nan()), "a gap was written");
    }
}

/// Panics unless the error is within `tolerance`, absolute for magnitudes below 1 and relative above.
pub(crate) fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let is_close = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
    assert!(is_close || found == expected, "{what}: {found} instead of {expected}");
}

/// A dot product in f64, with the statistics that bound the rounding error of a kernel's f32 sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub value: f64,
    /// The number of products.
    pub terms: usize,
    /// The sum of their squares.
    pub squares: f64,
}

impl Sum {
    pub fn add(&mut self, product: f64) {
        *self = Sum { value: self.value + product, terms: self.terms + 1, squares: self.squares + product * product };
    }

    /// A bound on the rounding error of the sum in f32 in any order: six standard deviations of that of sequential
    /// summation. Partial sums of products of random sign grow with the square root of their count, or linearly to a
    /// larger value; each partial sum and each product is rounded by up to 2^-24 of itself.
    pub fn rounding(&self) -> f64 {
        let (unit, terms) = (f64::from(f32::EPSILON) / 2.0, self.terms as f64);
        let partial = terms * (self.squares / 2.0 + self.value * self.value / 3.0);
        6.0 * unit * ((partial + self.squares) / 3.0 + self.value * self.value).sqrt() + f64::from(f32::MIN_POSITIVE)
    }
}

/// Compares a slice with `expected(index)`.
pub(crate) fn check_slice(found: &[f32], tolerance: f64, expected: impl Fn(usize) -> f64) {
    for (i, v) in found.iter().enumerate() {
        close(f64::from(*v), expected(i), tolerance, &format!("index {i}"));
    }
}

/// Random small windows: sizes, strides, dilations and paddings differ between the axes.
pub(crate) fn windows(random: &mut Random, count: usize) -> Vec<Window> {
    let mut windows = Vec::new();
    while windows.len() < count {
        let mut axis = || {
            let (size, kernel) = (1 + random.below(11), 1 + random.below(4));
            let (stride, dilation) = (1 + random.below(3), 1 + random.below(2));
            let (pad_before, pad_after) = (random.below(kernel), random.below(kernel));
            let reach = (kernel - 1) * dilation + 1;
            let padded = size + pad_before + pad_after;
            (padded >= reach).then(|| (size, (padded - reach) / stride + 1, kernel, stride, dilation, pad_before))
        };
        let (Some(h), Some(w)) = (axis(), axis()) else { continue };
        windows.push(Window {
            in_h: h.0,
            in_w: w.0,
            out_h: h.1,
            out_w: w.1,
            kernel_h: h.2,
            kernel_w: w.2,
            stride_h: h.3,
            stride_w: w.3,
            dilation_h: h.4,
            dilation_w: w.4,
            pad_top: h.5,
            pad_left: w.5,
        });
    }
    windows
}

/// The receptive field of output pixel `out`: each input pixel inside the image, with its tap `(ky, kx)`.
pub(crate) fn receptive_field(w: &Window, out: usize) -> Vec<(usize, usize, usize)> {
    let (oy, ox) = (out / w.out_w, out % w.out_w);
    let mut cells = Vec::new();
    for ky in 0..w.kernel_h {
        for kx in 0..w.kernel_w {
            let y = (oy * w.stride_h + ky * w.dilation_h).checked_sub(w.pad_top);
            let x = (ox * w.stride_w + kx * w.dilation_w).checked_sub(w.pad_left);
            if let (Some(y), Some(x)) = (y.filter(|y| *y < w.in_h), x.filter(|x| *x < w.in_w)) {
                cells.push((y * w.in_w + x, ky, kx));
            }
        }
    }
    cells
}

/// The values of a tensor without gaps, as the reference functions of gradient tests take them.
pub(crate) fn dense(x: &Tensor) -> Vec<f64> {
    let Images { n, pixels, channels } = x.size;
    (0..n * pixels * channels).map(|i| x.at(i / channels / pixels, i / channels % pixels, i % channels)).collect()
}

/// The gradient of sum(dy * forward(x)) with respect to x, by central differences.
pub(crate) fn differences(x: &[f64], dy: &[f64], forward: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut x = x.to_vec();
    let mut gradient = Vec::with_capacity(x.len());
    for i in 0..x.len() {
        let center = x[i];
        let mut loss = |value: f64| {
            x[i] = value;
            forward(&x).iter().zip(dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        let slope = (loss(center + STEP) - loss(center - STEP)) / (2.0 * STEP);
        x[i] = center;
        gradient.push(slope);
    }
    gradient
}

impl Tensor {
    /// Compares every value with the dense `expected`.
    pub fn check_dense(&self, tolerance: f64, expected: &[f64]) {
        let Images { pixels, channels, .. } = self.size;
        self.check(tolerance, |n, p, c| expected[(n * pixels + p) * channels + c]);
    }
}
