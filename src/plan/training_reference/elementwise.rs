//! Gradients of elementwise functions, softmax, learnt slopes, unit length, and merges.

use crate::kernels::elementwise::activation::{Activation, GELU_CUBIC, GELU_FACTOR};
use crate::kernels::elementwise::activation_gradient::is_slope_from_output;
use crate::kernels::elementwise::combine::Merge;
use crate::plan::steps::gradient::merge_gradient::{BroadcastGradientStep, GateGradientStep, GatedAverageGradientStep};
use crate::plan::steps::gradient::pointwise_gradient::NormalizeGradientStep;
use crate::plan::steps::merge::MergeStep;
use crate::plan::steps::prelu::PReluStep;

/// dx of an elementwise function. `known` is its output where that determines the slope, else its input.
pub fn activation_gradient(activation: Activation, dy: &[f64], known: &[f64]) -> Vec<f64> {
    let slope = if is_slope_from_output(activation) { slope_of_output } else { slope_at_input };
    dy.iter().zip(known).map(|(dy, &known)| dy * slope(activation, known)).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `slope` inside an interval, 0 outside.
fn inside(x: f64, low: f64, high: f64, slope: f64) -> f64 {
    if x > low && x < high { slope } else { 0.0 }
}

/// The derivative at an input. A kink has the slope of its lower side.
fn slope_at_input(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Linear => 1.0,
        Activation::Relu { alpha } => {
            if x > 0.0 {
                1.0
            } else {
                f64::from(alpha)
            }
        }
        Activation::Relu6 => inside(x, 0.0, 6.0, 1.0),
        Activation::Sigmoid => sigmoid(x) * sigmoid(-x),
        Activation::HardSigmoid { alpha, beta } => {
            inside(f64::from(alpha) * x + f64::from(beta), 0.0, 1.0, f64::from(alpha))
        }
        Activation::Tanh => 1.0 - x.tanh().powi(2),
        Activation::Elu => {
            if x > 0.0 {
                1.0
            } else {
                x.exp()
            }
        }
        Activation::Softplus => sigmoid(x),
        Activation::Swish => sigmoid(x) * (1.0 + x * sigmoid(-x)),
        Activation::HardSwish => (x + 3.0).clamp(0.0, 6.0) / 6.0 + inside(x, -3.0, 3.0, x / 6.0),
        Activation::Gelu => {
            let below = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
            below + x * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
        }
        Activation::GeluTanh => {
            let (factor, cubic) = (f64::from(GELU_FACTOR), f64::from(GELU_CUBIC));
            let tangent = (factor * (x + cubic * x.powi(3))).tanh();
            0.5 * (1.0 + tangent) + 0.5 * x * (1.0 - tangent * tangent) * factor * (1.0 + 3.0 * cubic * x * x)
        }
        Activation::Clip { min, max } => inside(x, f64::from(min), f64::from(max), 1.0),
        Activation::Exp => x.exp(),
        Activation::Log => 1.0 / x,
        Activation::Sqrt => 0.5 / x.sqrt(),
        Activation::Square => 2.0 * x,
        Activation::Power { exponent: 0.0 } => 0.0,
        Activation::Power { exponent } => f64::from(exponent) * x.powf(f64::from(exponent) - 1.0),
        Activation::Affine { scale, .. } => f64::from(scale),
    }
}

/// The derivative at the input whose output is `y`, for functions where it is determined.
fn slope_of_output(activation: Activation, y: f64) -> f64 {
    match activation {
        Activation::Relu6 => inside(y, 0.0, 6.0, 1.0),
        Activation::Sigmoid => y * (1.0 - y),
        Activation::HardSigmoid { alpha, .. } => inside(y, 0.0, 1.0, f64::from(alpha)),
        Activation::Tanh => 1.0 - y * y,
        Activation::Elu => {
            if y > 0.0 {
                1.0
            } else {
                y + 1.0
            }
        }
        Activation::Softplus => 1.0 - (-y).exp(),
        Activation::Clip { min, max } => inside(y, f64::from(min), f64::from(max), 1.0),
        Activation::Exp => y,
        Activation::Sqrt => 0.5 / y,
        // The sign of the input is that of the output.
        other => slope_at_input(other, y),
    }
}

/// dx of a softmax: y (dy - sum of dy y).
pub fn softmax_gradient(dy: &[f64], y: &[f64], channels: usize) -> Vec<f64> {
    let rows = dy.chunks_exact(channels).zip(y.chunks_exact(channels));
    rows.flat_map(|(dy, y)| {
        let sum: f64 = dy.iter().zip(y).map(|(dy, y)| dy * y).sum();
        dy.iter().zip(y).map(move |(dy, y)| y * (dy - sum))
    })
    .collect()
}

/// The slope of the value at an index of a batch.
fn slope_index(layer: &PReluStep, index: usize) -> usize {
    layer.slope_index(index % layer.expanded_len())
}

/// dx of learnt slopes.
pub fn prelu_gradient(layer: &PReluStep, dy: &[f64], x: &[f64], alpha: &[f64]) -> Vec<f64> {
    let slope = |index: usize, x: f64| if x > 0.0 { 1.0 } else { alpha[slope_index(layer, index)] };
    dy.iter().zip(x).enumerate().map(|(index, (dy, &x))| dy * slope(index, x)).collect()
}

