//! Depthwise convolutions of bytes: up to four rows of taps at a time, 64 channels side by side. Bands of rows are copied into the
//! middle of the zero point first, in the cache of the thread that computes them.

use super::lanes::{GROUP, Lanes, LanesOp, QUAD, array_of, dispatch};
use super::product::{Output, Rescale};
use super::weights::Columns;
use crate::kernels::parallel::thread_pool::{ThreadPool, WorkerScratch};
use crate::kernels::tensor_view::{Bytes, Convolution, Window};
use crate::size::{product, round_up, span, sum};
use smallvec::SmallVec;

/// Rows of the output that are computed from one copy.
const BAND: usize = 8;
/// Bytes of the inputs of 64 channels' taps of a group.
const STEP: usize = QUAD * GROUP;

/// Whether each channel has a filter of its own.
pub fn is_depthwise(conv: &Convolution) -> bool {
    conv.groups > 1 && conv.groups == conv.in_c && conv.out_c == conv.in_c
}

/// The number of multipliers and biases.
pub fn columns_len(conv: &Convolution) -> usize {
    round_up(conv.out_c, QUAD)
}

/// Groups of four taps, which lie below each other.
fn groups(window: &Window) -> usize {
    product([window.kernel_w, window.kernel_h.div_ceil(GROUP)])
}

/// Bytes of the packed weights: for each 64 channels, group by group, four taps of each channel.
pub fn packed_len(conv: &Convolution) -> usize {
    product([columns_len(conv), groups(&conv.window), GROUP])
}

/// Packs quantised weights (height, width, 1, channels).
pub fn pack(conv: &Convolution, weights: &Columns) -> Vec<i8> {
    let (window, groups) = (&conv.window, groups(&conv.window));
    let weight = |index: usize| {
        let (step, lane, at) = (index / STEP, index / GROUP % QUAD, index % GROUP);
        let (channel, group) = (step / groups * QUAD + lane, step % groups);
        let (tap_x, tap_y) = (group % window.kernel_w, group / window.kernel_w * GROUP + at);
        let is_tap = channel < conv.in_c && tap_y < window.kernel_h;
        if is_tap { weights.bytes[(tap_y * window.kernel_w + tap_x) * conv.in_c + channel] } else { 0 }
    };
    (0..packed_len(conv)).map(weight).collect()
}

/// The copy of the rows under a band.
struct Copy {
    rows: usize,
    width: usize,
}

impl Copy {
    fn of(window: &Window) -> Self {
        let rows = BAND.min(window.out_h);
        Copy {
            rows: span(rows, window.stride_h, span(window.kernel_h, window.dilation_h, 1)),
            width: span(window.out_w, window.stride_w, span(window.kernel_w, window.dilation_w, 1)),
        }
    }

    /// Floats (words) of memory. The last pixel is read as whole vectors.
    fn words(&self, channels: usize) -> usize {
        sum([product([self.rows, self.width, channels]), QUAD]).div_ceil(size_of::<f32>())
    }
}

/// Floats (words) of scratch for this number of threads.
pub fn scratch_len(conv: &Convolution, workers: usize) -> usize {
    WorkerScratch::len(Copy::of(&conv.window).words(conv.in_c), workers)
}

#[derive(Clone, Copy)]
struct Target<T>(*mut T);

// SAFETY: tasks write disjoint rows.
unsafe impl<T> Sync for Target<T> {}

