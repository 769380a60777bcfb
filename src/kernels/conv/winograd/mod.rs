//! Winograd convolution, for 3x3 and 5x5 kernels of stride 1: F(2x2,3x3), F(4x4,3x3), F(6x6,3x3) and F(2x2,5x5) (Lavin and
//! Gray, 2016).
//!
//! Per block of tiles and of output channels, that stays in the L2 cache: the input transform, a GEMM per point with the
//! transformed weights, and the output transform with the epilogue.

mod gradient_transforms;
mod tile;
mod transforms;
pub(crate) mod weight_gradient_winograd;
mod weight_transform;

use crate::kernels::conv::algorithm::{ConvAlgorithm, ConvCall, Rounding};
use crate::kernels::conv::cost::Sizes;
use crate::kernels::epilogue::{EpilogueArgs, EpiloguePtrs, Output, Pool, check_convolution};
use crate::kernels::gemm::micro_kernel::{LhsRows, PackedProduct, SUM_BLOCK};
use crate::kernels::gemm::panel::{BlockGrid, packed_len, panels};
use crate::kernels::parallel::thread_pool::{ALIGNMENT, ThreadPool, WorkerScratch};
use crate::kernels::simd::tile::PANEL;
use crate::kernels::target;
use crate::kernels::tensor_view::{Convolution, View, ViewMut};
use crate::size::{product, round_up, sum};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
pub use tile::Tile;
use tile::per_group;
use transforms::{F2, F2x5, F4, F6, InputTransform, OutputTransform, TileTransform, Tiling};
use weight_transform::{pack_weights_into, packed_len_weights};

/// The tile and the cache blocking; results do not depend on the blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blocking {
    pub tile: Tile,
    /// Tiles of a block.
    pub tiles: usize,
    /// Output channels of a block, a multiple of 16.
    pub channels: usize,
    /// Whether the threads share the transformed inputs and split the output channels too, so that the weights are read
    /// once: best if the weights are larger than the image.
    pub shared: bool,
}

/// Row strides of a multiple of this many floats conflict in the cache: concurrent reads of several rows are a third slower
/// than with a stride one cache line longer.
const CONFLICT_STRIDE: usize = 256;

/// Blocks have a multiple of this many tiles: the MR of AVX2's micro-kernel, and a good height for the others.
const TILE_MULTIPLE: usize = 6;

/// Maximum tiles or channels of a block: several times those of any blocking that was ever fastest.
const MAX_IN_BLOCK: usize = 512;

/// Maximum floats of transformed inputs that threads share at a time.
const SHARED_FLOATS: usize = 2 << 20;

impl Blocking {
    /// The default blocking for the sizes.
    pub fn new(tile: Tile, conv: &Convolution, batch: usize) -> Self {
        let conv = &per_group(conv);
        let tiling = Tiling::new(conv.window, tile.out());
        let total = tiling.per_image * batch;
        // Few tiles, or weights larger than the last-level cache: read the weights once for many tiles.
        let shared = total < 100 || tile.points() * conv.in_c * conv.out_c > 8 << 20;
        let (max_tiles, channels) = match (shared, conv.in_c) {
            (true, _) => (96, 32),
            (false, 0..=64) => (48, 64),
            (false, 65..=256) => (24, 128),
            (false, _) => (48, 64),
        };
        // Nearly equal blocks, in a multiple of 4 for load balance, of a height that suits the micro-kernel.
        let equal = |blocks: usize| total.div_ceil(blocks.next_multiple_of(4)).next_multiple_of(TILE_MULTIPLE);
        let tiles = if shared { max_tiles.min(total) } else { equal(total.div_ceil(max_tiles)).min(max_tiles) };
        Self { tile, tiles: tiles.max(1), channels: channels.min(panels(conv.out_c) * PANEL).max(PANEL), shared }
    }

    /// The same blocking, or the default for `batch` images if this one was chosen for more and would leave threads idle.
    fn for_batch(&self, conv: &Convolution, batch: usize) -> Self {
        if self.leaves_idle(conv, batch) { Self::new(self.tile, conv, batch) } else { *self }
    }

    fn leaves_idle(&self, conv: &Convolution, batch: usize) -> bool {
        let total = self.total(conv, batch);
        !self.shared && total.div_ceil(self.tiles.max(1)) < 4
    }

    /// Tiles of a batch.
    fn total(&self, conv: &Convolution, batch: usize) -> usize {
        product([Tiling::new(conv.window, self.tile.out()).per_image, batch])
    }

