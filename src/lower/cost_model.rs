//! Choice of algorithms by estimated time. The estimate depends only on sizes and on one fixed target, so that the same spec
//! gives the same plan on every machine.

use crate::kernels::conv::winograd::{Blocking, Tile};
use crate::kernels::conv::{depthwise, direct, im2col_blas, pointwise};
use crate::kernels::dense::few_outputs::is_narrow;
use crate::kernels::gemm::{self, Backend, Shape, blas};
use crate::kernels::simd::Isa;
use crate::plan::steps::convolution::{Algorithm, ConvolutionStep, TILES};
use crate::plan::steps::dense::{DenseStep, Storage};
use crate::plan::{Kernel, KernelStep};

/// The target that plans are made for: one core with 256-bit vectors.
pub(super) mod target {
    /// Multiply-adds per nanosecond.
    pub const RATE: f64 = 51.0;
    /// Bytes per nanosecond from memory.
    pub const MEMORY: f64 = 18.0;
    /// Bytes per nanosecond of activations, read and written sequentially.
    pub const STREAM: f64 = 10.0;
    /// More packed weights than this are evicted from the last-level cache between images.
    pub const CACHE_BYTES: f64 = 16e6;
    /// Bytes of a core's L2 cache.
    pub const L2_BYTES: usize = 512 << 10;
    /// Columns that a panel of packed weights is padded to.
    pub const PANEL: usize = 16;
}

/// The budget of a micro-batch's arena in floats (8 MiB), so that it stays in the last-level cache next to weights and the
/// data of other programs: 16 MiB were slower on a shared Zen 3 with 32 MiB, ResNet-50 by 7 %.
const MICRO_BATCH_FLOATS: usize = 2 << 20;
/// The maximum micro-batch: more images hardly reduce the reading of weights.
pub const MAX_IMAGES: usize = 8;

/// More weights than this are evicted from a core's cache while they are packed.
const MAX_PACKED: usize = 1 << 20;
/// Narrower rows of weights are read faster from panels.
const MIN_WIDTH: usize = 64;

/// BLAS is chosen if its time is below this fraction of the tiles' time: the tiles give the same bits on every machine.
const BLAS_THRESHOLD: f64 = 0.93;

/// The number of images of a micro-batch.
pub fn micro_batch(floats_per_image: usize) -> usize {
    (MICRO_BATCH_FLOATS / floats_per_image.max(1)).clamp(1, MAX_IMAGES)
}

/// An algorithm for a convolution.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub algorithm: Algorithm,
    /// Estimated for one image on one core.
    pub nanoseconds: f64,
}

/// Whether a dense layer whose weights change before each product is faster without packing them: if reading them takes longer
/// than the product, and rows are wide enough to be read directly or so narrow that panels would be half empty.
pub fn reads_raw(step: &DenseStep) -> bool {
    is_narrow(step.outputs) || step.inputs * step.outputs > MAX_PACKED && step.outputs >= MIN_WIDTH
}

/// Sets the algorithm of a convolution.
pub fn convolution(step: &mut ConvolutionStep, micro_batch: usize, exact: bool) {
    let best = candidates(step, micro_batch, exact).into_iter().min_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds));
    step.algorithm = best.map_or(Algorithm::Im2col, |best| best.algorithm);
}

/// The estimated cost of general products by each backend: nanoseconds on one core, the tiles' first.
///
/// Fitted to `cargo bench --bench kernels -- product` on a Zen 3: OpenBLAS packs both operands, a little faster than the
/// tiles pack one; the tiles read few rows directly.
pub fn products(shape: &Shape) -> [(Backend, f64); 2] {
    let [rows, columns, depth] = [shape.rows, shape.columns, shape.depth].map(|size| size as f64);
    let (left, right) = (rows * depth, depth * columns);
    let (left_blocks, right_blocks) =
        (shape.columns.div_ceil(gemm::TILE) as f64, shape.rows.div_ceil(gemm::TILE) as f64);
    let multiply = rows * right / target::RATE;
    let tiles = match (gemm::reads_as_it_stands(shape.rows, shape.transposed.1), shape.transposed.0) {
        // Rows are read directly; a tile of few rows waits for its operands.
        (true, _) => multiply * 1.5,
        (false, true) => multiply * 1.03 + right * right_blocks * 0.42 + left * left_blocks * 0.1,
        (false, false) => multiply * 1.03 + right * right_blocks * 0.42,
    };
    let blas = multiply + right * right_blocks * 0.22 + left * left_blocks * 0.22;
    let all = |one: f64| one * shape.count as f64 + right.max(left) * 4.0 / target::MEMORY;
    [(Backend::Tiles, all(tiles)), (Backend::Blas, all(blas))]
}

/// The ways to compute a dense layer at inference, with the estimated time of a batch. Weights are packed in advance, so
/// BLAS is never chosen without measuring.
pub fn dense(step: &DenseStep, batch: usize) -> [(DenseStep, f64); 2] {
    let (rows, weights) = (batch as f64, (step.inputs * step.outputs) as f64);
    let way = |storage, backend| DenseStep { weights: storage, backend, ..step.clone() };
    let raw = way(Storage::Raw, Backend::Blas);
    let blas = raw.products(batch).map_or(f64::INFINITY, |shape| products(&shape)[1].1);
    let packed = (rows * weights / target::RATE).max(4.0 * weights / target::MEMORY);
    [(way(Storage::Packed, Backend::Tiles), packed), (raw, blas)]
}