/// Computes a depthwise convolution.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // The parts of a call are separate borrows.
pub(super) fn convolve(
    threads: &ThreadPool,
    conv: &Convolution,
    batch: usize,
    input: Bytes<'_>,
    zero_point: u8,
    weights: &[i8],
    rescale: Rescale<'_>,
    scratch: &mut [f32],
    output: &mut Output<'_>,
) {
    let (window, channels) = (&conv.window, conv.in_c);
    let copy = Copy::of(window);
    assert!(weights.len() >= packed_len(conv), "packed weights");
    let columns = columns_len(conv);
    assert!(rescale.multipliers.len() >= columns && rescale.biases.len() >= columns, "multipliers and biases");
    let pixels = window.out_h * window.out_w;
    let check = |len: usize, ld: usize, image: usize| {
        let span = (pixels - 1) * ld + channels;
        assert!(channels <= ld || pixels == 1, "pixels overlap");
        assert!(batch == 1 || span <= image, "images overlap");
        assert!((batch - 1) * image + span <= len, "a tensor is too short");
    };
    let (bytes_to, floats_to, ld, image, low, high) = match output {
        Output::Bytes { to, low, high } => {
            check(to.data.len(), to.ld, to.image);
            (Target(to.data.as_mut_ptr()), Target(std::ptr::null_mut()), to.ld, to.image, *low, *high)
        }
        Output::Floats(to) => {
            check(to.data.len(), to.ld, to.image);
            (Target(std::ptr::null_mut()), Target(to.data.as_mut_ptr()), to.ld, to.image, 0, 0)
        }
    };
    if let Some((from, _)) = rescale.residual {
        check(from.data.len(), from.ld, from.image);
    }
    let row = copy.width * channels;
    // For each group, the offsets of its rows of taps; those that fill it up have no weight.
    let taps: SmallVec<[[usize; GROUP]; 16]> = (0..groups(window))
        .map(|group| {
            let (x, y) = (group % window.kernel_w, group / window.kernel_w * GROUP);
            [0, 1, 2, 3].map(|at| {
                let y = if y + at < window.kernel_h { y + at } else { y };
                y * window.dilation_h * row + x * window.dilation_w * channels
            })
        })
        .collect();
    let dot = threads.byte_dot();
    let words = copy.words(channels);
    let scratch = WorkerScratch::new(scratch, words, threads.count());
    let bands = window.out_h.div_ceil(BAND);
    threads.run_in_parts(batch * bands, &|task, worker| {
        let (bytes_to, floats_to) = (&bytes_to, &floats_to);
        let (index, first) = (task / bands, task % bands * BAND);
        let rows = BAND.min(window.out_h - first);
        // SAFETY: a worker runs one task at a time.
        let piece: &mut [u8] = bytemuck::cast_slice_mut(&mut unsafe { scratch.piece(worker) }[..words]);
        let needed = span(rows, window.stride_h, span(window.kernel_h, window.dilation_h, 1));
        let image_of = &input.data[index * input.image..];
        copy_rows(
            window,
            channels,
            image_of,
            input.ld,
            first * window.stride_h,
            zero_point,
            &mut piece[..needed * row],
        );
        for y in 0..rows {
            let pixel = (first + y) * window.out_w;
            // SAFETY: the assertions above have shown that all results are within their slices, and the copy has all windows
            // and the rest of the last vector; tasks have different rows.
            unsafe {
                let row = Row {
                    inputs: piece.as_ptr().add(y * window.stride_h * row),
                    step: window.stride_w * channels,
                    pixels: window.out_w,
                    channels,
                    taps: &taps,
                    slides: window.kernel_w == 3
                        && window.kernel_h <= GROUP
                        && window.stride_w == 1
                        && window.dilation_w == 1,
                    weights: weights.as_ptr(),
                    multipliers: rescale.multipliers.as_ptr(),
                    biases: rescale.biases.as_ptr(),
                    residual: rescale.residual.map(|(from, scale)| {
                        (from.data.as_ptr().add(index * from.image + pixel * from.ld), from.ld, scale)
                    }),
                    bytes: if bytes_to.0.is_null() { bytes_to.0 } else { bytes_to.0.add(index * image + pixel * ld) },
                    floats: if floats_to.0.is_null() {
                        floats_to.0
                    } else {
                        floats_to.0.add(index * image + pixel * ld)
                    },
                    ld,
                    low,
                    high,
                };
                dispatch(dot, row);
            }
        }
    });
}

/// Copies rows of an image, from row `first` of the padded image on, into the middle of the zero point.
fn copy_rows(window: &Window, channels: usize, image: &[u8], ld: usize, first: usize, zero_point: u8, copy: &mut [u8]) {
    let width = Copy::of(window).width;
    for (at, row) in copy.chunks_exact_mut(width * channels).enumerate() {
        let y = (first + at).wrapping_sub(window.pad_top);
        if y >= window.in_h {
            row.fill(zero_point);
            continue;
        }
        let columns = window.in_w.min(width.saturating_sub(window.pad_left));
        let (left, rest) = row.split_at_mut(window.pad_left.min(width) * channels);
        let (middle, right) = rest.split_at_mut(columns * channels);
        left.fill(zero_point);
        right.fill(zero_point);
        let from = &image[y * window.in_w * ld..];
        if ld == channels {
            middle.copy_from_slice(&from[..middle.len()]);
        } else {
            for (to, from) in middle.chunks_exact_mut(channels).zip(from.chunks(ld)) {
                to.copy_from_slice(&from[..channels]);
            }
        }
    }
}

/// A row of results.
struct Row<'a> {
    inputs: *const u8,
    step: usize,
    pixels: usize,
    channels: usize,
    taps: &'a [[usize; GROUP]],
    /// Whether its three groups of a pixel are those of the next, one further.
    slides: bool,
    weights: *const i8,
    multipliers: *const f32,
    biases: *const f32,
    residual: Option<(*const u8, usize, f32)>,
    /// Null where results are f32.
    bytes: *mut u8,
    /// Null where results are bytes.
    floats: *mut f32,
    ld: usize,
    low: u8,
    high: u8,
}

/// Groups whose weights are kept in the order of the lanes.
const MAX_GROUPS: usize = 16;

impl LanesOp for Row<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: `convolve` has checked all sizes.
        unsafe {
            // Without rare cases, the loops call nothing and keep everything in registers.
            match self.residual.is_none() && !self.bytes.is_null() {
                true => self.compute::<L, true>(),
                false => self.compute::<L, false>(),
            }
        }
    }
}

