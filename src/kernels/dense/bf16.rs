//! Dense layers with weights stored as bf16 (the upper half of an f32): half the memory traffic, arithmetic in f32.
//!
//! The panels are those of [`dense`](crate::kernels::dense), but a row of 16 weights is 8 words of 32 bits: word j has column j
//! in its lower half and column j + 8 in its upper one, so that a vector is converted to f32 by a shift and a mask.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::epilogue::{EpilogueArgs, EpiloguePtrs, Output};
use crate::kernels::gemm::micro_kernel::{LhsRows, PackedProduct};
use crate::kernels::gemm::panel::{BlockGrid, packed_len};
use crate::kernels::parallel::thread_pool::{ThreadPool, WorkerScratch};
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::tile::PANEL;
use crate::kernels::tensor_view::{View, ViewMut};

/// K of a block that is converted to f32: its panels fit the L1 cache.
const KC: usize = 64;
/// Maximum panels of a task.
const MAX_PANELS: usize = 4;
/// Words of a packed row.
const WORDS: usize = PANEL / 2;
/// Maximum rows of a block.
const ROW_BLOCK: usize = 128;

/// Length of the packed weights `(inputs, outputs)`, in words of 32 bits (stored as f32).
pub fn packed_len_weights(inputs: usize, outputs: usize) -> usize {
    packed_len(inputs, outputs) / 2
}

/// Packs row-major weights `(inputs, outputs)` for [`multiply`], rounded to the nearest bf16.
///
/// # Panics
/// If `weights` has the wrong length.
pub fn pack_weights(inputs: usize, outputs: usize, weights: &[f32]) -> Vec<f32> {
    let panels = super::pack_weights(inputs, outputs, weights);
    let (rows, _) = panels.as_chunks::<PANEL>();
    let word = |row: &[f32; PANEL], at: usize| round(row[at]) | round(row[at + WORDS]) << 16;
    rows.iter().flat_map(|row| std::array::from_fn::<f32, WORDS, _>(|at| f32::from_bits(word(row, at)))).collect()
}

/// Rounds to bf16, to nearest with ties to even; NaN stays NaN.
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_nan() { bits >> 16 | 0x40 } else { (bits.wrapping_add(0x7fff + (bits >> 16 & 1))) >> 16 }
}

/// Scratch memory of [`multiply`] for `workers` threads, in floats.
pub fn scratch_len(workers: usize) -> usize {
    WorkerScratch::len(MAX_PANELS * KC * PANEL, workers)
}

multiversion! {
    /// Converts rows of a panel to f32.
    fn convert_to_f32(words: &[f32], floats: &mut [f32]) {
        let (rows, _) = words.as_chunks::<WORDS>();
        let (panel_rows, _) = floats.as_chunks_mut::<PANEL>();
        for (row, floats) in rows.iter().zip(panel_rows) {
            for at in 0..WORDS {
                floats[at] = f32::from_bits(row[at].to_bits() << 16);
                floats[at + WORDS] = f32::from_bits(row[at].to_bits() & 0xffff_0000);
            }
        }
    }
}

/// As [`dense::multiply`](super::multiply), with weights packed by [`pack_weights`].
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
    assert_eq!(weights.len(), packed_len_weights(inputs, outputs), "packed weights");
    crate::kernels::epilogue::check_view("input", &input, 1, rows, inputs);
    let epilogue = EpilogueArgs { bias, activation, ..EpilogueArgs::default() };
    let epilogue_ptrs = EpiloguePtrs::new(&epilogue, 1, rows, outputs);
    let output = Output::new(output, 1, rows, outputs);
    if rows == 0 || outputs == 0 {
        return;
    }
    let grid =
        BlockGrid::new(rows, outputs, ROW_BLOCK, 1, outputs.div_ceil(MAX_PANELS * PANEL) * rows.div_ceil(ROW_BLOCK));
    let scratch = WorkerScratch::new(scratch, MAX_PANELS * KC * PANEL, threads.count());
    threads.run(grid.blocks(), &|task, worker| {
        let (rows, columns) = grid.block(task);
        // SAFETY: a worker runs one task at a time.
        let panels = unsafe { scratch.piece(worker) };
        let mut depth = 0;
        loop {
            let step = KC.min(inputs - depth);
            for (index, panel) in panels.chunks_exact_mut(KC * PANEL).enumerate() {
                let first = columns.start / PANEL + index;
                if first * PANEL < columns.end {
                    let begin = (first * inputs + depth) * WORDS;
                    convert_to_f32(&weights[begin..begin + step * WORDS], panel);
                }
            }
            // SAFETY: rows and columns are within the checked views; blocks are disjoint; the panels were converted.
            unsafe {
                threads.isa().dispatch(PackedProduct {
                    a: LhsRows::Strided {
                        data: input.data.as_ptr().add(rows.start * input.ld + depth),
                        ld: input.ld,
                        tap_stride: 0,
                    },
                    rows: rows.len(),
                    taps: 1,
                    depth: step,
                    b: panels.as_ptr(),
                    panel_stride: KC * PANEL,
                    next_panel: std::ptr::null(),
                    columns: columns.len(),
                    c: output.pixel(0, rows.start).add(columns.start),
                    ldc: output.ld,
                    accumulate: depth > 0,
                    epilogue: (depth + step == inputs).then_some(&epilogue_ptrs),
                    residual: std::ptr::null(),
                    first_column: columns.start,
                });
            }
            depth += step;
            if depth >= inputs {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::simd::isa::Isa;
    use crate::kernels::testing::noise;

    #[test]
    fn rounds_to_nearest_even() {
        let halves =
            [(1.0, 0x3f80), (1.003_906_3, 0x3f80), (1.011_718_8, 0x3f82), (-0.0, 0x8000), (f32::INFINITY, 0x7f80)];
        for (value, half) in halves {
            assert_eq!(round(value), half, "{value}");
        }
        assert!(f32::from_bits(round(f32::NAN) << 16).is_nan());
    }

    #[test]
    fn products_of_rounded_weights() {
        for (rows, inputs, outputs) in [(1, 1, 1), (1, 300, 33), (2, 64, 144), (9, 31, 40), (131, 70, 35), (3, 129, 65)]
        {
            let (input, weights, bias) = (noise(rows * inputs, 1), noise(inputs * outputs, 2), noise(outputs, 3));
            let packed = Floats::from(pack_weights(inputs, outputs, &weights));
            for isa in Isa::available() {
                let run = |count| {
                    let threads = ThreadPool::with_isa(count, isa);
                    let mut output = Floats::filled(9.0, rows * outputs);
                    let view = View { data: &input, ld: inputs, image: 0 };
                    let to = ViewMut { data: &mut output, ld: outputs, image: 0 };
                    let mut scratch = Floats::filled(f32::NAN, scratch_len(count));
                    let none = Activation::default();
                    multiply(&threads, rows, inputs, outputs, view, &packed, Some(&bias), none, &mut scratch, to);
                    output
                };
                let output = run(1);
                assert!(output == run(3), "threads change the result");
                for (index, &found) in output.iter().enumerate() {
                    let (row, column) = (index / outputs, index % outputs);
                    let half = |value: f32| f64::from(f32::from_bits(round(value) << 16));
                    let term = |k: usize| f64::from(input[row * inputs + k]) * half(weights[k * outputs + column]);
                    let right = (0..inputs).map(term).sum::<f64>() + f64::from(bias[column]);
                    assert!(
                        (f64::from(found) - right).abs() < 1e-5,
                        "{isa:?} {rows}x{inputs}x{outputs}: {found} {right}"
                    );
                }
            }
        }
    }
}
