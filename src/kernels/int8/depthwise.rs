//! Depthwise convolutions of bytes: four taps at a time, sixteen channels side by side.

use super::conv::{Layout, Output, Rescale};
use super::lanes::{GROUP, LANES, Lanes, LanesOp, STEP, dispatch};
use super::tile::padded;
use super::weights::Columns;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::Convolution;
use crate::size::{product, round_up};
use smallvec::SmallVec;

/// Whether each channel has a filter of its own.
pub fn is_depthwise(conv: &Convolution) -> bool {
    conv.groups > 1 && conv.groups == conv.in_c && conv.out_c == conv.in_c
}

fn taps(conv: &Convolution) -> usize {
    product([conv.window.kernel_h, conv.window.kernel_w])
}

/// Bytes of the packed weights: for each sixteen channels, groups of four taps.
pub fn packed_len(conv: &Convolution) -> usize {
    product([round_up(conv.in_c, LANES), round_up(taps(conv), GROUP)])
}

/// Packs quantised weights (height, width, 1, channels).
pub fn pack(conv: &Convolution, weights: &Columns) -> Vec<i8> {
    let (taps, groups) = (taps(conv), taps(conv).div_ceil(GROUP));
    let weight = |index: usize| {
        let (step, lane, at) = (index / STEP, index / GROUP % LANES, index % GROUP);
        let (channel, tap) = (step / groups * LANES + lane, step % groups * GROUP + at);
        if channel < conv.in_c && tap < taps { weights.bytes[tap * conv.in_c + channel] } else { 0 }
    };
    (0..packed_len(conv)).map(weight).collect()
}

#[derive(Clone, Copy)]
struct Target<T>(*mut T);

// SAFETY: tasks write disjoint rows.
unsafe impl<T> Sync for Target<T> {}

/// Computes a depthwise convolution of padded images, whose pixels are whole vectors apart.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // The parts of a call are separate borrows.
pub(super) fn convolve(
    threads: &ThreadPool,
    conv: &Convolution,
    layout: &Layout,
    batch: usize,
    data: &[u8],
    weights: &[i8],
    rescale: Rescale<'_>,
    output: &mut Output<'_>,
) {
    let (window, channels) = (&conv.window, conv.in_c);
    let all_channels = channels.next_multiple_of(LANES);
    assert!(data.len() >= batch * layout.copy_len() && layout.pixel >= all_channels, "inputs");
    assert!(weights.len() >= packed_len(conv), "packed weights");
    assert!(rescale.multipliers.len() >= all_channels && rescale.biases.len() >= all_channels);
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
    let row = layout.width * layout.pixel;
    let mut taps: SmallVec<[usize; 32]> = (0..taps(conv))
        .map(|tap| {
            let (y, x) = (tap / window.kernel_w, tap % window.kernel_w);
            y * window.dilation_h * row + x * window.dilation_w * layout.pixel
        })
        .collect();
    // The weights of taps that fill up a group are zero.
    taps.resize(taps.len().next_multiple_of(GROUP), 0);
    let dot = threads.isa().byte_dot();
    threads.run_in_parts(batch * window.out_h, &|task, _| {
        let (bytes_to, floats_to) = (&bytes_to, &floats_to);
        let (index, y) = (task / window.out_h, task % window.out_h);
        let pixel = y * window.out_w;
        // SAFETY: the assertions above have shown that all windows and results are within their slices; tasks have
        // different rows.
        unsafe {
            let row = Row {
                inputs: data.as_ptr().add(index * layout.copy_len() + y * window.stride_h * row),
                step: window.stride_w * layout.pixel,
                pixels: window.out_w,
                channels,
                taps: &taps,
                weights: weights.as_ptr(),
                multipliers: rescale.multipliers.as_ptr(),
                biases: rescale.biases.as_ptr(),
                residual: rescale.residual.map(|(from, scale)| {
                    (from.data.as_ptr().add(index * from.image + pixel * from.ld), from.ld, scale)
                }),
                bytes: if bytes_to.0.is_null() { bytes_to.0 } else { bytes_to.0.add(index * image + pixel * ld) },
                floats: if floats_to.0.is_null() { floats_to.0 } else { floats_to.0.add(index * image + pixel * ld) },
                ld,
                low,
                high,
            };
            dispatch(dot, row);
        }
    });
}

/// A row of results.
struct Row<'a> {
    inputs: *const u8,
    step: usize,
    pixels: usize,
    channels: usize,
    taps: &'a [usize],
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

impl LanesOp for Row<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let groups = self.taps.len() / GROUP;
        // SAFETY: `convolve` has checked all sizes.
        unsafe {
            let bounds = L::bounds(self.low, self.high);
            for first in (0..self.channels).step_by(LANES) {
                let channels = LANES.min(self.channels - first);
                let weights = self.weights.add(first * groups * GROUP);
                let (multiplier, bias) = (L::load(self.multipliers.add(first)), L::load(self.biases.add(first)));
                for pixel in 0..self.pixels {
                    let from = self.inputs.add(pixel * self.step + first);
                    let mut sums = L::zero();
                    for (group, taps) in self.taps.chunks_exact(GROUP).enumerate() {
                        let inputs = L::each([0, 1, 2, 3].map(|at| from.add(taps[at])));
                        sums = L::dot_each(sums, inputs, L::weights(weights.add(group * STEP)));
                    }
                    let mut value = L::mul_add(L::to_floats(sums), multiplier, bias);
                    if let Some((residual, ld, scale)) = self.residual {
                        let from = padded(residual.add(pixel * ld + first), channels);
                        value = L::mul_add(L::bytes(from.as_ptr()), L::splat(scale), value);
                    }
                    let at = pixel * self.ld + first;
                    if !self.bytes.is_null() {
                        if channels == LANES {
                            L::store_bytes(value, bounds, self.bytes.add(at));
                        } else {
                            let mut all = [0; LANES];
                            L::store_bytes(value, bounds, all.as_mut_ptr());
                            self.bytes.add(at).copy_from_nonoverlapping(all.as_ptr(), channels);
                        }
                    } else {
                        let mut all = [0.0; LANES];
                        L::store(value, all.as_mut_ptr());
                        self.floats.add(at).copy_from_nonoverlapping(all.as_ptr(), channels);
                    }
                }
            }
        }
    }
}
