//! Fused convolutions: consecutive convolutions computed together in bands of rows. Only a few rows of each intermediate
//! image exist at a time, in ring buffers that fit the L2 cache, instead of complete images that go through memory (Alwani
//! et al., "Fused-layer CNN accelerators", 2016). The results are bit-identical to running the convolutions one by one.

use super::Algorithm;
use super::algorithm::ConvAlgorithm;
use super::depthwise::{Call, Depthwise};
use super::im2col::{Im2col, Task};
use super::input_rows::ImageRows;
use crate::kernels::epilogue::{EpilogueArgs, EpiloguePtrs, Output, check_view};
use crate::kernels::gemm::bf16::Operands;
use crate::kernels::parallel::thread_pool::{ThreadPool, WorkerScratch};
use crate::kernels::tensor_view::{Convolution, View, ViewMut, Window};
use crate::size::{product, span, sum};
use smallvec::SmallVec;
use std::ops::Range;

/// Maximum convolutions that are fused.
pub const MAX_CONVOLUTIONS: usize = 8;
/// Floats of all ring buffers: half of an L2 cache of 512 KiB.
const BUFFER_FLOATS: usize = 64 << 10;
/// Maximum output rows of a band.
const MAX_BAND_ROWS: usize = 16;
/// Segments of rows per worker, for load balance.
const TASKS_PER_WORKER: usize = 4;
/// Maximum share of the work that is recomputed at the boundaries between segments.
const MAX_RECOMPUTED: f64 = 0.05;

/// A convolution of a fused sequence.
#[derive(Clone, Copy, Debug)]
pub struct FusedConvolution<'a> {
    pub conv: &'a Convolution,
    /// Packed by [`algorithm`].
    pub weights: &'a [f32],
    /// Without pooling; a residual is allowed on the last convolution only.
    pub epilogue: EpilogueArgs<'a>,
}

/// The geometries of fused convolutions, in order.
pub type Convolutions<'a> = SmallVec<[&'a Convolution; MAX_CONVOLUTIONS]>;

/// Whether a convolution can be fused.
pub fn supports(conv: &Convolution) -> bool {
    conv.groups == 1 || is_depthwise(conv)
}

/// The algorithm that packs the weights of a fused convolution.
pub fn algorithm(conv: &Convolution) -> Algorithm {
    if is_depthwise(conv) { Algorithm::Depthwise(Depthwise) } else { Algorithm::Im2col(Im2col) }
}

fn is_depthwise(conv: &Convolution) -> bool {
    Depthwise.supports(conv, None)
}

/// Scratch memory of [`convolve`] for `workers` threads, in floats.
pub fn scratch_len(convs: &Convolutions, workers: usize) -> usize {
    sum([WorkerScratch::len(zeros_len(convs), 1), WorkerScratch::len(Bands::new(convs).floats, workers)])
}

/// Maximum floats of a worker's ring buffers, which exceed [`BUFFER_FLOATS`] if one output row depends on many rows: 16 MiB.
const MAX_BUFFER_FLOATS: usize = 4 << 20;

/// Whether a worker's ring buffers are within the limit.
pub fn is_within_buffer_limit(convs: &Convolutions) -> bool {
    Bands::new(convs).floats <= MAX_BUFFER_FLOATS
}

fn zeros_len(convs: &Convolutions) -> usize {
    convs.iter().map(|conv| conv.in_c).max().unwrap_or(0)
}

/// The receptive field of a range of output rows: the input rows that they depend on.
fn input_rows(window: &Window, rows: &Range<usize>) -> Range<usize> {
    let first = (rows.start * window.stride_h).saturating_sub(window.pad_top);
    let end = (rows.end * window.stride_h + window.reach_h()).saturating_sub(window.stride_h + window.pad_top);
    first.min(window.in_h)..end.min(window.in_h)
}

/// The band height and the ring buffers of a fused sequence: bands are as high as the cache allows.
struct Bands {
    /// Output rows of a band.
    rows: usize,
    /// Rows of the ring buffer after each convolution but the last.
    slots: SmallVec<[usize; MAX_CONVOLUTIONS]>,
    /// Floats of all ring buffers.
    floats: usize,
}

impl Bands {
    fn new(convs: &Convolutions) -> Self {
        let last = convs.last().map_or(1, |conv| conv.window.out_h);
        let mut best = Self::of(convs, 1);
        for rows in 2..=MAX_BAND_ROWS.min(last) {
            let bands = Self::of(convs, rows);
            if bands.floats > BUFFER_FLOATS {
                break;
            }
            best = bands;
        }
        best
    }

