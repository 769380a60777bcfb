//! Products of numbers rounded to bf16 (the upper half of an f32), summed in f32. Two of them, next to each other along K,
//! take the place of one f32 in rows and panels: half the memory, and a K step is two.

use super::micro_kernel::{PackedProduct, PairProduct, WeightPairProduct};
use crate::kernels::epilogue::check_view;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::vector::{SimdOp, Vector};
use crate::kernels::tensor_view::View;
use crate::size::product;
use half::bf16;

/// Floats that a task rounds.
const TASK_FLOATS: usize = 16 << 10;

/// The number format of a product's operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    F32,
    /// Rows of f32, panels of pairs of bf16.
    Bf16Weights,
    /// Pairs of bf16 in place of floats.
    Bf16,
}

impl Operands {
    /// The rows of a panel for a row of so many floats.
    pub fn depth(self, row_len: usize) -> usize {
        match self {
            Operands::F32 | Operands::Bf16 => row_len,
            Operands::Bf16Weights => pairs(row_len),
        }
    }

    /// Computes a product.
    ///
    /// # Safety
    /// All addresses must be valid, and the machine must support the instruction set.
    pub(crate) unsafe fn multiply(self, isa: Isa, product: PackedProduct) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Operands::F32 => isa.dispatch(product),
                Operands::Bf16Weights => isa.dispatch(WeightPairProduct(product)),
                Operands::Bf16 => isa.dispatch_bf16(PairProduct(product)),
            }
        }
    }
}

/// Pairs that hold so many numbers; the last one is filled up with zero.
pub fn pairs(numbers: usize) -> usize {
    numbers.div_ceil(2)
}

/// The rows of a row-major matrix of `columns` columns, in groups of `depth` rows of which each is rounded to
/// `pairs(depth)` rows of pairs.
///
/// # Panics
/// If the matrix has the wrong length.
pub fn round_weights(weights: &[f32], depth: usize, columns: usize) -> Vec<f32> {
    let tap = depth * columns;
    assert!(tap == 0 || weights.len().is_multiple_of(tap), "weights");
    let mut rounded = Vec::with_capacity(product([weights.len() / tap.max(1), pairs(depth), columns]));
    for tap in weights.chunks_exact(tap.max(1)) {
        for rows in tap.chunks(2 * columns) {
            let (lower, upper) = rows.split_at(columns);
            let bits = |value: Option<&f32>| u32::from(value.map_or(0, |value| bf16::from_f32(*value).to_bits()));
            let pair = |column: usize| f32::from_bits(bits(lower.get(column)) | bits(upper.get(column)) << 16);
            rounded.extend((0..columns).map(pair));
        }
    }
    rounded
}

/// Rounds the pixels of images to rows of `pairs(channels)` pairs, image after image.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn round_pixels(
    threads: &ThreadPool,
    input: View,
    images: usize,
    pixels: usize,
    channels: usize,
    rounded: &mut [f32],
) {
    check_view("input", &input, images, pixels, channels);
    let row = pairs(channels);
    let rounded = &mut rounded[..images * pixels * row];
    if rounded.is_empty() {
        return;
    }
    let rows = (TASK_FLOATS / channels.max(1)).clamp(1, pixels);
    let grid = Partition { outer: images, outer_stride: pixels * row, ..Partition::chunks(pixels * row, rows * row) };
    share(threads, rounded, grid, Scratch::none(), &|piece, out, _| {
        let data = &input.data[piece.outer * input.image + piece.inner * rows * input.ld..];
        let count = out.len() / row;
        let contiguous = input.ld == channels && channels.is_multiple_of(2);
        let (count, channels) = if contiguous { (1, count * channels) } else { (count, channels) };
        let kernel = RoundRows { from: data, ld: input.ld, count, channels, to: out };
        // SAFETY: the pool was created with a supported set; the view was checked, and a piece is whole rows.
        unsafe { threads.isa().dispatch_bf16(kernel) }
    });
}

/// Rounds `count` rows of `channels` floats, `ld` floats apart.
struct RoundRows<'a> {
    from: &'a [f32],
    ld: usize,
    count: usize,
    channels: usize,
    to: &'a mut [f32],
}

