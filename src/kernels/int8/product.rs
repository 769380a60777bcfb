//! Products of rows of bytes with panels of weights, divided among threads.

use super::lanes::{GROUP, LANES, Lanes, LanesOp, dispatch};
use super::tile::{Block, MAX_PANELS, MAX_ROWS, Residual, Store};
use super::weights::Panels;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{Bytes, BytesMut, ViewMut};
use std::ops::Range;

/// Tasks for each thread, so that threads end at about the same time.
const TASKS: usize = 4;
/// Bytes of inputs that a task's panels are multiplied by: they stay in the nearer caches.
const INPUT_BYTES: usize = 1 << 18;

/// Where results go.
#[derive(Debug)]
pub enum Output<'a> {
    /// Bytes from `low` to `high`.
    Bytes {
        to: BytesMut<'a>,
        low: u8,
        high: u8,
    },
    Floats(ViewMut<'a>),
}

/// How results are made of sums.
#[derive(Clone, Copy, Debug)]
pub struct Rescale<'a> {
    /// For each column, padded to whole panels: a result is `multiplier * sum + bias`.
    pub multipliers: &'a [f32],
    pub biases: &'a [f32],
    /// Bytes of the output's shape that are added, and their factor.
    pub residual: Option<(Bytes<'a>, f32)>,
}

/// Rows of inputs: `runs` of `len` rows each. Run `y` of an image begins `run` bytes after run `y - 1`, and its rows are `step`
/// bytes apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub data: &'a [u8],
    pub images: usize,
    /// Bytes from one image to the next.
    pub image: usize,
    pub runs: usize,
    pub run: usize,
    pub len: usize,
    pub step: usize,
}

/// A product.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    pub rows: Rows<'a>,
    /// The offset of each tap in a row.
    pub taps: &'a [usize],
    pub panels: Panels,
    pub weights: &'a [i8],
    pub rescale: Rescale<'a>,
    /// The first column of the results; the others of the product follow.
    pub first_column: usize,
}

/// Some tiles of rows times the panels of one strip of columns.
struct Strip<'a> {
    product: &'a Product<'a>,
    tiles: Range<usize>,
    tiles_of_run: usize,
    strip: usize,
    /// The first result of the first image.
    target: Store,
    /// Elements from one image of results to the next.
    image: usize,
}

impl LanesOp for Strip<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Product { rows, panels, rescale, .. } = self.product;
        let first_panel = self.strip * MAX_PANELS;
        let columns = (MAX_PANELS * LANES).min(panels.columns - first_panel * LANES);
        let column = self.product.first_column + first_panel * LANES;
        for tile in self.tiles {
            let (run, part) = (tile / self.tiles_of_run, tile % self.tiles_of_run);
            let (index, run) = (run / rows.runs, run % rows.runs);
            let (first, end) = (rows.len * part / self.tiles_of_run, rows.len * (part + 1) / self.tiles_of_run);
            let pixel = run * rows.len + first;
            // SAFETY: the constructor has checked all sizes.
            unsafe {
                let result = |ld: usize| index * self.image + pixel * ld + column;
                let store = match self.target {
                    Store::Bytes { to, ld, low, high } => Store::Bytes { to: to.add(result(ld)), ld, low, high },
                    Store::Floats { to, ld } => Store::Floats { to: to.add(result(ld)), ld },
                };
                let residual = rescale.residual.map(|(from, scale)| Residual {
                    from: from.data.as_ptr().add(index * from.image + pixel * from.ld + column),
                    ld: from.ld,
                    scale,
                });
                let block = Block {
                    inputs: rows.data.as_ptr().add(index * rows.image + run * rows.run + first * rows.step),
                    row_stride: rows.step,
                    rows: end - first,
                    taps: self.product.taps,
                    groups: panels.depth / GROUP,
                    weights: self.product.weights.as_ptr().add(first_panel * panels.taps * panels.depth * LANES),
                    columns,
                    multipliers: rescale.multipliers.as_ptr().add(first_panel * LANES),
                    biases: rescale.biases.as_ptr().add(first_panel * LANES),
                    residual,
                    store,
                };
                block.run::<L>();
            }
        }
    }
}

