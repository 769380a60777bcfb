//! Choice of algorithms by estimated time. The estimate depends only on sizes and on one fixed target, so that the same spec
//! gives the same plan on every machine.

use crate::graph::{Graph, Parameter};
use crate::kernels::conv::Algorithm;
use crate::kernels::conv::algorithm::Rounding;
use crate::kernels::conv::cost::{Residency, Sizes};
use crate::kernels::dense::few_outputs::has_few_outputs;
use crate::kernels::gemm::{self, Backend, Shape, blas};
use crate::kernels::simd::isa::Isa;
use crate::kernels::target;
use crate::plan::kernel_step::KernelStep;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::dense::{DenseStep, Storage};
use crate::plan::{Kernel, Plan};

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
    has_few_outputs(step.outputs) || step.inputs * step.outputs > MAX_PACKED && step.outputs >= MIN_WIDTH
}

/// The estimated cost of general products by each backend: nanoseconds on one core, the tiles' first.
///
/// Fitted to `cargo bench --bench kernels -- product` on a Zen 3: OpenBLAS packs both operands, a little faster than the
/// tiles pack one; the tiles read few rows directly.
pub fn products(shape: &Shape) -> [(Backend, f64); 2] {
    let [rows, columns, depth] = [shape.rows, shape.columns, shape.depth].map(|size| size as f64);
    let (left, right) = (rows * depth, depth * columns);
    let (left_blocks, right_blocks) =
        (shape.columns.div_ceil(gemm::MAX_BLOCK) as f64, shape.rows.div_ceil(gemm::MAX_BLOCK) as f64);
    let multiply = rows * right / target::MACS_PER_NS;
    let tiles = match (gemm::reads_unpacked(shape.rows, shape.transposed.1), shape.transposed.0) {
        // Rows are read directly; a tile of few rows waits for its operands.
        (true, _) => multiply * 1.5,
        (false, true) => multiply * 1.03 + right * right_blocks * 0.42 + left * left_blocks * 0.1,
        (false, false) => multiply * 1.03 + right * right_blocks * 0.42,
    };
    let blas = multiply + right * right_blocks * 0.22 + left * left_blocks * 0.22;
    let all = |one: f64| one * shape.count as f64 + right.max(left) * 4.0 / target::MEMORY_BYTES_PER_NS;
    [(Backend::Tiles, all(tiles)), (Backend::Blas, all(blas))]
}

/// The ways to compute a dense layer at inference, with the estimated time of a batch. Weights are packed in advance, so
/// BLAS is never chosen without measuring.
pub fn dense(step: &DenseStep, batch: usize) -> [(DenseStep, f64); 2] {
    let (rows, weights) = (batch as f64, (step.inputs * step.outputs) as f64);
    let candidate = |storage, backend| DenseStep { weights: storage, backend, ..step.clone() };
    let raw = candidate(Storage::Raw, Backend::Blas);
    let blas = raw.gemm_shape(batch).map_or(f64::INFINITY, |shape| products(&shape)[1].1);
    let packed = (rows * weights / target::MACS_PER_NS).max(4.0 * weights / target::MEMORY_BYTES_PER_NS);
    [(candidate(Storage::Packed, Backend::Tiles), packed), (raw, blas)]
}

/// Sets the backend of the general products of a training step. Training runs on the machine that lowers, so BLAS is chosen
/// only if it is linked, and always if the tiles have no vector instructions here.
pub fn backend(kernel: &mut Kernel, batch: usize) {
    let Some(shape) = kernel.gemm_shape(batch) else { return };
    let [(_, tiles), (_, blas)] = products(&shape);
    let better = blas < tiles * BLAS_THRESHOLD || Isa::detect() == Isa::Portable;
    kernel.set_backend(if better && blas::is_available() { Backend::Blas } else { Backend::Tiles });
}

/// The choice of convolutions' algorithms in one net.
#[derive(Clone, Copy, Debug)]
pub struct ConvolutionCosts {
    /// Algorithms that round so, or less, are allowed.
    rounding: Rounding,
    residency: Residency,
}

impl ConvolutionCosts {
    /// For the net of a graph.
    pub fn of_graph(graph: &Graph, rounding: Rounding) -> Self {
        Self { rounding, residency: Residency::of(graph.parameters.iter().map(Parameter::len).sum()) }
    }

    /// For the net of a plan, whose constants are packed.
    pub fn of_plan(plan: &Plan, rounding: Rounding) -> Self {
        Self { rounding, residency: Residency::of(plan.constant_floats()) }
    }

    /// Sets the algorithm of a convolution to the fastest.
    pub fn choose(&self, step: &mut ConvolutionStep, micro_batch: usize) {
        let candidates = self.candidates(step, micro_batch).into_iter();
        if let Some(best) = candidates.min_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds)) {
            step.algorithm = best.algorithm;
        }
    }

    /// The estimated cost of a convolution by its algorithm: nanoseconds of one image on one core.
    pub fn estimate(&self, step: &ConvolutionStep) -> f64 {
        step.algorithm.cost(&Sizes::of(&step.geometry, self.residency))
    }

    /// The algorithms that can compute a convolution; the first can compute any.
    pub fn candidates(&self, step: &ConvolutionStep, micro_batch: usize) -> Vec<Candidate> {
        let sizes = Sizes::of(&step.geometry, self.residency);
        let list = Algorithm::candidates(&step.geometry, step.pool(), micro_batch).into_iter();
        let allowed = list.filter(|algorithm| algorithm.rounding() <= self.rounding);
        allowed.map(|algorithm| Candidate { nanoseconds: algorithm.cost(&sizes), algorithm }).collect()
    }
}
