//! The weight gradient of 3x3 convolutions of stride 1 by Winograd's method, F(3x3, 4x4): a quarter of the
//! multiplications.
//!
//! A block of tiles of inputs and dy is transformed; at each of the 36 points their product over the tiles is added to
//! a sum that is as large as one tap's weights; the sums are transformed back once.

use super::gradient_transforms::{OutputGradientTransform, WeightGradientTransform};
use super::transforms::{F4, InputTransform, Tile, Tiling};
use crate::kernels::conv::winograd;
use crate::kernels::gemm::panel::BlockGrid;
use crate::kernels::gemm::{Backend, Operand, Product, Shape, multiply_serial};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::{ALIGNMENT, ThreadPool};
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::{Convolution, View};
use std::marker::PhantomData;

const POINTS: usize = F4::IN * F4::IN;
/// Channels below which the transforms cost more than they save.
const FEW: usize = 16;
/// Weights of a tap, at most: the sums are 36 times as many.
const MOST: usize = 1 << 20;
/// Floats of transformed values of a block, so that they stay near the last cache.
const BLOCK_FLOATS: usize = 6 << 20;
/// Tiles of a block, at most and at least.
const TILES: (usize, usize) = (512, 64);
/// Channels of both sides up to which the transforms take about as long as the products, and tiles of a block then:
/// what is transformed must come back from a near cache.
const NARROW: (usize, usize) = (256, 128);
/// Tiles that are summed before their sum is added to the total, so that it rounds less.
const DEPTH: usize = 32;
/// Tiles that one task transforms.
const TASK_TILES: usize = 8;
/// Weights that one task transforms back.
const TASK_PLACES: usize = 1 << 12;

/// Whether the sizes are such that this is faster than the general method.
pub fn suits(conv: &Convolution) -> bool {
    let (pixels, tiles) = (conv.window.out_h * conv.window.out_w, Tiling::new(conv.window, F4::OUT).per_image);
    winograd::Tile::F4.supports(conv)
        && conv.groups == 1
        && conv.in_c.min(conv.out_c) >= FEW
        && conv.in_c * conv.out_c <= MOST
        // Tiles that reach beyond the image must not waste what is saved: 36 products for each, 9 for each pixel.
        && 36 * tiles * 2 <= 9 * pixels
}

/// How the work is cut, by its sizes only.
#[derive(Clone, Copy)]
struct Blocks {
    tiling: Tiling,
    total: usize,
    /// Tiles of a block.
    tiles: usize,
    /// Floats from one point's transformed inputs to the next; not a multiple of a page, which would collide in cache.
    input_point: usize,
    output_point: usize,
    zeros: usize,
}

impl Blocks {
    fn new(conv: &Convolution, batch: usize) -> Self {
        let tiling = Tiling::new(conv.window, F4::OUT);
        let total = tiling.per_image * batch;
        let channels = conv.in_c + conv.out_c;
        let most = if channels <= NARROW.0 { NARROW.1 } else { BLOCK_FLOATS / (POINTS * channels) };
        let most = most.clamp(TILES.1, TILES.0);
        let tiles = total.div_ceil(total.div_ceil(most).max(1)).max(1);
        Self {
            tiling,
            total,
            tiles,
            input_point: tiles * conv.in_c + PANEL,
            output_point: tiles * conv.out_c + PANEL,
            zeros: conv.in_c.max(conv.out_c),
        }
    }

    fn scratch_len(&self, conv: &Convolution) -> usize {
        self.zeros + POINTS * (self.input_point + self.output_point + conv.in_c * conv.out_c) + ALIGNMENT
    }
}

/// The floats of scratch memory that [`weight_gradient`] needs.
pub fn scratch_len(conv: &Convolution, batch: usize) -> usize {
    Blocks::new(conv, batch).scratch_len(conv)
}

/// The products of [`weight_gradient`]: one at each of the points, over the tiles.
pub fn products(conv: &Convolution, batch: usize) -> Shape {
    let depth = Blocks::new(conv, batch).total;
    Shape { rows: conv.in_c, columns: conv.out_c, depth, transposed: (true, false), count: POINTS }
}

/// An address that tasks share; they write disjoint parts.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: only the address is shared.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(self) -> *mut f32 {
        self.0
    }
}

