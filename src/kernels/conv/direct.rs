//! Direct convolution for few input channels, as in a network's first layer: windows are read in place from a padded copy of
//! a band of the image, where each kernel row is `kernel_w * in_c` contiguous floats.

use super::algorithm::{ConvAlgorithm, ConvCall};
use super::cost::Sizes;
use super::im2col::Im2col;
use crate::kernels::epilogue::{EpiloguePtrs, Output, Pool, check_convolution, pool_two_rows};
use crate::kernels::gemm::micro_kernel::{LhsRows, PackedProduct};
use crate::kernels::parallel::thread_pool::{ALIGNMENT, ThreadPool, WorkerScratch};
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::{Convolution, View};
use crate::size::{product, round_up, span, sum};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Capacity of the indirection buffer: one address for each kernel row and pixel of an output row.
const ADDRESSES: usize = 2048;
/// Approximate output pixels of a band.
const BAND_PIXELS: usize = 512;

/// Maximum floats of a band's padded copy: 16 MiB. A window far larger than its image would copy little but zeros.
const MAX_COPIED: usize = 4 << 20;

/// The algorithm for few input channels: one group, no horizontal dilation, bands within `MAX_COPIED`. Weights are packed
/// as for [`Im2col`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Direct;

impl ConvAlgorithm for Direct {
    fn candidates(_: &Convolution, _: usize) -> Vec<Self> {
        vec![Self]
    }

    fn supports(&self, conv: &Convolution, _: Option<Pool>) -> bool {
        conv.groups == 1 && conv.window.dilation_w == 1 && Bands::new(conv, Some(Pool::Max2x2)).copy_len() <= MAX_COPIED
    }

    fn packed_len(&self, conv: &Convolution) -> usize {
        Im2col.packed_len(conv)
    }

    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
        Im2col.pack(conv, weights, packed, threads);
    }

    fn scratch_len(&self, conv: &Convolution, _: usize, pool: Option<Pool>, workers: usize) -> usize {
        WorkerScratch::len(Bands::new(conv, pool).worker_len(), workers)
    }

    fn run(&self, call: ConvCall<'_>) {
        let ConvCall { threads, conv, batch, input, weights, epilogue, scratch, output } = call;
        assert!(self.supports(conv, epilogue.pool), "not a convolution for the direct kernel: {conv:?}");
        assert_eq!(weights.len(), self.packed_len(conv), "packed weights");
        let (output, epilogue_ptrs) = check_convolution(conv, batch, &input, epilogue, output);
        let window = &conv.window;
        if window.out_h * window.out_w * conv.out_c == 0 {
            return;
        }
        let bands = Bands::new(conv, epilogue.pool);
        let scratch = WorkerScratch::new(scratch, bands.worker_len(), threads.count());
        threads.run_in_parts(batch * bands.count, &|task, worker| {
            let (image, band) = (task / bands.count, task % bands.count);
            // SAFETY: workers have disjoint scratch.
            let (copy, results) = unsafe { scratch.piece(worker) }.split_at_mut(bands.copy_len());
            let end = epilogue.pool.map_or(window.out_h, |Pool::Max2x2| window.out_h / 2 * 2);
            let rows = band * bands.rows..((band + 1) * bands.rows).min(end);
            copy_band(conv, &input, image, rows.clone(), &bands, copy);
            let task = Band { threads, conv, image, bands: &bands, weights, epilogue: &epilogue_ptrs, copy };
            // SAFETY: the rows are within the checked views; bands are disjoint.
            unsafe {
                match epilogue.pool {
                    None => {
                        for row in rows.clone() {
                            task.row(row, row - rows.start, output.pixel(image, row * window.out_w), output.ld);
                        }
                    }
                    Some(Pool::Max2x2) => task.pooled_rows(rows, results, &output),
                }
            }
        });
    }

    fn cost(&self, sizes: &Sizes) -> f64 {
        let penalty = if sizes.inputs > 16.0 { 1.5 } else { 1.0 };
        penalty * sizes.product(sizes.pixels, sizes.depth, 10.0) / 0.97 + sizes.read_weights()
    }

    fn copied_floats(&self, conv: &Convolution) -> usize {
        let bands = Bands::new(conv, None);
        product([bands.count, bands.copy_len()])
    }
}

impl fmt::Display for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("direct")
    }
}

/// The partition of the output into bands of rows.
#[derive(Clone, Copy)]
struct Bands {
    rows: usize,
    count: usize,
    /// Height of the padded copy.
    copy_h: usize,
    /// Floats of a row of the padded copy.
    copy_row: usize,
    /// Floats of the two output rows to be pooled, or 0.
    results: usize,
}

impl Bands {
    fn new(conv: &Convolution, pool: Option<Pool>) -> Self {
        let window = &conv.window;
        let rows = (BAND_PIXELS / window.out_w.max(1)).clamp(1, window.out_h.max(1));
        let (rows, total) = match pool {
            None => (rows, window.out_h),
            Some(pool @ Pool::Max2x2) => (round_up(rows, 2), product([pool.reduced(window.out_h), 2])),
        };
        let results = pool.map_or(0, |_| product([2, window.out_w, conv.out_c]));
        Self {
            rows,
            count: total.div_ceil(rows),
            copy_h: span(rows, window.stride_h, window.reach_h()),
            copy_row: product([span(window.out_w.max(1), window.stride_w, window.kernel_w), conv.in_c]),
            results,
        }
    }

