//! The epilogue that a convolution or dense kernel applies before the store, so that each activation is written once.

use super::elementwise::activation::Activation;
use super::simd::vector_math::clip_bounds;
use super::tensor_view::{Convolution, View, ViewMut};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;

/// The operations fused into a kernel, applied in this order: bias, residual, activation, pooling.
#[derive(Clone, Copy, Debug, Default)]
pub struct EpilogueArgs<'a> {
    /// Added to every pixel: `(out_c)`.
    pub bias: Option<&'a [f32]>,
    /// Added element-wise; has the shape of the result before pooling.
    pub residual: Option<View<'a>>,
    /// Applied element-wise.
    pub activation: Activation,
    /// Pooling of the result's height and width.
    pub pool: Option<Pool>,
}

impl EpilogueArgs<'_> {
    /// Applies all but pooling to one stored pixel of the result: a second pass, for kernels whose GEMM (BLAS) has no
    /// epilogue.
    pub(super) fn apply(&self, row: &mut [f32], image: usize, pixel: usize) {
        if let Some(bias) = self.bias {
            row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
        if let Some(residual) = &self.residual {
            let source = &residual.data[image * residual.image + pixel * residual.ld..];
            row.iter_mut().zip(source).for_each(|(value, residual)| *value += residual);
        }
        self.activation.apply(row);
    }
}

/// A pooling that a convolution can apply to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pool {
    /// 2x2 max pooling with stride 2; an odd last row or column is dropped.
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

/// An output that several threads write, each a disjoint set of pixels.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    data: *mut f32,
    pub ld: usize,
    image: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: only the address is shared; tasks write disjoint pixels.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    /// Wraps a view, after checking that `batch` images of `pixels` by `channels` are disjoint and within it.
    ///
    /// # Panics
    /// If they are not.
    pub fn new(view: ViewMut<'a>, batch: usize, pixels: usize, channels: usize) -> Self {
        check_layout("output", view.data.len(), (view.ld, view.image), batch, pixels, channels);
        assert!(pixels < 2 || view.ld >= channels, "output: pixels overlap");
        let image = if pixels == 0 { 0 } else { (pixels - 1) * view.ld + channels };
        assert!(batch < 2 || view.image >= image, "output: images overlap");
        Self { data: view.data.as_mut_ptr(), ld: view.ld, image: view.image, lifetime: PhantomData }
    }

    /// The address of a pixel.
    ///
    /// # Safety
    /// `image` and `pixel` must be below the checked counts.
    #[inline(always)]
    pub unsafe fn pixel(&self, image: usize, pixel: usize) -> *mut f32 {
        // SAFETY: within the view by the caller's promise.
        unsafe { self.data.add(image * self.image + pixel * self.ld) }
    }
}

/// Checks that `batch` images of `pixels` by `channels` are within an input view.
///
/// # Panics
/// If they are not; the message begins with `name`.
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

/// An epilogue as the micro-kernels read it: addresses, null where an operand is absent.
#[derive(Clone, Copy)]
pub(crate) struct EpiloguePtrs<'a> {
    pub bias: *const f32,
    residual: *const f32,
    pub residual_ld: usize,
    residual_image: usize,
    pub activation: Activation,
    /// Whether the activation is a clip to `low` and `high`; any other is applied in a pass after the store.
    pub clips: bool,
    pub low: f32,
    pub high: f32,
    lifetime: PhantomData<&'a [f32]>,
}

// SAFETY: the slices are only read, and outlive it.
unsafe impl Sync for EpiloguePtrs<'_> {}

impl<'a> EpiloguePtrs<'a> {
    /// Checks the bias and the residual against a result of `batch` images of `pixels` by `channels`.
    ///
    /// # Panics
    /// If one is too short.
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

    /// The address of the residual at a pixel, or null without one.
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

/// Checks a convolution's input, epilogue and output against its geometry, and returns the latter two as kernels use them.
///
/// # Panics
/// If a slice is too short for the sizes.
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
    let epilogue_ptrs = EpiloguePtrs::new(epilogue, batch, out_h * out_w, conv.out_c);
    let pixels = epilogue.pool.map_or(out_h * out_w, |pool| pool.reduced(out_h) * pool.reduced(out_w));
    (Output::new(output, batch, pixels, conv.out_c), epilogue_ptrs)
}

/// 2x2 max pooling of two adjacent rows of `width` pixels: `band` is `(2, width, channels)` with pixels `ld` floats apart, `to`
/// receives `(width / 2, channels)` with pixels `to_ld` floats apart.
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
