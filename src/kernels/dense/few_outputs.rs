//! Dense layers with few outputs and unpacked weights: each output is the dot product of an input row with a row of the
//! transposed weights. Vectors run along K, so no lanes are idle as they would be in a partly filled panel of 16 columns.

// Loops over registers use indices, which always unroll; iterators over nested arrays do not.
#![allow(clippy::needless_range_loop)]

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::epilogue::check_view;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::vector::{SimdOp, Vector};
use crate::kernels::tensor_view::{View, ViewMut};

/// Maximum outputs for which this kernel is faster than a packed GEMM.
pub const MAX_OUTPUTS: usize = 24;
/// Rows of a task.
const ROWS: usize = 8;
/// K of a block, whose weights stay in the L1 cache for all rows of a task: a multiple of every vector length.
const KC: usize = 512;

/// Whether a layer has few enough outputs for this kernel.
pub fn has_few_outputs(outputs: usize) -> bool {
    outputs <= MAX_OUTPUTS
}

/// Floats from one row of a block of transposed weights to the next, padded: a stride of half a page causes cache conflicts.
const ROW_STRIDE: usize = KC + 16;

/// Scratch memory of [`multiply`], in floats: the transposed weights, a block of rows (one per output) for every `KC`
/// inputs.
pub fn scratch_len(inputs: usize, outputs: usize) -> usize {
    crate::size::product([inputs.div_ceil(KC), outputs, ROW_STRIDE])
}

/// Transposes the weights `(inputs, outputs)`, block by block.
fn transpose(threads: &ThreadPool, outputs: usize, weights: &[f32], transposed: &mut [f32]) {
    share(
        threads,
        transposed,
        Partition::chunks(transposed.len(), outputs * ROW_STRIDE),
        Scratch::none(),
        &|piece, block, _| {
            let weights = &weights[piece.inner * KC * outputs..];
            for (input, weights) in weights.chunks_exact(outputs).take(KC).enumerate() {
                for (output, weight) in weights.iter().enumerate() {
                    block[output * ROW_STRIDE + input] = *weight;
                }
            }
        },
    );
}

/// Output `(rows, outputs)` = activation(input `(rows, inputs)` x weights `(inputs, outputs)` + bias). Rows of the views are
/// `ld` floats apart; their `image` is ignored. `scratch` has at least [`scratch_len`] floats.
///
/// # Panics
/// If a slice is too short for the sizes, or there are more than [`MAX_OUTPUTS`] outputs.
#[allow(clippy::too_many_arguments)] // The views and weights are separate borrows of the arena and the artifact.
pub fn multiply(
    threads: &ThreadPool,
    (rows, inputs, outputs): (usize, usize, usize),
    input: View<'_>,
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    output: ViewMut<'_>,
    scratch: &mut [f32],
) {
    assert!(has_few_outputs(outputs), "{outputs} outputs");
    check_view("input", &input, 1, rows, inputs);
    let transposed = &mut scratch[..scratch_len(inputs, outputs)];
    if rows == 0 || outputs == 0 {
        return;
    }
    transpose(threads, outputs, &weights[..inputs * outputs], transposed);
    let (transposed, ld) = (&*transposed, output.ld);
    let span = |rows: usize| (rows - 1) * ld + outputs;
    let tasks = rows.div_ceil(ROWS);
    let partition = Partition {
        outer: 1,
        outer_stride: 0,
        inner: tasks,
        inner_stride: ROWS * ld,
        len: span(ROWS),
        last: span(rows - (tasks - 1) * ROWS),
    };
    share(threads, output.data, partition, Scratch::none(), &|piece, out, _| {
        let first_row = piece.inner * ROWS;
        let mut sums = [[0.0; 16]; ROWS * MAX_OUTPUTS];
        let rows = ROWS.min(rows - first_row);
        let x = &input.data[first_row * input.ld..];
        // SAFETY: the rows are within the checked view, and each block of transposed weights has a row per output.
        unsafe { threads.isa().dispatch(Block { x, ld: input.ld, rows, inputs, outputs, transposed, sums: &mut sums }) }
        for (row, out) in out.chunks_mut(ld).enumerate() {
            let out = &mut out[..outputs];
            for (output, to) in out.iter_mut().enumerate() {
                *to = sums[row * MAX_OUTPUTS + output].iter().sum::<f32>() + bias.map_or(0.0, |bias| bias[output]);
            }
            activation.apply(out);
        }
    });
}

