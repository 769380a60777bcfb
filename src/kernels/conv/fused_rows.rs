//! Convolutions one behind the other, computed by bands of rows: of what stands between them a few rows are held at a
//! time, which stay in the second-level cache, instead of whole images that go to memory and back (Alwani et al.,
//! "Fused-layer CNN accelerators", 2016). The results have the same bits as one convolution after the other.

use super::Algorithm;
use super::algorithm::ConvAlgorithm;
use super::depthwise::{Call, Depthwise};
use super::im2col::{Im2col, Task};
use super::input_rows::ImageRows;
use crate::kernels::epilogue::{EpilogueArgs, EpiloguePtrs, Output, check_view};
use crate::kernels::parallel::thread_pool::{ThreadPool, WorkerScratch};
use crate::kernels::tensor_view::{Convolution, View, ViewMut, Window};
use crate::size::{product, span, sum};
use smallvec::SmallVec;
use std::ops::Range;

/// Convolutions of a chain at most.
pub const MOST: usize = 8;
/// Floats of rows between the convolutions: half of a second-level cache of 512 KiB.
const BAND: usize = 64 << 10;
/// Rows of the last convolution that are computed together at most.
const ROWS: usize = 16;
/// Stretches of rows that each worker should find, so that threads finish at about the same time.
const TASKS: usize = 4;
/// The share of the work that may be done twice, where stretches meet.
const TWICE: f64 = 0.05;

/// A convolution of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    pub conv: &'a Convolution,
    /// As [`algorithm`] packs them.
    pub weights: &'a [f32],
    /// No pooling, and a residual only behind the last.
    pub epilogue: EpilogueArgs<'a>,
}

/// The convolutions of a chain, the first one first.
pub type Convolutions<'a> = SmallVec<[&'a Convolution; MOST]>;

/// Whether a convolution can be part of a chain.
pub fn supports(conv: &Convolution) -> bool {
    conv.groups == 1 || is_depthwise(conv)
}

/// The algorithm whose packed weights a chain reads for a convolution.
pub fn algorithm(conv: &Convolution) -> Algorithm {
    if is_depthwise(conv) { Algorithm::Depthwise(Depthwise) } else { Algorithm::Im2col(Im2col) }
}

fn is_depthwise(conv: &Convolution) -> bool {
    Depthwise.supports(conv, None)
}

/// The floats of scratch memory that [`convolve`] needs for `workers` threads.
pub fn scratch_len(convs: &Convolutions, workers: usize) -> usize {
    sum([WorkerScratch::len(zeros_len(convs), 1), WorkerScratch::len(Bands::new(convs).floats, workers)])
}

/// Floats of rows between the convolutions at most, where a single row of the last one sees more than [`BAND`]: 16 MiB.
const MAX_HELD: usize = 4 << 20;

/// Whether what a worker must hold of the images between the convolutions is within bounds.
pub fn holds(convs: &Convolutions) -> bool {
    Bands::new(convs).floats <= MAX_HELD
}

fn zeros_len(convs: &Convolutions) -> usize {
    convs.iter().map(|conv| conv.in_c).max().unwrap_or(0)
}

/// The rows of a window's image that it sees from some rows of its result.
fn seen(window: &Window, rows: &Range<usize>) -> Range<usize> {
    let first = (rows.start * window.stride_h).saturating_sub(window.pad_top);
    let end = (rows.end * window.stride_h + window.reach_h()).saturating_sub(window.stride_h + window.pad_top);
    first.min(window.in_h)..end.min(window.in_h)
}

/// How a chain is cut: into bands as high as the cache allows.
struct Bands {
    /// Rows of the last convolution that are computed together.
    rows: usize,
    /// Rows of each other convolution that are held.
    held: SmallVec<[usize; MOST]>,
    /// The floats of all rows that are held.
    floats: usize,
}

impl Bands {
    fn new(convs: &Convolutions) -> Self {
        let last = convs.last().map_or(1, |conv| conv.window.out_h);
        let mut best = Self::of(convs, 1);
        for rows in 2..=ROWS.min(last) {
            let bands = Self::of(convs, rows);
            if bands.floats > BAND {
                break;
            }
            best = bands;
        }
        best
    }

    fn of(convs: &Convolutions, rows: usize) -> Self {
        let (mut held, mut floats, mut need) = (SmallVec::from_elem(0, convs.len().saturating_sub(1)), 0usize, rows);
        for index in (0..held.len()).rev() {
            let (conv, behind) = (convs[index], &convs[index + 1].window);
            need = span(need, behind.stride_h, behind.reach_h()).min(conv.window.out_h).max(1);
            held[index] = need;
            floats = sum([floats, product([need, conv.window.out_w, conv.out_c])]);
        }
        Self { rows, held, floats }
    }
}

