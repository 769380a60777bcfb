//! The gradients of depthwise convolutions: each input channel has its own kernel, or `multiplier` of them.

use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{Convolution, View, Window};
use std::ops::Range;

/// Channels of one task.
const BLOCK: usize = 32;
/// Tasks to have at least, so that threads finish at about the same time.
const TASKS: usize = 16;
/// Channels summed in registers at once.
const LANES: usize = 16;

/// Whether the convolution is depthwise.
pub fn suits(conv: &Convolution) -> bool {
    conv.in_c > 0 && conv.groups == conv.in_c
}

/// How the weight gradient is cut, by its sizes only: blocks of channels, and pieces of the batch's output rows.
#[derive(Clone, Copy)]
struct Cut {
    blocks: usize,
    /// Output rows of a piece, and the number of pieces.
    rows: usize,
    pieces: usize,
    taps: usize,
}

impl Cut {
    fn new(conv: &Convolution, batch: usize) -> Self {
        let blocks = conv.out_c.div_ceil(BLOCK).max(1);
        let rows = batch * conv.window.out_h;
        let each = rows.div_ceil(TASKS.div_ceil(blocks)).max(1);
        let taps = conv.window.kernel_h * conv.window.kernel_w;
        Self { blocks, rows: each, pieces: rows.div_ceil(each).max(1), taps }
    }

    /// Floats of a block's sums of one piece.
    fn sums(&self) -> usize {
        self.taps * BLOCK
    }
}

/// The floats of scratch memory that [`weight_gradient`] needs.
pub fn scratch_len(conv: &Convolution, batch: usize) -> usize {
    let cut = Cut::new(conv, batch);
    cut.pieces * cut.blocks * cut.sums()
}