/// A task's rows; `sums[row * MAX_OUTPUTS + output]` has one partial sum per lane.
struct Block<'a> {
    x: &'a [f32],
    ld: usize,
    rows: usize,
    inputs: usize,
    outputs: usize,
    transposed: &'a [f32],
    sums: &'a mut [[f32; 16]; ROWS * MAX_OUTPUTS],
}

impl SimdOp for Block<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        for first_input in (0..self.inputs).step_by(KC) {
            let depth = KC.min(self.inputs - first_input);
            let mut row = 0;
            // SAFETY: tiles cover the rows exactly.
            unsafe {
                while row + 2 <= self.rows {
                    self.tiles::<V, 2>(row, first_input, depth);
                    row += 2;
                }
                if row < self.rows {
                    self.tiles::<V, 1>(row, first_input, depth);
                }
            }
        }
    }
}

impl Block<'_> {
    /// Accumulates a block of inputs for `R` rows and all outputs.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const R: usize>(&mut self, row: usize, first_input: usize, depth: usize) {
        let mut output = 0;
        while output < self.outputs {
            // SAFETY: at least as many outputs remain as the tile has.
            output += unsafe {
                match self.outputs - output {
                    5.. => self.tile::<V, R, 5>(row, output, first_input, depth),
                    3.. => self.tile::<V, R, 3>(row, output, first_input, depth),
                    2 => self.tile::<V, R, 2>(row, output, first_input, depth),
                    _ => self.tile::<V, R, 1>(row, output, first_input, depth),
                }
            };
        }
    }

    /// The same for a register tile of `C` outputs. Returns `C`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize, const C: usize>(
        &mut self,
        row: usize,
        output: usize,
        first_input: usize,
        depth: usize,
    ) -> usize {
        // SAFETY: rows, outputs and inputs are within the slices, and a vector has at most the 16 lanes of a sum.
        unsafe {
            let mut acc = [[V::splat(0.0); C]; R];
            for r in 0..R {
                for c in 0..C {
                    acc[r][c] = V::load(self.sums[(row + r) * MAX_OUTPUTS + output + c].as_ptr());
                }
            }
            let x = self.x.as_ptr().add(row * self.ld + first_input);
            let transposed =
                self.transposed[first_input * self.outputs / KC * ROW_STRIDE..][output * ROW_STRIDE..].as_ptr();
            let full = depth / V::LANES * V::LANES;
            for k in (0..full).step_by(V::LANES) {
                let mut a = [V::splat(0.0); R];
                for r in 0..R {
                    a[r] = V::load(x.add(r * self.ld + k));
                }
                for c in 0..C {
                    let b = V::load(transposed.add(c * ROW_STRIDE + k));
                    for r in 0..R {
                        acc[r][c] = a[r].mul_add(b, acc[r][c]);
                    }
                }
            }
            if full < depth {
                for c in 0..C {
                    let b = V::load_partial(transposed.add(c * ROW_STRIDE + full), depth - full);
                    for r in 0..R {
                        let a = V::load_partial(x.add(r * self.ld + full), depth - full);
                        acc[r][c] = a.mul_add(b, acc[r][c]);
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    acc[r][c].store(self.sums[(row + r) * MAX_OUTPUTS + output + c].as_mut_ptr());
                }
            }
        }
        C
    }
}
