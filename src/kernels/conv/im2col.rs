//! Implicit im2col: any convolution as a GEMM whose left rows are the windows. The windows are not copied; the micro-kernel
//! reads each tap's pixel through an indirection buffer (Dukhan, "The indirect convolution algorithm", 2019).

use super::algorithm::{ConvAlgorithm, ConvCall};
use super::cost::Sizes;
use super::input_rows::ImageRows;
use crate::kernels::epilogue::{EpiloguePtrs, Output, Pool, check_convolution, pool_two_rows};
use crate::kernels::gemm::bf16::Operands;
use crate::kernels::gemm::micro_kernel::{LhsRows, PackedProduct};
use crate::kernels::gemm::panel::{BlockGrid, pack, packed_len, panels};
use crate::kernels::parallel::thread_pool::{ThreadPool, WorkerScratch};
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::Convolution;
use crate::size::product;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Range;

/// K of a block, accumulated in registers: its part of a panel stays in the L1 cache.
const KC: usize = 384;
/// Capacity of the indirection buffer: taps times rows.
const ADDRESSES: usize = 2048;
/// The padding that windows read outside the image.
static ZEROS: [f32; 2 * KC] = [0.0; 2 * KC];
/// Output pixels of a block, whose input pixels stay in the L2 cache.
const ROW_BLOCK: usize = 96;
/// Minimum tasks, for load balance.
const MIN_TASKS: usize = 16;

/// The algorithm that supports every convolution. Weights are packed in panels of 16 output channels, group by group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Im2col;

impl ConvAlgorithm for Im2col {
    fn candidates(_: &Convolution, _: usize) -> Vec<Self> {
        vec![Self]
    }

    fn supports(&self, _: &Convolution, _: Option<Pool>) -> bool {
        true
    }

    fn packed_len(&self, conv: &Convolution) -> usize {
        product([conv.groups, packed_len(depth(conv), conv.out_c / conv.groups.max(1))])
    }

    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
        let (depth, out_c) = (depth(conv), conv.out_c / conv.groups);
        assert_eq!(weights.len(), depth * conv.out_c, "weights");
        assert_eq!(packed.len(), self.packed_len(conv), "packed weights");
        let group_len = packed_len(depth, out_c).max(1);
        for (group, packed) in packed.chunks_exact_mut(group_len).enumerate() {
            pack(threads, depth, out_c, &weights[group * out_c..], conv.out_c, packed);
        }
    }

    fn scratch_len(&self, conv: &Convolution, batch: usize, pool: Option<Pool>, workers: usize) -> usize {
        WorkerScratch::len(worker_len(conv, batch, pool), workers)
    }

    fn run(&self, call: ConvCall<'_>) {
        multiply(call, Operands::F32);
    }

    fn cost(&self, sizes: &Sizes) -> f64 {
        product_cost(sizes, sizes.depth) + sizes.read_weights()
    }
}

/// The estimated cost of the products with so many K steps for each pixel.
pub(crate) fn product_cost(sizes: &Sizes, depth: f64) -> f64 {
    // A tap of few channels costs as much as a full cache line; a group's result is a panel wide, and has an indirection buffer of its own.
    let penalty = if sizes.inputs < 8.0 { 2.0 } else { 1.0 } * if sizes.groups > 1.0 { 2.0 } else { 1.0 };
    penalty * sizes.product(sizes.pixels, depth, 7.0) / 0.97
}

/// The convolution with as many input channels as its packed weights have rows at each tap.
pub(crate) fn packed_geometry(conv: &Convolution, operands: Operands) -> Convolution {
    let groups = conv.groups.max(1);
    Convolution { in_c: product([operands.depth(conv.in_c / groups), groups]), ..*conv }
}

