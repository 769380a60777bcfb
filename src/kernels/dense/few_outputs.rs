//! Dense layers of few outputs whose weights change before each product: each output is a row's inner product with one
//! line of the transposed weights, so that no lane of a vector is idle as in panels of 16 columns.

// Loops over registers count with plain indices, which unroll; iterators over nested arrays do not always.
#![allow(clippy::needless_range_loop)]

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::epilogue::check_view;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::vector::{SimdOp, Vector};
use crate::kernels::tensor_view::{View, ViewMut};

/// Outputs, at most, for which this is the faster way.
pub const MOST: usize = 24;
/// Rows of a task.
const ROWS: usize = 8;
/// Inputs whose weights stay in the first cache while a task's rows go by: a multiple of every vector.
const DEPTH: usize = 512;

/// Whether a layer has so few outputs.
pub fn is_narrow(outputs: usize) -> bool {
    outputs <= MOST
}

/// Floats from one line of a block of transposed weights to the next: lines half a page apart would collide in the cache.
const LINE: usize = DEPTH + 16;

/// The floats of scratch memory that [`multiply`] needs: for every [`DEPTH`] inputs a block with a line for each output.
pub fn scratch_len(inputs: usize, outputs: usize) -> usize {
    crate::size::product([inputs.div_ceil(DEPTH), outputs, LINE])
}

/// Transposes the weights `(inputs, outputs)` block by block.
fn transpose(threads: &ThreadPool, outputs: usize, weights: &[f32], lines: &mut [f32]) {
    share(threads, lines, Partition::chunks(lines.len(), outputs * LINE), Scratch::none(), &|piece, block, _| {
        let weights = &weights[piece.inner * DEPTH * outputs..];
        for (input, weights) in weights.chunks_exact(outputs).take(DEPTH).enumerate() {
            for (output, weight) in weights.iter().enumerate() {
                block[output * LINE + input] = *weight;
            }
        }
    });
}

/// The output rows `(rows, outputs)` = activation(input `(rows, inputs)` x weights `(inputs, outputs)` + bias). Row r of the
/// views begins at `r * ld`; their `image` is not looked at.
///
/// # Panics
/// If a slice is too short for the sizes, or there are more than [`MOST`] outputs.
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
    assert!(is_narrow(outputs), "{outputs} outputs");
    check_view("input", &input, 1, rows, inputs);
    let lines = &mut scratch[..scratch_len(inputs, outputs)];
    if rows == 0 || outputs == 0 {
        return;
    }
    transpose(threads, outputs, &weights[..inputs * outputs], lines);
    let (lines, ld) = (&*lines, output.ld);
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
        let first = piece.inner * ROWS;
        let mut sums = [[0.0; 16]; ROWS * MOST];
        let rows = ROWS.min(rows - first);
        let x = &input.data[first * input.ld..];
        // SAFETY: the view was checked to hold the rows, and each block of lines holds one for each output.
        unsafe { threads.isa().dispatch(Block { x, ld: input.ld, rows, inputs, outputs, lines, sums: &mut sums }) }
        for (row, out) in out.chunks_mut(ld).enumerate() {
            let out = &mut out[..outputs];
            for (output, to) in out.iter_mut().enumerate() {
                *to = sums[row * MOST + output].iter().sum::<f32>() + bias.map_or(0.0, |bias| bias[output]);
            }
            activation.apply(out);
        }
    });
}

/// Some rows' products; `sums[row * MOST + output]` are the parts of a sum, a lane each.
struct Block<'a> {
    x: &'a [f32],
    ld: usize,
    rows: usize,
    inputs: usize,
    outputs: usize,
    lines: &'a [f32],
    sums: &'a mut [[f32; 16]; ROWS * MOST],
}

impl SimdOp for Block<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        for first in (0..self.inputs).step_by(DEPTH) {
            let depth = DEPTH.min(self.inputs - first);
            let mut row = 0;
            // SAFETY: tiles cover the rows exactly.
            unsafe {
                while row + 2 <= self.rows {
                    self.tiles::<V, 2>(row, first, depth);
                    row += 2;
                }
                if row < self.rows {
                    self.tiles::<V, 1>(row, first, depth);
                }
            }
        }
    }
}

impl Block<'_> {
    /// Adds the products of some inputs for `R` rows and all outputs.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const R: usize>(&mut self, row: usize, first: usize, depth: usize) {
        let mut output = 0;
        while output < self.outputs {
            // SAFETY: as many outputs are left as each tile takes.
            output += unsafe {
                match self.outputs - output {
                    5.. => self.tile::<V, R, 5>(row, output, first, depth),
                    3.. => self.tile::<V, R, 3>(row, output, first, depth),
                    2 => self.tile::<V, R, 2>(row, output, first, depth),
                    _ => self.tile::<V, R, 1>(row, output, first, depth),
                }
            };
        }
    }

    /// The same for `C` outputs, in registers. Returns `C`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize, const C: usize>(
        &mut self,
        row: usize,
        output: usize,
        first: usize,
        depth: usize,
    ) -> usize {
        // SAFETY: rows, outputs and inputs are within the slices, and every vector fits in the 16 floats of a sum.
        unsafe {
            let mut held = [[V::splat(0.0); C]; R];
            for r in 0..R {
                for c in 0..C {
                    held[r][c] = V::load(self.sums[(row + r) * MOST + output + c].as_ptr());
                }
            }
            let x = self.x.as_ptr().add(row * self.ld + first);
            let lines = self.lines[first * self.outputs / DEPTH * LINE..][output * LINE..].as_ptr();
            let whole = depth / V::LANES * V::LANES;
            for at in (0..whole).step_by(V::LANES) {
                let mut left = [V::splat(0.0); R];
                for r in 0..R {
                    left[r] = V::load(x.add(r * self.ld + at));
                }
                for c in 0..C {
                    let right = V::load(lines.add(c * LINE + at));
                    for r in 0..R {
                        held[r][c] = left[r].mul_add(right, held[r][c]);
                    }
                }
            }
            if whole < depth {
                for c in 0..C {
                    let right = V::load_partial(lines.add(c * LINE + whole), depth - whole);
                    for r in 0..R {
                        let left = V::load_partial(x.add(r * self.ld + whole), depth - whole);
                        held[r][c] = left.mul_add(right, held[r][c]);
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    held[r][c].store(self.sums[(row + r) * MOST + output + c].as_mut_ptr());
                }
            }
        }
        C
    }
}