    fn of(convs: &Convolutions, rows: usize) -> Self {
        let (mut slots, mut floats, mut needed) = (SmallVec::from_elem(0, convs.len().saturating_sub(1)), 0usize, rows);
        for index in (0..slots.len()).rev() {
            let (conv, consumer) = (convs[index], &convs[index + 1].window);
            needed = span(needed, consumer.stride_h, consumer.reach_h()).min(conv.window.out_h).max(1);
            slots[index] = needed;
            floats = sum([floats, product([needed, conv.window.out_w, conv.out_c])]);
        }
        Self { rows, slots, floats }
    }
}

/// The number of row segments per image, the unit of parallel work.
fn segment_count(convs: &Convolutions, batch: usize, workers: usize) -> usize {
    if workers == 1 {
        return 1;
    }
    // At a boundary between segments, both compute the intermediate rows that the windows of both need (the halo).
    let (mut halo, mut recomputed, mut total) = (0, 0.0, 0.0);
    for Convolution { window, in_c, out_c, groups } in convs.iter().rev() {
        let row_macs = (window.out_w * window.kernel_h * window.kernel_w * in_c / groups * out_c) as f64;
        recomputed += halo as f64 * row_macs;
        total += window.out_h as f64 * row_macs;
        halo = halo * window.stride_h + window.reach_h().saturating_sub(window.stride_h);
    }
    let images = batch.max(1);
    // Infinite, hence saturated, if nothing is recomputed.
    let max_segments = ((MAX_RECOMPUTED * total / recomputed) as usize).saturating_add(1);
    let segments = (TASKS_PER_WORKER * workers).div_ceil(images).min(max_segments);
    segments.max(workers.div_ceil(images)).min(convs.last().map_or(1, |conv| conv.window.out_h))
}

/// Runs a sequence of convolutions over `batch` images; the input is `(batch, in_h, in_w, in_c)` of the first, the output
/// `(batch, out_h, out_w, out_c)` of the last.
///
/// # Panics
/// If a slice is too short for the sizes, the geometries of consecutive convolutions do not match, there are none or more
/// than [`MAX_CONVOLUTIONS`], or [`supports`] is false for one.
pub fn convolve(
    threads: &ThreadPool,
    fused: &[FusedConvolution],
    batch: usize,
    input: View,
    scratch: &mut [f32],
    output: ViewMut,
) {
    check(fused);
    let convs: Convolutions = fused.iter().map(|fused| fused.conv).collect();
    let (first, last) = (convs[0].window, convs[convs.len() - 1].window);
    check_view("input", &input, batch, first.in_h * first.in_w, convs[0].in_c);
    let output = Output::new(output, batch, last.out_h * last.out_w, convs[convs.len() - 1].out_c);
    let pixels = |conv: &Convolution| conv.window.out_h * conv.window.out_w;
    if convs.iter().any(|conv| pixels(conv) * conv.out_c == 0) {
        return;
    }
    let bands = Bands::new(&convs);
    let segments = segment_count(&convs, batch, threads.count());
    let zeros_len = WorkerScratch::len(zeros_len(&convs), 1);
    assert!(scratch.len() >= zeros_len, "scratch memory is too small");
    let (zeros, scratch) = scratch.split_at_mut(zeros_len);
    zeros.fill(0.0);
    let scratch = WorkerScratch::new(scratch, bands.floats, threads.count());
    let call = FusedCall {
        threads,
        fused,
        epilogues: fused
            .iter()
            .map(|fused| EpiloguePtrs::new(&fused.epilogue, batch, pixels(fused.conv), fused.conv.out_c))
            .collect(),
        bands: &bands,
        input: ImageRows::of(&input, first.in_h, first.in_w),
        zeros,
        output,
    };
    threads.run_in_parts(batch * segments, &|task, worker| {
        let (image, segment) = (task / segments, task % segments);
        let rows = segment * last.out_h / segments..(segment + 1) * last.out_h / segments;
        // SAFETY: sizes were checked, and segments are disjoint; workers have disjoint scratch.
        unsafe { call.segment(image, rows, scratch.piece(worker)) }
    });
}

fn check(fused: &[FusedConvolution]) {
    assert!((1..=MAX_CONVOLUTIONS).contains(&fused.len()), "{} fused convolutions", fused.len());
    for (producer, consumer) in fused.iter().zip(&fused[1..]) {
        let (from, to) = (&producer.conv.window, &consumer.conv.window);
        let produced = (from.out_h, from.out_w, producer.conv.out_c);
        assert_eq!(produced, (to.in_h, to.in_w, consumer.conv.in_c), "sizes of fused convolutions");
        assert!(producer.epilogue.residual.is_none(), "a residual before the last fused convolution");
    }
    for FusedConvolution { conv, weights, epilogue } in fused {
        let packed = algorithm(conv).packed_len(conv);
        assert!(supports(conv) && weights.len() == packed && epilogue.pool.is_none(), "unsupported fused convolution");
    }
}

