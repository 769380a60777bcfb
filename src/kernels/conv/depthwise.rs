//! Depthwise convolutions: each input channel has its own kernel, or `multiplier` of them.

use super::algorithm::{ConvAlgorithm, ConvCall};
use super::cost::Sizes;
use super::depthwise_tile::{ADDRESSES, Pixel, STRIP, Strip};
use super::input_rows::ImageRows;
use crate::kernels::epilogue::{EpiloguePtrs, Pool, check_convolution, pool_two_rows};
use crate::kernels::gemm::panel::{self, packed_len};
use crate::kernels::parallel::thread_pool::{ThreadPool, WorkerScratch};
use crate::kernels::target;
use crate::kernels::tensor_view::Convolution;
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Maximum tasks per image; each has contiguous rows, which share their input.
const MAX_TASKS: usize = 16;

/// The algorithm for as many groups as input channels. Weights are packed in panels of 16 channels by all taps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Depthwise;

impl ConvAlgorithm for Depthwise {
    fn candidates(_: &Convolution, _: usize) -> Vec<Self> {
        vec![Self]
    }

    fn supports(&self, conv: &Convolution, _: Option<Pool>) -> bool {
        conv.groups == conv.in_c && conv.in_c > 1 && conv.out_c.is_multiple_of(conv.in_c)
    }

    fn packed_len(&self, conv: &Convolution) -> usize {
        packed_len(taps(conv), conv.out_c)
    }

    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
        let taps = taps(conv);
        assert_eq!(weights.len(), taps * conv.out_c, "weights");
        panel::pack(threads, taps, conv.out_c, weights, conv.out_c, packed);
    }

    fn scratch_len(&self, conv: &Convolution, _: usize, pool: Option<Pool>, workers: usize) -> usize {
        rows_scratch_len(conv, pool, workers)
    }

    fn run(&self, call: ConvCall<'_>) {
        assert!(self.supports(call.conv, call.epilogue.pool), "not a depthwise convolution: {:?}", call.conv);
        assert_eq!(call.weights.len(), self.packed_len(call.conv), "packed weights");
        run_rows(call);
    }

    fn cost(&self, sizes: &Sizes) -> f64 {
        let window = &sizes.conv.window;
        let macs_per_ns = if window.stride_h * window.stride_w == 1 { 25.0 } else { 15.0 };
        let macs = sizes.pixels * sizes.depth * sizes.conv.out_c as f64;
        (macs / macs_per_ns).max(sizes.activation_bytes / target::MEMORY_BYTES_PER_NS)
    }
}

/// Computes a convolution row by row: a depthwise one, or one in small groups.
pub(super) fn run_rows(call: ConvCall<'_>) {
    let ConvCall { threads, conv, batch, input, weights, epilogue, scratch, output } = call;
    let (output, epilogue_ptrs) = check_convolution(conv, batch, &input, epilogue, output);
    let window = &conv.window;
    if window.out_h * window.out_w == 0 {
        return;
    }
    let zeros_len = WorkerScratch::len(conv.in_c, 1);
    assert!(scratch.len() >= zeros_len, "scratch memory is too small");
    let (zeros, scratch) = scratch.split_at_mut(zeros_len);
    zeros.fill(0.0);
    let scratch = WorkerScratch::new(scratch, worker_len(conv, epilogue.pool), threads.count());
    let input = ImageRows::of(&input, window.in_h, window.in_w);
    let call = Call { threads, conv, input, weights, zeros, epilogue: &epilogue_ptrs };
    let height = epilogue.pool.map_or(window.out_h, |Pool::Max2x2| window.out_h / 2 * 2);
    let mut rows = height.div_ceil(MAX_TASKS).max(1);
    if epilogue.pool.is_some() {
        rows = rows.next_multiple_of(2);
    }
    let tasks = height.div_ceil(rows);
    threads.run_in_parts(batch * tasks, &|task, worker| {
        let image = task / tasks;
        let first = task % tasks * rows;
        let rows = first..(first + rows).min(height);
        // SAFETY: rows are within the checked views and disjoint; workers have disjoint scratch.
        unsafe {
            match epilogue.pool {
                None => {
                    for row in rows {
                        call.row(image, row, output.pixel(image, row * window.out_w), output.ld);
                    }
                }
                Some(Pool::Max2x2) => {
                    let results = scratch.piece(worker);
                    let (width, channels) = (window.out_w, conv.out_c);
                    for row in rows.step_by(2) {
                        call.row(image, row, results.as_mut_ptr(), channels);
                        call.row(image, row + 1, results.as_mut_ptr().add(width * channels), channels);
                        if width >= 2 {
                            let to = output.pixel(image, row / 2 * (width / 2));
                            pool_two_rows(results, channels, width, channels, to, output.ld);
                        }
                    }
                }
            }
        }
    });
}