    /// Whether the block sizes are valid; the limits bound the scratch memory.
    pub fn is_possible(&self) -> bool {
        let within = |size: usize| (1..=MAX_IN_BLOCK).contains(&size);
        within(self.tiles) && within(self.channels) && self.channels.is_multiple_of(PANEL)
    }

    /// The tiles of a block; only the last block may be smaller, as the micro-kernels are fastest at full height.
    fn block(&self, index: usize, total: usize) -> Range<usize> {
        index * self.tiles..((index + 1) * self.tiles).min(total)
    }

    /// Row stride of the transformed inputs: floats from one tile to the next, padded against cache conflicts.
    fn row(conv: &Convolution) -> usize {
        let row = round_up(conv.in_c, PANEL);
        sum([row, if row.is_multiple_of(CONFLICT_STRIDE) { PANEL } else { 0 }])
    }

    /// Floats from one point's transformed inputs to the next; not a multiple of a page, against cache conflicts.
    fn input_point(conv: &Convolution, tiles: usize) -> usize {
        sum([product([tiles, Self::row(conv)]), PANEL])
    }

    fn output_point(&self) -> usize {
        sum([product([self.tiles, self.channels]), PANEL])
    }

    /// Tiles whose transformed inputs are shared at a time: equal rounds within the limit.
    fn shared_tiles(&self, conv: &Convolution, batch: usize) -> usize {
        let total = self.total(conv, batch);
        let rounds = total.div_ceil(self.max_shared_tiles(conv).max(1)).max(1);
        total.div_ceil(rounds)
    }

    /// The maximum of [`Self::shared_tiles`].
    fn max_shared_tiles(&self, conv: &Convolution) -> usize {
        let fit = SHARED_FLOATS / product([self.tile.points(), Self::row(conv)]).max(1);
        product([(fit / self.tiles.max(1)).max(1), self.tiles])
    }

    fn worker_len(&self, conv: &Convolution) -> usize {
        let inputs = if self.shared { 0 } else { product([self.tile.points(), Self::input_point(conv, self.tiles)]) };
        sum([round_up(inputs, ALIGNMENT), product([self.tile.points(), self.output_point()])])
    }

    fn common_len(&self, conv: &Convolution, batch: usize) -> usize {
        let zeros = Self::row(conv);
        // Fewer images may take fewer rounds of more tiles.
        let tiles = self.total(conv, batch).min(self.max_shared_tiles(conv));
        let inputs = if self.shared { product([self.tile.points(), Self::input_point(conv, tiles)]) } else { 0 };
        sum([zeros, inputs])
    }
}

/// The candidate tiles. F(6x6) would gain a few percent on large images, but its rounding error is three times as large.
const TILES: [Tile; 3] = [Tile::F2, Tile::F4, Tile::F2x5];

impl ConvAlgorithm for Blocking {
    fn candidates(conv: &Convolution, micro_batch: usize) -> Vec<Self> {
        let tiles = TILES.into_iter().filter(|tile| tile.supports(conv));
        tiles.map(|tile| Blocking::new(tile, conv, micro_batch)).collect()
    }

    fn tuning_variants(&self, conv: &Convolution) -> Vec<Self> {
        let mut list = Vec::new();
        for channels in [32, 64, 128] {
            for (tiles, shared) in [(20, false), (49, false), (49, true), (98, true)] {
                let blocking = Blocking { tiles, channels, shared, ..*self };
                if blocking != *self && channels <= conv.out_c {
                    list.push(blocking);
                }
            }
        }
        list
    }

    fn supports(&self, conv: &Convolution, _: Option<Pool>) -> bool {
        self.tile.supports(conv) && self.is_possible()
    }

    fn packed_len(&self, conv: &Convolution) -> usize {
        packed_len_weights(self.tile, conv)
    }

    fn pack(&self, conv: &Convolution, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
        pack_weights_into(self.tile, conv, weights, packed, threads);
    }

    fn scratch_len(&self, conv: &Convolution, batch: usize, _: Option<Pool>, workers: usize) -> usize {
        let conv = &per_group(conv);
        let len = |images: usize| {
            let blocking = self.for_batch(conv, images);
            let common_scratch = WorkerScratch::len(blocking.common_len(conv, images), 1);
            sum([WorkerScratch::len(blocking.worker_len(conv), workers), common_scratch])
        };
        // Fewer images may have another blocking, with larger blocks.
        let fewer_images = (1..batch).take_while(|&images| self.leaves_idle(conv, images));
        fewer_images.chain([batch]).map(len).max().unwrap_or(0)
    }