/// The gradient of learnt slopes: the sum of dy min(0, x).
pub fn prelu_slope_gradient(layer: &PReluStep, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut slopes = vec![0.0; layer.slopes()];
    for (index, (x, dy)) in x.iter().zip(dy).enumerate() {
        slopes[slope_index(layer, index)] += dy * x.min(0.0);
    }
    slopes
}

/// dx of a division by max(length, epsilon).
pub fn normalize_gradient(step: &NormalizeGradientStep, dy: &[f64], x: &[f64]) -> Vec<f64> {
    let rows = dy.chunks_exact(step.channels).zip(x.chunks_exact(step.channels));
    let epsilon = f64::from(step.epsilon);
    rows.flat_map(|(dy, x)| {
        let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let along: f64 = x.iter().zip(dy).map(|(x, dy)| x * dy).sum();
        let pull = if length > epsilon { along / (length * length) } else { 0.0 };
        dy.iter().zip(x).map(move |(dy, x)| (dy - x * pull) / length.max(epsilon))
    })
    .collect()
}

/// Tensors combined value by value.
pub fn merge(step: &MergeStep, inputs: &[Vec<f64>]) -> Vec<f64> {
    let Some((first, others)) = inputs.split_first() else { return Vec::new() };
    let count = if step.merge == Merge::Average { inputs.len() as f64 } else { 1.0 };
    let at = |(index, first): (usize, &f64)| {
        let value = others.iter().fold(*first, |value, other| step.merge.exact(value, other[index])) / count;
        step.activation.exact(value)
    };
    first.iter().enumerate().map(at).collect()
}

/// dx of one of several tensors combined value by value. Of equal maxima or minima the first gets the gradient.
pub fn merge_gradient(merge: Merge, index: usize, dy: &[f64], inputs: &[Vec<f64>]) -> Vec<f64> {
    let slope = |at: usize| {
        let x = inputs[index][at];
        let is_first_best = |is_better: fn(f64, f64) -> bool| {
            let wins = |(other, values): (usize, &Vec<f64>)| {
                other == index || !(is_better(values[at], x) || other < index && values[at] == x)
            };
            f64::from(u8::from(inputs.iter().enumerate().all(wins)))
        };
        match merge {
            Merge::Add => 1.0,
            Merge::Average => 1.0 / inputs.len() as f64,
            Merge::Multiply => {
                inputs.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, values)| values[at]).product()
            }
            Merge::Maximum => is_first_best(|other, x| other > x),
            Merge::Minimum => is_first_best(|other, x| other < x),
            Merge::Subtract if index > 0 => -1.0,
            Merge::SubtractFrom if index == 0 => -1.0,
            Merge::Subtract | Merge::SubtractFrom => 1.0,
            Merge::Divide | Merge::DivideInto => {
                let values: Vec<f64> = inputs.iter().map(|values| values[at]).collect();
                let quotient = values[1..].iter().fold(values[0], |value, other| merge.exact(value, *other));
                let is_dividend = (index == 0) == (merge == Merge::Divide);
                let divisors =
                    || values.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, value)| value);
                if is_dividend { 1.0 / divisors().product::<f64>() } else { -quotient / x }
            }
        }
    };
    dy.iter().enumerate().map(|(at, dy)| dy * slope(at)).collect()
}

/// dx of an image, or of the one value per channel, that were combined.
pub fn broadcast_gradient(step: &BroadcastGradientStep, dy: &[f64], image: &[f64], values: &[f64]) -> Vec<f64> {
    let BroadcastGradientStep { pixels, channels, merge, by_values } = *step;
    let spread: Vec<f64> =
        (0..image.len()).map(|index| values[index / (pixels * channels) * channels + index % channels]).collect();
    let full = merge_gradient(merge, usize::from(by_values), dy, &[image.to_vec(), spread]);
    if !by_values {
        return full;
    }
    let mut sums = vec![0.0; values.len()];
    for (index, value) in full.iter().enumerate() {
        sums[index / (pixels * channels) * channels + index % channels] += value;
    }
    sums
}

/// dx of a branch of a gated sum.
pub fn gated_average_gradient(step: &GatedAverageGradientStep, dy: &[f64], gate: &[f64]) -> Vec<f64> {
    let share = |image: usize| gate[image * step.branches + step.index];
    dy.iter().enumerate().map(|(index, dy)| dy * share(index / (step.pixels * step.channels))).collect()
}

/// The gradient of the gate of a gated sum.
pub fn gate_gradient(step: &GateGradientStep, dy: &[f64], branches: &[Vec<f64>]) -> Vec<f64> {
    let len = step.pixels * step.channels;
    let images = 0..dy.len() / len.max(1);
    let of = |image: usize, branch: &[f64]| -> f64 {
        let range = image * len..(image + 1) * len;
        dy[range.clone()].iter().zip(&branch[range]).map(|(dy, x)| dy * x).sum()
    };
    images.flat_map(|image| branches.iter().map(move |branch| of(image, branch))).collect()
}