/// The stretches of rows that each image is cut into.
fn stretches(convs: &Convolutions, batch: usize, workers: usize) -> usize {
    if workers == 1 {
        return 1;
    }
    // Where two stretches meet, both compute the rows that the windows of both see.
    let (mut shared, mut twice, mut all) = (0, 0.0, 0.0);
    for Convolution { window, in_c, out_c, groups } in convs.iter().rev() {
        let row = (window.out_w * window.kernel_h * window.kernel_w * in_c / groups * out_c) as f64;
        twice += shared as f64 * row;
        all += window.out_h as f64 * row;
        shared = shared * window.stride_h + window.reach_h().saturating_sub(window.stride_h);
    }
    let images = batch.max(1);
    // Without bound where no rows are shared.
    let allowed = ((TWICE * all / twice) as usize).saturating_add(1);
    let wanted = (TASKS * workers).div_ceil(images).min(allowed);
    wanted.max(workers.div_ceil(images)).min(convs.last().map_or(1, |conv| conv.window.out_h))
}

/// Convolves `batch` images by all links, each of which takes what the one before it gives.
///
/// # Panics
/// If a slice is too short for the sizes, the links do not fit each other, there are none or more than [`MOST`], or
/// [`supports`] is false for one.
pub fn convolve(threads: &ThreadPool, links: &[Link], batch: usize, input: View, scratch: &mut [f32], output: ViewMut) {
    check(links);
    let convs: Convolutions = links.iter().map(|link| link.conv).collect();
    let (first, last) = (convs[0].window, convs[convs.len() - 1].window);
    check_view("input", &input, batch, first.in_h * first.in_w, convs[0].in_c);
    let output = Output::new(output, batch, last.out_h * last.out_w, convs[convs.len() - 1].out_c);
    let pixels = |conv: &Convolution| conv.window.out_h * conv.window.out_w;
    if convs.iter().any(|conv| pixels(conv) * conv.out_c == 0) {
        return;
    }
    let bands = Bands::new(&convs);
    let stretches = stretches(&convs, batch, threads.count());
    let common = WorkerScratch::len(zeros_len(&convs), 1);
    assert!(scratch.len() >= common, "scratch memory is too small");
    let (zeros, scratch) = scratch.split_at_mut(common);
    zeros.fill(0.0);
    let scratch = WorkerScratch::new(scratch, bands.floats, threads.count());
    let chain = Chain {
        threads,
        links,
        finish: links
            .iter()
            .map(|Link { conv, epilogue, .. }| EpiloguePtrs::new(epilogue, batch, pixels(conv), conv.out_c))
            .collect(),
        bands: &bands,
        input: ImageRows::of(&input, first.in_h, first.in_w),
        zeros,
        output,
    };
    threads.run_in_parts(batch * stretches, &|task, worker| {
        let (image, stretch) = (task / stretches, task % stretches);
        let rows = stretch * last.out_h / stretches..(stretch + 1) * last.out_h / stretches;
        // SAFETY: sizes were checked, and stretches are disjoint; each worker uses only its own scratch.
        unsafe { chain.stretch(image, rows, scratch.piece(worker)) }
    });
}

fn check(links: &[Link]) {
    assert!((1..=MOST).contains(&links.len()), "a chain of {} convolutions", links.len());
    for (one, next) in links.iter().zip(&links[1..]) {
        let (from, to) = (&one.conv.window, &next.conv.window);
        let given = (from.out_h, from.out_w, one.conv.out_c);
        assert_eq!(given, (to.in_h, to.in_w, next.conv.in_c), "a chain's sizes");
        assert!(one.epilogue.residual.is_none(), "a residual within a chain");
    }
    for Link { conv, weights, epilogue } in links {
        let packed = algorithm(conv).packed_len(conv);
        assert!(supports(conv) && weights.len() == packed && epilogue.pool.is_none(), "a chain's convolution");
    }
}

/// What all tasks of a call read.
struct Chain<'a> {
    threads: &'a ThreadPool,
    links: &'a [Link<'a>],
    finish: SmallVec<[EpiloguePtrs<'a>; MOST]>,
    bands: &'a Bands,
    input: ImageRows,
    zeros: &'a [f32],
    output: Output<'a>,
}