    fn run(&self, call: ConvCall<'_>) {
        let ConvCall { threads, conv, batch, input, weights, epilogue, scratch, output } = call;
        assert!(self.tile.supports(conv), "not a convolution for {:?}: {conv:?}", self.tile);
        assert!(self.is_possible(), "{self:?}");
        assert_eq!(weights.len(), packed_len_weights(self.tile, conv), "packed weights");
        if conv.groups > 1 {
            // Each group is an ungrouped convolution of a slice of the channels.
            let group_conv = per_group(conv);
            for (group, weights) in weights.chunks_exact(weights.len() / conv.groups).enumerate() {
                let (first_in, first_out) = (group * group_conv.in_c, group * group_conv.out_c);
                let input = View { data: &input.data[first_in..], ..input };
                let epilogue = EpilogueArgs {
                    bias: epilogue.bias.map(|bias| &bias[first_out..]),
                    residual: epilogue.residual.map(|view| View { data: &view.data[first_out..], ..view }),
                    ..*epilogue
                };
                let output = ViewMut { data: &mut output.data[first_out..], ..output };
                self.run(ConvCall {
                    threads,
                    conv: &group_conv,
                    batch,
                    input,
                    weights,
                    epilogue: &epilogue,
                    scratch,
                    output,
                });
            }
            return;
        }
        let (output, epilogue_ptrs) = check_convolution(conv, batch, &input, epilogue, output);
        let blocking = &self.for_batch(conv, batch);
        let common_scratch = WorkerScratch::len(blocking.common_len(conv, batch), 1);
        assert!(scratch.len() >= common_scratch, "scratch memory is too small");
        let (common_scratch, workers) = scratch.split_at_mut(common_scratch);
        let common_scratch = WorkerScratch::new(common_scratch, blocking.common_len(conv, batch), 1);
        let workers = WorkerScratch::new(workers, blocking.worker_len(conv), threads.count());
        // SAFETY: the piece is borrowed once.
        let (zeros, shared) = unsafe { common_scratch.piece(0) }.split_at_mut(Blocking::row(conv));
        zeros.fill(0.0);
        let call = Call {
            threads,
            blocking,
            conv,
            input: &input,
            weights,
            zeros,
            workers: &workers,
            output,
            epilogue: &epilogue_ptrs,
            pool: epilogue.pool,
        };
        match blocking.tile {
            Tile::F2 => call.run::<F2>(batch, shared),
            Tile::F4 => call.run::<F4>(batch, shared),
            Tile::F6 => call.run::<F6>(batch, shared),
            Tile::F2x5 => call.run::<F2x5>(batch, shared),
        }
    }

    fn cost(&self, sizes: &Sizes) -> f64 {
        let &Sizes { conv, inputs, outputs, groups, activation_bytes, .. } = sizes;
        let (out, points) = (self.tile.out(), self.tile.points() as f64);
        let tiles = (conv.window.out_h.div_ceil(out) * conv.window.out_w.div_ceil(out)) as f64;
        let fewer_images = if tiles <= 4.0 { 1.25 } else { 1.0 };
        let transform = match self.tile {
            Tile::F2 => 1.5,
            Tile::F4 => 4.0,
            Tile::F6 => 9.0,
            Tile::F2x5 => 3.0,
        };
        let packed = 4.0 * points * inputs * outputs * groups;
        // The GEMMs of a group are short and narrow.
        let overhead = if groups > 1.0 { 44.0 } else { 4.0 };
        fewer_images * points * sizes.product(tiles, inputs, overhead) / 0.9
            + tiles * (conv.in_c + conv.out_c) as f64 * transform
            + activation_bytes / target::STREAM_BYTES_PER_NS
            + sizes.read(packed)
    }

    fn rounding(&self) -> Rounding {
        Rounding::Transformed
    }

    fn executed_macs(&self, conv: &Convolution) -> usize {
        let (out, points) = (self.tile.out(), self.tile.points());
        let tiles = [conv.window.out_h.div_ceil(out), conv.window.out_w.div_ceil(out)];
        product([tiles[0], tiles[1], points, conv.in_c, conv.out_c])
    }
}

impl fmt::Display for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = self.tile.out();
        write!(f, "Winograd F({out}x{out}) in blocks of {} tiles by {} channels", self.tiles, self.channels)
    }
}