/// A pointer that threads write through, each to places of its own.
#[derive(Clone, Copy)]
struct Target<T>(*mut T);

// SAFETY: tasks write disjoint blocks.
unsafe impl<T> Sync for Target<T> {}

impl Product<'_> {
    /// Computes the product.
    ///
    /// # Panics
    /// If a slice is too short for the sizes.
    pub fn run(&self, threads: &ThreadPool, output: &mut Output<'_>) {
        let Product { rows, panels, .. } = self;
        let pixels = rows.runs * rows.len;
        if rows.images == 0 || pixels == 0 || panels.columns == 0 {
            return;
        }
        self.check(output);
        let tiles_of_run = rows.len.div_ceil(MAX_ROWS);
        let tiles = rows.images * rows.runs * tiles_of_run;
        let strips = panels.columns.div_ceil(MAX_PANELS * LANES);
        let bytes = rows.images * pixels * panels.taps.min(2) * panels.depth;
        let chunks = (threads.count() * TASKS).div_ceil(strips).max(bytes / INPUT_BYTES).clamp(1, tiles);
        let (bytes_to, floats_to) = match output {
            Output::Bytes { to, .. } => (Target(to.data.as_mut_ptr()), Target(std::ptr::null_mut())),
            Output::Floats(to) => (Target(std::ptr::null_mut()), Target(to.data.as_mut_ptr())),
        };
        let (ld, image, low, high, is_bytes) = match output {
            Output::Bytes { to, low, high } => (to.ld, to.image, *low, *high, true),
            Output::Floats(to) => (to.ld, to.image, 0, 0, false),
        };
        let dot = threads.byte_dot();
        threads.run(chunks * strips, &|task, _| {
            let (bytes_to, floats_to) = (&bytes_to, &floats_to);
            let (chunk, strip) = (task / strips, task % strips);
            let target = match is_bytes {
                true => Store::Bytes { to: bytes_to.0, ld, low, high },
                false => Store::Floats { to: floats_to.0, ld },
            };
            let tiles = tiles * chunk / chunks..tiles * (chunk + 1) / chunks;
            // SAFETY: `check` has shown that all rows, taps, panels and results are within their slices; tasks have different rows
            // or columns.
            unsafe { dispatch(dot, Strip { product: self, tiles, tiles_of_run, strip, target, image }) }
        });
    }

    /// Checks that everything is within its slice.
    fn check(&self, output: &Output<'_>) {
        let Product { rows, panels, rescale, .. } = self;
        assert!(self.taps.len() == panels.taps && panels.depth.is_multiple_of(GROUP), "taps");
        assert!(self.weights.len() >= panels.bytes(), "packed weights");
        let columns = panels.columns.next_multiple_of(LANES);
        assert!(rescale.multipliers.len() >= columns && rescale.biases.len() >= columns, "multipliers and biases");
        let last = |images: usize, image: usize| (images - 1).saturating_mul(image);
        let tap = self.taps.iter().copied().max().unwrap_or(0);
        let read = last(rows.images, rows.image)
            .saturating_add(last(rows.runs, rows.run))
            .saturating_add(last(rows.len, rows.step))
            .saturating_add(tap + panels.depth);
        assert!(read <= rows.data.len(), "inputs");
        let pixels = rows.runs * rows.len;
        let end = self.first_column + panels.columns;
        let check = |what: &str, len: usize, ld: usize, image: usize| {
            let span = last(pixels, ld).saturating_add(end);
            assert!(end <= ld || pixels == 1, "rows of the {what} overlap");
            assert!(span <= image || rows.images == 1, "images of the {what} overlap");
            assert!(last(rows.images, image).saturating_add(span) <= len, "{what}");
        };
        match output {
            Output::Bytes { to, .. } => check("output", to.data.len(), to.ld, to.image),
            Output::Floats(to) => check("output", to.data.len(), to.ld, to.image),
        }
        if let Some((from, _)) = rescale.residual {
            check("residual", from.data.len(), from.ld, from.image);
        }
    }
}