/// The operands that all tasks of a call share.
struct FusedCall<'a> {
    threads: &'a ThreadPool,
    fused: &'a [FusedConvolution<'a>],
    epilogues: SmallVec<[EpiloguePtrs<'a>; MAX_CONVOLUTIONS]>,
    bands: &'a Bands,
    input: ImageRows,
    zeros: &'a [f32],
    output: Output<'a>,
}

impl FusedCall<'_> {
    /// Computes a segment of output rows of an image, band by band; `scratch` has room for the ring buffers.
    ///
    /// # Safety
    /// `image` and `rows` must be valid.
    unsafe fn segment(&self, image: usize, rows: Range<usize>, scratch: &mut [f32]) {
        let last = self.fused.len() - 1;
        let mut buffers = [std::ptr::null_mut(); MAX_CONVOLUTIONS];
        let mut remaining = scratch;
        for (index, buffer) in buffers[..last].iter_mut().enumerate() {
            let conv = self.fused[index].conv;
            let (ring, after) = remaining.split_at_mut(self.bands.slots[index] * conv.window.out_w * conv.out_c);
            (*buffer, remaining) = (ring.as_mut_ptr(), after);
        }
        let mut done = [0; MAX_CONVOLUTIONS];
        let mut band = [const { 0..0 }; MAX_CONVOLUTIONS];
        for first in rows.clone().step_by(self.bands.rows) {
            band[last] = first..(first + self.bands.rows).min(rows.end);
            for index in (0..last).rev() {
                let needed = input_rows(&self.fused[index + 1].conv.window, &band[index + 1]);
                band[index] = needed.start.max(done[index]).min(needed.end)..needed.end;
                done[index] = needed.end;
            }
            for (index, rows) in band[..=last].iter().enumerate() {
                // SAFETY: the input rows are in the ring buffer, which has as many slots as a band needs.
                unsafe { self.rows(index, image, rows.clone(), &buffers) }
            }
        }
    }

    /// Computes a range of output rows of one convolution.
    ///
    /// # Safety
    /// `image` and `rows` must be valid, and the input rows in the ring buffer.
    unsafe fn rows(&self, index: usize, image: usize, rows: Range<usize>, buffers: &[*mut f32; MAX_CONVOLUTIONS]) {
        let FusedConvolution { conv, weights, .. } = self.fused[index];
        let (width, channels, epilogue) = (conv.window.out_w, conv.out_c, &self.epilogues[index]);
        let input = match index {
            0 => self.input,
            _ => ImageRows::ring(buffers[index - 1], self.bands.slots[index - 1], conv.window.in_w, conv.in_c),
        };
        let slots = self.bands.slots.get(index).copied();
        let mut row = rows.start;
        while row < rows.end {
            // SAFETY: pixels are within the image, and results within the output or the ring buffer.
            unsafe {
                // As many rows as are contiguous in the ring buffer.
                let (to, ld, end) = match slots {
                    None => (self.output.pixel(image, row * width), self.output.ld, rows.end),
                    Some(slots) => {
                        let to = buffers[index].add(row % slots * width * channels);
                        (to, channels, rows.end.min((row / slots + 1) * slots))
                    }
                };
                if is_depthwise(conv) {
                    let call = Call { threads: self.threads, conv, input, weights, zeros: self.zeros, epilogue };
                    for y in row..end {
                        call.row(image, y, to.add((y - row) * width * ld), ld);
                    }
                } else {
                    let operands = Operands::F32;
                    let task =
                        Task { threads: self.threads, conv, image, group: 0, operands, input, weights, epilogue };
                    task.block(row * width..end * width, 0..channels, to, ld);
                }
                row = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::algorithm::ConvCall;
    use crate::kernels::conv::naive::convolution;
    use crate::kernels::elementwise::activation::Activation;
    use crate::kernels::guarded::Floats;
    use crate::kernels::simd::isa::Isa;
    use crate::kernels::testing::noise;

    /// The output of one convolution by its own kernel.
    fn unfused(threads: &ThreadPool, fused: &FusedConvolution, batch: usize, input: &[f32]) -> Floats {
        let FusedConvolution { conv, weights, epilogue } = fused;
        let window = &conv.window;
        let input = View { data: input, ld: conv.in_c, image: window.in_h * window.in_w * conv.in_c };
        let image = window.out_h * window.out_w * conv.out_c;
        let mut result = Floats::filled(0.0, batch * image);
        let output = ViewMut { data: &mut result, ld: conv.out_c, image };
        let algorithm = algorithm(conv);
        let mut scratch = Floats::filled(0.0, algorithm.scratch_len(conv, batch, None, threads.count()));
        algorithm.run(ConvCall { threads, conv, batch, input, weights, epilogue, scratch: &mut scratch, output });
        result
    }

    /// Compares fused convolutions with the same ones run one by one, bit by bit.
    fn check(convs: &[Convolution]) {
        let weights: Vec<Floats> = convs
            .iter()
            .map(|conv| {
                let count = conv.window.kernel_h * conv.window.kernel_w * conv.in_c / conv.groups * conv.out_c;
                let weights = noise(count, 7);
                Floats::from(algorithm(conv).packed(conv, &weights))
            })
            .collect();
        let last = convs[convs.len() - 1];
        let image = last.window.out_h * last.window.out_w * last.out_c;
        let bias = noise(convs.iter().map(|conv| conv.out_c).max().unwrap_or(0), 2);
        for (batch, isa, workers) in [1, 3].into_iter().flat_map(|batch| {
            let sets = Isa::available().into_iter();
            sets.flat_map(move |isa| [1, 2, 3].into_iter().map(move |workers| (batch, isa, workers)))
        }) {
            let threads = ThreadPool::with_isa(workers, isa);
            let residual = noise(batch * image, 3);
            let residual = View { data: &residual, ld: last.out_c, image };
            let epilogue = |index: usize| EpilogueArgs {
                bias: index.is_multiple_of(2).then_some(&bias),
                residual: (index + 1 == convs.len()).then_some(residual),
                activation: [Activation::Relu6, Activation::Swish, Activation::Linear][index % 3],
                pool: None,
            };
            let operands = convs.iter().zip(&weights).enumerate();
            let fused: Vec<FusedConvolution> = operands
                .map(|(index, (conv, weights))| FusedConvolution { conv, weights, epilogue: epilogue(index) })
                .collect();
            let (window, in_c) = (&convs[0].window, convs[0].in_c);
            let input = noise(batch * window.in_h * window.in_w * in_c, 1);
            let expected = fused.iter().fold(input.clone(), |input, fused| unfused(&threads, fused, batch, &input));
            let list: Convolutions = convs.iter().collect();
            let mut scratch = Floats::filled(f32::NAN, scratch_len(&list, workers));
            let mut result = Floats::filled(f32::NAN, batch * image);
            let view = View { data: &input, ld: in_c, image: window.in_h * window.in_w * in_c };
            let output = ViewMut { data: &mut result, ld: last.out_c, image };
            convolve(&threads, &fused, batch, view, &mut scratch, output);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert!(bits(&result) == bits(&expected), "{convs:?}, {batch} images, {workers} workers, {isa:?}");
        }
    }

    #[test]
    fn inverted_bottlenecks() {
        for size in [1, 2, 7, 33] {
            check(&[
                convolution((size, 9), (5, 19, 1), (1, 1, 1), (0, 0)),
                convolution((size, 9), (19, 19, 19), (3, 1, 1), (1, 1)),
                convolution((size, 9), (19, 3, 1), (1, 1, 1), (0, 0)),
            ]);
        }
    }

    #[test]
    fn strides_paddings_and_dilations() {
        check(&[
            convolution((40, 6), (8, 8, 8), (3, 1, 1), (1, 1)),
            convolution((40, 6), (8, 4, 1), (1, 1, 1), (0, 0)),
            convolution((40, 6), (4, 24, 1), (1, 1, 1), (0, 0)),
            convolution((40, 6), (24, 24, 24), (3, 2, 1), (0, 1)),
            convolution((20, 3), (24, 5, 1), (1, 1, 1), (0, 0)),
        ]);
        check(&[
            convolution((29, 11), (3, 6, 1), (3, 2, 1), (1, 1)),
            convolution((15, 6), (6, 12, 6), (5, 1, 2), (4, 4)),
            convolution((15, 6), (12, 7, 1), (2, 3, 1), (0, 0)),
        ]);
        check(&[convolution((9, 8), (3, 4, 1), (1, 4, 1), (0, 0)), convolution((3, 2), (4, 4, 4), (3, 2, 1), (3, 3))]);
        check(&[
            convolution((31, 5), (3, 16, 1), (1, 1, 1), (0, 0)),
            convolution((31, 5), (16, 2, 1), (7, 5, 1), (2, 2)),
        ]);
    }

    #[test]
    fn windows_that_share_no_rows() {
        let convs = [
            convolution((12, 6), (5, 18, 1), (1, 1, 1), (0, 0)),
            convolution((12, 6), (18, 18, 18), (3, 3, 1), (0, 0)),
            convolution((4, 2), (18, 7, 1), (1, 1, 1), (0, 0)),
        ];
        // Nothing is recomputed, so each row may be a segment.
        assert_eq!(segment_count(&convs.iter().collect(), 1, 2), 4);
        check(&convs);
    }

    #[test]
    fn many_bands_of_wide_rows() {
        check(&[
            convolution((37, 60), (16, 96, 1), (1, 1, 1), (0, 0)),
            convolution((37, 60), (96, 96, 96), (3, 1, 1), (1, 1)),
        ]);
    }
}