/// The operands that all tasks of a call share.
struct Call<'a> {
    threads: &'a ThreadPool,
    blocking: &'a Blocking,
    conv: &'a Convolution,
    input: &'a View<'a>,
    weights: &'a [f32],
    zeros: &'a [f32],
    workers: &'a WorkerScratch<'a>,
    output: Output<'a>,
    epilogue: &'a EpiloguePtrs<'a>,
    pool: Option<Pool>,
}

/// An address shared by tasks that write disjoint ranges.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: only the address is shared.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(self) -> *mut f32 {
        self.0
    }
}

impl Call<'_> {
    fn run<T: TileTransform>(&self, batch: usize, shared: &mut [f32]) {
        let (conv, blocking) = (self.conv, self.blocking);
        let tiling = Tiling::new(conv.window, T::OUT);
        let total = tiling.per_image * batch;
        if total == 0 || conv.out_c == 0 {
            return;
        }
        if !blocking.shared {
            self.threads.run(total.div_ceil(blocking.tiles), &|task, worker| {
                let tiles = blocking.block(task, total);
                // SAFETY: workers have disjoint scratch; blocks of tiles are disjoint.
                unsafe {
                    let (v, m) = self.workers.piece(worker).split_at_mut(self.input_len());
                    let point = Blocking::input_point(conv, blocking.tiles);
                    self.transform_input::<T>(tiling, tiles.clone(), v.as_mut_ptr(), point);
                    let mut channel = 0;
                    while channel < conv.out_c {
                        let channels = channel..(channel + blocking.channels).min(conv.out_c);
                        self.multiply::<T>(tiling, tiles.clone(), channels, v.as_ptr(), point, m);
                        channel += blocking.channels;
                    }
                }
            });
            return;
        }
        let tiles_at_once = blocking.shared_tiles(conv, batch);
        let point = Blocking::input_point(conv, tiles_at_once);
        let shared = Shared(shared.as_mut_ptr());
        let mut first = 0;
        while first < total {
            let count = tiles_at_once.min(total - first);
            let grid = BlockGrid::new(count, PANEL, count.div_ceil(16).min(8), 1, 1);
            self.threads.run(grid.blocks(), &|task, _| {
                let tiles = grid.block(task).0;
                // SAFETY: blocks of tiles are disjoint.
                unsafe {
                    let to = shared.get().add(tiles.start * Blocking::row(conv));
                    self.transform_input::<T>(tiling, first + tiles.start..first + tiles.end, to, point);
                }
            });
            let blocks = count.div_ceil(blocking.tiles);
            let columns = conv.out_c.div_ceil(blocking.channels);
            self.threads.run(blocks * columns, &|task, worker| {
                let tiles = blocking.block(task % blocks, count);
                let channel = task / blocks * blocking.channels;
                let channels = channel..(channel + blocking.channels).min(conv.out_c);
                // SAFETY: workers have disjoint scratch; blocks of tiles and channels are disjoint.
                unsafe {
                    let m = self.workers.piece(worker);
                    let v = shared.get().add(tiles.start * Blocking::row(conv));
                    self.multiply::<T>(tiling, first + tiles.start..first + tiles.end, channels, v, point, m);
                }
            });
            first += count;
        }
    }

    fn input_len(&self) -> usize {
        let points = self.blocking.tile.points();
        (points * Blocking::input_point(self.conv, self.blocking.tiles)).next_multiple_of(ALIGNMENT)
    }

    /// Transforms a range of tiles into `to`, with points `point` floats apart.
    ///
    /// # Safety
    /// The tiles must be valid, and `to` writable for them.
    unsafe fn transform_input<T: TileTransform>(
        &self,
        tiling: Tiling,
        tiles: Range<usize>,
        to: *mut f32,
        point: usize,
    ) {
        // SAFETY: the input was checked; the machine supports the set.
        unsafe {
            self.threads.isa().dispatch(InputTransform {
                tile: PhantomData::<T>,
                tiling,
                first: tiles.start,
                count: tiles.len(),
                input: self.input.data.as_ptr(),
                ld: self.input.ld,
                image: self.input.image,
                channels: self.conv.in_c,
                zeros: self.zeros.as_ptr(),
                to,
                point,
                row: Blocking::row(self.conv),
            });
        }
    }

    /// Multiplies transformed inputs `v` with a block of channels' weights, point by point into `m`, and transforms the
    /// products to the output.
    ///
    /// # Safety
    /// The tiles and channels must be valid, and `v` hold the transformed tiles.
    unsafe fn multiply<T: TileTransform>(
        &self,
        tiling: Tiling,
        tiles: Range<usize>,
        channels: Range<usize>,
        v: *const f32,
        input_point: usize,
        m: &mut [f32],
    ) {
        let in_c = self.conv.in_c;
        let columns = channels.len().next_multiple_of(PANEL);
        let output_point = self.blocking.output_point();
        let point_len = packed_len(in_c, self.conv.out_c);
        debug_assert!(m.len() >= T::IN * T::IN * output_point);
        // SAFETY: the blocks are within scratch and weights, whose lengths were computed for them.
        unsafe {
            for point in 0..T::IN * T::IN {
                let product = PackedProduct {
                    a: LhsRows::Strided {
                        data: v.add(point * input_point),
                        ld: Blocking::row(self.conv),
                        tap_stride: 0,
                    },
                    rows: tiles.len(),
                    taps: 1,
                    depth: in_c,
                    row_len: in_c,
                    b: self.weights.as_ptr().add(point * point_len + channels.start * in_c),
                    panel_stride: in_c * PANEL,
                    next_panel: self.weights.as_ptr().wrapping_add((point + 1) * point_len + channels.start * in_c),
                    columns,
                    c: m.as_mut_ptr().add(point * output_point),
                    ldc: columns,
                    accumulate: false,
                    epilogue: None,
                    residual: std::ptr::null(),
                    first_column: 0,
                };
                let group = if T::is_positive(point) { SUM_BLOCK / 2 } else { SUM_BLOCK };
                product.run_with_blocked_sums(self.threads.isa(), group);
            }
            self.threads.isa().dispatch(OutputTransform {
                tile: PhantomData::<T>,
                tiling,
                first: tiles.start,
                count: tiles.len(),
                from: m.as_ptr(),
                point: output_point,
                row: columns,
                first_channel: channels.start,
                channels: channels.len(),
                output: self.output,
                epilogue: self.epilogue,
                pool: self.pool,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::naive::{self, convolution};

    fn check(conv: Convolution) {
        let taps = conv.window.kernel_h * conv.window.kernel_w;
        let tiles = [(Tile::F2, 1e-6), (Tile::F4, 2e-6), (Tile::F6, 8e-6), (Tile::F2x5, 2e-6)];
        let tiles = tiles.into_iter().filter(|(tile, _)| tile.supports(&conv));
        assert!(tiles.clone().count() > 0, "{conv:?}");
        for (tile, tolerance) in tiles {
            let size = (taps as f64 * conv.in_c as f64).sqrt();
            for shared in [false, true] {
                naive::check(&conv, tolerance * size, |_| Blocking { tile, tiles: 5, channels: 16, shared });
            }
            naive::check(&conv, tolerance * size, |batch| Blocking::new(tile, &conv, batch));
        }
    }

    #[test]
    fn scratch_for_a_batch_suffices_for_fewer_images() {
        for (size, in_c, out_c) in [(8, 32, 32), (16, 64, 64), (28, 512, 64), (14, 512, 512), (56, 256, 64)] {
            let conv = convolution((size, size), (in_c, out_c, 1), (3, 1, 1), (1, 1));
            for batch in 1..20 {
                let blocking = Blocking::new(Tile::F4, &conv, batch);
                let len = |images| blocking.scratch_len(&conv, images, None, 2);
                assert!((1..batch).all(|images| len(images) <= len(batch)), "{conv:?} {batch}");
            }
        }
    }

    #[test]
    fn winograd_equals_naive_for_sizes_and_paddings() {
        check(convolution((13, 11), (5, 33, 1), (3, 1, 1), (1, 1)));
        check(convolution((8, 9), (16, 16, 1), (3, 1, 1), (0, 0)));
        check(convolution((7, 12), (23, 20, 1), (3, 1, 1), (2, 0)));
        check(convolution((5, 9), (173, 17, 1), (3, 1, 1), (1, 1)));
        check(convolution((1, 2), (3, 1, 1), (3, 1, 1), (1, 1)));
    }

    #[test]
    fn winograd_equals_naive_for_5x5_kernels() {
        check(convolution((13, 11), (5, 33, 1), (5, 1, 1), (2, 2)));
        check(convolution((8, 9), (16, 16, 1), (5, 1, 1), (0, 0)));
        check(convolution((7, 12), (23, 20, 1), (5, 1, 1), (4, 1)));
        check(convolution((1, 2), (3, 1, 1), (5, 1, 1), (2, 2)));
    }

    #[test]
    fn winograd_equals_naive_for_groups() {
        check(convolution((6, 9), (10, 42, 2), (3, 1, 1), (1, 1)));
        check(convolution((6, 9), (10, 42, 2), (5, 1, 1), (2, 2)));
    }
}
