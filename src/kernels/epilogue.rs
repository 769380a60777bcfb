//! What a convolution or dense kernel does with a result before it stores it, so that each activation is written once.

use super::elementwise::activation::Activation;
use super::simd::vector_math::clip_bounds;
use super::tensor_view::{Convolution, View, ViewMut};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;

/// Applied in this order: bias, residual, activation, pooling.
#[derive(Clone, Copy, Debug, Default)]
pub struct EpilogueArgs<'a> {
    /// Added to every pixel: `(out_c)`.
    pub bias: Option<&'a [f32]>,
    /// Added element by element: the shape of the result before pooling.
    pub residual: Option<View<'a>>,
    /// Applied to every float.
    pub activation: Activation,
    /// Reduces the result's height and width.
    pub pool: Option<Pool>,
}

impl EpilogueArgs<'_> {
    /// Applies it, but for pooling, to a pixel of the result that stands in memory: for kernels whose products are
    /// computed by what knows nothing of epilogues.
    pub(super) fn apply(&self, row: &mut [f32], image: usize, pixel: usize) {
        if let Some(bias) = self.bias {
            row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
        if let Some(residual) = &self.residual {
            let from = &residual.data[image * residual.image + pixel * residual.ld..];
            row.iter_mut().zip(from).for_each(|(value, residual)| *value += residual);
        }
        self.activation.apply(row);
    }
}

/// A pooling that a convolution can apply to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pool {
    /// The largest of 2 by 2 pixels, stride 2; an odd last row or column is dropped.
    Max2x2,
}

impl Pool {
    /// The length of an axis of `size` pixels after pooling.
    pub fn reduced(self, size: usize) -> usize {
        match self {
            Self::Max2x2 => size / 2,
        }
    }
}

/// Where kernels of several threads write: the threads own disjoint parts.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    data: *mut f32,
    pub ld: usize,
    image: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: only addresses are shared; each task writes its own part.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    /// Checks that `batch` images of `pixels` by `channels` lie disjoint within the view.
    pub fn new(view: ViewMut<'a>, batch: usize, pixels: usize, channels: usize) -> Self {
        check_layout("output", view.data.len(), (view.ld, view.image), batch, pixels, channels);
        assert!(pixels < 2 || view.ld >= channels, "output: pixels overlap");
        let image = if pixels == 0 { 0 } else { (pixels - 1) * view.ld + channels };
        assert!(batch < 2 || view.image >= image, "output: images overlap");
        Self { data: view.data.as_mut_ptr(), ld: view.ld, image: view.image, lifetime: PhantomData }
    }

    /// The address of a pixel that was checked to lie within.
    ///
    /// # Safety
    /// `image` and `pixel` must be below the checked counts.
    #[inline(always)]
    pub unsafe fn pixel(&self, image: usize, pixel: usize) -> *mut f32 {
        // SAFETY: within the view by the caller's promise.
        unsafe { self.data.add(image * self.image + pixel * self.ld) }
    }
}

/// Checks that `batch` images of `pixels` by `channels` lie within a view that is read.
pub(super) fn check_view(name: &str, view: &View, batch: usize, pixels: usize, channels: usize) {
    check_layout(name, view.data.len(), (view.ld, view.image), batch, pixels, channels);
}

fn check_layout(name: &str, len: usize, strides: (usize, usize), batch: usize, pixels: usize, channels: usize) {
    if batch == 0 || pixels == 0 || channels == 0 {
        return;
    }
    let last = (batch - 1) * strides.1 + (pixels - 1) * strides.0 + channels;
    assert!(last <= len, "{name}: {batch} x {pixels} x {channels} floats do not fit in {len}");
}

/// An epilogue in the form that inner loops read: plain addresses, null for what is missing.
#[derive(Clone, Copy)]
pub(crate) struct EpiloguePtrs<'a> {
    pub bias: *const f32,
    residual: *const f32,
    pub residual_ld: usize,
    residual_image: usize,
    pub activation: Activation,
    /// Whether the activation is the clip to `low` and `high`; if not, it is applied after the store.
    pub clips: bool,
    pub low: f32,
    pub high: f32,
    lifetime: PhantomData<&'a [f32]>,
}

// SAFETY: only reads of slices that outlive it.
unsafe impl Sync for EpiloguePtrs<'_> {}

impl<'a> EpiloguePtrs<'a> {
    /// Checks that bias and residual have what `batch` images of `pixels` by `channels` need.
    pub fn new(epilogue: &EpilogueArgs<'a>, batch: usize, pixels: usize, channels: usize) -> Self {
        if let Some(bias) = epilogue.bias {
            assert!(bias.len() >= channels, "bias: {channels} floats needed, {} given", bias.len());
        }
        if let Some(residual) = &epilogue.residual {
            check_view("residual", residual, batch, pixels, channels);
        }
        let bounds = clip_bounds(epilogue.activation);
        let (low, high) = bounds.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
        Self {
            bias: epilogue.bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
            residual: epilogue.residual.map_or(std::ptr::null(), |view| view.data.as_ptr()),
            residual_ld: epilogue.residual.map_or(0, |view| view.ld),
            residual_image: epilogue.residual.map_or(0, |view| view.image),
            activation: epilogue.activation,
            clips: bounds.is_some(),
            low,
            high,
            lifetime: PhantomData,
        }
    }

    /// The residual's address at a pixel, or null.
    ///
    /// # Safety
    /// `image` and `pixel` must be below the checked counts.
    #[inline(always)]
    pub unsafe fn residual(&self, image: usize, pixel: usize) -> *const f32 {
        if self.residual.is_null() {
            return self.residual;
        }
        // SAFETY: within the view by the caller's promise.
        unsafe { self.residual.add(image * self.residual_image + pixel * self.residual_ld) }
    }
}

/// The checks common to all convolutions; returns the output and the epilogue as inner loops read them.
pub(super) fn check_convolution<'a>(
    conv: &Convolution,
    batch: usize,
    input: &View,
    epilogue: &EpilogueArgs<'a>,
    output: ViewMut<'a>,
) -> (Output<'a>, EpiloguePtrs<'a>) {
    let window = &conv.window;
    check_view("input", input, batch, window.in_h * window.in_w, conv.in_c);
    let (out_h, out_w) = (window.out_h, window.out_w);
    let finish = EpiloguePtrs::new(epilogue, batch, out_h * out_w, conv.out_c);
    let stored = epilogue.pool.map_or(out_h * out_w, |pool| pool.reduced(out_h) * pool.reduced(out_w));
    (Output::new(output, batch, stored, conv.out_c), finish)
}

/// The largest of each 2 by 2 pixels of two rows of `width` pixels, which follow each other in `band`, `ld` floats
/// apart; the first `channels` of each go to `to`, whose pixels are `to_ld` floats apart.
///
/// # Safety
/// `width / 2` pixels must be writable.
pub(super) unsafe fn pool_two_rows(band: &[f32], ld: usize, width: usize, channels: usize, to: *mut f32, to_ld: usize) {
    for pixel in 0..width / 2 {
        let row = |y: usize, x: usize| &band[(y * width + 2 * pixel + x) * ld..][..channels];
        let (a, b, c, d) = (row(0, 0), row(0, 1), row(1, 0), row(1, 1));
        // SAFETY: the caller promises that the pixel is writable.
        let to = unsafe { std::slice::from_raw_parts_mut(to.add(pixel * to_ld), channels) };
        for ((((to, a), b), c), d) in to.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            let upper = if b > a { *b } else { *a };
            let lower = if d > c { *d } else { *c };
            *to = if lower > upper { lower } else { upper };
        }
    }
}