/// Computes a convolution, with weights packed as for [`Im2col`] of [`packed_geometry`]. If its operands are pairs of bf16, its
/// input channels are pairs.
///
/// # Panics
/// If a slice is too short for the sizes.
pub(crate) fn multiply(call: ConvCall<'_>, operands: Operands) {
    let ConvCall { threads, conv, batch, input, weights, epilogue, scratch, output } = call;
    assert_eq!(weights.len(), Im2col.packed_len(&packed_geometry(conv, operands)), "packed weights");
    let (output, epilogue_ptrs) = check_convolution(conv, batch, &input, epilogue, output);
    let grid = grid(conv, batch, epilogue.pool);
    let scratch = WorkerScratch::new(scratch, worker_len(conv, batch, epilogue.pool), threads.count());
    let input = ImageRows::of(&input, conv.window.in_h, conv.window.in_w);
    let blocks = grid.blocks();
    if conv.out_c == 0 || conv.window.out_h * conv.window.out_w == 0 {
        return;
    }
    threads.run_in_parts(batch * conv.groups * blocks, &|task, worker| {
        let (image_group, block) = (task / blocks, task % blocks);
        let (image, group) = (image_group / conv.groups, image_group % conv.groups);
        let (pixels, columns) = grid.block(block);
        let task = Task { threads, conv, image, group, operands, input, weights, epilogue: &epilogue_ptrs };
        match epilogue.pool {
            // SAFETY: pixels and columns were checked to lie within the views; blocks are disjoint.
            None => unsafe {
                let first = group * (conv.out_c / conv.groups) + columns.start;
                task.block(pixels.clone(), columns, output.pixel(image, pixels.start).add(first), output.ld);
            },
            // SAFETY: as above; workers have disjoint scratch.
            Some(Pool::Max2x2) => unsafe { task.pooled_block(pixels, columns, scratch.piece(worker), &output) },
        }
    });
}

impl fmt::Display for Im2col {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("im2col")
    }
}

/// K of a group's GEMM: the rows of its weight matrix.
fn depth(conv: &Convolution) -> usize {
    product([conv.window.kernel_h, conv.window.kernel_w, conv.in_c / conv.groups.max(1)])
}

fn worker_len(conv: &Convolution, batch: usize, pool: Option<Pool>) -> usize {
    let grid = grid(conv, batch, pool);
    pool.map_or(0, |_| product([grid.row_block(), grid.column_block()]))
}

/// The blocks of one group of one image; of two output rows each if they are pooled.
fn grid(conv: &Convolution, batch: usize, pool: Option<Pool>) -> BlockGrid {
    let (window, groups) = (&conv.window, conv.groups.max(1));
    let (rows, block) = match pool {
        None => (product([window.out_h, window.out_w]), ROW_BLOCK),
        Some(pool @ Pool::Max2x2) => {
            (product([pool.reduced(window.out_h), 2, window.out_w]), product([2, window.out_w]))
        }
    };
    BlockGrid::new(rows, conv.out_c / groups, block, product([batch, groups]), MIN_TASKS).larger_operand_once()
}

/// The operands of one group of one image.
pub(crate) struct Task<'a> {
    pub threads: &'a ThreadPool,
    pub conv: &'a Convolution,
    pub image: usize,
    pub group: usize,
    pub operands: Operands,
    pub input: ImageRows,
    pub weights: &'a [f32],
    pub epilogue: &'a EpiloguePtrs<'a>,
}