/// See [`gradient_convolution`](super::weight_gradient::weight_gradient), which checks the views.
pub fn weight_gradient(
    threads: &ThreadPool,
    conv: &Convolution,
    batch: usize,
    x: View<'_>,
    dy: View<'_>,
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    let cut = Cut::new(conv, batch);
    let (sums, out_c, out_h) = (cut.sums(), conv.out_c, conv.window.out_h);
    let partial = &mut scratch[..cut.pieces * cut.blocks * sums];
    let partition =
        Partition { outer: cut.pieces, outer_stride: cut.blocks * sums, ..Partition::chunks(cut.blocks * sums, sums) };
    share(threads, partial, partition, Scratch::none(), &|piece, sums, _| {
        sums.fill(0.0);
        let channels = piece.inner * BLOCK..((piece.inner + 1) * BLOCK).min(out_c);
        for row in piece.outer * cut.rows..((piece.outer + 1) * cut.rows).min(batch * out_h) {
            let (image, out_y) = (row / out_h, row % out_h);
            let x = View { data: &x.data[image * x.image..], ..x };
            let dy = View { data: &dy.data[image * dy.image + out_y * conv.window.out_w * dy.ld..], ..dy };
            add_row(Row { conv, x, dy, out_y }, channels.clone(), sums);
        }
    });
    let partial = &*partial;
    share(threads, dw, Partition::chunks(cut.taps * out_c, out_c), Scratch::none(), &|piece, row, _| {
        for (block, sum) in row.chunks_mut(BLOCK).enumerate() {
            sum.fill(0.0);
            // Pieces are added in their order, whoever computed them.
            for index in 0..cut.pieces {
                let part = &partial[(index * cut.blocks + block) * sums + piece.inner * BLOCK..];
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
    });
}

/// A row of output pixels, with the image that it sees.
#[derive(Clone, Copy)]
struct Row<'a> {
    conv: &'a Convolution,
    x: View<'a>,
    dy: View<'a>,
    out_y: usize,
}

/// The output columns whose tap `kx` is within the image.
#[inline(always)]
fn columns(window: &Window, kx: usize) -> Range<usize> {
    let shift = kx * window.dilation_w;
    let first = window.pad_left.saturating_sub(shift).div_ceil(window.stride_w);
    let end = (window.in_w + window.pad_left).saturating_sub(shift).div_ceil(window.stride_w);
    first.min(window.out_w)..end.min(window.out_w)
}

multiversion! {
    /// Adds what a row of output pixels gives to the taps of some channels: `sums` is `(taps, BLOCK)`.
    fn add_row(row: Row<'_>, channels: Range<usize>, sums: &mut [f32]) {
        let window = &row.conv.window;
        for ky in 0..window.kernel_h {
            let y = (row.out_y * window.stride_h + ky * window.dilation_h).wrapping_sub(window.pad_top);
            if y >= window.in_h {
                continue;
            }
            let line = &row.x.data[y * window.in_w * row.x.ld..];
            for kx in 0..window.kernel_w {
                let columns = columns(window, kx);
                let sums = &mut sums[(ky * window.kernel_w + kx) * BLOCK..][..channels.len()];
                let mut at = 0;
                while at < sums.len() {
                    let channel = channels.start + at;
                    if row.conv.out_c == row.conv.in_c && at + LANES <= sums.len() {
                        add_tap::<LANES>(row, line, columns.clone(), kx, channel, &mut sums[at..]);
                        at += LANES;
                    } else {
                        add_tap::<1>(row, line, columns.clone(), kx, channel, &mut sums[at..]);
                        at += 1;
                    }
                }
            }
        }
    }
}

/// One tap of `C` channels over a row; with a multiplier, of one channel.
#[inline(always)]
fn add_tap<const C: usize>(
    row: Row<'_>,
    line: &[f32],
    columns: Range<usize>,
    kx: usize,
    channel: usize,
    sums: &mut [f32],
) {
    let Row { conv, x, dy, .. } = row;
    let window = &conv.window;
    let from = channel / (conv.out_c / conv.in_c);
    // Two sums side by side, so that additions do not wait for each other.
    let mut even = [0.0; C];
    let mut odd = [0.0; C];
    for out_x in columns {
        let in_x = out_x * window.stride_w + kx * window.dilation_w - window.pad_left;
        let (x, dy) = (&line[in_x * x.ld + from..][..C], &dy.data[out_x * dy.ld + channel..][..C]);
        for lane in 0..C {
            even[lane] += x[lane] * dy[lane];
        }
        std::mem::swap(&mut even, &mut odd);
    }
    for lane in 0..C {
        sums[lane] += even[lane] + odd[lane];
    }
}

multiversion! {
    /// A row of dx of one image, `in_y`, whose pixels are `ld` apart; `weights` as they stand.
    pub fn input_row(conv: &Convolution, dy: View<'_>, weights: &[f32], in_y: usize, out: &mut [f32], ld: usize) {
        let window = &conv.window;
        out.chunks_mut(ld).for_each(|pixel| pixel[..conv.in_c].fill(0.0));
        for ky in 0..window.kernel_h {
            let Some(distance) = (in_y + window.pad_top).checked_sub(ky * window.dilation_h) else { continue };
            let out_y = distance / window.stride_h;
            if !distance.is_multiple_of(window.stride_h) || out_y >= window.out_h {
                continue;
            }
            let line = &dy.data[out_y * window.out_w * dy.ld..];
            for kx in 0..window.kernel_w {
                let tap = &weights[(ky * window.kernel_w + kx) * conv.out_c..][..conv.out_c];
                for out_x in columns(window, kx) {
                    let in_x = out_x * window.stride_w + kx * window.dilation_w - window.pad_left;
                    let (pixel, dy) = (&mut out[in_x * ld..][..conv.in_c], &line[out_x * dy.ld..][..conv.out_c]);
                    add_products(pixel, dy, tap);
                }
            }
        }
    }
}

/// pixel += dy * tap, summed over the kernels of each input channel
#[inline(always)]
fn add_products(pixel: &mut [f32], dy: &[f32], tap: &[f32]) {
    let multiplier = dy.len() / pixel.len();
    if multiplier == 1 {
        pixel.iter_mut().zip(dy.iter().zip(tap)).for_each(|(v, (dy, tap))| *v += dy * tap);
        return;
    }
    let kernels = dy.chunks_exact(multiplier).zip(tap.chunks_exact(multiplier));
    for (v, (dy, tap)) in pixel.iter_mut().zip(kernels) {
        *v += dy.iter().zip(tap).map(|(dy, tap)| dy * tap).sum::<f32>();
    }
}
