//! The weight gradient of a dense layer with few outputs: the transposed x times dy. A packed GEMM would spend more time on
//! packing than on arithmetic; here x is read once, in place.

// Loops over registers use indices, which always unroll; iterators over nested arrays do not.
#![allow(clippy::needless_range_loop)]

use super::few_outputs::MAX_OUTPUTS;
use crate::kernels::epilogue::check_view;
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::vector::{SimdOp, Vector, prefetch};
use crate::kernels::tensor_view::View;
use std::ops::Range;

/// Inputs of a task: a multiple of every vector length.
const INPUTS: usize = 256;
/// Rows that are read concurrently: more would conflict in the L1 cache, as rows are often a multiple of a page apart.
const ROWS: usize = 4;

/// `gradient` `(inputs, outputs)` = the transposed x `(rows, inputs)` times dy `(rows, outputs)`. Rows of the views are `ld`
/// floats apart; their `image` is ignored.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn weight_gradient(
    threads: &ThreadPool,
    (rows, inputs, outputs): (usize, usize, usize),
    x: View<'_>,
    dy: View<'_>,
    gradient: &mut [f32],
) {
    check_view("input", &x, 1, rows, inputs);
    check_view("gradient of the output", &dy, 1, rows, outputs);
    let gradient = &mut gradient[..inputs * outputs];
    if gradient.is_empty() {
        return;
    }
    share(
        threads,
        gradient,
        Partition::chunks(inputs * outputs, INPUTS * outputs),
        Scratch::none(),
        &|piece, out, _| {
            let first = piece.inner * INPUTS;
            let block = Block { rows, inputs: out.len() / outputs, outputs, x, first, dy, out };
            // SAFETY: rows and columns are within the checked views.
            unsafe { threads.isa().dispatch(block) }
        },
    );
}

/// A task's sums, by output and input.
type Sums = [[f32; INPUTS]; MAX_OUTPUTS];

/// The gradient of a task's inputs.
struct Block<'a> {
    rows: usize,
    inputs: usize,
    outputs: usize,
    x: View<'a>,
    /// The task's first input.
    first: usize,
    dy: View<'a>,
    out: &'a mut [f32],
}

impl SimdOp for Block<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let mut sums = [[0.0; INPUTS]; MAX_OUTPUTS];
        for first in (0..self.rows).step_by(ROWS) {
            let rows = first..(first + ROWS).min(self.rows);
            let mut input = 0;
            // SAFETY: tiles cover inputs and outputs exactly.
            unsafe {
                while self.inputs - input >= 2 * V::LANES {
                    self.tiles::<V, 2>(&mut sums, rows.clone(), input, V::LANES);
                    input += 2 * V::LANES;
                }
                while input < self.inputs {
                    let lanes = V::LANES.min(self.inputs - input);
                    self.tiles::<V, 1>(&mut sums, rows.clone(), input, lanes);
                    input += lanes;
                }
            }
        }
        for (input, row) in self.out.chunks_exact_mut(self.outputs).enumerate() {
            row.iter_mut().zip(&sums).for_each(|(to, sums)| *to = sums[input]);
        }
    }
}

impl Block<'_> {
    /// Accumulates a range of rows for all outputs by `N` vectors of inputs, of which the last has `lanes` lanes.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const N: usize>(&self, sums: &mut Sums, rows: Range<usize>, input: usize, lanes: usize) {
        let mut output = 0;
        while output < self.outputs {
            let (left, rows) = (self.outputs - output, rows.clone());
            // SAFETY: at least as many outputs remain as the tile has.
            output += unsafe {
                match left {
                    10.. if V::TILE_ROWS >= 12 => self.tile::<V, 10, N>(sums, rows, input, output, lanes),
                    8.. if V::TILE_ROWS >= 12 => self.tile::<V, 8, N>(sums, rows, input, output, lanes),
                    5.. if V::TILE_ROWS >= 6 => self.tile::<V, 5, N>(sums, rows, input, output, lanes),
                    3.. => self.tile::<V, 3, N>(sums, rows, input, output, lanes),
                    2 => self.tile::<V, 2, N>(sums, rows, input, output, lanes),
                    _ => self.tile::<V, 1, N>(sums, rows, input, output, lanes),
                }
            };
        }
    }

    /// The same for a register tile of `R` outputs. Returns `R`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize, const N: usize>(
        &self,
        sums: &mut Sums,
        rows: Range<usize>,
        input: usize,
        output: usize,
        lanes: usize,
    ) -> usize {
        // SAFETY: rows, inputs and outputs are within the views, the last vector reads `lanes` floats, and full vectors are
        // within the sums, as `INPUTS` is a multiple of their length.
        unsafe {
            let mut acc = [[V::splat(0.0); N]; R];
            for r in 0..R {
                for n in 0..N {
                    acc[r][n] = V::load(sums[output + r].as_ptr().add(input + n * V::LANES));
                }
            }
            let mut x = self.x.data.as_ptr().add(rows.start * self.x.ld + self.first + input);
            let mut dy = self.dy.data.as_ptr().add(rows.start * self.dy.ld + output);
            for _ in rows {
                let mut right = [V::splat(0.0); N];
                for n in 0..N {
                    let from = x.add(n * V::LANES);
                    right[n] = if N == 1 { V::load_partial(from, lanes) } else { V::load(from) };
                }
                for r in 0..R {
                    let left = V::splat(*dy.add(r));
                    for n in 0..N {
                        acc[r][n] = left.mul_add(right[n], acc[r][n]);
                    }
                }
                for n in 0..N {
                    prefetch(x.wrapping_add((N + n) * V::LANES));
                }
                (x, dy) = (x.wrapping_add(self.x.ld), dy.wrapping_add(self.dy.ld));
            }
            for r in 0..R {
                for n in 0..N {
                    acc[r][n].store(sums[output + r].as_mut_ptr().add(input + n * V::LANES));
                }
            }
        }
        R
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::simd::isa::Isa;
    use crate::kernels::testing::Sum;
    use crate::kernels::testing::noise;

    #[test]
    fn weight_gradient_equals_f64_sums() {
        for (rows, inputs, outputs) in [(1, 1, 1), (3, 31, 2), (128, 40, 10), (7, 600, 24), (5, 257, 9), (9, 70, 13)] {
            let (ld, dy_ld) = (inputs + 3, outputs + 1);
            let (x, dy) = (noise(rows * ld - 3, 1), noise(rows * dy_ld - 1, 2));
            for isa in Isa::available() {
                let run = |count| {
                    let mut out = Floats::filled(f32::NAN, inputs * outputs);
                    let (x, dy) = (View { data: &x, ld, image: 0 }, View { data: &dy, ld: dy_ld, image: 0 });
                    weight_gradient(&ThreadPool::with_isa(count, isa), (rows, inputs, outputs), x, dy, &mut out);
                    out
                };
                let out = run(1);
                assert!(out == run(2), "threads change the result");
                for (index, found) in out.iter().enumerate() {
                    let mut sum = Sum::default();
                    for row in 0..rows {
                        sum.add(
                            f64::from(x[row * ld + index / outputs]) * f64::from(dy[row * dy_ld + index % outputs]),
                        );
                    }
                    let error = (f64::from(*found) - sum.value).abs();
                    assert!(error <= sum.rounding(), "{isa:?} {rows}x{inputs}x{outputs}: {found} for {}", sum.value);
                }
            }
        }
    }
}
