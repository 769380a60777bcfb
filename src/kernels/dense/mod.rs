//! Dense layers: a GEMM with packed weights. With few rows it is memory-bound, and each weight is streamed from memory once;
//! with many it is a cache-blocked GEMM.

pub mod bf16;
pub mod few_outputs;
pub mod few_outputs_gradient;

use super::elementwise::activation::Activation;
use super::epilogue::{EpilogueArgs, EpiloguePtrs, Output};
use super::gemm;
use super::gemm::bf16::Operands;
use super::gemm::micro_kernel::{LhsRows, PackedProduct, SUM_BLOCK, block_ranges};
use super::gemm::panel::{BlockGrid, pack, packed_len};
use super::parallel::disjoint::{Partition, Scratch, share};
use super::parallel::thread_pool::{ThreadPool, WorkerScratch};
use super::simd::tile::PANEL;
use super::tensor_view::{View, ViewMut};
use few_outputs::has_few_outputs;

/// K of a block, for all columns of a task.
const KC: usize = 256;
/// K of a partial sum, which is accumulated in the output and then added to the total: the rounding error of a sum grows
/// with its length, and dense layers have tens of thousands of inputs.
const PARTIAL_SUM_K: usize = 2048;
/// Maximum panels of a task.
const MAX_PANELS: usize = 8;
/// Maximum rows for which the weights are streamed.
const STREAMED_ROWS: usize = 3;
/// Maximum rows of a block.
const ROW_BLOCK: usize = 128;
/// Minimum rows of a block, if there are too few panels for all tasks.
const MIN_ROWS: usize = 12;
/// Minimum tasks, for load balance.
const MIN_TASKS: usize = 16;

/// Length of the packed weights `(inputs, outputs)`, in floats.
pub fn packed_len_weights(inputs: usize, outputs: usize) -> usize {
    packed_len(inputs, outputs)
}

/// Packs row-major weights `(inputs, outputs)` for [`multiply`], into contiguous panels of 16 outputs.
///
/// # Panics
/// If `weights` has the wrong length.
pub fn pack_weights(inputs: usize, outputs: usize, weights: &[f32]) -> Vec<f32> {
    let mut packed = vec![0.0; packed_len(inputs, outputs)];
    pack_weights_into(inputs, outputs, weights, &mut packed, &ThreadPool::new(1));
    packed
}

/// [`pack_weights`] into a buffer of [`packed_len_weights`] floats.
///
/// # Panics
/// If a slice has the wrong length.
pub fn pack_weights_into(inputs: usize, outputs: usize, weights: &[f32], packed: &mut [f32], threads: &ThreadPool) {
    assert_eq!(weights.len(), inputs * outputs, "weights");
    pack(threads, inputs, outputs, weights, outputs, packed);
}

/// Scratch memory of [`multiply`] for up to `rows` rows on `workers` threads, in floats.
pub fn scratch_len(rows: usize, inputs: usize, workers: usize) -> usize {
    if inputs > PARTIAL_SUM_K { WorkerScratch::len(totals_len(rows), workers) } else { 0 }
}

/// Floats of a task's running totals.
fn totals_len(rows: usize) -> usize {
    rows.min(ROW_BLOCK) * MAX_PANELS * PANEL
}