impl Task<'_> {
    /// Computes two output rows into `band` and pools them into the output.
    unsafe fn pooled_block(&self, pixels: Range<usize>, columns: Range<usize>, band: &mut [f32], output: &Output) {
        let width = self.conv.window.out_w;
        let row = pixels.start / width / 2;
        let first = self.group * (self.conv.out_c / self.conv.groups) + columns.start;
        // SAFETY: `band` has room for the block, and the pooled row is within the output.
        unsafe {
            let count = columns.len();
            self.block(pixels, columns, band.as_mut_ptr(), count);
            if width >= 2 {
                let to = output.pixel(self.image, row * (width / 2)).add(first);
                pool_two_rows(band, count, width, count, to, output.ld);
            }
        }
    }

    /// Computes a block of output pixels by channels of the group, into `c`.
    ///
    /// # Safety
    /// Pixels and channels must be within the result, and `c` writable for the block, with pixels `ldc` floats apart.
    pub unsafe fn block(&self, pixels: Range<usize>, columns: Range<usize>, c: *mut f32, ldc: usize) {
        let window = &self.conv.window;
        let row_len = self.conv.in_c / self.conv.groups;
        let in_c = self.operands.depth(row_len);
        // Floats of the input for each row of a panel.
        let floats = row_len.div_ceil(in_c.max(1));
        let out_c = self.conv.out_c / self.conv.groups;
        let taps = window.kernel_h * window.kernel_w;
        // K is blocked: several taps with all their channels, or a part of one tap's channels.
        let tap_step = (KC / in_c.max(1)).clamp(1, taps.max(1)).min(ADDRESSES / 16);
        let channel_step = in_c.div_ceil(in_c.div_ceil(KC).max(1)).max(1);
        let row_step = (ADDRESSES / tap_step).min(ROW_BLOCK);
        let panel_stride = taps * in_c * PANEL;
        let first_channel = self.group * out_c + columns.start;
        let mut addresses = [const { MaybeUninit::<*const f32>::uninit() }; ADDRESSES];
        // SAFETY: all addresses are within the checked views; the buffer has room for `tap_step * row_step`.
        unsafe {
            let weights = self.weights.as_ptr().add(self.group * panels(out_c) * panel_stride);
            let weights = weights.add(columns.start / PANEL * panel_stride);
            let mut pixel = pixels.start;
            while pixel < pixels.end {
                let rows = row_step.min(pixels.end - pixel);
                let c = c.add((pixel - pixels.start) * ldc);
                let mut residual = self.epilogue.residual(self.image, pixel);
                if !residual.is_null() {
                    residual = residual.add(first_channel);
                }
                // Taps that see only padding, as far ones of dilated windows do, add nothing.
                let is_needed =
                    |&tap: &usize| (tap..taps.min(tap + tap_step)).any(|tap| self.sees_image(tap, pixel, rows));
                let last = (0..taps).step_by(tap_step).rfind(is_needed);
                let last = last.unwrap_or((taps - 1) / tap_step * tap_step);
                let mut is_begun = false;
                for tap in (0..=last).step_by(tap_step).filter(|tap| *tap == last || is_needed(tap)) {
                    let tap_count = tap_step.min(taps - tap);
                    let mut channel = 0;
                    while channel < in_c {
                        let channels = channel_step.min(in_c - channel);
                        let list = &mut addresses[..tap_count * rows];
                        self.fill_addresses(list, tap, pixel, rows, self.group * row_len + channel * floats);
                        let is_last = tap == last && channel + channels == in_c;
                        // The next K steps of these columns, or the next columns.
                        let next_k =
                            tap * in_c + if channel + channels < in_c { channel + channels } else { tap_count * in_c };
                        let next_panel = match is_last {
                            true => weights.wrapping_add(columns.len().div_ceil(PANEL) * panel_stride),
                            false => weights.wrapping_add(next_k * PANEL),
                        };
                        let product = PackedProduct {
                            a: LhsRows::Indirect { addresses: list.as_ptr().cast(), rows },
                            rows,
                            taps: tap_count,
                            depth: channels,
                            row_len: (channels * floats).min(row_len - channel * floats),
                            b: weights.add((tap * in_c + channel) * PANEL),
                            panel_stride,
                            next_panel,
                            columns: columns.len(),
                            c,
                            ldc,
                            accumulate: is_begun,
                            epilogue: is_last.then_some(self.epilogue),
                            residual,
                            first_column: first_channel,
                        };
                        self.operands.multiply(self.threads.isa(), product);
                        is_begun = true;
                        channel += channels;
                    }
                }
                pixel += rows;
            }
        }
    }

    /// Whether a tap of some of these windows may be inside the image.
    fn sees_image(&self, tap: usize, pixel: usize, rows: usize) -> bool {
        let window = &self.conv.window;
        let (first, last) = (pixel, pixel + rows - 1);
        let (top, bottom) = (first / window.out_w, last / window.out_w);
        let (left, right) = match top == bottom {
            true => (first % window.out_w, last % window.out_w),
            false => (0, window.out_w - 1),
        };
        let (tap_y, tap_x) = (tap / window.kernel_w, tap % window.kernel_w);
        let reaches = |first: usize, last: usize, stride: usize, shift: usize, pad: usize, size: usize| {
            last * stride + shift >= pad && first * stride + shift < pad + size
        };
        reaches(top, bottom, window.stride_h, tap_y * window.dilation_h, window.pad_top, window.in_h)
            && reaches(left, right, window.stride_w, tap_x * window.dilation_w, window.pad_left, window.in_w)
    }

    /// Fills the indirection buffer: for each tap from `tap` on, each window's pixel at a channel.
    fn fill_addresses(
        &self,
        list: &mut [MaybeUninit<*const f32>],
        tap: usize,
        pixel: usize,
        rows: usize,
        channel: usize,
    ) {
        let window = &self.conv.window;
        for (index, tap_addresses) in list.chunks_exact_mut(rows).enumerate() {
            let (tap_y, tap_x) = ((tap + index) / window.kernel_w, (tap + index) % window.kernel_w);
            let shift = (tap_x * window.dilation_w).wrapping_sub(window.pad_left);
            let row = |y: usize| {
                let y = (y * window.stride_h + tap_y * window.dilation_h).wrapping_sub(window.pad_top);
                (y < window.in_h).then(|| self.input.row(self.image, y))
            };
            let (mut y, mut x) = (pixel / window.out_w, pixel % window.out_w);
            let mut from = row(y);
            for address in tap_addresses {
                let at = (x * window.stride_w).wrapping_add(shift);
                address.write(match from {
                    Some(from) if at < window.in_w => from.wrapping_add(at * self.input.ld + channel),
                    _ => ZEROS.as_ptr(),
                });
                x += 1;
                if x == window.out_w {
                    (y, x) = (y + 1, 0);
                    from = row(y);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{self, convolution};

    fn check(conv: Convolution) {
        naive::check(&conv, 2e-6 * depth(&conv) as f64, |_| Im2col);
    }

    #[test]
    fn im2col_equals_naive_for_kernels_strides_dilations_and_paddings() {
        check(convolution((7, 9), (5, 7, 1), (3, 1, 1), (1, 1)));
        check(convolution((13, 11), (3, 33, 1), (5, 2, 1), (2, 1)));
        check(convolution((9, 12), (17, 16, 1), (3, 1, 2), (2, 2)));
        check(convolution((6, 5), (4, 31, 1), (2, 3, 1), (0, 1)));
        check(convolution((1, 1), (1, 1, 1), (1, 1, 1), (0, 0)));
        check(convolution((8, 3), (2, 5, 1), (7, 1, 1), (3, 3)));
    }

    /// Of the taps along an axis one, two or all see the image, for all windows or for some; of few channels, several at a time.
    #[test]
    fn im2col_equals_naive_where_taps_see_only_padding() {
        for channels in [2, 200, 401] {
            check(convolution((9, 9), (channels, 17, 1), (3, 1, 12), (12, 12)));
            check(convolution((20, 30), (channels, 5, 1), (3, 1, 14), (14, 14)));
            check(convolution((12, 5), (channels, 16, 1), (3, 2, 6), (6, 6)));
            check(convolution((2, 2), (channels, 3, 1), (3, 1, 1), (7, 7)));
        }
    }

    #[test]
    fn im2col_equals_naive_for_groups() {
        check(convolution((7, 7), (6, 8, 2), (3, 1, 1), (1, 1)));
        check(convolution((5, 6), (9, 51, 3), (3, 2, 1), (1, 0)));
        check(convolution((5, 4), (5, 10, 5), (3, 1, 1), (1, 1)));
    }

    #[test]
    fn im2col_equals_naive_for_deep_sums_and_many_rows() {
        check(convolution((3, 4), (401, 18, 1), (3, 1, 1), (1, 1)));
        check(convolution((31, 33), (8, 17, 1), (3, 1, 1), (1, 1)));
    }
}
