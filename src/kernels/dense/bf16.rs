//! Dense layers with weights in bf16: half the memory traffic, sums in f32. Inputs stay in f32, or are rounded too.

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::gemm::bf16::{Operands, pairs, round_pixels, round_weights};
use crate::kernels::gemm::panel::packed_len;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::size::product;

/// Length of the packed weights `(inputs, outputs)`, in words of 32 bits (stored as f32).
pub fn packed_len_weights(inputs: usize, outputs: usize) -> usize {
    packed_len(pairs(inputs), outputs)
}

/// Packs row-major weights `(inputs, outputs)` for [`multiply`], rounded to the nearest bf16, in pairs along the inputs.
///
/// # Panics
/// If `weights` has the wrong length.
pub fn pack_weights(inputs: usize, outputs: usize, weights: &[f32]) -> Vec<f32> {
    assert_eq!(weights.len(), inputs * outputs, "weights");
    super::pack_weights(pairs(inputs), outputs, &round_weights(weights, inputs, outputs))
}

/// Scratch memory of [`multiply`] for up to `rows` rows on `workers` threads, in floats.
pub fn scratch_len(rows: usize, inputs: usize, workers: usize, rounds_inputs: bool) -> usize {
    let rounded = if rounds_inputs { product([rows, pairs(inputs)]) } else { 0 };
    rounded.saturating_add(super::scratch_len(rows, pairs(inputs), workers))
}

/// As [`dense::multiply`](super::multiply), with weights packed by [`pack_weights`]. With `rounds_inputs`, inputs are rounded to
/// bf16 too where the CPU has fast products of it.
///
/// # Panics
/// If a slice is too short for the sizes.
#[allow(clippy::too_many_arguments)] // The views and weights are separate borrows of the arena and the artifact.
pub fn multiply(
    threads: &ThreadPool,
    rounds_inputs: bool,
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
    let mut multiply = |operands, inputs, input, scratch: &mut [f32]| {
        let output = ViewMut { data: &mut *output.data, ..output };
        super::multiply(threads, operands, rows, inputs, outputs, input, weights, bias, activation, scratch, output);
    };
    if !rounds_inputs || !threads.isa().has_fast_bf16() {
        return multiply(Operands::Bf16Weights, inputs, input, scratch);
    }
    let row = pairs(inputs);
    let (rounded, scratch) = scratch.split_at_mut(rows * row);
    round_pixels(threads, input, 1, rows, inputs, rounded);
    multiply(Operands::Bf16, row, View { data: rounded, ld: row, image: 0 }, scratch);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::guarded::Floats;
    use crate::kernels::simd::isa::Isa;
    use crate::kernels::testing::noise;
    use half::bf16;

    #[test]
    fn products_of_rounded_weights() {
        for (rows, inputs, outputs) in
            [(1, 1, 1), (1, 300, 33), (2, 64, 144), (9, 31, 40), (131, 70, 35), (3, 4229, 65)]
        {
            let (input, weights, bias) = (noise(rows * inputs, 1), noise(inputs * outputs, 2), noise(outputs, 3));
            let packed = Floats::from(pack_weights(inputs, outputs, &weights));
            for (isa, rounds) in Isa::available().into_iter().flat_map(|isa| [(isa, false), (isa, true)]) {
                let run = |count| {
                    let threads = ThreadPool::with_isa(count, isa);
                    let mut output = Floats::filled(9.0, rows * outputs);
                    let view = View { data: &input, ld: inputs, image: 0 };
                    let to = ViewMut { data: &mut output, ld: outputs, image: 0 };
                    let mut scratch = Floats::filled(f32::NAN, scratch_len(rows, inputs, count, rounds));
                    let none = Activation::default();
                    let bias = Some(&bias[..]);
                    multiply(&threads, rounds, rows, inputs, outputs, view, &packed, bias, none, &mut scratch, to);
                    output
                };
                let output = run(1);
                assert!(output == run(3), "threads change the result");
                for (index, &found) in output.iter().enumerate() {
                    let (row, column) = (index / outputs, index % outputs);
                    let half = |value: f32| f64::from(bf16::from_f32(value).to_f32());
                    let is_rounded = rounds && isa.has_fast_bf16();
                    let of_input = |value: f32| if is_rounded { half(value) } else { f64::from(value) };
                    let term = |k: usize| of_input(input[row * inputs + k]) * half(weights[k * outputs + column]);
                    let right = (0..inputs).map(term).sum::<f64>() + f64::from(bias[column]);
                    // Long sums round more, and so do those of instructions for bf16.
                    let bound = match inputs {
                        _ if is_rounded => 1e-4,
                        ..1000 => 1e-5,
                        _ => 2e-5,
                    };
                    assert!(
                        (f64::from(found) - right).abs() < bound,
                        "{isa:?} {rows}x{inputs}x{outputs}: {found} {right}"
                    );
                }
            }
        }
    }
}
