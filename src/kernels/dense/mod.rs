//! Dense layers: rows times a weight matrix. With few rows the weights are streamed at the memory's speed, each read
//! once; with many it is a blocked matrix product.

pub mod bf16;
pub mod few_outputs;
pub mod few_outputs_gradient;

use super::elementwise::activation::Activation;
use super::epilogue::{EpilogueArgs, EpiloguePtrs, Output};
use super::gemm;
use super::gemm::micro_kernel::{LhsRows, PackedProduct, SUM_BLOCK, block_ranges};
use super::gemm::panel::{BlockGrid, pack, packed_len};
use super::parallel::disjoint::{Partition, Scratch, share};
use super::parallel::thread_pool::{ThreadPool, WorkerScratch};
use super::simd::tile::PANEL;
use super::tensor_view::{View, ViewMut};
use few_outputs::is_narrow;

/// The depth that a task multiplies at once for all its columns.
const DEPTH: usize = 256;
/// The depth whose products are summed in the output's place before they are added to the sum of those before: the
/// rounding of a sum grows with its length, and a dense layer has tens of thousands of inputs.
const STRETCH: usize = 2048;
/// Panels of a task, at most.
const TOGETHER: usize = 8;
/// Rows that the weights are streamed for.
const FEW: usize = 3;
/// Rows of a block.
const ROW_BLOCK: usize = 128;
/// Rows of a block, at least, where there are few panels to share.
const MIN_ROWS: usize = 12;
/// Blocks to have at least.
const TASKS: usize = 16;

/// The floats of the packed weights of `inputs` by `outputs`.
pub fn packed_len_weights(inputs: usize, outputs: usize) -> usize {
    packed_len(inputs, outputs)
}

/// Packs `(inputs, outputs)` row-major for [`multiply`]: panels of 16 outputs, each one stretch of memory.
pub fn pack_weights(inputs: usize, outputs: usize, weights: &[f32]) -> Vec<f32> {
    let mut packed = vec![0.0; packed_len(inputs, outputs)];
    pack_weights_into(inputs, outputs, weights, &mut packed, &ThreadPool::new(1));
    packed
}

/// [`pack_weights`] into memory that is there.
///
/// # Panics
/// If a slice does not have its length.
pub fn pack_weights_into(inputs: usize, outputs: usize, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
    assert_eq!(weights.len(), inputs * outputs, "weights");
    pack(threads, inputs, outputs, weights, outputs, packed);
}

/// The floats of scratch memory that [`multiply`] needs for `workers` threads, for up to `rows` rows.
pub fn scratch_len(rows: usize, inputs: usize, workers: usize) -> usize {
    if inputs > STRETCH { WorkerScratch::len(sums_len(rows), workers) } else { 0 }
}

/// The floats of a task's sums.
fn sums_len(rows: usize) -> usize {
    rows.min(ROW_BLOCK) * TOGETHER * PANEL
}