    fn copy_len(&self) -> usize {
        round_up(product([self.copy_h, self.copy_row]), ALIGNMENT)
    }

    fn worker_len(&self) -> usize {
        sum([self.copy_len(), self.results])
    }
}

/// Copies the receptive field of a range of output rows, zero-padded.
fn copy_band(conv: &Convolution, input: &View, image: usize, rows: Range<usize>, bands: &Bands, copy: &mut [f32]) {
    let window = &conv.window;
    let needed = (rows.len() - 1) * window.stride_h + window.reach_h();
    for (index, tap_addresses) in copy.chunks_exact_mut(bands.copy_row.max(1)).take(needed).enumerate() {
        let y = (rows.start * window.stride_h + index).wrapping_sub(window.pad_top);
        if y >= window.in_h {
            tap_addresses.fill(0.0);
            continue;
        }
        let left = (window.pad_left * conv.in_c).min(tap_addresses.len());
        let (margin, tap_addresses) = tap_addresses.split_at_mut(left);
        margin.fill(0.0);
        let pixels = (tap_addresses.len() / conv.in_c).min(window.in_w);
        let (inside, margin) = tap_addresses.split_at_mut(pixels * conv.in_c);
        margin.fill(0.0);
        let from = &input.data[image * input.image + y * window.in_w * input.ld..];
        if input.ld == conv.in_c {
            inside.copy_from_slice(&from[..inside.len()]);
        } else {
            for (to, from) in inside.chunks_exact_mut(conv.in_c).zip(from.chunks(input.ld)) {
                to.copy_from_slice(&from[..conv.in_c]);
            }
        }
    }
}

/// The operands of a band's rows.
struct Band<'a> {
    threads: &'a ThreadPool,
    conv: &'a Convolution,
    image: usize,
    bands: &'a Bands,
    weights: &'a [f32],
    epilogue: &'a EpiloguePtrs<'a>,
    copy: &'a [f32],
}

impl Band<'_> {
    /// Computes output row `row`, the `index`-th of the band, into `c`.
    ///
    /// # Safety
    /// The row must be within the band, and `c` writable for `out_w` pixels, `ldc` floats apart.
    unsafe fn row(&self, row: usize, index: usize, c: *mut f32, ldc: usize) {
        let window = &self.conv.window;
        let depth = window.kernel_w * self.conv.in_c;
        let first = self.copy[index * window.stride_h * self.bands.copy_row..].as_ptr();
        let (step, tap_step) = (window.stride_w * self.conv.in_c, window.dilation_h * self.bands.copy_row);
        // Indirect rows are fastest, as they may use the assembly micro-kernels; long rows exceed the buffer.
        let mut addresses = [const { MaybeUninit::<*const f32>::uninit() }; ADDRESSES];
        let rows = window.out_w;
        let a = match addresses.get_mut(..window.kernel_h * rows) {
            None => LhsRows::Strided { data: first, ld: step, tap_stride: tap_step },
            Some(addresses) => {
                for (tap, tap_addresses) in addresses.chunks_exact_mut(rows).enumerate() {
                    for (x, address) in tap_addresses.iter_mut().enumerate() {
                        address.write(first.wrapping_add(tap * tap_step + x * step));
                    }
                }
                LhsRows::Indirect { addresses: addresses.as_ptr().cast(), rows }
            }
        };
        // SAFETY: the row's windows are within the padded copy.
        unsafe {
            self.threads.isa().dispatch(PackedProduct {
                a,
                rows,
                taps: window.kernel_h,
                depth,
                row_len: depth,
                b: self.weights.as_ptr(),
                panel_stride: window.kernel_h * depth * PANEL,
                next_panel: std::ptr::null(),
                columns: self.conv.out_c,
                c,
                ldc,
                accumulate: false,
                epilogue: Some(self.epilogue),
                residual: self.epilogue.residual(self.image, row * window.out_w),
                first_column: 0,
            });
        }
    }

    /// Computes rows in pairs and pools each pair into the output.
    unsafe fn pooled_rows(&self, rows: Range<usize>, results: &mut [f32], output: &Output) {
        let (width, out_c) = (self.conv.window.out_w, self.conv.out_c);
        let start = rows.start;
        for row in rows.step_by(2) {
            // SAFETY: `results` has room for two rows, and the pooled row is within the output.
            unsafe {
                self.row(row, row - start, results.as_mut_ptr(), out_c);
                self.row(row + 1, row + 1 - start, results.as_mut_ptr().add(width * out_c), out_c);
                if width >= 2 {
                    let to = output.pixel(self.image, row / 2 * (width / 2));
                    pool_two_rows(results, out_c, width, out_c, to, output.ld);
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
        naive::check(&conv, 2e-6 * (conv.window.kernel_h * conv.window.kernel_w * conv.in_c) as f64, |_| Direct);
    }

    #[test]
    fn direct_equals_naive_for_first_layers() {
        check(convolution((18, 17), (3, 16, 1), (3, 1, 1), (1, 1)));
        check(convolution((19, 20), (3, 33, 1), (3, 2, 1), (0, 1)));
        check(convolution((23, 21), (3, 17, 1), (7, 2, 1), (3, 3)));
        check(convolution((27, 31), (3, 5, 1), (11, 4, 1), (2, 2)));
        check(convolution((5, 1), (8, 1, 1), (3, 1, 1), (1, 1)));
        check(convolution((3, 4), (1, 9, 1), (7, 1, 1), (3, 3)));
    }
}