impl Chain<'_> {
    /// Some rows of an image's result, by bands; `held` has room for the rows between.
    ///
    /// # Safety
    /// Image and rows must exist.
    unsafe fn stretch(&self, image: usize, rows: Range<usize>, held: &mut [f32]) {
        let last = self.links.len() - 1;
        let mut between = [std::ptr::null_mut(); MOST];
        let mut rest = held;
        for (index, to) in between[..last].iter_mut().enumerate() {
            let conv = self.links[index].conv;
            let (piece, behind) = rest.split_at_mut(self.bands.held[index] * conv.window.out_w * conv.out_c);
            (*to, rest) = (piece.as_mut_ptr(), behind);
        }
        let mut done = [0; MOST];
        let mut band = [const { 0..0 }; MOST];
        for first in rows.clone().step_by(self.bands.rows) {
            band[last] = first..(first + self.bands.rows).min(rows.end);
            for index in (0..last).rev() {
                let need = seen(&self.links[index + 1].conv.window, &band[index + 1]);
                band[index] = need.start.max(done[index]).min(need.end)..need.end;
                done[index] = need.end;
            }
            for (index, rows) in band[..=last].iter().enumerate() {
                // SAFETY: the rows that these see are held: as many as a band needs stay until the next band.
                unsafe { self.rows(index, image, rows.clone(), &between) }
            }
        }
    }

    /// Some rows of a link's result.
    ///
    /// # Safety
    /// The rows that it sees must be held, and image and rows exist.
    unsafe fn rows(&self, index: usize, image: usize, rows: Range<usize>, between: &[*mut f32; MOST]) {
        let Link { conv, weights, .. } = self.links[index];
        let (width, channels, finish) = (conv.window.out_w, conv.out_c, &self.finish[index]);
        let input = match index {
            0 => self.input,
            _ => ImageRows::last(between[index - 1], self.bands.held[index - 1], conv.window.in_w, conv.in_c),
        };
        let held = self.bands.held.get(index).copied();
        let mut row = rows.start;
        while row < rows.end {
            // SAFETY: pixels are within the image, and results within the output or the rows that are held.
            unsafe {
                // Rows that follow each other where they are held.
                let (to, ld, end) = match held {
                    None => (self.output.pixel(image, row * width), self.output.ld, rows.end),
                    Some(held) => {
                        let to = between[index].add(row % held * width * channels);
                        (to, channels, rows.end.min((row / held + 1) * held))
                    }
                };
                if is_depthwise(conv) {
                    let call = Call { threads: self.threads, conv, input, weights, zeros: self.zeros, finish };
                    for y in row..end {
                        call.row(image, y, to.add((y - row) * width * ld), ld);
                    }
                } else {
                    let task = Task { threads: self.threads, conv, image, group: 0, input, weights, finish };
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
    use crate::kernels::conv::naive::{convolution, noise};
    use crate::kernels::elementwise::activation::Activation;
    use crate::kernels::guarded::Floats;
    use crate::kernels::simd::isa::Isa;

    /// One convolution after the other, and its weights.
    fn alone(threads: &ThreadPool, link: &Link, batch: usize, input: &[f32]) -> Floats {
        let Link { conv, weights, epilogue } = link;
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

    /// Compares a chain with its convolutions one after the other, bit by bit.
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
            let parts = convs.iter().zip(&weights).enumerate();
            let links: Vec<Link> =
                parts.map(|(index, (conv, weights))| Link { conv, weights, epilogue: epilogue(index) }).collect();
            let (window, in_c) = (&convs[0].window, convs[0].in_c);
            let input = noise(batch * window.in_h * window.in_w * in_c, 1);
            let expected = links.iter().fold(input.clone(), |input, link| alone(&threads, link, batch, &input));
            let list: Convolutions = convs.iter().collect();
            let mut scratch = Floats::filled(f32::NAN, scratch_len(&list, workers));
            let mut result = Floats::filled(f32::NAN, batch * image);
            let view = View { data: &input, ld: in_c, image: window.in_h * window.in_w * in_c };
            let output = ViewMut { data: &mut result, ld: last.out_c, image };
            convolve(&threads, &links, batch, view, &mut scratch, output);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert!(bits(&result) == bits(&expected), "{convs:?}, {batch} images, {workers} workers, {isa:?}");
        }
    }

    #[test]
    fn widened_then_depthwise_then_narrowed() {
        for size in [1, 2, 7, 33] {
            let [wide, narrow] = [((size, 9), (5, 19, 1)), ((size, 9), (19, 3, 1))];
            check(&[
                convolution(wide.0, wide.1, (1, 1, 1), (0, 0)),
                convolution((size, 9), (19, 19, 19), (3, 1, 1), (1, 1)),
                convolution(narrow.0, narrow.1, (1, 1, 1), (0, 0)),
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
        // Nothing is done twice, so each row may be a stretch.
        assert_eq!(stretches(&convs.iter().collect(), 1, 2), 4);
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