/// Sets the backend of the general products of a training step. Training runs on the machine that lowers, so BLAS is chosen
/// only if it is linked, and always if the tiles have no vector instructions here.
pub fn backend(kernel: &mut Kernel, batch: usize) {
    let Some(shape) = kernel.products(batch) else { return };
    let [(_, tiles), (_, blas)] = products(&shape);
    let better = blas < tiles * BLAS_THRESHOLD || Isa::detect() == Isa::Portable;
    kernel.set_backend(if better && blas::is_there() { Backend::Blas } else { Backend::Tiles });
}

/// The estimated cost of a convolution by its algorithm: nanoseconds of one image on one core.
pub fn estimate(step: &ConvolutionStep) -> f64 {
    cost(step, &step.algorithm)
}

/// The algorithms that can compute a convolution; the first can compute any.
pub fn candidates(step: &ConvolutionStep, micro_batch: usize, exact: bool) -> Vec<Candidate> {
    let conv = &step.geometry;
    let mut list = vec![Algorithm::Im2col];
    if depthwise::supports(conv) {
        list.push(Algorithm::Depthwise);
    }
    if pointwise::supports(conv) {
        list.push(Algorithm::Pointwise);
    }
    if direct::supports(conv) {
        list.push(Algorithm::Direct);
    }
    if im2col_blas::supports(conv) && !step.epilogue.pool {
        list.push(Algorithm::Blas);
    }
    let tiles = TILES.into_iter().filter(|tile| !exact && tile.supports(conv));
    list.extend(tiles.map(|tile| Algorithm::Winograd(Blocking::new(tile, conv, micro_batch))));
    let estimated = |algorithm| Candidate { nanoseconds: cost(step, &algorithm), algorithm };
    list.into_iter().map(estimated).collect()
}

/// The estimated nanoseconds of one image on one core.
fn cost(step: &ConvolutionStep, algorithm: &Algorithm) -> f64 {
    let conv = &step.geometry;
    let window = &conv.window;
    let pixels = (window.out_h * window.out_w) as f64;
    let (inputs, outputs) =
        ((conv.in_c / conv.groups) as f64, (conv.out_c / conv.groups).next_multiple_of(target::PANEL) as f64);
    let depth = (window.kernel_h * window.kernel_w) as f64 * inputs;
    let groups = conv.groups as f64;
    let bytes = 4.0 * ((window.in_h * window.in_w * conv.in_c) as f64 + pixels * conv.out_c as f64);
    let weights = 4.0 * depth * outputs * groups;
    // A product of low depth is slower: starting and ending a tile costs as much as `lost` steps.
    let product =
        |rows: f64, depth: f64, lost: f64| rows * depth * outputs * groups / (target::RATE * depth / (depth + lost));
    match algorithm {
        Algorithm::Im2col | Algorithm::Pointwise => {
            // Gathering few channels at a time costs the same for each tap as gathering a line.
            let gather = if inputs < 8.0 { 2.0 } else { 1.0 };
            gather * product(pixels, depth, 7.0) / 0.97 + weights / target::MEMORY
        }
        Algorithm::Blas => {
            let copies = if conv.is_pixelwise() { 0.0 } else { pixels * depth * 8.0 / target::STREAM };
            // Both operands are packed in blocks, and bias and activation need another pass over the result.
            let packs = (pixels * depth + depth * outputs * (pixels / gemm::TILE as f64).ceil()) * 0.22;
            product(pixels, depth, 7.0) + copies + packs + bytes / target::STREAM + weights / target::MEMORY
        }
        Algorithm::Direct => {
            let narrow = if inputs > 16.0 { 1.5 } else { 1.0 };
            narrow * product(pixels, depth, 10.0) / 0.97 + weights / target::MEMORY
        }
        Algorithm::Depthwise => {
            let rate = if window.stride_h * window.stride_w == 1 { 25.0 } else { 15.0 };
            (pixels * depth * conv.out_c as f64 / rate).max(bytes / target::MEMORY)
        }
        Algorithm::Winograd(Blocking { tile, .. }) => {
            let (out, points) = (tile.out(), tile.points() as f64);
            let tiles = (window.out_h.div_ceil(out) * window.out_w.div_ceil(out)) as f64;
            let few = if tiles <= 4.0 { 1.25 } else { 1.0 };
            let transform = match tile {
                Tile::F2 => 1.5,
                Tile::F4 => 4.0,
                Tile::F6 => 9.0,
                Tile::F2x5 => 3.0,
            };
            let packed = 4.0 * points * inputs * outputs * groups;
            let reading = if packed > target::CACHE_BYTES { packed / target::MEMORY } else { 0.0 };
            few * points * product(tiles, inputs, 4.0) / 0.9
                + tiles * (conv.in_c + conv.out_c) as f64 * transform
                + bytes / target::STREAM
                + reading
        }
    }
}