impl SimdOp for RoundRows<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { from, ld, count, channels, to } = self;
        let to: &mut [u16] = bytemuck::cast_slice_mut(to);
        let width = 2 * pairs(channels);
        for (row, to) in to.chunks_exact_mut(width).take(count).enumerate() {
            let from = &from[row * ld..][..channels];
            let whole = channels / V::LANES * V::LANES;
            // SAFETY: whole vectors are within both rows.
            unsafe {
                for at in (0..whole).step_by(V::LANES) {
                    V::load(from.as_ptr().add(at)).store_bf16(to.as_mut_ptr().add(at).cast());
                }
            }
            for (to, value) in to[whole..].iter_mut().zip(from[whole..].iter().copied().chain([0.0])) {
                *to = bf16::from_f32(value).to_bits();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::micro_kernel_tests::plain_product;
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::testing::noise;

    fn halves(rounded: &[f32]) -> Vec<u16> {
        bytemuck::cast_slice::<f32, u16>(rounded).to_vec()
    }

    #[test]
    fn pixels_are_rounded_to_nearest_even_in_pairs() {
        for (images, pixels, channels, gap) in
            [(1, 1, 1, 0), (2, 3, 5, 2), (1, 7, 64, 0), (3, 2, 33, 1), (1, 900, 38, 0)]
        {
            let ld = channels + gap;
            let mut input = noise(images * pixels * ld - gap, 4);
            input[0] = f32::NAN;
            if let Some(value) = input.get_mut(3) {
                *value = f32::INFINITY;
            }
            let row = pairs(channels);
            for isa in Isa::available() {
                let run = |count| {
                    let threads = ThreadPool::with_isa(count, isa);
                    let mut rounded = Floats::filled(1.0, images * pixels * row);
                    let view = View { data: &input, ld, image: pixels * ld };
                    round_pixels(&threads, view, images, pixels, channels, &mut rounded);
                    halves(&rounded)
                };
                let rounded = run(1);
                assert_eq!(rounded, run(3), "threads change the result");
                for (at, &found) in rounded.iter().enumerate() {
                    let (pixel, channel) = (at / (2 * row), at % (2 * row));
                    let value = if channel < channels { input[pixel * ld + channel] } else { 0.0 };
                    let right = bf16::from_f32(value);
                    let same = right.is_nan() && bf16::from_bits(found).is_nan() || right.to_bits() == found;
                    assert!(same, "{isa:?}: {found:#x} for {value}");
                }
            }
        }
    }

    /// Whether or not they are fast on this machine.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn instructions_for_bf16_give_the_products_of_pairs() {
        if !is_x86_feature_detected!("avx512bf16") {
            return;
        }
        for (rows, depth, columns) in [(1, 3, 64), (2, 40, 70), (7, 131, 33), (12, 260, 48), (31, 64, 16)] {
            let (left, right) = (noise(rows * 2 * depth, 1), noise(2 * depth * columns, 2));
            let threads = ThreadPool::new(1);
            let mut rounded = Floats::filled(0.0, rows * depth);
            let view = View { data: &left, ld: 2 * depth, image: 0 };
            round_pixels(&threads, view, 1, rows, 2 * depth, &mut rounded);
            let mut native = Floats::filled(0.0, rows * depth);
            let kernel = RoundRows { from: &left, ld: 2 * depth, count: rows, channels: 2 * depth, to: &mut native };
            // SAFETY: the instructions were detected, and the slices have the sizes.
            unsafe { crate::kernels::simd::avx512::run_bf16(kernel) }
            assert_eq!(halves(&native), halves(&rounded));
            let right = round_weights(&right, 2 * depth, columns);
            let multiply = |run: &dyn Fn(PackedProduct)| plain_product((rows, depth, columns), &rounded, &right, run);
            // SAFETY: the instructions were detected, and the operands have the sizes.
            let found = multiply(&|product| unsafe { crate::kernels::simd::avx512::run_bf16(PairProduct(product)) });
            // SAFETY: as above.
            let wanted = multiply(&|product| unsafe { Isa::Portable.dispatch(PairProduct(product)) });
            for (found, wanted) in found.iter().zip(&*wanted) {
                assert!((found - wanted).abs() < 1e-4, "{rows}x{depth}x{columns}: {found} {wanted}");
            }
        }
    }

    #[test]
    fn weights_are_paired_along_each_tap() {
        let weights: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let bits = |value: u32| u32::from(bf16::from_f32(value as f32).to_bits());
        let pair = |lower, upper| bits(lower) | bits(upper) << 16;
        let rounded: Vec<u32> = round_weights(&weights, 3, 2).iter().map(|pair| pair.to_bits()).collect();
        let of_tap =
            |first: u32| [pair(first, first + 2), pair(first + 1, first + 3), bits(first + 4), bits(first + 5)];
        assert_eq!(rounded, [of_tap(0), of_tap(6)].concat());
    }
}