/// The weights of a group of 64 channels' taps.
///
/// # Safety
/// The weights must have the group.
#[inline(always)]
unsafe fn weights_of<L: Lanes>(packed: *const i8, group: usize) -> [L::Weights; 4] {
    // SAFETY: as the caller promises.
    unsafe { L::quad_weights(packed.add(group * STEP)) }
}

impl Row<'_> {
    /// The inputs of 64 channels, from channel `first` on, under four taps of a pixel.
    #[inline(always)]
    unsafe fn inputs_of<L: Lanes>(&self, first: usize, pixel: usize, taps: &[usize; GROUP]) -> [L::Each; 4] {
        // SAFETY: `convolve` has checked all sizes.
        unsafe {
            let from = self.inputs.add(pixel * self.step + first);
            L::quad([from.add(taps[0]), from.add(taps[1]), from.add(taps[2]), from.add(taps[3])])
        }
    }

    /// Computes the row; `PLAIN` if its results are bytes to which nothing is added.
    #[inline(always)]
    unsafe fn compute<L: Lanes, const PLAIN: bool>(&self) {
        let groups = self.taps.len();
        // SAFETY: `convolve` has checked all sizes.
        unsafe {
            for first in (0..self.channels).step_by(QUAD) {
                let packed = self.weights.add(first * groups * GROUP);
                let scales = (L::quad_floats(self.multipliers.add(first)), L::quad_floats(self.biases.add(first)));
                if self.slides {
                    let weights = [weights_of::<L>(packed, 0), weights_of::<L>(packed, 1), weights_of::<L>(packed, 2)];
                    let mut columns =
                        [self.inputs_of::<L>(first, 0, &self.taps[0]), self.inputs_of::<L>(first, 0, &self.taps[1])];
                    for pixel in 0..self.pixels {
                        let next = self.inputs_of::<L>(first, pixel, &self.taps[2]);
                        let mut sums = L::quad_dot(L::quad_zero(), columns[0], weights[0]);
                        sums = L::quad_dot(sums, columns[1], weights[1]);
                        sums = L::quad_dot(sums, next, weights[2]);
                        self.finish::<L, PLAIN>(sums, scales, pixel, first);
                        columns = [columns[1], next];
                    }
                    continue;
                }
                let mut kept = [weights_of::<L>(packed, 0); MAX_GROUPS];
                for (group, kept) in kept.iter_mut().enumerate().take(groups).skip(1) {
                    *kept = weights_of::<L>(packed, group);
                }
                for pixel in 0..self.pixels {
                    let mut sums = L::quad_zero();
                    for (group, taps) in self.taps.iter().enumerate() {
                        let weights = if group < MAX_GROUPS { kept[group] } else { weights_of::<L>(packed, group) };
                        sums = L::quad_dot(sums, self.inputs_of::<L>(first, pixel, taps), weights);
                    }
                    self.finish::<L, PLAIN>(sums, scales, pixel, first);
                }
            }
        }
    }

    /// Rescales and stores 64 sums, or fewer at the end of a pixel.
    #[inline(always)]
    unsafe fn finish<L: Lanes, const PLAIN: bool>(
        &self,
        sums: [L::Sums; 4],
        (multipliers, biases): ([L::Floats; 4], [L::Floats; 4]),
        pixel: usize,
        first: usize,
    ) {
        let channels = QUAD.min(self.channels - first);
        // SAFETY: `convolve` has checked all sizes.
        unsafe {
            let mut values =
                array_of!(at in [0, 1, 2, 3] => L::mul_add(L::to_floats(sums[at]), multipliers[at], biases[at]));
            if PLAIN {
                let (to, bounds) = (self.bytes.add(pixel * self.ld + first), L::bounds(self.low, self.high));
                match channels {
                    QUAD => L::store_quad(values, bounds, to),
                    _ => L::store_quad_start(values, bounds, to, channels),
                }
                return;
            }
            if let Some((from, ld, scale)) = self.residual {
                let mut bytes = [0u8; QUAD];
                bytes.as_mut_ptr().copy_from_nonoverlapping(from.add(pixel * ld + first), channels);
                let mut added = [0f32; QUAD];
                for at in 0..4 {
                    L::store(L::bytes(bytes.as_ptr().add(at * 16)), added.as_mut_ptr().add(at * 16));
                }
                let added = L::quad_floats(added.as_ptr());
                values = array_of!(at in [0, 1, 2, 3] => L::mul_add(added[at], L::splat(scale), values[at]));
            }
            let at = pixel * self.ld + first;
            if !self.bytes.is_null() {
                let bounds = L::bounds(self.low, self.high);
                L::store_quad_start(values, bounds, self.bytes.add(at), channels);
            } else {
                let mut all = [0f32; QUAD];
                L::store_quad_floats(values, all.as_mut_ptr());
                self.floats.add(at).copy_from_nonoverlapping(all.as_ptr(), channels);
            }
        }
    }
}