/// See [`gradient_convolution`](crate::kernels::conv::gradient::weight_gradient::weight_gradient), which checks the views.
#[allow(clippy::too_many_arguments)] // Views, gradient and scratch are separate borrows of the arena.
pub fn weight_gradient(
    threads: &ThreadPool,
    backend: Backend,
    conv: &Convolution,
    batch: usize,
    x: View<'_>,
    dy: View<'_>,
    dw: &mut [f32],
    scratch: &mut [f32],
) {
    let blocks = Blocks::new(conv, batch);
    assert!(scratch.len() >= blocks.scratch_len(conv), "scratch memory is too small");
    let skip = scratch.as_ptr().align_offset(64).min(ALIGNMENT);
    let (inputs, scratch) = scratch[skip..].split_at_mut(POINTS * blocks.input_point);
    let (outputs, scratch) = scratch.split_at_mut(POINTS * blocks.output_point);
    let place = conv.in_c * conv.out_c;
    let (sums, scratch) = scratch.split_at_mut(POINTS * place);
    let zeros = &mut scratch[..blocks.zeros];
    zeros.fill(0.0);
    if blocks.total == 0 {
        dw.fill(0.0);
        return;
    }
    let mut first = 0;
    while first < blocks.total {
        let count = blocks.tiles.min(blocks.total - first);
        transform(threads, conv, (x, dy), &blocks, first..first + count, (inputs, outputs, zeros));
        let (inputs, outputs) = (&*inputs, &*outputs);
        share(threads, sums, Partition::chunks(POINTS * place, place), Scratch::none(), &|piece, sum, _| {
            let (inputs, outputs) =
                (&inputs[piece.inner * blocks.input_point..], &outputs[piece.inner * blocks.output_point..]);
            for tile in (0..count).step_by(DEPTH) {
                let beta = if first + tile == 0 { 0.0 } else { 1.0 };
                let depth = DEPTH.min(count - tile);
                let product = Product { rows: conv.in_c, columns: conv.out_c, depth, alpha: 1.0, beta, backend };
                let left = Operand { data: &inputs[tile * conv.in_c..], ld: conv.in_c, transposed: true };
                let right = Operand { data: &outputs[tile * conv.out_c..], ld: conv.out_c, transposed: false };
                multiply_serial(threads.isa(), &product, left, right, sum, conv.out_c);
            }
        });
        first += count;
    }
    let dw = Shared(dw[..9 * place].as_mut_ptr());
    let sums = &*sums;
    threads.run(place.div_ceil(TASK_PLACES), &|task, _| {
        let first = task * TASK_PLACES;
        // SAFETY: the places are within sums and dw, and tasks' places are disjoint; the machine has the set.
        unsafe {
            threads.isa().dispatch(WeightGradientTransform {
                count: TASK_PLACES.min(place - first),
                from: sums.as_ptr().add(first),
                point: place,
                to: dw.get().add(first),
                tap: place,
            });
        }
    });
}

/// Transforms some tiles of inputs and dy.
fn transform(
    threads: &ThreadPool,
    conv: &Convolution,
    (x, dy): (View<'_>, View<'_>),
    blocks: &Blocks,
    range: std::ops::Range<usize>,
    (inputs, outputs, zeros): (&mut [f32], &mut [f32], &[f32]),
) {
    let (inputs, outputs) = (Shared(inputs.as_mut_ptr()), Shared(outputs.as_mut_ptr()));
    let grid = BlockGrid::new(range.len(), PANEL, TASK_TILES, 1, 1);
    threads.run(grid.blocks(), &|task, _| {
        let tiles = grid.block(task).0;
        let (first, count) = (range.start + tiles.start, tiles.len());
        // SAFETY: tiles are within the checked views, and each task's tiles are its own; the machine has the set.
        unsafe {
            threads.isa().dispatch(InputTransform {
                tile: PhantomData::<F4>,
                tiling: blocks.tiling,
                first,
                count,
                input: x.data.as_ptr(),
                ld: x.ld,
                image: x.image,
                channels: conv.in_c,
                zeros: zeros.as_ptr(),
                to: inputs.get().add(tiles.start * conv.in_c),
                point: blocks.input_point,
                row: conv.in_c,
            });
            threads.isa().dispatch(OutputGradientTransform {
                tiling: blocks.tiling,
                first,
                count,
                dy: dy.data.as_ptr(),
                ld: dy.ld,
                image: dy.image,
                channels: conv.out_c,
                zeros: zeros.as_ptr(),
                to: outputs.get().add(tiles.start * conv.out_c),
                point: blocks.output_point,
                row: conv.out_c,
            });
        }
    });
}