/// The output rows `(rows, outputs)` = activation(input `(rows, inputs)` x weights + bias); `weights` as
/// [`pack_weights`] packed them. Row r of the views begins at `r * ld`; their `image` is not looked at.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // The views and weights are separate borrows of the arena and the artifact.
pub fn multiply(
    threads: &ThreadPool,
    rows: usize,
    inputs: usize,
    outputs: usize,
    input: View,
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    scratch: &mut [f32],
    output: ViewMut,
) {
    assert_eq!(weights.len(), packed_len(inputs, outputs), "packed weights");
    super::epilogue::check_view("input", &input, 1, rows, inputs);
    let epilogue = EpilogueArgs { bias, activation, ..EpilogueArgs::default() };
    let mut epilogue_ptrs = EpiloguePtrs::new(&epilogue, 1, rows, outputs);
    // What was summed before the last stretch is added to it as residuals are.
    epilogue_ptrs.residual_ld = TOGETHER * PANEL;
    let output = Output::new(output, 1, rows, outputs);
    if rows == 0 || outputs == 0 {
        return;
    }
    // Few rows: the memory limits, and a task reads four panels side by side from end to end. More rows: panels in
    // pieces that stay in cache, of enough columns to reuse the rows for.
    let few = rows <= FEW;
    let panel_count = outputs.div_ceil(PANEL);
    let together = if rows < 8 { TOGETHER / 2 } else { TOGETHER };
    let tasks = panel_count.div_ceil(together).max(TASKS.min(panel_count.div_ceil(if few { 4 } else { 1 })));
    let row_block = rows.div_ceil(TASKS.div_ceil(panel_count)).clamp(MIN_ROWS, ROW_BLOCK);
    let grid = BlockGrid::new(rows, outputs, row_block, 1, tasks * rows.div_ceil(row_block));
    let depth_step = if few { STRETCH } else { DEPTH };
    let sums = (inputs > STRETCH).then(|| WorkerScratch::new(scratch, sums_len(rows), threads.count()));
    threads.run(grid.blocks(), &|task, worker| {
        let (rows, columns) = grid.block(task);
        // SAFETY: a worker runs one task at a time.
        let mut sums = sums.as_ref().map(|sums| unsafe { sums.piece(worker) });
        // SAFETY: rows and columns are within the checked views; blocks are disjoint.
        unsafe {
            let b = weights.as_ptr().add(columns.start * inputs);
            let c = output.pixel(0, rows.start).add(columns.start);
            let product = PackedProduct {
                a: LhsRows::Strided {
                    data: input.data.as_ptr().add(rows.start * input.ld),
                    ld: input.ld,
                    tap_stride: 0,
                },
                rows: rows.len(),
                taps: 1,
                depth: inputs,
                b,
                panel_stride: inputs * PANEL,
                next_panel: std::ptr::null(),
                columns: columns.len(),
                c,
                ldc: output.ld,
                accumulate: false,
                epilogue: Some(&epilogue_ptrs),
                residual: sums.as_ref().map_or(std::ptr::null(), |sums| sums.as_ptr()),
                first_column: columns.start,
            };
            for stretch in block_ranges(inputs, STRETCH) {
                let part = PackedProduct { accumulate: false, ..product.slice_k(stretch.clone()) };
                for places in block_ranges(stretch.len(), depth_step) {
                    let next = part.b.wrapping_add(places.end * PANEL);
                    let product = PackedProduct { next_panel: next, ..part.slice_k(places) };
                    product.run_with_blocked_sums(threads.isa(), SUM_BLOCK);
                }
                if stretch.end < inputs
                    && let Some(sums) = &mut sums
                {
                    for (row, sums) in sums.chunks_exact_mut(TOGETHER * PANEL).take(rows.len()).enumerate() {
                        let row = std::slice::from_raw_parts(c.add(row * output.ld), columns.len());
                        add_row(sums, row, stretch.start == 0);
                    }
                }
            }
        }
    });
}

/// Adds a row to sums, which begin with the first.
fn add_row(sums: &mut [f32], row: &[f32], first: bool) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum = if first { *value } else { *sum + value };
    }
}

fn product(backend: gemm::Backend, rows: usize, inputs: usize, outputs: usize) -> gemm::Product {
    gemm::Product { rows, columns: outputs, depth: inputs, alpha: 1.0, beta: 0.0, backend }
}

/// The floats of scratch memory that [`multiply_raw`] needs.
pub fn raw_scratch_len(rows: usize, inputs: usize, outputs: usize) -> usize {
    if is_narrow(outputs) {
        return few_outputs::scratch_len(inputs, outputs);
    }
    product(gemm::Backend::Tiles, rows, inputs, outputs).scratch_len()
}