impl fmt::Display for Depthwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("depthwise")
    }
}

fn taps(conv: &Convolution) -> usize {
    product([conv.window.kernel_h, conv.window.kernel_w])
}

/// Scratch floats of [`run_rows`].
pub(super) fn rows_scratch_len(conv: &Convolution, pool: Option<Pool>, workers: usize) -> usize {
    sum([WorkerScratch::len(conv.in_c, 1), WorkerScratch::len(worker_len(conv, pool), workers)])
}

/// Scratch floats of a worker: the two output rows to be pooled, or none.
fn worker_len(conv: &Convolution, pool: Option<Pool>) -> usize {
    pool.map_or(0, |_| product([2, conv.window.out_w, conv.out_c]))
}

/// The operands that all tasks of a call share.
pub(crate) struct Call<'a> {
    pub threads: &'a ThreadPool,
    pub conv: &'a Convolution,
    pub input: ImageRows,
    pub weights: &'a [f32],
    /// The padding: one zero per channel.
    pub zeros: &'a [f32],
    pub epilogue: &'a EpiloguePtrs<'a>,
}

// SAFETY: `EpiloguePtrs` has addresses of slices that are only read.
unsafe impl Sync for Call<'_> {}

impl Call<'_> {
    /// Computes an output row into `to`.
    ///
    /// # Safety
    /// `image` and `row` must be valid, and `to` writable for `out_w` pixels, `to_ld` floats apart.
    pub unsafe fn row(&self, image: usize, row: usize, to: *mut f32, to_ld: usize) {
        let window = &self.conv.window;
        let is_plain = self.conv.out_c == self.conv.in_c && (window.dilation_h, window.dilation_w) == (1, 1);
        let shape = (window.kernel_h, window.kernel_w, window.stride_w);
        // SAFETY: the caller's promise.
        unsafe {
            match (self.conv.in_c / self.conv.groups, shape) {
                (1, (3, 3, 1)) if is_plain => self.strips::<3, 1, 1>(image, row, to, to_ld),
                (1, (3, 3, 2)) if is_plain => self.strips::<3, 2, 1>(image, row, to, to_ld),
                (1, (5, 5, 1)) if is_plain => self.strips::<5, 1, 1>(image, row, to, to_ld),
                (1, (5, 5, 2)) if is_plain => self.strips::<5, 2, 1>(image, row, to, to_ld),
                (1, (7, 7, 1)) if is_plain => self.strips::<7, 1, 1>(image, row, to, to_ld),
                (4, (3, 3, 1)) => self.strips::<3, 1, 4>(image, row, to, to_ld),
                (4, (3, 3, 2)) => self.strips::<3, 2, 4>(image, row, to, to_ld),
                (8, (3, 3, 1)) => self.strips::<3, 1, 8>(image, row, to, to_ld),
                (8, (3, 3, 2)) => self.strips::<3, 2, 8>(image, row, to, to_ld),
                _ => {
                    for x in 0..window.out_w {
                        self.pixel(image, row, x, to.add(x * to_ld));
                    }
                }
            }
        }
    }

    /// The address of row `y` of the padded input, or none in the padding.
    #[inline]
    fn input_row(&self, image: usize, y: usize) -> Option<*const f32> {
        let y = y.wrapping_sub(self.conv.window.pad_top);
        (y < self.conv.window.in_h).then(|| self.input.row(image, y))
    }

    /// The address of pixel `x` of a row of the padded input, or of zeros.
    #[inline]
    fn input_pixel(&self, row: Option<*const f32>, x: usize) -> *const f32 {
        let x = x.wrapping_sub(self.conv.window.pad_left);
        match row {
            Some(row) if x < self.conv.window.in_w => row.wrapping_add(x * self.input.ld),
            _ => self.zeros.as_ptr(),
        }
    }

    /// An output row by strips of neighbouring pixels, for `K` by `K` windows of stride `S` in groups of `G` channels.
    unsafe fn strips<const K: usize, const S: usize, const G: usize>(
        &self,
        image: usize,
        row: usize,
        to: *mut f32,
        to_ld: usize,
    ) {
        let window = &self.conv.window;
        let mut addresses = [std::ptr::null(); ADDRESSES];
        let rows: [_; K] = std::array::from_fn(|i| self.input_row(image, row * window.stride_h + i));
        let mut x = 0;
        while x < window.out_w {
            let remaining = window.out_w - x;
            let pixels = [STRIP, 4, 2, 1].into_iter().find(|&size| size <= remaining).unwrap_or(1);
            let columns = (pixels - 1) * S + K;
            for (row_addresses, &row) in addresses.chunks_exact_mut(columns).zip(&rows) {
                for (j, address) in row_addresses.iter_mut().enumerate() {
                    *address = self.input_pixel(row, x * S + j);
                }
            }
            // SAFETY: the addresses are of the receptive field, and the strip's pixels are within the row.
            unsafe {
                self.threads.isa().dispatch(Strip::<K, S, G> {
                    addresses: &addresses,
                    pixels,
                    channels: self.conv.out_c,
                    weights: self.weights.as_ptr(),
                    epilogue: self.epilogue,
                    residual: self.epilogue.residual(image, row * window.out_w + x),
                    to: to.add(x * to_ld),
                    to_ld,
                });
            }
            x += pixels;
        }
    }

    /// One output pixel of any window, in passes of at most [`ADDRESSES`] taps.
    unsafe fn pixel(&self, image: usize, y: usize, x: usize, to: *mut f32) {
        let window = &self.conv.window;
        let taps = taps(self.conv);
        let mut addresses = [std::ptr::null(); ADDRESSES];
        let mut first_tap = 0;
        while first_tap < taps {
            let count = ADDRESSES.min(taps - first_tap);
            // SAFETY: the addresses are of the receptive field, and `to` has room for the channels.
            unsafe {
                for (index, address) in addresses[..count].iter_mut().enumerate() {
                    let (i, j) = ((first_tap + index) / window.kernel_w, (first_tap + index) % window.kernel_w);
                    let row = self.input_row(image, y * window.stride_h + i * window.dilation_h);
                    *address = self.input_pixel(row, x * window.stride_w + j * window.dilation_w);
                }
                self.threads.isa().dispatch(Pixel {
                    addresses: &addresses[..count],
                    taps,
                    first_tap,
                    multiplier: self.conv.out_c / self.conv.in_c,
                    channels: self.conv.out_c,
                    weights: self.weights.as_ptr(),
                    epilogue: (first_tap + count == taps).then_some(self.epilogue),
                    residual: self.epilogue.residual(image, y * window.out_w + x),
                    to,
                });
            }
            first_tap += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{self, convolution};

    fn check(conv: Convolution) {
        naive::check(&conv, 2e-6 * taps(&conv) as f64, |_| Depthwise);
    }

    #[test]
    fn depthwise_equals_naive_for_common_kernels() {
        check(convolution((11, 10), (33, 33, 33), (3, 1, 1), (1, 1)));
        check(convolution((14, 15), (16, 16, 16), (3, 2, 1), (0, 1)));
        check(convolution((9, 17), (21, 21, 21), (5, 1, 1), (2, 2)));
        check(convolution((12, 13), (5, 5, 5), (5, 2, 1), (1, 2)));
        check(convolution((9, 16), (19, 19, 19), (7, 1, 1), (3, 3)));
        check(convolution((1, 1), (2, 2, 2), (3, 1, 1), (1, 1)));
    }

    #[test]
    fn depthwise_equals_naive_for_other_windows_and_multipliers() {
        check(convolution((13, 14), (7, 7, 7), (3, 1, 2), (2, 2)));
        check(convolution((15, 12), (9, 9, 9), (7, 3, 1), (3, 3)));
        check(convolution((16, 13), (3, 3, 3), (12, 1, 1), (6, 5)));
        check(convolution((7, 8), (6, 18, 6), (3, 1, 1), (1, 1)));
    }
}
