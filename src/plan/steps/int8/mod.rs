//! Steps on bytes: see [`kernels::int8`](crate::kernels::int8).

pub mod convert;
pub mod convolution;
pub mod dense;
pub mod merge;
pub mod pool;

use crate::kernels::elementwise::activation::Activation;
use crate::kernels::int8::quantization::Quantization;
use crate::kernels::int8::weights::{Columns, Rescaling, to_panels, words};

/// The lowest and highest byte of a result after an activation that only clamps; `None` for other activations.
pub fn clamped(activation: Activation, output: Quantization) -> Option<(u8, u8)> {
    let byte = |number: f32| output.byte(f64::from(number));
    match activation {
        Activation::Linear => Some((0, 255)),
        Activation::Relu { alpha: 0.0 } => Some((byte(0.0), 255)),
        Activation::Relu6 => Some((byte(0.0), byte(6.0))),
        Activation::Clip { min, max } if min <= max => Some((byte(min), byte(max))),
        _ => None,
    }
}

/// Multipliers and biases of a step's sums, and its packed weights, from its parameters in f32: the constants of a step.
fn constants(
    mut parameters: Vec<Vec<f32>>,
    columns: usize,
    rescaling: &Rescaling,
    pack: impl FnOnce(&Columns) -> Vec<i8>,
    in_panels: impl Fn(&[f32]) -> Vec<f32>,
) -> Vec<Vec<f32>> {
    if parameters.is_empty() {
        return parameters;
    }
    let weights = Columns::of(&parameters.swap_remove(0), columns);
    // `swap_remove` has moved the bias to the front.
    let (multipliers, biases) = rescaling.of_columns(&weights, parameters.first().map(Vec::as_slice));
    vec![words(&pack(&weights)), to_panels(in_panels(&multipliers)), to_panels(in_panels(&biases))]
}

/// The scales of input and output, for the text of a plan.
fn scales(input: Quantization, output: Option<Quantization>) -> String {
    match output {
        Some(output) => format!("{input} to {output}"),
        None => format!("{input} to f32"),
    }
}