/// As [`multiply`], with the weights `(inputs, outputs)` row-major as they stand: for weights that change before each
/// product, where packing them costs more than it gains.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // The views and weights are separate borrows of the arena and the artifact.
pub fn multiply_raw(
    threads: &ThreadPool,
    backend: gemm::Backend,
    rows: usize,
    inputs: usize,
    outputs: usize,
    input: View,
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    output: ViewMut,
    scratch: &mut [f32],
) {
    if is_narrow(outputs) {
        let sizes = (rows, inputs, outputs);
        return few_outputs::multiply(threads, sizes, input, weights, bias, activation, output, scratch);
    }
    let left = gemm::Operand { data: input.data, ld: input.ld, transposed: false };
    let right = gemm::Operand { data: weights, ld: outputs, transposed: false };
    let ViewMut { data, ld, image } = output;
    let to = ViewMut { data: &mut *data, ld, image };
    gemm::multiply(threads, &product(backend, rows, inputs, outputs), left, right, to, scratch);
    if bias.is_none() && activation == Activation::Linear {
        return;
    }
    let lines = Partition { outer: rows, outer_stride: ld, ..Partition::chunks(outputs, outputs) };
    let epilogue = EpilogueArgs { bias, activation, ..EpilogueArgs::default() };
    share(threads, data, lines, Scratch::none(), &|_, row, _| epilogue.apply(row, 0, 0));
}

#[cfg(test)]
mod tests {
    use super::super::guarded::Floats;
    use super::*;
    use crate::kernels::conv::naive::noise;
    use crate::kernels::simd::isa::Isa;
    use crate::kernels::testing::Sum;

    #[test]
    fn sizes() {
        for (rows, inputs, outputs) in [
            (1, 1, 1),
            (1, 300, 33),
            (2, 17, 144),
            (3, 1000, 70),
            (1, 40, 79),
            (9, 31, 40),
            (131, 20, 35),
            (21, 1100, 13),
            (1, 5000, 70),
            (3, 2100, 70),
            (8, 4097, 150),
        ] {
            let (ld, out_ld) = (inputs + 3, outputs + 2);
            // The last rows end where their columns end.
            let input = noise(rows * ld - 3, 1);
            let weights = noise(inputs * outputs, 2);
            let bias = noise(outputs, 3);
            let packed = Floats::from(pack_weights(inputs, outputs, &weights));
            for isa in Isa::available() {
                let run = |count| {
                    let mut output = Floats::filled(9.0, rows * out_ld - 2);
                    let view = View { data: &input, ld, image: 0 };
                    let to = ViewMut { data: &mut output, ld: out_ld, image: 0 };
                    let relu = Activation::Relu { alpha: 0.25 };
                    let threads = ThreadPool::with_isa(count, isa);
                    let mut scratch = Floats::filled(f32::NAN, scratch_len(rows, inputs, count));
                    multiply(&threads, rows, inputs, outputs, view, &packed, Some(&bias), relu, &mut scratch, to);
                    output
                };
                let output = run(1);
                assert!(output == run(2), "threads change the result");
                let mut raw = Floats::filled(9.0, rows * out_ld - 2);
                let view = View { data: &input, ld, image: 0 };
                let to = ViewMut { data: &mut raw, ld: out_ld, image: 0 };
                let (threads, relu) = (ThreadPool::with_isa(2, isa), Activation::Relu { alpha: 0.25 });
                let mut scratch = Floats::filled(f32::NAN, raw_scratch_len(rows, inputs, outputs));
                multiply_raw(
                    &threads,
                    gemm::Backend::Blas,
                    rows,
                    inputs,
                    outputs,
                    view,
                    &weights,
                    Some(&bias),
                    relu,
                    to,
                    &mut scratch,
                );
                for row in 0..rows {
                    for column in 0..if row + 1 < rows { out_ld } else { outputs } {
                        let values = [output[row * out_ld + column], raw[row * out_ld + column]];
                        if column >= outputs {
                            assert_eq!(values, [9.0; 2], "wrote behind the row");
                            continue;
                        }
                        let mut sum = Sum::default();
                        sum.add(f64::from(bias[column]));
                        for k in 0..inputs {
                            sum.add(f64::from(input[row * ld + k]) * f64::from(weights[k * outputs + column]));
                        }
                        let right = if sum.value > 0.0 { sum.value } else { 0.25 * sum.value };
                        for value in values {
                            let error = (f64::from(value) - right).abs();
                            assert!(error <= sum.rounding(), "{isa:?} {rows}x{inputs}x{outputs}: {value} for {right}");
                        }
                    }
                }
            }
        }
    }
}