/// Output `(rows, outputs)` = activation(input `(rows, inputs)` x weights + bias), with weights packed by [`pack_weights`].
/// Rows of the views are `ld` floats apart; their `image` is ignored. `inputs` are the floats of a row, which are pairs if the operands are.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // The views and weights are separate borrows of the arena and the artifact.
pub fn multiply(
    threads: &ThreadPool,
    operands: Operands,
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
    let depth = operands.depth(inputs);
    assert_eq!(weights.len(), packed_len(depth, outputs), "packed weights");
    super::epilogue::check_view("input", &input, 1, rows, inputs);
    let epilogue = EpilogueArgs { bias, activation, ..EpilogueArgs::default() };
    let mut epilogue_ptrs = EpiloguePtrs::new(&epilogue, 1, rows, outputs);
    // The total of the previous partial sums is added to the last one as its residual.
    epilogue_ptrs.residual_ld = MAX_PANELS * PANEL;
    let output = Output::new(output, 1, rows, outputs);
    if rows == 0 || outputs == 0 {
        return;
    }
    // Few rows are memory-bound: a task streams four panels concurrently over all of K. More rows: K blocks that stay in
    // cache, with enough columns to reuse the input rows.
    let is_streamed = rows <= STREAMED_ROWS;
    let panel_count = outputs.div_ceil(PANEL);
    let task_panels = if rows < 8 { MAX_PANELS / 2 } else { MAX_PANELS };
    let min_task_panels = if is_streamed { 4 } else { 1 };
    let tasks = panel_count.div_ceil(task_panels).max(MIN_TASKS.min(panel_count.div_ceil(min_task_panels)));
    let row_block = rows.div_ceil(MIN_TASKS.div_ceil(panel_count)).clamp(MIN_ROWS, ROW_BLOCK);
    let grid = BlockGrid::new(rows, outputs, row_block, 1, tasks * rows.div_ceil(row_block));
    let k_block = if is_streamed { PARTIAL_SUM_K } else { KC };
    let totals = (depth > PARTIAL_SUM_K).then(|| WorkerScratch::new(scratch, totals_len(rows), threads.count()));
    threads.run(grid.blocks(), &|task, worker| {
        let (rows, columns) = grid.block(task);
        // SAFETY: a worker runs one task at a time.
        let mut totals = totals.as_ref().map(|totals| unsafe { totals.piece(worker) });
        // SAFETY: rows and columns are within the checked views; blocks are disjoint.
        unsafe {
            let b = weights.as_ptr().add(columns.start * depth);
            let c = output.pixel(0, rows.start).add(columns.start);
            let product = PackedProduct {
                a: LhsRows::Strided {
                    data: input.data.as_ptr().add(rows.start * input.ld),
                    ld: input.ld,
                    tap_stride: 0,
                },
                rows: rows.len(),
                taps: 1,
                depth,
                row_len: inputs,
                b,
                panel_stride: depth * PANEL,
                next_panel: std::ptr::null(),
                columns: columns.len(),
                c,
                ldc: output.ld,
                accumulate: false,
                epilogue: Some(&epilogue_ptrs),
                residual: totals.as_ref().map_or(std::ptr::null(), |totals| totals.as_ptr()),
                first_column: columns.start,
            };
            for partial_ks in block_ranges(depth, PARTIAL_SUM_K) {
                let partial = PackedProduct { accumulate: false, ..product.slice_k(partial_ks.clone()) };
                for ks in block_ranges(partial_ks.len(), k_block) {
                    let next_panel = partial.b.wrapping_add(ks.end * PANEL);
                    let product = PackedProduct { next_panel, ..partial.slice_k(ks) };
                    match operands {
                        Operands::F32 => product.run_with_blocked_sums(threads.isa(), SUM_BLOCK),
                        // The rounding of the operands is far above that of the sums.
                        _ => operands.multiply(threads.isa(), product),
                    }
                }
                if partial_ks.end < depth
                    && let Some(totals) = &mut totals
                {
                    for (row, totals) in totals.chunks_exact_mut(MAX_PANELS * PANEL).take(rows.len()).enumerate() {
                        let row = std::slice::from_raw_parts(c.add(row * output.ld), columns.len());
                        add_row(totals, row, partial_ks.start == 0);
                    }
                }
            }
        }
    });
}

/// Adds a row to the totals, or initialises them with the first one.
fn add_row(totals: &mut [f32], row: &[f32], is_first: bool) {
    for (total, value) in totals.iter_mut().zip(row) {
        *total = if is_first { *value } else { *total + value };
    }
}

fn product(backend: gemm::Backend, rows: usize, inputs: usize, outputs: usize) -> gemm::Product {
    gemm::Product { rows, columns: outputs, depth: inputs, alpha: 1.0, beta: 0.0, backend }
}

/// Scratch memory of [`multiply_unpacked`], in floats.
pub fn unpacked_scratch_len(rows: usize, inputs: usize, outputs: usize) -> usize {
    if has_few_outputs(outputs) {
        return few_outputs::scratch_len(inputs, outputs);
    }
    product(gemm::Backend::Tiles, rows, inputs, outputs).scratch_len()
}

/// As [`multiply`], with unpacked row-major weights `(inputs, outputs)`: for weights that change before each product (in
/// training), where packing costs more than it saves.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // The views and weights are separate borrows of the arena and the artifact.
pub fn multiply_unpacked(
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
    if has_few_outputs(outputs) {
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
    let rows_of_output = Partition { outer: rows, outer_stride: ld, ..Partition::chunks(outputs, outputs) };
    let epilogue = EpilogueArgs { bias, activation, ..EpilogueArgs::default() };
    share(threads, data, rows_of_output, Scratch::none(), &|_, row, _| epilogue.apply(row, 0, 0));
}

#[cfg(test)]
mod tests {
    use super::super::guarded::Floats;
    use super::*;
    use crate::kernels::simd::isa::Isa;
    use crate::kernels::testing::Sum;
    use crate::kernels::testing::noise;

    #[test]
    fn products_equal_f64_sums_with_packed_and_unpacked_weights() {
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
                    let (operands, bias) = (Operands::F32, Some(&bias[..]));
                    multiply(&threads, operands, rows, inputs, outputs, view, &packed, bias, relu, &mut scratch, to);
                    output
                };
                let output = run(1);
                assert!(output == run(2), "threads change the result");
                let mut unpacked = Floats::filled(9.0, rows * out_ld - 2);
                let view = View { data: &input, ld, image: 0 };
                let to = ViewMut { data: &mut unpacked, ld: out_ld, image: 0 };
                let (threads, relu) = (ThreadPool::with_isa(2, isa), Activation::Relu { alpha: 0.25 });
                let mut scratch = Floats::filled(f32::NAN, unpacked_scratch_len(rows, inputs, outputs));
                multiply_unpacked(
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
                    // There is no gap after the last row.
                    for column in 0..if row + 1 < rows { out_ld } else { outputs } {
                        let values = [output[row * out_ld + column], unpacked[row * out_ld + column]];
                        if column >= outputs {
                            assert_eq!(values, [9.0; 2], "wrote beyond the row");
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
